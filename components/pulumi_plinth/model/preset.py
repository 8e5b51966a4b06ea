"""What a KAITO declaration adds: preset, image, placement, tuning. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pulumi_plinth.model.adapters import Image
from pulumi_plinth.quantities import Positive, SecretName, Text
from pulumi_plinth.spec import Spec


class PresetSpec(Spec):
    """A model by its catalogue name, and how its image or weights are reached."""

    name: Text = Field(description="Catalogue name such as llama2-7b, or org/model on the hub. Required.")
    access_mode: Literal["public", "private"] | None = Field(
        default=None, description="private = the image is your own. Default: public."
    )
    image: Image | None = Field(default=None, description="Your image with the weights in it. Default: none.")
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), description="Names of registry secrets for `image`. Default: none."
    )
    config: Text | None = Field(
        default=None, description="Name of the ConfigMap with engine settings. Default: none, planned values."
    )
    weights_claim: Text | None = Field(
        default=None, description="Claim (PVC) that keeps the weights. Default: none, a disk of the node."
    )
    weights_path: Text | None = Field(
        default=None, description="Folder of the weights inside `weightsClaim`. Default: its root."
    )

    @model_validator(mode="after")
    def _private_has_an_image(self) -> Self:
        if self.access_mode == "private" and not self.image:
            raise ValueError("is private without an image; add presetOptions.image, or write accessMode public")
        return self


class Partition(Spec):
    """A part of a GPU node."""

    mode: Literal["mig", "accelerator"] = Field(description="mig = a slice of one GPU, accelerator = whole GPUs.")
    profile: Text | None = Field(default=None, description="MIG profile such as 2g.24gb. Default: none.")
    count: Positive | None = Field(default=None, description="How many. Default: 1.")


class PlacementSpec(Spec):
    """The nodes a declaration asks for. Default of every field: the deployment's pool decides."""

    instance_type: Text | None = Field(default=None, description="Cloud shape, such as BM.GPU.H100.8.")
    count: Positive | None = Field(default=None, description="Nodes.")
    label_selector: dict[str, Any] = Field(default_factory=dict, description="Labels the nodes must have.")
    partition: Partition | None = Field(default=None, description="Part of a node. Default: all of it.")
    node_count_limit: Positive | None = Field(default=None, description="Most nodes over all replicas.")


class TuningInput(Spec):
    """Where training data comes from: exactly one of urls, image and volume."""

    name: Text | None = Field(default=None, description="Name of the data set. Default: none.")
    urls: tuple[Annotated[str, Field(pattern=r"^https?://")], ...] = Field(default=(), description="Files to fetch.")
    image: Image | None = Field(default=None, description="Image that holds the data.")
    image_pull_secrets: tuple[SecretName, ...] = Field(default=(), description="Registry secrets for `image`.")
    volume: dict[str, Any] | None = Field(default=None, description="Kubernetes volume source.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("urls", "image", "volume") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"has {' and '.join(given) or 'no source'}; write exactly one of urls, image and volume")
        return self


class TuningOutput(Spec):
    """Where the adapter goes: exactly one of image and volume."""

    image: Image | None = Field(default=None, description="Image to push.")
    image_push_secret: SecretName | None = Field(default=None, description="Registry secret for the push.")
    volume: dict[str, Any] | None = Field(default=None, description="Kubernetes volume source.")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if bool(self.image) == bool(self.volume):
            raise ValueError("needs one target; write exactly one of image and volume")
        return self


class TuningSpec(Spec):
    """A fine-tuning job on the preset."""

    method: Literal["lora", "qlora"] = Field(
        default="lora", description="lora, or qlora on 4-bit weights. Default: lora."
    )
    config: Text | None = Field(
        default=None, description="Name of the ConfigMap with training settings. Default: none."
    )
    input: TuningInput = Field(description="Training data. Required.")
    output: TuningOutput = Field(description="Where the adapter goes. Required.")
