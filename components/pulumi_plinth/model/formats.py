"""How a model lies on disk and what it was made with: format, framework, parts of a diffusion pipeline. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pulumi_plinth.quantities import Text
from pulumi_plinth.spec import Spec


class VersionedName(Spec):
    """A format or framework with its version and how versions are compared."""

    name: Text = Field(description="Name, such as `safetensors` or `transformers`. Required: runtimes match on it.")
    version: Text | None = Field(default=None, description='Version, such as "1.0.0". Default: any.')
    operator: Literal["Equal", "GreaterThan", "GreaterThanOrEqual"] = Field(
        default="Equal", description="How a runtime's version is compared with this one. Default: Equal, as OME does."
    )
    weight: int = Field(
        default=1,
        ge=0,
        strict=True,
        description="Points for a match when several runtimes fit. Default: 1, as OME does.",
    )


class PipelinePart(Spec):
    """One part of a diffusion pipeline, as model_index.json names it."""

    library: Text | None = Field(default=None, description="Library that holds the class. Default: not known.")
    type: Text | None = Field(default=None, description="Class name. Default: not known.")


class DiffusionPipeline(Spec):
    """The parts of a diffusion model. A mirror of model_index.json, matched against runtimes."""

    class_name: Text | None = Field(default=None, description="The pipeline's class. Default: read from the folder.")
    scheduler: PipelinePart | None = Field(default=None, description="Noise scheduler. Default: read from the folder.")
    text_encoder: PipelinePart | None = Field(default=None, description="Text encoder. Default: read from the folder.")
    tokenizer: PipelinePart | None = Field(default=None, description="Tokenizer. Default: read from the folder.")
    transformer: PipelinePart | None = Field(default=None, description="Denoiser. Default: read from the folder.")
    vae: PipelinePart | None = Field(default=None, description="Image decoder. Default: read from the folder.")
    additional_components: dict[str, PipelinePart] = Field(
        default_factory=dict, description="Further parts by name. Default: none."
    )
