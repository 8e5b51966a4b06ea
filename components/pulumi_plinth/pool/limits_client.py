"""Asks OCI what its service limits leave: who asks, two requests, all of it within a few seconds.

OCI's library signs, our client asks, as where weights come from (docs/decisions/0010): loading the library's own client
of Compute takes seconds. Whatever goes wrong is an UnansweredError, and never the end of a plan.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx

from pulumi_plinth.oci_spec import OciSpec
from pulumi_plinth.pool.limits import (
    RIGHT,
    Answers,
    Demand,
    LimitsClient,
    LimitsReport,
    Place,
    Room,
    Unanswered,
    UnansweredError,
    judge,
)

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

REQUEST_SECONDS = 3.0
"""For connecting and for each silence: answers of a kilobyte come in a fraction of it."""

CHECK_SECONDS = 8.0
"""For logging in and everything that is asked about a stack; what is not answered by then is said so."""

STREAMS = 8
"""Questions asked at a time: a burst of dozens is what OCI answers with 429."""

CONFIG_PATH = "~/.oci/config"
SERVICE = "compute"
ENDPOINTS = {
    "limits": "https://limits.{region}.oci.{secondLevelDomain}",
    "iaas": "https://iaas.{region}.{secondLevelDomain}",
}
HINTS = {
    401: "check the key, and this machine's clock",
    403: f"it takes: {RIGHT}",
    404: f"it takes: {RIGHT}",
    429: "it was asked too often; try again in a minute",
}
METHODS = {
    "ApiKey": "api_key", "SecurityToken": "security_token", "InstancePrincipal": "instance_principal",
    "ResourcePrincipal": "resource_principal", "OKEWorkloadIdentity": "oke_workload_identity",
}  # fmt: skip
"""Ways to log in as stack files name them, and as OCI_CLI_AUTH does."""

HTTP_OK, HTTP_MISSING = 200, 404


@dataclass(slots=True)
class Unsigned:
    """A request as OCI's signers want to see it; they add headers."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: None = None

    @property
    def path_url(self) -> str:
        """What stands in the request's first line."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}"


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks: OCI's signer, the tenancy where it is known, and where the services answer."""

    sign: Callable[[Unsigned], object]
    tenancy: str | None
    endpoints: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OciLimits:
    """OCI itself, a LimitsClient."""

    login: Login

    def limits_of(self, shape: str, place: Place) -> tuple[str, ...] | None:
        """Ask which limits a shape counts under; None: OCI does not list it."""
        query = {"compartmentId": place.compartment, "availabilityDomain": place.domain, "shape": shape}
        for item in self._get("iaas", "/20160918/shapes", query):
            if item["shape"] == shape:
                return tuple(map(str, item.get("quotaNames") or ()))
        return None

    def room(self, limit: str, place: Place) -> Room:
        """Ask what a limit leaves; where OCI does not count its use, what the limit is."""
        path = f"/20190729/services/{SERVICE}/limits/{quote(limit, safe='')}/resourceAvailability"
        query = {"compartmentId": place.compartment, "availabilityDomain": place.domain}
        found = self._get("limits", path, query, missing=self.login.tenancy is not None)
        if found is None:
            return Room(limit=self._value(limit, place))
        return Room(found.get("available"), found.get("used"), quota=found.get("effectiveQuotaValue"))

    def _value(self, limit: str, place: Place) -> int | None:
        query = {"compartmentId": self.login.tenancy or "", "serviceName": SERVICE, "name": limit}
        rows = self._get("limits", "/20190729/limitValues", {**query, "availabilityDomain": place.domain})
        return next((row["value"] for row in rows if row.get("availabilityDomain") == place.domain), None)

    def _get(self, service: str, path: str, query: Mapping[str, str], *, missing: bool = False) -> Any:
        """Ask; None for what is not there, if it may be missing."""
        request = Unsigned(f"{self.login.endpoints[service]}{path}?{urlencode(query, quote_via=quote, safe='')}")
        self.login.sign(request)
        try:
            answer = httpx.get(request.url, headers=request.headers, timeout=REQUEST_SECONDS)
        except httpx.TimeoutException:
            raise UnansweredError(f"OCI was silent for {REQUEST_SECONDS:g} s") from None
        except httpx.HTTPError as error:
            raise UnansweredError(f"OCI cannot be reached ({type(error).__name__})") from None
        if missing and answer.status_code == HTTP_MISSING:
            return None
        if answer.status_code != HTTP_OK:
            hint = HINTS.get(answer.status_code, "try again later")
            raise UnansweredError(f"OCI answered {answer.status_code}; {hint}")
        return answer.json()


def log_in(spec: OciSpec | None, environment: Mapping[str, str]) -> Login | Unanswered:
    """Find who asks, as OCI's own tools do: OCI_CLI_AUTH, what the stack says, a resource principal, the config file.

    An instance's own identity is used only where somebody named it: asking for it elsewhere takes minutes.
    """
    path = Path(environment.get("OCI_CONFIG_FILE") or CONFIG_PATH).expanduser()
    method = environment.get("OCI_CLI_AUTH") or METHODS.get((spec.auth if spec else None) or "")
    if method is None:
        method = "resource_principal" if environment.get("OCI_RESOURCE_PRINCIPAL_VERSION") else "api_key"
    if method in ("api_key", "security_token") and not path.is_file():
        return Unanswered(f"there are no OCI credentials ({CONFIG_PATH}, or OCI_CLI_AUTH)")
    try:
        oci: Any = import_module("oci")  # it has no types
    except ModuleNotFoundError:
        return Unanswered("the Python package oci is not installed: pip install 'plinth-runtime[oci]'")
    try:
        signer, config = _signer(oci, method, path, (spec.profile if spec else None) or _profile(environment))
        region = spec.region if spec else config.get("region") or getattr(signer, "region", None)
        endpoints = {
            name: oci.regions.endpoint_for(name, region=region, service_endpoint_template=template)
            for name, template in ENDPOINTS.items()
        }
    except Exception as error:  # noqa: BLE001 whatever a key, file or service may do; its message may hold what is secret
        return Unanswered(f"logging in to OCI as {method} failed ({type(error).__name__})")
    tenancy = config.get("tenancy") or getattr(signer, "tenancy_id", None)
    return Login(signer, tenancy, endpoints)


def check(asked: tuple[Demand, ...], spec: OciSpec | None, environment: Mapping[str, str]) -> LimitsReport:
    """Log in and ask; where that cannot be done, the report says why."""
    end = time.monotonic() + CHECK_SECONDS
    login = answered({"login": lambda: log_in(spec, environment)}, end)["login"]
    if isinstance(login, Unanswered):
        return LimitsReport(reason=login.reason)
    return judge(asked, ask(OciLimits(login), asked, end))


def ask(client: LimitsClient, asked: tuple[Demand, ...], end: float) -> Answers:
    """Ask everything at once, first for the limits of shapes, then for what those leave, until `end`."""
    shapes = sorted({(item.shape, item.place) for item in asked})
    limits = answered({key: partial(client.limits_of, *key) for key in shapes}, end)
    named = {(limit, place) for (_, place), found in limits.items() if isinstance(found, tuple) for limit in found}
    return Answers(limits, answered({key: partial(client.room, *key) for key in sorted(named)}, end))


def answered(questions: Mapping[K, Callable[[], V]], end: float) -> dict[K, V | Unanswered]:
    """Ask all in threads that nobody waits for longer than until `end`, a time of the monotonic clock."""
    waiting: queue.SimpleQueue[tuple[K, Callable[[], V]]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[K, V | Unanswered]] = queue.SimpleQueue()
    for item in questions.items():
        waiting.put(item)
    for _ in range(min(STREAMS, len(questions))):
        threading.Thread(target=_work, args=(waiting, done), daemon=True).start()
    late = Unanswered("OCI was too slow; what is asked about a stack has a few seconds in all")
    found: dict[K, V | Unanswered] = dict.fromkeys(questions, late)
    for _ in questions:
        try:
            key, value = done.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        found[key] = value
    return found


def _work(waiting: queue.SimpleQueue[Any], done: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            key, question = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            done.put((key, question()))
        except UnansweredError as error:
            done.put((key, Unanswered(str(error))))
        except Exception as error:  # noqa: BLE001 an answer of another form must not end a plan
            done.put((key, Unanswered(f"OCI's answer cannot be read ({type(error).__name__})")))


def _profile(environment: Mapping[str, str]) -> str:
    return environment.get("OCI_CLI_PROFILE") or "DEFAULT"


def _signer(oci: Any, method: str, path: Path, profile: str) -> tuple[Any, Mapping[str, Any]]:
    once = oci.retry.NoneRetryStrategy()
    signers = oci.auth.signers
    if method == "instance_principal":
        options = {"retry_strategy": once, "federation_client_retry_strategy": once}
        return signers.InstancePrincipalsSecurityTokenSigner(**options), {}
    if method == "resource_principal":
        return signers.get_resource_principals_signer(), {}
    if method == "oke_workload_identity":
        return signers.get_oke_workload_identity_resource_principal_signer(retry_strategy=once), {}
    config = oci.config.from_file(str(path), profile)
    if token := config.get("security_token_file"):
        key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
        return signers.SecurityTokenSigner(Path(token).expanduser().read_text(encoding="utf-8").strip(), key), config
    return oci.signer.Signer.from_config(config), config
