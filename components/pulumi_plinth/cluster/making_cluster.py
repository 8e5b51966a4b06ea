"""Effects: the control plane of a cluster that is made, and its nodes without GPUs."""

from typing import Any

import pulumi
import pulumi_oci as oci

from pulumi_plinth.cluster.build import Build, Subnets
from pulumi_plinth.cluster.image import newest_image
from pulumi_plinth.cluster.making_network import make_network
from pulumi_plinth.oci_args import ignored_tags, tags_of
from pulumi_plinth.options import main_child

VCN_NATIVE = "OCI_VCN_IP_NATIVE"


def make_cluster(build: Build) -> tuple[pulumi.Output[str], Subnets]:
    """Make an enhanced cluster with VCN-native pods and its system pool. Returns its id and its subnets."""
    subnets = make_network(build, build.plan.network) if build.plan.network else _given(build)
    spec = build.plan.spec
    guard = pulumi.ResourceOptions(protect=spec.protect or None, ignore_changes=ignored_tags(build.oci))
    cluster = oci.containerengine.Cluster(
        build.child("cluster"),
        name=build.plan.name,
        compartment_id=build.compartment,
        kubernetes_version=spec.kubernetes_version or "",
        type="ENHANCED_CLUSTER",
        vcn_id=subnets.vcn,
        cluster_pod_network_options=[{"cni_type": VCN_NATIVE}],
        endpoint_config={"subnet_id": subnets.api, "is_public_ip_enabled": spec.public},
        kms_key_id=build.args.get("key_id"),
        options={
            "service_lb_subnet_ids": [subnets.balancers],
            "kubernetes_network_config": {"services_cidr": spec.network.services},
        },
        **tags_of(build.oci),
        opts=main_child(build.component, build.opts, guard),
    )
    _system_pool(build, cluster, subnets)
    return cluster.id, subnets


def _given(build: Build) -> Subnets:
    given = build.args["network"]["existing"]
    return Subnets(
        given["vcn_id"],
        given["api_subnet_id"],
        given["node_subnet_id"],
        given["pod_subnet_id"],
        given["load_balancer_subnet_id"],
    )


def _system_pool(build: Build, cluster: oci.containerengine.Cluster, subnets: Subnets) -> None:
    pool, given = build.plan.spec.system_pool, build.args.get("system_pool", {}).get("image_id")
    domains = oci.identity.get_availability_domains_output(compartment_id=build.compartment, opts=build.ask())
    names = domains.availability_domains.apply(lambda found: [domain.name for domain in found])
    placements: Any = pulumi.Output.all(names, subnets.nodes).apply(
        lambda found: [{"availability_domain": domain, "subnet_id": found[1]} for domain in found[0]]
    )
    # An image that was selected is part of no difference: OKE offers a newer one every few weeks.
    ignored = ["nodeSourceDetails"] if given is None else []
    oci.containerengine.NodePool(
        build.child("system"),
        name=build.child("system"),
        cluster_id=cluster.id,
        compartment_id=build.compartment,
        kubernetes_version=build.plan.spec.kubernetes_version,
        node_shape=pool.shape,
        node_shape_config={"ocpus": pool.ocpus, "memory_in_gbs": pool.memory_gib} if "Flex" in pool.shape else None,
        node_config_details={
            "size": pool.size,
            "placement_configs": placements,
            "node_pool_pod_network_option_details": {
                "cni_type": VCN_NATIVE,
                "pod_subnet_ids": [subnets.pods],
                "max_pods_per_node": build.plan.spec.network.pods_per_node,
            },
        },
        node_source_details={
            "source_type": "IMAGE",
            "image_id": given if given is not None else _newest_image(build),
        },
        **tags_of(build.oci),
        opts=pulumi.ResourceOptions.merge(build.inside(), pulumi.ResourceOptions(ignore_changes=ignored)),
    )


def _newest_image(build: Build) -> pulumi.Output[str]:
    version, shape = build.plan.spec.kubernetes_version or "", build.plan.spec.system_pool.shape
    options = oci.containerengine.get_node_pool_option_output(
        node_pool_option_id="all",
        compartment_id=build.compartment,
        node_pool_k8s_version=version,
        opts=build.ask(),
    )
    return options.sources.apply(
        lambda found: newest_image([(source.image_id, source.source_name) for source in found], version, shape)
    )
