"""The client of botocore for S3 and stores that speak it. Credentials and regions are its business; what it raises is
translated here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plinth_runtime.weights.sources import RefusedError, TransientError
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.s3_answers import region_of_endpoint
from plinth_runtime.weights.sources.store_errors import judge_endpoint, status_fault

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
FIRST_REGION = "us-east-1"
ASKED_SERVICES = frozenset({"s3", "sts", "sso", "oidc", "portal.sso", "signin"})
"""The store, and those that give credentials for it."""

CONNECT_SECONDS, ANSWER_SECONDS = 10, 60
ADVICE = "check the credentials, what they may do with the bucket, its region (s3://BUCKET@REGION/…) and this clock"


class S3Account:
    """Who asks, and where; shared by threads. `region` is the one that the address names.

    A reader decides by itself when to ask again, so that the client of one has a single attempt.
    """

    def __init__(self, environment: Mapping[str, str], region: str | None = None, attempts: int = 1) -> None:
        self._attempts = attempts
        self._lock = threading.Lock()
        self._client: Any = None
        named = next((name for name in ENDPOINT_VARIABLES if environment.get(name)), None)
        self.endpoint = judge_endpoint(environment[named], named) if named else None
        places = (
            region,
            region_of_endpoint(self.endpoint or ""),
            *(environment.get(name) for name in REGION_VARIABLES),
        )
        self.region = next(filter(None, places), None)

    @property
    def is_aws(self) -> bool:
        """Say whether it is Amazon's own, whose checksums and ETags follow its documents."""
        return self.endpoint is None

    @property
    def client(self) -> Any:
        """The client, made once."""
        with self._lock:
            if self._client is None:
                with translated("s3"):
                    self._client = self._make()
            return self._client

    def close(self) -> None:
        """Close connections. Signing needs none, and the next question opens new ones."""
        if self._client is not None:
            self._client.close()

    def _make(self) -> Any:
        session = library("botocore.session", "s3").get_session()
        _forget_other_services(session)
        config = library("botocore.config", "s3").Config(
            # Without this, presigned addresses at other endpoints are signed as in 2010.
            signature_version="s3v4",
            # "virtual" gives the region's own address; "auto" presigns for one that redirects.
            s3={"addressing_style": "virtual" if self.is_aws else "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries={"mode": "standard", "total_max_attempts": self._attempts},
        )
        region = self.region or session.get_config_variable("region") or FIRST_REGION
        return session.create_client("s3", region_name=region, endpoint_url=self.endpoint, config=config)


def _forget_other_services(session: Any) -> None:
    """Remove from what botocore read of its own files the endpoints of services that are not asked here: 6 MB."""
    for partition in session.get_component("data_loader").load_data("endpoints")["partitions"]:
        services = partition["services"]
        for name in services.keys() - ASKED_SERVICES:
            del services[name]


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise SourceError for whatever botocore raises. Of a server's answer only status and code are repeated."""
    errors = library("botocore.exceptions", "s3")
    try:
        yield
    except errors.ClientError as error:
        meta = error.response.get("ResponseMetadata", {})
        status, code = int(meta.get("HTTPStatusCode", 0)), error.response.get("Error", {}).get("Code", "")
        words = f"{where}: the store answered {status} ({code}); {ADVICE}"
        raise status_fault(status, words, meta.get("HTTPHeaders", {}).get("retry-after")) from None
    except (errors.ConnectionError, errors.HTTPClientError, errors.CredentialRetrievalError) as error:
        raise TransientError(f"{where}: {type(error).__name__}") from None
    except errors.NoCredentialsError:
        raise RefusedError(
            f"{where}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        ) from None
    except (errors.BotoCoreError, ValueError) as error:
        raise RefusedError(f"{where}: {type(error).__name__}: {error}") from None
