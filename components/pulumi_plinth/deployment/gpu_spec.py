"""Parts of a DeploymentSpec that speak of GPUs: nodes, layout, replicas, adapters, throughput. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pulumi_plinth.quantities import ByteSize, Positive, Text
from pulumi_plinth.spec import Spec

GPUS_IN_A_NODE = 72
"""An NVL72 rack is one domain; nothing larger is sold."""

KvCacheDtype = Literal["auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"]


class NodeSpec(Spec):
    """Nodes that are there already."""

    gpus: Annotated[int, Field(ge=1, le=GPUS_IN_A_NODE, strict=True)] = Field(
        default=1, description="GPUs of one node. Default: 1, the smallest node there is."
    )
    gpu_memory: ByteSize = Field(
        gt=0, description="Memory of one GPU as CUDA reports it (`nvidia-smi`), taken as it stands. Required."
    )
    gpu: Text | None = Field(
        default=None,
        description="Name of the GPU, such as H100. Default: not said, then its generation is not checked.",
    )
    count: Positive | None = Field(
        default=None, description="Nodes there are for one replica. Default: as many as it takes, at most 16."
    )


class ParallelSpec(Spec):
    """How one replica is spread. What is written is taken and checked; the rest is chosen."""

    tensor: Positive | None = Field(default=None, description="GPUs that share each layer. Default: the fewest.")
    pipeline: Positive | None = Field(default=None, description="Stages of layers, one after another. Default: 1.")
    data: Positive | None = Field(default=None, description="Copies inside a replica. Default: as many as fit a node.")
    expert: Positive | None = Field(
        default=None, description="GPUs that whole experts are dealt to. Default: the tensor group, if it divides them."
    )


class ReplicasSpec(Spec):
    """How many replicas run."""

    min: Annotated[int, Field(ge=0, strict=True)] = Field(
        default=1, description="Fewest replicas; 0 is scaled to nothing. Default: 1, so that somebody answers."
    )
    max: Positive | None = Field(default=None, description="Most replicas. Default: the fewest, at least 1.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"has max {self.max} below min {self.min}; write a max of at least {self.min}")
        return self

    @property
    def most(self) -> int:
        """The most replicas."""
        return self.max or max(self.min, 1)


class AdaptersSpec(Spec):
    """LoRA adapters kept on the GPU at once."""

    count: Positive = Field(description="How many. Required.")
    rank: Literal[1, 8, 16, 32, 64, 128, 256, 320, 512] = Field(
        default=16,
        description="Their highest rank, as the engine knows ranks. Default: 16, what most are trained with.",
    )


class ThroughputSpec(Spec):
    """Tokens a second that somebody measured. Never invented: without it no price of tokens is said."""

    value: float = Field(gt=0, description="Generated tokens a second of one replica. Required.")
    source: Text = Field(description="Who measured it, when, under which load. Required.")
