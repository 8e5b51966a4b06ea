"""AdapterSpec: a LoRA adapter put on top of a model. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from pulumi_plinth.model.storage import Uri
from pulumi_plinth.quantities import Label, Positive, SecretName, Text
from pulumi_plinth.spec import Spec

MAX_ADAPTERS = 10
"""Most adapters of one model; each costs GPU memory, and KAITO stops here too."""

_IMAGE = re.compile(r"[\w][\w.:/-]*(@sha256:[0-9a-f]{64})?")


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError("is not an image; write registry/repository:tag")
    return value


Image = Annotated[str, AfterValidator(_image), Field(min_length=1, max_length=512)]


class AdapterSpec(Spec):
    """One adapter, served as a model of its own beside its base."""

    name: Label = Field(description="Served name of the adapter, unique in the model. Required.")
    uri: Uri | None = Field(default=None, description="Source of the adapter's folder. Default: `image` or `volume`.")
    image: Image | None = Field(default=None, description="Image that holds the adapter. Default: `uri` or `volume`.")
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), description="Names of registry secrets for `image`. Default: none, for public images."
    )
    volume: dict[str, Any] | None = Field(default=None, description="Kubernetes volume source. Default: none.")
    strength: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="0 to 1, weight of the adapter; vLLM knows 1 only. Default: 1."
    )
    rank: Positive | None = Field(default=None, description="LoRA rank. Default: read from the folder.")
    revision: Text | None = Field(default=None, description="Revision of the adapter's source. Default: the newest.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("uri", "image", "volume") if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(given) if given else "no source"
            raise ValueError(f"has {found}; write exactly one of uri, image and volume")
        return self
