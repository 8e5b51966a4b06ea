"""A planned pool as the inputs of OCI's resources. Pure: plain values of the plan, and ids as they were given.

`given` are the component's arguments under the names of PoolSpec. What there is an id may be an output of Pulumi; it is
passed on and never looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi_plinth.pool.autoscaling import template_tags
from pulumi_plinth.pool.plan import PoolPlan

Given = Mapping[str, Any]
Inputs = dict[str, Any]


def node_pool(plan: PoolPlan, given: Given, image: Any, compute_cluster: Any = None) -> Inputs:
    """Write the inputs of a managed pool."""
    spec, replacing = plan.spec, plan.replacing
    cycling = {
        "is_node_cycling_enabled": replacing.cycled,
        "cycle_modes": list(replacing.modes) or None,
        "maximum_surge": str(replacing.surge) if replacing.cycled else None,
        "maximum_unavailable": str(replacing.unavailable) if replacing.cycled else None,
    }
    return _said(
        cluster_id=given["cluster_id"],
        compartment_id=given["compartment_id"],
        name=plan.name,
        node_shape=plan.shape.name,
        node_shape_config=_flex(plan),
        kubernetes_version=spec.kubernetes_version,
        node_config_details=_node_config(plan, given, compute_cluster),
        node_source_details={
            "source_type": "IMAGE", "image_id": image, "boot_volume_size_in_gbs": str(plan.boot_gib),
        },
        initial_node_labels=[{"key": key, "value": value} for key, value in sorted(plan.labels.items())],
        node_metadata=_said(
            user_data=plan.user_data,
            areLegacyImdsEndpointsDisabled="true",
            **({"kubelet-extra-args": _taint_argument(plan)} if spec.taints else {}),
        ),
        node_eviction_node_pool_settings={
            "eviction_grace_duration": f"PT{round(spec.eviction.grace / 60)}M",
            "is_force_action_after_grace_duration": spec.eviction.force,
            "is_force_delete_after_grace_duration": spec.eviction.force,
        },
        node_pool_cycling_details=_said(**cycling),
        ssh_public_key=given.get("ssh_key"),
        freeform_tags={**spec.tags, **template_tags(plan)} or None,
        defined_tags=dict(spec.defined_tags) or None,
    )  # fmt: skip


def ignored(plan: PoolPlan) -> list[str]:
    """Name the inputs that something else owns from now on."""
    paths = ["nodeSourceDetails.imageId"] if plan.image else []
    if plan.spec.autoscale:
        paths.append("nodeConfigDetails.size")
    if plan.spec.defined_tags:
        own = [tag for tag in plan.spec.ignore_tags if tag not in plan.spec.defined_tags]
        for tag in own:
            paths += [f'definedTags["{tag}"]', f'nodeConfigDetails.definedTags["{tag}"]']
    return paths


def compute_cluster(plan: PoolPlan, given: Given) -> Inputs:
    """Write the inputs of the RDMA network that a pool's nodes are put into."""
    return _said(
        availability_domain=given["placements"][0]["availability_domain"],
        compartment_id=given["compartment_id"],
        display_name=plan.name,
        **_tags(plan),
    )


def instance_configuration(plan: PoolPlan, given: Given, image: Any, cluster: Any = None) -> Inputs:
    """Write the inputs of the pattern by which nodes are made that join by themselves."""
    placement = given["placements"][0]
    plugins = [{"name": name, "desired_state": "ENABLED"} for name in plan.spec.agent_plugins]
    launch = _said(
        availability_domain=placement["availability_domain"],
        compartment_id=given["compartment_id"],
        shape=plan.shape.name,
        compute_cluster_id=cluster,
        capacity_reservation_id=placement.get("capacity_reservation_id") or given.get("capacity_reservation_id"),
        fault_domain=next(iter(sorted(placement.get("fault_domains") or ())), None),
        agent_config={"are_all_plugins_disabled": False, "plugins_configs": plugins},
        create_vnic_details=_said(
            subnet_id=placement.get("subnet_id") or given.get("subnet_id"),
            assign_public_ip=False,
            nsg_ids=as_set(given.get("nsg_ids")),
        ),
        instance_options={"are_legacy_imds_endpoints_disabled": True},
        metadata=_self_metadata(plan, given),
        source_details=_said(
            source_type="image",
            image_id=image,
            boot_volume_size_in_gbs=str(plan.boot_gib),
            kms_key_id=given.get("key_id"),
        ),
        display_name=plan.name,
        **_tags(plan),
    )
    details = {"instance_type": "compute", "launch_details": launch}
    return _said(
        compartment_id=given["compartment_id"], display_name=plan.name, instance_details=details, **_tags(plan)
    )


def cluster_network(plan: PoolPlan, given: Given, configuration: Any) -> Inputs:
    """Write the inputs of bare metal on one RDMA network."""
    placement = given["placements"][0]
    pool = {"instance_configuration_id": configuration, "size": plan.spec.size, "display_name": plan.name}
    return _said(
        compartment_id=given["compartment_id"],
        display_name=plan.name,
        instance_pools=[pool],
        placement_configuration={
            "availability_domain": placement["availability_domain"],
            "primary_subnet_id": placement.get("subnet_id") or given.get("subnet_id"),
        },
        **_tags(plan),
    )


def gpu_memory_cluster(plan: PoolPlan, given: Given, configuration: Any, cluster: Any) -> Inputs:
    """Write the inputs of a Grace-Blackwell rack."""
    return _said(
        availability_domain=given["placements"][0]["availability_domain"],
        compartment_id=given["compartment_id"],
        compute_cluster_id=cluster,
        instance_configuration_id=configuration,
        display_name=plan.name,
        size=str(plan.spec.size),
        **_tags(plan),
    )


def as_set(ids: Sequence[Any] | None) -> list[Any] | None:
    """Order what OCI keeps as a set, so that another order is no change; outputs stay where they are."""
    if not ids:
        return None
    return sorted(set(ids)) if all(isinstance(item, str) for item in ids) else list(ids)


def _node_config(plan: PoolPlan, given: Given, cluster: Any) -> Inputs:
    spec = plan.spec
    return _said(
        size=spec.first,
        placement_configs=[_placement(plan, given, placement) for placement in given["placements"]],
        nsg_ids=as_set(given.get("nsg_ids")),
        kms_key_id=given.get("key_id"),
        is_pv_encryption_in_transit_enabled=spec.encrypt_in_transit or None,
        compute_cluster_id=cluster,
        node_pool_pod_network_option_details=_pod_network(plan, given),
        **_tags(plan),
    )


def _placement(plan: PoolPlan, given: Given, placement: Given) -> Inputs:
    terminate = {"preemption_action": {"type": "TERMINATE", "is_preserve_boot_volume": False}}
    return _said(
        availability_domain=placement["availability_domain"],
        subnet_id=placement.get("subnet_id") or given.get("subnet_id"),
        fault_domains=sorted(placement.get("fault_domains") or ()) or None,
        capacity_reservation_id=placement.get("capacity_reservation_id") or given.get("capacity_reservation_id"),
        host_group_id=placement.get("host_group_id"),
        preemptible_node_config=terminate if plan.spec.preemptible else None,
    )


def _pod_network(plan: PoolPlan, given: Given) -> Inputs:
    if plan.spec.pod_network == "flannel":
        return {"cni_type": "FLANNEL_OVERLAY"}
    own = [placement.get("subnet_id") or given.get("subnet_id") for placement in given["placements"]]
    return _said(
        cni_type="OCI_VCN_IP_NATIVE",
        max_pods_per_node=plan.spec.max_pods,
        pod_subnet_ids=as_set(given.get("pod_subnet_ids")) or as_set(own),
        pod_nsg_ids=as_set(given.get("pod_nsg_ids")),
    )


def _self_metadata(plan: PoolPlan, given: Given) -> Inputs:
    """Write what a node reads of its own metadata to find its cluster and to say who it is."""
    control = given["control_plane"]
    labels = ",".join(f"{key}={value}" for key, value in sorted(plan.labels.items()))
    metadata = {
        "user_data": plan.user_data,
        "apiserver_host": control["endpoint"],
        "cluster_ca_cert": control["certificate"],
        "oke-k8version": plan.spec.kubernetes_version,
        "oke-initial-node-labels": labels,
        "ssh_authorized_keys": given.get("ssh_key"),
    }
    if plan.spec.pod_network == "vcn-native":
        pods = given.get("pod_subnet_ids") or [given["placements"][0].get("subnet_id") or given.get("subnet_id")]
        metadata |= {
            "oke-native-pod-networking": "true",
            "oke-max-pods": str(plan.spec.max_pods),
            "pod-subnets": pods[0],
            "pod-nsgids": _first(given.get("pod_nsg_ids")),
        }
    return _said(**metadata)


def _taint_argument(plan: PoolPlan) -> str:
    """Write the taints where the autoscaler looks for them (autoscaler, oci/nodepools/registered_taints)."""
    return f"--register-with-taints={','.join(sorted(map(str, plan.spec.taints)))}"


def _flex(plan: PoolPlan) -> Inputs | None:
    flex = plan.spec.flex
    return {"ocpus": flex.ocpus, "memory_in_gbs": flex.memory_gib} if flex else None


def _tags(plan: PoolPlan) -> Inputs:
    return {"freeform_tags": dict(plan.spec.tags) or None, "defined_tags": dict(plan.spec.defined_tags) or None}


def _first(ids: Sequence[Any] | None) -> Any:
    return ids[0] if ids else None


def _said(**inputs: Any) -> Inputs:
    return {key: value for key, value in inputs.items() if value is not None}
