"""NodeAgentSpec: how the agents that bring declared models to nodes run. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from plinth_runtime.contract.model_names import AGENT_NAMESPACE
from pulumi_plinth.model.adapters import Image
from pulumi_plinth.quantities import Flag, Label, Memory, Port, Seconds, SecretName, Text
from pulumi_plinth.spec import Spec

NodeFolder = Annotated[str, Field(pattern=r"^/[A-Za-z0-9._/-]+$", max_length=512)]


class TolerationSpec(Spec):
    """A taint that is tolerated."""

    key: Text | None = Field(default=None, description="Key of the taint. Default: every taint.")
    operator: Literal["Exists", "Equal"] = Field(default="Exists", description="Comparison. Default: Exists.")
    value: str | None = Field(default=None, description="Value, for Equal. Default: none.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect. Default: every effect."
    )

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError(
                f"is {self.operator} {'without' if self.value is None else 'with'} a value; write Equal with "
                "a value, or Exists without one"
            )
        if self.key is None and self.operator == "Equal":
            raise ValueError("compares a value without a key; add `key:`")
        return self


class NodeAgentSpec(Spec):
    """One agent per node: it brings what BaseModels and ClusterBaseModels declare for the node, and says so."""

    image: Image = Field(description="Image of the runtime (`runtime/Dockerfile`), best by digest. Required.")
    namespace: Label = Field(
        default=AGENT_NAMESPACE,
        description="Where the agents and the secrets of ClusterBaseModels are. Default: plinth-system.",
    )
    manage_namespace: Flag = Field(
        default=True,
        description="Make the namespace, with Pod Security `privileged`, because a folder of the node is mounted. "
        "Default: true.",
    )
    root: NodeFolder = Field(
        default="/mnt/models",
        description="Folder for models, cache and records, the same on every node; declarations may name paths below "
        "it only. Default: /mnt/models; OME's own catalogue wants /raid/models.",
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels of nodes that get an agent. Default: every node that runs pods."
    )
    tolerations: tuple[TolerationSpec, ...] = Field(
        default=(TolerationSpec(),), description="Taints that are tolerated. Default: all, as GPU nodes are tainted."
    )
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), description="Names of registry secrets. Default: none, for public images."
    )
    priority_class: Text | None = Field(default=None, description="PriorityClass of the agents. Default: none.")
    memory: Memory = Field(
        default="1Gi",
        description="Most memory of an agent with its fetches. Default: 1Gi; an agent has 60 MB, a fetch up to 200 MB.",
    )
    fetches: Annotated[int, Field(ge=1, le=16, strict=True)] = Field(
        default=2, description="Models fetched at once on a node. Default: 2; one fills the wire, one checks meanwhile."
    )
    sweep: Seconds = Field(
        default=300.0,
        ge=10,
        description="Time between two looks at everything. Default: 5m; changes come at once.",
    )
    port: Port = Field(default=8090, description="Health and metrics, inside the pod. Default: 8090.")
    environment: dict[str, str] = Field(
        default_factory=dict,
        description="Variables for the stores' clients, such as HF_ENDPOINT or a proxy; never secrets. Default: none.",
    )

    @field_validator("root")
    @classmethod
    def _is_a_folder_of_its_own(cls, value: str) -> str:
        parts = value.strip("/").split("/")
        if (
            "" in parts
            or ".." in parts
            or "." in parts
            or parts[0] in ("etc", "proc", "sys", "dev", "boot", "usr", "bin")
        ):
            raise ValueError("is no folder for models; write one of its own, such as /mnt/models")
        return value.rstrip("/")
