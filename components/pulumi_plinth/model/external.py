"""ExternalSpec: a model that somebody else serves and we only route to. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pulumi_plinth.quantities import SecretName, Text
from pulumi_plinth.spec import Spec

Provider = Literal["azure", "openai", "anthropic", "gemini", "compatible"]

_ALIASES = {
    "azureopenai": "azure", "azureai": "azure", "google": "gemini", "googlegemini": "gemini", "claude": "anthropic",
    "openaicompatible": "compatible", "custom": "compatible", "vllm": "compatible", "hostedvllm": "compatible",
}  # fmt: skip
_API_VERSION = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(-preview)?")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?P<port>:\d{1,5})?(?P<path>/[^\s?#@]*)?"
)
_OWN_HOST = {"openai": "api.openai.com", "anthropic": "api.anthropic.com"}


def read_provider(value: Any) -> Any:
    """Read a provider in any of its spellings; what is none is returned as it is."""
    if not isinstance(value, str):
        return value
    name = re.sub(r"[^a-z]", "", value.lower())
    return _ALIASES.get(name, name if name in Provider.__args__ else value)  # type: ignore[attr-defined] # a Literal


def _endpoint(value: str) -> str:
    match = _URL.fullmatch(value)
    if match is None:
        raise ValueError("is not an address; write https://host/path without user, query or fragment")
    if match["scheme"] == "http" and not _inside(match["host"].strip("[]")):
        raise ValueError("is sent in the clear; write https:// (http:// is for loopback and *.svc only)")
    return value


def _inside(host: str) -> bool:
    if host == "localhost" or host.endswith((".svc", ".svc.cluster.local")):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ExternalSpec(Spec):
    """A provider's endpoint and the name of the secret that opens it."""

    provider: Annotated[Provider, BeforeValidator(read_provider)] = Field(
        description="azure, openai, anthropic, gemini, or compatible for any OpenAI-like server. Required."
    )
    model: Text | None = Field(default=None, description="The provider's name of the model. Default: the model's name.")
    api_key: SecretName | None = Field(
        default=None, description="Name of the config secret that holds the key. Default: none, then nobody may ask."
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None, description="Base address. Default: the provider's public one; azure and compatible have none."
    )
    api_version: str | None = Field(default=None, description="azure only: YYYY-MM-DD or with -preview. Default: none.")
    deployment: Text | None = Field(default=None, description="azure only: name of the deployment. Default: none.")

    @model_validator(mode="after")
    def _fits_the_provider(self) -> Self:
        azure = {"apiVersion": self.api_version, "deployment": self.deployment, "endpoint": self.endpoint}
        if self.provider == "azure":
            missing = [name for name, value in azure.items() if not value]
            if missing:
                raise ValueError(f"lacks {', '.join(missing)}, which azure needs; add `{missing[0]}:`")
            if not _API_VERSION.fullmatch(self.api_version or ""):
                raise ValueError("has an apiVersion that is no date; write YYYY-MM-DD or YYYY-MM-DD-preview")
        elif self.api_version or self.deployment:
            name = "apiVersion" if self.api_version else "deployment"
            raise ValueError(f"has {name}, which only azure knows; remove it or write provider azure")
        if self.provider == "compatible" and not self.endpoint:
            raise ValueError("lacks endpoint, which a compatible server needs; add `endpoint: https://…`")
        owner = next((name for name, host in _OWN_HOST.items() if f"://{host}" in (self.endpoint or "")), None)
        if owner is not None and self.provider != owner:
            raise ValueError(
                f"has the endpoint of {owner} for {self.provider}; write "
                + ("https://RESOURCE.openai.azure.com" if self.provider == "azure" else f"provider {owner}")
            )
        return self
