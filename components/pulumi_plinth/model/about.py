"""AboutSpec: what a model's card says in words. Kept for people; nothing is planned from it. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pulumi_plinth.quantities import Text
from pulumi_plinth.spec import Spec


class AboutSpec(Spec):
    """Provenance and purpose, as a registry's card lists them. Default of every field: not said."""

    description: Text | None = Field(default=None, description="What the model is, in a sentence.")
    authors: tuple[str, ...] = Field(default=(), description="Who made it.")
    language: tuple[str, ...] = Field(default=(), description="Languages it speaks, by code or name.")
    tasks: tuple[str, ...] = Field(default=(), description="What it was made for.")
    tags: tuple[str, ...] = Field(default=(), description="Words to find it by.")
    usage: Text | None = Field(default=None, description="How a registry uses it, such as chat or vision-language.")
    training_framework: Text | None = Field(default=None, description="What it was trained with.")
    pretraining_datasets: tuple[str, ...] = Field(default=(), description="What it was trained on.")
    training_objectives: tuple[str, ...] = Field(default=(), description="What it was trained for.")
    limitations: Text | None = Field(default=None, description="What it must not be used for.")
    references: tuple[str, ...] = Field(default=(), description="Papers and pages.")
    created_at: Text | None = Field(default=None, description="When it was made, ISO 8601.")
    disk_size_gb: Annotated[float, Field(ge=0)] | None = Field(default=None, description="Size on disk, GB.")
    company: Text | None = Field(default=None, description="Owner in a registry with several.")
    inference_file: Text | None = Field(default=None, description="A registry's own Python file for inference.")
    inference_support: Any = Field(default=None, description="A registry's list of engines.")
    deployment_tools: Any = Field(default=None, description="A registry's list of deployment tools.")
    deployment_config: Any = Field(default=None, description="A registry's deployment settings.")
