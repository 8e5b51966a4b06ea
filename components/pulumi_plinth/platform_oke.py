"""The OKE part of a Platform: the cluster and what stands around it, and the provider that Kubernetes is reached by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.cluster.plan import ClusterPlan
from pulumi_plinth.cluster.spec import AUTOSCALER
from pulumi_plinth.deployment.kubernetes_resources import make_provider
from pulumi_plinth.oci_spec import PENDING
from pulumi_plinth.planner import StackPlan
from pulumi_plinth.pool.arguments import GpuNodePoolArgs
from pulumi_plinth.pool.component import GpuNodePool

if TYPE_CHECKING:
    from pulumi_plinth.cluster.component import GpuCluster

AROUND = frozenset({"addons", "identities", "repository", "secrets"})
"""Parts of a ClusterSpec that are components of their own."""

IN_KUBERNETES = frozenset({"pvc", "fss", "lustre"})
"""Kinds of stores that need objects in the cluster."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The cluster as the rest of the platform needs it; None where the stack has or needs none."""

    cluster_id: pulumi.Input[str] | None
    node_subnet_id: pulumi.Input[str] | None
    pod_subnet_id: pulumi.Input[str] | None
    provider: pulumi.ProviderResource | None

    def inside(self, parent: pulumi.Resource) -> pulumi.ResourceOptions:
        """Return options of a child that may make objects in the cluster."""
        return pulumi.ResourceOptions(parent=parent, providers=[self.provider] if self.provider else None)

    def in_cluster(self, args: GpuNodePoolArgs) -> GpuNodePoolArgs:
        """Put what the cluster is made with into a pool's arguments, where the plan says it is known later."""
        made = {"cluster_id": self.cluster_id, "subnet_id": self.node_subnet_id, "pod_subnet_ids": [self.pod_subnet_id]}
        later = {key: value for key, value in made.items() if args.get(key) in (PENDING, [PENDING])}
        return cast("GpuNodePoolArgs", {**args, **later})


def reach(name: str, plan: StackPlan, parent: pulumi.Resource) -> Reached:
    """Make the cluster if it is to be made, its provider, and what stands around it."""
    cluster = _cluster(name, plan.oke, parent)
    kubeconfig = cluster.kubeconfig if cluster else None
    provider = _provider(name, plan, kubeconfig, parent) if _needs_provider(plan) else None
    named = plan.oke.spec.id if plan.oke else None
    reached = Reached(
        cluster.cluster_id if cluster else named,
        cluster.node_subnet_id if cluster else None,
        cluster.pod_subnet_id if cluster else None,
        provider,
    )
    if plan.oke is not None and reached.cluster_id is not None:
        _around(name, plan.oke, reached.cluster_id, reached.inside(parent))
    return reached


def add_ons(
    name: str, plan: StackPlan, reached: Reached, pools: Mapping[str, GpuNodePool], parent: pulumi.Resource
) -> None:
    """Install the cluster's add-ons; the autoscaler is told of the pools it owns, unless somebody wrote them."""
    if plan.oke is None or reached.cluster_id is None or not plan.oke.spec.addons:
        return
    from pulumi_plinth.cluster.addons import ClusterAddons

    addons: dict[str, Any] = plan.oke.spec.model_dump(exclude_unset=True)["addons"]
    owned = [pools[item.name].autoscaler_nodes for item in plan.pools if item.spec.autoscale]
    if AUTOSCALER in addons and owned:
        nodes = pulumi.Output.all(*owned).apply(lambda entries: ",".join(filter(None, entries)))
        addons[AUTOSCALER]["configuration"] = {"nodes": nodes, **addons[AUTOSCALER].get("configuration", {})}
    oci = {"oci": plan.oke.oci.model_dump(exclude_unset=True)} if plan.oke.oci else {}
    args: Any = {"cluster_id": reached.cluster_id, "addons": addons, **oci}
    ClusterAddons(naming.child(name, "addons"), args, reached.inside(parent))


def _cluster(name: str, plan: ClusterPlan | None, parent: pulumi.Resource) -> GpuCluster | None:
    """Register the cluster; one that is there and only named needs nothing of OCI."""
    if plan is None or plan.oci is None:
        return None
    from pulumi_plinth.cluster.component import GpuCluster

    written = plan.spec.model_dump(exclude_unset=True, exclude=set(AROUND))
    args: Any = {**written, "name": plan.name, "oci": plan.oci.model_dump(exclude_unset=True)}
    return GpuCluster(naming.child(name, "cluster"), args, pulumi.ResourceOptions(parent=parent))


def _needs_provider(plan: StackPlan) -> bool:
    stores = any(store.kind in IN_KUBERNETES for store in plan.stores)
    oke = plan.oke.spec if plan.oke else None
    return bool(plan.servers or plan.declared.objects or stores or (oke and (oke.identities or oke.secrets)))


def _provider(
    name: str, plan: StackPlan, kubeconfig: pulumi.Output[str] | None, parent: pulumi.Resource
) -> pulumi.ProviderResource | None:
    """Make the provider: by the kubeconfig that the stack names, else by that of its own cluster.

    The stack's own cluster has a name that never changes: a kubeconfig that is not known at a preview replaces nothing.
    """
    options, written = pulumi.ResourceOptions(parent=parent), plan.cluster
    if plan.oke is None or kubeconfig is None or (written and (written.kubeconfig or written.context)):
        if written is None:
            return None
        access = {"kubeconfig": written.kubeconfig, "context": written.context}
        return make_provider(naming.child(name, "kubernetes"), access, options)
    import pulumi_kubernetes

    return pulumi_kubernetes.Provider(
        naming.child(name, "kubernetes"),
        kubeconfig=kubeconfig,
        cluster_identifier=plan.oke.name,
        enable_server_side_apply=True,
        opts=options,
    )


def _around(name: str, plan: ClusterPlan, cluster_id: pulumi.Input[str], inside: pulumi.ResourceOptions) -> None:
    from pulumi_plinth.cluster.identity import WorkloadIdentity
    from pulumi_plinth.cluster.repository import ImageRepository
    from pulumi_plinth.cluster.vault_secret import VaultSecret

    spec = plan.spec
    oci: dict[str, Any] = {"oci": plan.oci.model_dump(exclude_unset=True)} if plan.oci else {}
    for key, identity in sorted(spec.identities.items()):
        args: Any = {**identity.model_dump(exclude_unset=True), "cluster_id": identity.cluster_id or cluster_id, **oci}
        WorkloadIdentity(naming.child(name, f"identity-{key}"), args, inside)
    if spec.repository:
        args = {**spec.repository.model_dump(exclude_unset=True), **oci}
        ImageRepository(naming.child(name, "images"), args, inside)
    for key, secret in sorted(spec.secrets.items()):
        args = {**secret.model_dump(exclude_unset=True), "name": key}
        VaultSecret(naming.child(name, f"secret-{key}"), args, inside)
