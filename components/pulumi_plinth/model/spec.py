"""ModelSpec: one model, by name, and where its weights lie. Pure."""

from __future__ import annotations

from pydantic import Field, field_validator

from pulumi_plinth.quantities import Label
from pulumi_plinth.spec import Spec


class ModelSpec(Spec):
    """A model that deployments can serve. Its name is its key under `models`."""

    store: Label = Field(description="The store (a key under `stores`) that holds the weights. Required.")
    path: str = Field(
        description="The model's folder inside the store, relative, with forward slashes. Required: a store holds many."
    )
    served_name: str | None = Field(
        default=None,
        min_length=1,
        description="What clients write as `model`. Default: the model's name, so that there is one name to remember.",
    )

    @field_validator("path")
    @classmethod
    def _inside_the_store(cls, value: str) -> str:
        parts = value.split("/")
        if value.startswith("/") or not all(parts) or {".", ".."} & set(parts):
            raise ValueError("is not a relative folder; write a path inside the store, such as 'smollm2-135m'")
        return value
