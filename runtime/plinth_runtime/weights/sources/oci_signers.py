"""Who signs requests to OCI. Chooses one of the ways that OCI knows, makes its signer with OCI's library, signs.

OCI_CLI_AUTH names the way, as for OCI's own command line. Without it the first that fits is taken: a resource principal
(OCI_RESOURCE_PRINCIPAL_RPST or …_RPT_ENDPOINT), a workload's identity in an enhanced cluster
(OCI_RESOURCE_PRINCIPAL_VERSION in a pod), a configuration file, the instance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from plinth_runtime.weights.sources import RefusedError
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.oci_errors import translated

CONFIG_PATH = "~/.oci/config"
POD_VARIABLES = ("OCI_RESOURCE_PRINCIPAL_VERSION", "KUBERNETES_SERVICE_HOST")
PRINCIPAL_VARIABLES = ("OCI_RESOURCE_PRINCIPAL_RPST", "OCI_RESOURCE_PRINCIPAL_RPT_ENDPOINT")


@dataclass(slots=True)
class Unsigned:
    """A request as OCI's signers want to see it; they add headers."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: None = None

    @property
    def path_url(self) -> str:
        """What stands in the request's first line."""
        parts = urlsplit(self.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")


class OciIdentity:
    """One signer, shared by threads. `config` is what OCI's own clients want beside it."""

    def __init__(self, method: str, signer: Any, config: Mapping[str, Any]) -> None:
        self.method = method
        self.signer = signer
        self.config = dict(config)
        self._lock = threading.Lock()

    @property
    def region(self) -> str | None:
        """The region that the identity belongs to, if it says so."""
        return self.config.get("region") or getattr(self.signer, "region", None)

    def sign(self, method: str, url: str) -> dict[str, str]:
        """Give the headers that sign a request without a body. They hold for five minutes and leave Range unsigned."""
        request = Unsigned(method, url)
        # A signer that renews its token swaps key and token; nobody may sign in between.
        with self._lock, translated(_signing(self.method)):
            if hasattr(self.signer, "get_security_token"):
                self.signer.get_security_token()
            self.signer(request)
        return {name: request.headers[name] for name in ("date", "authorization")}


def choose_method(environment: Mapping[str, str], *, has_config: bool) -> str:
    """Decide which way of signing is meant. Raises RefusedError for a name that is none."""
    named = environment.get("OCI_CLI_AUTH", "").strip()
    if named:
        if named not in MAKERS:
            raise RefusedError(f"OCI_CLI_AUTH is '{named}'; write one of {', '.join(MAKERS)}")
        return named
    if any(environment.get(name) for name in PRINCIPAL_VARIABLES):
        return "resource_principal"
    if all(environment.get(name) for name in POD_VARIABLES):
        return "oke_workload_identity"
    return "api_key" if has_config else "instance_principal"


def find_identity(environment: Mapping[str, str]) -> OciIdentity:
    """Make the signer that the environment asks for. Raises SourceError with what is missing."""
    has_config = Path(environment.get("OCI_CONFIG_FILE") or CONFIG_PATH).expanduser().is_file()
    method = choose_method(environment, has_config=has_config)
    unreachable = "the service that gives tokens cannot be reached"
    if method == "instance_principal":
        unreachable = f"nothing answers for instances here; set OCI_CLI_AUTH or write {CONFIG_PATH}"
    with translated(_signing(method), unreachable):
        return MAKERS[method](method, environment)


def _signing(method: str) -> str:
    return f"signing for OCI as {method}"


def _by_config(method: str, environment: Mapping[str, str]) -> OciIdentity:
    """Sign as the configuration file says: a person's key, or a session's token beside its key."""
    oci = library("oci", "oci")
    profile = environment.get("OCI_CLI_PROFILE") or "DEFAULT"
    config = oci.config.from_file(environment.get("OCI_CONFIG_FILE") or CONFIG_PATH, profile)
    if token_file := config.get("security_token_file"):
        token = Path(token_file).expanduser().read_text(encoding="utf-8").strip()
        key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
        return OciIdentity("security_token", oci.auth.signers.SecurityTokenSigner(token, key), config)
    if method == "security_token":
        raise RefusedError(f"profile {profile} of the OCI configuration has no security_token_file")
    return OciIdentity(method, oci.signer.Signer.from_config(config), config)


def _by_instance(method: str, _: Mapping[str, str]) -> OciIdentity:
    oci = library("oci", "oci")
    once = oci.retry.NoneRetryStrategy()
    make = oci.auth.signers.InstancePrincipalsSecurityTokenSigner
    return OciIdentity(method, make(retry_strategy=once, federation_client_retry_strategy=once), {})


def _by_resource(method: str, _: Mapping[str, str]) -> OciIdentity:
    return OciIdentity(method, library("oci", "oci").auth.signers.get_resource_principals_signer(), {})


def _by_workload(method: str, environment: Mapping[str, str]) -> OciIdentity:
    oci = library("oci", "oci")
    once = oci.retry.NoneRetryStrategy()
    make = oci.auth.signers.get_oke_workload_identity_resource_principal_signer
    path = environment.get("OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH")
    return OciIdentity(method, make(retry_strategy=once, service_account_token_path=path), {})


MAKERS: Mapping[str, Callable[[str, Mapping[str, str]], OciIdentity]] = MappingProxyType(
    {
        "api_key": _by_config,
        "security_token": _by_config,
        "instance_principal": _by_instance,
        "resource_principal": _by_resource,
        "oke_workload_identity": _by_workload,
    }
)
"""The values of OCI_CLI_AUTH."""
