"""GpuNodePool's arguments, as programs in any language give them, and how a plan is made of them.

They are PoolSpec's fields in snake case. What decides is plain; ids may be outputs of other resources. Schemas for
other languages are read from these annotations: no Literal, no unions, no postponed evaluation.
"""

from collections.abc import Mapping
from typing import Any, TypedDict, cast

import pulumi
from pydantic import ValidationError

from pulumi_plinth.errors import Fault, SpecError, faults_of
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import STATED, load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.oci_args import in_order
from pulumi_plinth.oci_args import plain as without_outputs
from pulumi_plinth.pool.case import PoolCase, shape_of
from pulumi_plinth.pool.parts import parse_label_value
from pulumi_plinth.pool.plan import PoolPlan, plan_pool
from pulumi_plinth.pool.resources import as_set
from pulumi_plinth.pool.spec import PoolSpec

NETWORKS = frozenset({"nsg_ids", "pod_nsg_ids", "pod_subnet_ids"})
"""Arguments in which saying the same twice says nothing more."""


class PoolTaintArgs(TypedDict, total=False):
    """Keeps pods away that do not tolerate it."""

    key: str
    value: str
    effect: str


class PoolPlacementArgs(TypedDict, total=False):
    """Where nodes of a pool stand."""

    availability_domain: pulumi.Input[str]
    subnet_id: pulumi.Input[str]
    fault_domains: list[str]
    capacity_reservation_id: pulumi.Input[str]
    host_group_id: pulumi.Input[str]


class PoolImageArgs(TypedDict, total=False):
    """The nodes' image."""

    id: pulumi.Input[str]
    os: str
    os_version: str


class PoolFlexArgs(TypedDict, total=False):
    """Size of a node of a flexible shape."""

    ocpus: float
    memory_gib: float


class PoolAutoscaleArgs(TypedDict, total=False):
    """Bounds between which the cluster autoscaler owns the size."""

    min: int
    max: int


class PoolEvictionArgs(TypedDict, total=False):
    """How pods leave a node that is to go."""

    grace: str
    force: bool


class PoolCyclingArgs(TypedDict, total=False):
    """How nodes follow a change."""

    enabled: bool
    maximum_unavailable: int
    maximum_surge: int


class PoolControlPlaneArgs(TypedDict, total=False):
    """What nodes that OKE does not manage need to find their cluster."""

    endpoint: pulumi.Input[str]
    certificate: pulumi.Input[str]


class GpuNodePoolArgs(TypedDict, total=False):
    """Nodes with GPUs in an OKE cluster."""

    pool: str
    """Name of the pool, also the value of its label. Default: the component's name."""
    kind: str
    shape: str
    gpu: str
    gpus: int
    gpu_memory: str
    flex: PoolFlexArgs
    size: int
    autoscale: PoolAutoscaleArgs
    cluster_id: pulumi.Input[str]
    compartment_id: pulumi.Input[str]
    placements: list[PoolPlacementArgs]
    subnet_id: pulumi.Input[str]
    nsg_ids: list[pulumi.Input[str]]
    pod_network: str
    pod_subnet_ids: list[pulumi.Input[str]]
    pod_nsg_ids: list[pulumi.Input[str]]
    max_pods: int
    kubernetes_version: str
    image: PoolImageArgs
    boot_volume: str
    weights: str
    nvme: str
    labels: dict[str, str]
    taints: list[PoolTaintArgs]
    capacity_reservation_id: pulumi.Input[str]
    preemptible: bool
    rdma: bool
    compute_cluster_id: pulumi.Input[str]
    control_plane: PoolControlPlaneArgs
    agent_plugins: list[str]
    eviction: PoolEvictionArgs
    replacement: str
    cycling: PoolCyclingArgs
    boot_script: str
    ssh_key: pulumi.Input[str]
    key_id: pulumi.Input[str]
    encrypt_in_transit: bool
    tags: dict[str, str]
    defined_tags: dict[str, str]
    ignore_tags: list[str]


def planned(name: str, given: Mapping[str, Any]) -> PoolPlan:
    """Plan a pool from arguments. Raises SpecError with every fault, before anything is registered."""
    plain: dict[str, Any] = without_outputs(dict(given))
    pool = str(plain.pop("pool", name))
    try:
        spec = PoolSpec.model_validate(plain)
        parse_label_value(pool)
    except ValidationError as error:
        raise SpecError(faults_of(error, PoolSpec, name)) from None
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SpecError([Fault(f"{name}.pool", pool, problem, remedy)]) from None
    market, faults = Market(load_shapes(), load_unit_prices()), list[Fault]()
    shape = shape_of(name, spec, market, faults)
    plan = plan_pool(PoolCase(name, pool, spec, shape, storage=market.storage), faults) if shape else None
    if plan is None or faults:
        raise SpecError(faults)
    return plan


def arguments_of(plan: PoolPlan) -> GpuNodePoolArgs:
    """Write a stack's plan as arguments that come to the same resources: what the stack decided is written out."""
    spec, shape = plan.spec, plan.shape
    given = {**spec.model_dump(exclude_unset=True, exclude_none=True), "pool": plan.name}
    if spec.kind != "existing":
        # The volume is sized for the deployments, which arguments know nothing of.
        given = {**given, "boot_volume": f"{plan.boot_gib}Gi", "weights": 0}
    if shape.provider in STATED:
        given |= {"gpus": shape.gpus, "gpu_memory": shape.documented_bytes, "gpu": shape.gpu}
    return cast("GpuNodePoolArgs", tidied(given))


def tidied(args: Mapping[str, Any]) -> dict[str, Any]:
    """Write arguments one way: no None, whole numbers whole (other languages send floats), sets in order."""
    given: dict[str, Any] = _tidied(args)
    given |= {key: as_set(given[key]) for key in given.keys() & NETWORKS}
    return in_order(given)


def _tidied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _tidied(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_tidied(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
