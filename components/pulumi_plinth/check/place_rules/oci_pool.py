"""Node pools of OKE: domains, bounds, clusters, updates. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.errors import nearest

ADDRESS_BITS, RESERVED_ADDRESSES = 32, 3

REGIONS = (
    "af-johannesburg-1", "ap-chuncheon-1", "ap-hyderabad-1", "ap-melbourne-1", "ap-mumbai-1", "ap-osaka-1",
    "ap-seoul-1", "ap-singapore-1", "ap-sydney-1", "ap-tokyo-1", "ca-montreal-1", "ca-toronto-1", "eu-amsterdam-1",
    "eu-frankfurt-1", "eu-madrid-1", "eu-marseille-1", "eu-milan-1", "eu-paris-1", "eu-stockholm-1", "eu-zurich-1",
    "il-jerusalem-1", "me-abudhabi-1", "me-dubai-1", "me-jeddah-1", "mx-monterrey-1", "mx-queretaro-1",
    "sa-bogota-1", "sa-santiago-1", "sa-saopaulo-1", "sa-vinhedo-1", "uk-cardiff-1", "uk-london-1", "us-ashburn-1",
    "us-chicago-1", "us-phoenix-1", "us-sanjose-1",
)  # fmt: skip

IGNORED_UPDATES = {
    "fault_domains": "below 6.10.0 the provider does not send the field on update (terraform-provider-oci#2161)",
    "max_pods_per_node": "only new nodes take it (terraform-oci-oke#876)",
}
SENDS_FAULT_DOMAINS = (6, 10, 0)
NEW_NODES_ONLY = frozenset({
    "max_pods_per_node", "allow_autoscaler", "node_metadata", "user_data", "cloud_init", "image_id", "image",
    "node_image", "shape", "node_shape", "boot_volume_size", "boot_volume_size_in_gbs", "ssh_public_key",
    "initial_node_labels", "node_labels", "labels", "kubernetes_version", "nsg_ids",
    "node_shape_config", "ocpus", "memory_in_gbs", "node_source_details",
})  # fmt: skip
"""Fields of a pool that an update changes for nodes made later only (OCI: updating node pools)."""


def domains(subject: Subject) -> Iterator[Verdict]:
    """Refuse domains that do not exist: most regions have one (terraform-oci-oke#577)."""
    pool = subject.place.pool
    if pool.domains == ():
        yield refuse(
            "placement-without-domain",
            "pool.placementConfigs",
            "no availability domain is given, and a pool needs at least one",
            "write the region's first domain and spread over its fault domains",
        )
    numbers = [int(found[1]) for text in pool.domains or () for found in re.finditer(r"(?:^|\D)(\d)(?!\d)", text)]
    if pool.region_domains and numbers and max(numbers) > pool.region_domains:
        yield refuse(
            "placement-beyond-region",
            "pool.placementConfigs",
            f"domain {max(numbers)} in a region with {pool.region_domains:g}",
            "write existing domains only; spread over fault domains instead",
        )


def reservation(subject: Subject) -> Iterator[Verdict]:
    """Refuse one reservation for several domains: it holds hosts of one (facts: pulumi-oci 5)."""
    pool = subject.place.pool
    if pool.reserved and len(pool.domains or ()) > 1:
        yield refuse(
            "reservation-domains",
            "pool.placementConfigs.capacityReservationId",
            f"one reservation and {len(pool.domains or ())} availability domains; it holds hosts of one",
            "name its domain only, or a reservation for each",
        )


def basic_cluster(subject: Subject) -> Iterator[Verdict]:
    """Refuse what basic clusters lack: add-ons, workload identity, virtual and self-managed nodes, cycling (OKE)."""
    pool = subject.place.pool
    if "basic" in (pool.cluster_type or "").lower() and pool.features:
        yield refuse(
            "basic-cluster",
            "cluster.type",
            f"a basic cluster has no {', no '.join(pool.features)}",
            "write type ENHANCED_CLUSTER",
        )


def bootstrap(subject: Subject) -> Iterator[Verdict]:
    """Demand the service's own script: user data of one's own replaces it (oracle/terraform-provider-oci#937)."""
    if subject.place.pool.joins is False:
        yield refuse(
            "bootstrap-replaced",
            "pool.nodeMetadata.user_data",
            "the script replaces the service's and does not run it: nodes never join the cluster",
            "fetch and run oke_init_script from the instance's metadata at the end of the script",
        )


def subnet(subject: Subject) -> Iterator[Verdict]:
    """Count addresses of the pods' subnet, of which OCI keeps three (OCI: subnets; OKE: VCN-native pods)."""
    pool = subject.place.pool
    nodes = pool.size if pool.max_nodes is None else pool.max_nodes
    if pool.subnet_bits is None or pool.max_pods is None or nodes is None:
        return
    room, need = 2 ** (ADDRESS_BITS - pool.subnet_bits) - RESERVED_ADDRESSES, nodes * pool.max_pods
    if need > room:
        yield refuse(
            "subnet-too-small",
            "pool.podSubnet",
            f"{nodes:g} nodes x {pool.max_pods:g} pods = {need:g} addresses, and /{pool.subnet_bits:g} has {room:g}",
            "take a larger subnet, or fewer pods a node",
        )


def region_spelling(subject: Subject) -> Iterator[Verdict]:
    """Refuse near misses of OCI's regions; names unlike any known one pass, new regions come (OCI: regions)."""
    region = subject.place.pool.region or ""
    near = nearest(region, REGIONS) if re.fullmatch(r"[a-z]+(-[a-z]+)+-\d", region) else ""
    twin = near.split("'")[1] if near else ""
    if twin and twin != region and sorted(twin.replace("-", "")) == sorted(region.replace("-", "")):
        yield refuse("region-unknown", "region", f"'{region}' is no region", f"write '{twin}'")


def provisioning(subject: Subject) -> Iterator[Verdict]:
    """Demand a shape where nodes are made, and none where they are there already (facts: kaito 1.1)."""
    pool = subject.place.pool
    if pool.provisioned is None or pool.shape is None or bool(pool.shape) == pool.provisioned:
        return
    problem = (
        "nodes are to be made and no shape is given" if pool.provisioned else "nodes are there and a shape is given"
    )
    yield refuse(
        "provisioning-shape",
        "pool.shape",
        problem,
        "name the shape" if pool.provisioned else "leave the shape out, or let nodes be made",
    )


def bounds(subject: Subject) -> Iterator[Verdict]:
    """Compare the pool's bounds and who owns its size (pulumi-eks#321, terraform-oci-oke#763)."""
    pool = subject.place.pool
    if pool.min_nodes is not None and pool.max_nodes is not None and pool.min_nodes > pool.max_nodes:
        yield refuse(
            "pool-bounds",
            "pool.minNodes",
            f"at least {pool.min_nodes:g} and at most {pool.max_nodes:g} nodes",
            "write a minimum up to the maximum",
        )
    if pool.autoscaled and (pool.size_kept is False or (pool.size_kept is None and pool.size is not None)):
        yield warn(
            "pool-size-owned-twice",
            "pool.size",
            "an autoscaler changes the size, and every deployment sets it back",
            "ignore changes of the size where an autoscaler owns it",
        )


def ignored_updates(subject: Subject) -> Iterator[Verdict]:
    """Warn of edits without effect on what runs (terraform-provider-oci#2161, terraform-oci-oke#876)."""
    pool = subject.place.pool
    field = pool.changed_field or ""
    old = (pool.provider_release or (0,)) < SENDS_FAULT_DOMAINS
    known = field == "fault_domains" and old and (pool.provider_below or SENDS_FAULT_DOMAINS) <= SENDS_FAULT_DOMAINS
    if known or (field in NEW_NODES_ONLY and not pool.cycled):
        yield warn(
            "update-without-effect",
            f"pool.{field}",
            IGNORED_UPDATES.get(field, "an update changes new nodes only"),
            "cycle the nodes, or replace the pool",
        )


def cycling(subject: Subject) -> Iterator[Verdict]:
    """Refuse to cycle without making one node more or giving one up (facts: pulumi-oci 5)."""
    pool = subject.place.pool
    if "instance" in (pool.cycle_mode or "") and (pool.shape or "").startswith("BM."):
        yield refuse(
            "cycling-metal",
            "pool.nodePoolCyclingDetails.cycleModes",
            f"{pool.shape} is bare metal, whose instances are not cycled",
            "cycle by boot volume, or replace the pool",
        )
    if pool.surge == 0 and pool.unavailable == 0:
        yield refuse(
            "cycling-stands-still",
            "pool.nodePoolCyclingDetails",
            "maximumSurge 0 and maximumUnavailable 0: no node can be replaced",
            "write 1 for one of them; surge needs quota for a node more",
        )


RULES = (
    domains,
    reservation,
    basic_cluster,
    bootstrap,
    provisioning,
    subnet,
    region_spelling,
    bounds,
    ignored_updates,
    cycling,
)
