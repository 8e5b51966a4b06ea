"""KubernetesSpec: how a cluster is reached, and what all deployments on it have in common. Pure."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from pulumi_plinth.model.adapters import Image
from pulumi_plinth.model.crds import CrdPolicy
from pulumi_plinth.node_agent import NodeAgentSpec
from pulumi_plinth.quantities import Flag, Label, Positive, Seconds, SecretName, Text
from pulumi_plinth.spec import Spec

IMAGE_USER = 2000
"""The user of `runtime/Dockerfile`, which is the one that vLLM's own images have."""


def _network(value: Any) -> str:
    try:
        return str(ipaddress.ip_network(str(value)))
    except ValueError:
        raise ValueError("is not a network; write for example '10.0.0.0/16'") from None


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError("is not an absolute path; begin it with '/'")
    return value


Cidr = Annotated[str, BeforeValidator(_network), Field(json_schema_extra={"examples": ["10.0.0.0/16"]})]
AbsolutePath = Annotated[str, Field(min_length=1), AfterValidator(_absolute)]


class MonitoringSpec(Spec):
    """Prometheus, as its operator finds servers."""

    namespaces: tuple[Label, ...] = Field(
        default=("monitoring",),
        description="Namespaces that may read the metrics. Default: monitoring, where the operator's charts live.",
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels by which the operator selects a PodMonitor, such as release. Default: none, it takes all.",
    )
    interval: Seconds = Field(
        default=15.0, ge=1, description="Time between two readings. Default: 15s, as scalers ask so often."
    )
    prometheus: Text | None = Field(
        default=None,
        description="Address of Prometheus inside the cluster, which KEDA asks. Default: none, needed for `by: keda`.",
    )


class KubernetesSpec(Spec):
    """A cluster, and what is common to all objects on it."""

    kubeconfig: Text | None = Field(
        default=None,
        description="Path of the kubeconfig, from the project's root. Default: KUBECONFIG or ~/.kube/config, as "
        "kubectl finds it.",
    )
    context: Text | None = Field(
        default=None, description="Context of the kubeconfig. Default: its current one; say it where there are several."
    )
    namespace: Label = Field(
        default="plinth", description="Namespace of the deployments that name none. Default: plinth."
    )
    namespaces: Literal["manage", "existing"] = Field(
        default="manage",
        description="manage makes `namespace`, with Pod Security `restricted` enforced, and `down` deletes it with "
        "everything in it; existing leaves it to others. Namespaces that deployments name are never made. Default: "
        "manage.",
    )
    image: Image | None = Field(
        default=None,
        description="Image of the runtime beside its engine (`runtime/Dockerfile`), best by digest. Default: none, "
        "each deployment or preset names its own.",
    )
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), description="Names of registry secrets for all images. Default: none, for public ones."
    )
    engine_python: AbsolutePath = Field(
        default="/usr/bin/python3",
        description="Interpreter of the engine inside the image. Default: that of vLLM's own images.",
    )
    user: Positive = Field(
        default=IMAGE_USER, description="User id that servers run as; never 0. Default: 2000, the image's own."
    )
    leader_worker_set: Flag = Field(
        default=False,
        description="Whether the LeaderWorkerSet CRD is installed; groups of nodes use it. Default: false, groups are "
        "StatefulSets.",
    )
    api_namespaces: tuple[Label, ...] = Field(
        default=(),
        description="Namespaces whose pods may call the API, besides the deployment's own. Default: none.",
    )
    node_networks: tuple[Cidr, ...] = Field(
        default=(),
        description="Networks of the nodes, for the few CNIs that block a kubelet's probes of its own pods. Default: "
        "none, Kubernetes allows them.",
    )
    monitoring: MonitoringSpec | None = Field(
        default=None, description="Prometheus with its operator. Default: none, nobody may read the metrics."
    )
    node_agent: NodeAgentSpec | None = Field(
        default=None,
        description="Agents that bring this stack's models to nodes, declared as BaseModel and ClusterBaseModel. "
        "Default: none, pods fetch for themselves and no model is declared.",
    )
    crds: CrdPolicy = Field(
        default="manage",
        description="manage makes the definitions of BaseModel and ClusterBaseModel beside the agents; existing leaves "
        "them to others. Default: manage.",
    )
