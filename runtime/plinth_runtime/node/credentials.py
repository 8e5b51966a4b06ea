"""What a store's client is told by its environment: token, keys, region, way to sign in. Pure.

Secrets go into the environment of the one child process that fetches, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from plinth_runtime.node.declaration import DEFAULT_SECRET_KEY

_TOKEN: Mapping[str, str] = MappingProxyType(
    {"hf": "HF_TOKEN", "github": "GITHUB_TOKEN", "az": "AZURE_STORAGE_SAS_TOKEN"}
)
"""Scheme -> the variable that holds the one token."""

_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}
)
"""Scheme -> keys of a secret's data that are variables under the same name."""

_REGION: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"s3": ("AWS_REGION", "AWS_DEFAULT_REGION"), "oci": ("OCI_REGION",), "ocios": ("OCI_REGION",)}
)

_AUTH: Mapping[str, str] = MappingProxyType(
    {
        "InstancePrincipal": "instance_principal",
        "ResourcePrincipal": "resource_principal",
        "OkeWorkloadIdentity": "oke_workload_identity",
        "UserPrincipal": "api_key",
    }
)
"""OME's ways to sign in at OCI -> the words of OCI's own command line."""


def environment_for(scheme: str, parameters: Mapping[str, str], secret: Mapping[str, bytes] | None) -> dict[str, str]:
    """Give the variables for one fetch."""
    found: dict[str, str] = {}
    if region := parameters.get("region"):
        found |= dict.fromkeys(_REGION.get(scheme, ()), region)
    if (auth := parameters.get("auth")) and scheme in ("oci", "ocios"):
        found["OCI_CLI_AUTH"] = _AUTH.get(auth, auth)
    if secret is not None:
        found |= _secrets(scheme, parameters.get("secretKey", DEFAULT_SECRET_KEY), secret)
    return found


def missing_key(scheme: str, parameters: Mapping[str, str], secret: Mapping[str, bytes]) -> str | None:
    """Name the key that a secret lacks for this scheme."""
    key = parameters.get("secretKey", DEFAULT_SECRET_KEY)
    if scheme in _TOKEN and key not in secret:
        return key
    return next((name for name in _KEYS.get(scheme, ())[:2] if name not in secret), None)


def _secrets(scheme: str, key: str, secret: Mapping[str, bytes]) -> dict[str, str]:
    if scheme in _TOKEN and key in secret:
        return {_TOKEN[scheme]: secret[key].decode().strip()}
    return {name: secret[name].decode().strip() for name in _KEYS.get(scheme, ()) if name in secret}
