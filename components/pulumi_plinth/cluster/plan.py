"""ClusterSpec -> ClusterPlan: what is made, what is taken as it is, and who gets which rights. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.cluster.network import NetworkPlan, Openness, network_faults, plan_network
from pulumi_plinth.cluster.spec import AUTOSCALER, UNPINNED, ClusterSpec, IdentityAccessSpec
from pulumi_plinth.errors import Fault
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.oci_policy import autoscale, read_bucket, read_secret, write_bucket
from pulumi_plinth.oci_spec import OciSpec


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A cluster, decided. No `network`: it is there already."""

    name: str
    spec: ClusterSpec
    network: NetworkPlan | None
    statements: tuple[tuple[str, tuple[str, ...]], ...]
    """Policy statements by identity."""

    reasons: tuple[Reason, ...]
    oci: OciSpec | None = None

    def to_json(self) -> dict[str, Any]:
        """Render for `plinth plan --json`."""
        return {
            "name": self.name,
            "id": self.spec.id,
            "subnets": {subnet.part: subnet.cidr for subnet in self.network.subnets} if self.network else {},
            "statements": [text for _, texts in self.statements for text in texts],
            "reasons": [{"subject": reason.subject, "text": reason.text} for reason in self.reasons],
        }


def plan_cluster(spec: ClusterSpec, name: str, oci: OciSpec | None = None) -> ClusterPlan:
    """Decide the cluster. `cluster_faults` was asked before."""
    makes_network = spec.id is None and spec.network.existing is None
    network = plan_network(spec.network, Openness(spec.public, spec.allowed)) if makes_network else None
    statements = tuple((key, identity_statements(item)) for key, item in sorted(spec.identities.items()))
    if AUTOSCALER in spec.addons:
        statements = (*statements, (AUTOSCALER, autoscale()))
    return ClusterPlan(spec.name or name, spec, network, statements, tuple(_reasons(spec, network)), oci)


def cluster_faults(path: str, spec: ClusterSpec, oci: OciSpec | None) -> list[Fault]:
    """Find what the cluster's own spec cannot know."""
    faults = list(network_faults(f"{path}.network", spec.network)) if spec.id is None else []
    needs = [name for name, there in _needs_oci(spec) if there]
    if oci is None and needs:
        problem = f"has {', '.join(needs)}, and the stack does not say in which compartment and region"
        faults.append(Fault(path, None, problem, "add `oci: {compartmentId: …, region: …}` to the stack"))
    return faults


def identity_statements(spec: IdentityAccessSpec) -> tuple[str, ...]:
    """Write what one service account may do: each named thing by itself, nothing else."""
    return (
        *(read_bucket(spec, bucket) for bucket in sorted(set(spec.read_buckets))),
        *(write_bucket(spec, bucket) for bucket in sorted(set(spec.write_buckets))),
        *(read_secret(spec, secret) for secret in sorted(set(spec.read_secrets))),
    )


def _needs_oci(spec: ClusterSpec) -> Iterator[tuple[str, bool]]:
    yield "a cluster to make", spec.id is None
    yield "a repository", spec.repository is not None
    yield "an autoscaler, which needs a policy", AUTOSCALER in spec.addons
    yield "identities", any(identity_statements(item) for item in spec.identities.values())


def _reasons(spec: ClusterSpec, network: NetworkPlan | None) -> Iterator[Reason]:
    if spec.id:
        yield Reason("cluster", f"{spec.id} is there already")
    else:
        reach = f"public for {', '.join(spec.allowed)}" if spec.public else "inside the network only"
        yield Reason("cluster", f"enhanced, {spec.kubernetes_version}, pods with addresses of the network; API {reach}")
        pool = spec.system_pool
        yield Reason("system pool", f"{pool.size} x {pool.shape}, {pool.ocpus:g} cores, {pool.memory_gib:g} GB")
    if network:
        parts = ", ".join(f"{subnet.part} {subnet.cidr}" for subnet in network.subnets)
        room = f"room for {spec.network.nodes:,} nodes of {spec.network.pods_per_node} pods"
        yield Reason("network", f"{network.cidr}: {parts}; {room}")
    for name, addon in sorted(spec.addons.items()):
        pinned = "changes by itself" if addon.version == UNPINNED else addon.version
        yield Reason("add-on", f"{name} {pinned}")
