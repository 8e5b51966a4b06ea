"""Reads facts about nodes, pools and limits. Pure."""

from __future__ import annotations

import re
from typing import Any

from pulumi_plinth.check.facts_place_words import Facts, is_absent, number_of, pairs_of, taints_of, words_of
from pulumi_plinth.check.place_node import Node, Pool, Pulls, Quota
from pulumi_plinth.check.place_pod import GPU_RESOURCE

STEPS = (
    ("grow", re.compile(r"grow-?(fs|part)|resize|xfs_growfs|extend", re.IGNORECASE)),
    ("kubelet", re.compile(r"kubelet|bootstrap|oke[-_ ]?init|init[-_ ]script|join", re.IGNORECASE)),
)
TOTAL_GPUS = "gpus?_(in_cluster|available|in_pool|total|there)|(total|cluster|available|pool)_gpus?"

ENHANCED_ONLY = {
    "workload identity": r"workload.identity",
    "add-ons": r"NvidiaGpuPlugin|CertManager|ClusterAutoscaler|add-?on",
    "virtual nodes": r"virtual",
    "node cycling": r"cycl",
    "self-managed nodes": r"self.managed",
}
"""Features that basic clusters lack (OKE: enhanced and basic clusters), by words people use."""


def read_node(facts: Facts) -> Node:
    """Read the node."""
    labels = facts.find("(node_)labels|labels")
    allocatable = facts.number(
        "(node_)?allocatable_(gpus?|nvidia_com_gpu)|(gpus?|nvidia_com_gpu)_allocatable|capacity_gpus?"
    )
    return Node(
        labels=pairs_of(labels[1]) if labels else None,
        gpu_label=facts.text("(node_)(gpu_)?label|gpu_(label|product)|gpu_product_label"),
        gpu_sought=facts.text("requested(_gpu|_accelerator)?|(gpu|accelerator)_(requested|wanted|asked)|accelerators?"),
        spare_gpus=_spare(facts),
        gpus=facts.number("(gpus?|gpu_count)_(on|per|in)(_a|_the|_each)?_node|node_gpus?|gpus_per_host"),
        allocatable_gpus=allocatable,
        taints=_taints(facts, "(node_|gpu_)?taints?(_on_node|_keys?)?"),
        disk_bytes=facts.size(
            "(node_|root_)?(disk|root|ephemeral_storage|root_(disk|volume|fs|file_?system|partition))(_size)?"
            "(_g[bi]b?s?|_bytes)?|(node|root)_disk(_size)?(_g[bi]b?|_bytes)?"
        ),
        allocatable_disk_bytes=facts.size(
            "allocatable(_ephemeral(_storage)?|_disk|_storage)?(_bytes|_g[bi]b?)?|(root_|disk_|node_)free(_space)?_g[bi]b?|free_(disk|space)_g[bi]b?"
        ),
        memory_bytes=facts.size("(host|node|system|machine)_(memory|ram)(_g[bi]b?|_bytes)?|ram(_g[bi]b?)?"),
        default_runtime=facts.text("(node_|container_)?default_(container_)?runtime|container_runtime"),
        device_plugins=_device_plugins(facts),
        sharing=_sharing(facts),
        servers_per_gpu=facts.number(
            "(replicas|pods|servers|engines|workloads)_(on|per)(_one|_a|_same)?_(gpu|card)|engines", max
        ),
        one_share=facts.flag("(.*_)?fail_requests_greater_than_one"),
        driver_in_image=_with_driver(facts),
        driver_by_operator=facts.flag(
            "(gpu_)?(operator_)?driver_enabled|operator_(installs_)?driver|operator_driver.*"
        ),
        driver_after_join=_after_join(facts),
        servers=facts.number("(services|pods|servers|replicas|instances)_(per|on)(_one|_a|_same)?_node", max),
    )


def read_pool(facts: Facts) -> Pool:
    """Read the pool."""
    versions = _versions(facts)
    boot = "boot(_volume|_disk)?(_size)?(_in)?(_g[bi]b?s?)?|(node_)?boot_volume_size_in_gbs"
    return Pool(
        provider="oci" if _is_oci(facts) else None,
        shape=facts.text("(node_|pool_|instance_)?shapes?|instance_types?|node_type|machine_type|sku|vm_size|instance"),
        gpus=facts.number(TOTAL_GPUS),
        provisioned=facts.flag("(auto|node)_?provision(ing|ed|er)?(_enabled)?"),
        virtual=facts.flag("virtual_nodes?") or _says(facts, "node_type|pool_type|(node_)?(pool_)?mode", "virtual"),
        region=facts.text("region"),
        offered=_offered(facts),
        reserved=facts.flag("(capacity_)?reserv(ation|ed)(_id)?"),
        size=facts.number(
            "(node_)?pool_(size|nodes)|nodes_in_(pool|cluster)|node_count|available_nodes|nodes_available|cluster_nodes"
        ),
        min_nodes=0.0
        if facts.flag("scale_from_zero")
        else facts.number("min(imum)?_(nodes|size|count)|(autoscaler|pool|nodes)_min(_nodes|_size)?|pool_min.*"),
        max_nodes=facts.number("max(imum)?_(nodes|size)|(autoscaler|pool|nodes)_max(_nodes|_size)?|pool_max.*"),
        autoscaled=facts.flag("(cluster_)?autoscal(er|ing|ed)(_enabled)?"),
        size_kept=facts.flag("ignore_changes|ignore_(initial_)?(pool_)?size|ignore_scaling_changes"),
        template_labels=facts.words("(node_)?template_labels|labels_in_template"),
        template_gpus=_template_gpus(facts),
        catalogue_gpus=facts.number("gpu_count_reported|reported_gpus?|catalogue?_gpus?|gpus?_(in|of)_catalogue?"),
        boot_bytes=facts.size(boot),
        cloud_init=_steps(facts),
        preemptible=facts.flag("preemptible|spot|is_preemptible"),
        taints=_taints(facts, "(automatic|implied|pool|added|platform)_taints?"),
        domains=facts.words(
            "(node|pool)_(zone|ad|availability_domain)|(placement_)?(ads|availability_domains?|placements|ad_numbers?|placement_ad_numbers?)|ad"
        ),
        region_domains=facts.number("region_(ads|availability_domains)|(ads|availability_domains)_(in_)?region"),
        image_os=facts.text("(node_|worker_)?(image_)?os(_version|_line)?|operating_system"),
        image_name=_image_name(facts),
        image_arch=_architecture(facts.text("(node_|worker_)?image_arch(itecture)?")),
        version=versions[0],
        image_version=versions[1],
        versions_differ=versions[2],
        cluster_version=facts.version("(cluster|control_plane)_(kubernetes_|k8s_)?version"),
        cores=facts.number("ocpus|node_shape_config_ocpus|cores"),
        memory_bytes=facts.size("memory_in_gbs|(shape|flex)_memory(_gb)?|node_shape_config_memory_in_gbs|memory_gb"),
        max_pods=facts.number("max_pods(_per_node)?"),
        subnet_bits=_prefix(facts),
        vnics=facts.number("vnics|vnic_(count|limit)|max_vnics"),
        flexible_size=facts.flag("(node_)?shape_config|ocpus|node_shape_config_ocpus"),
        changed_field=_changed(facts),
        provider_release=facts.version("provider(_version|_release)?"),
        cycle_mode=facts.text("(node_)?cycling(_mode)?|cycle_modes?"),
        cycled=facts.flag("rotation|rotated?|(node_)?cycl(ing|ed)(_enabled)?"),
        provider_below=facts.version("provider_(below|before|older_than)"),
        cluster_type=facts.text("cluster(_type|_kind)?"),
        features=_features(facts),
        joins=_joins(facts),
        surge=facts.number("(maximum_|cycling_max(imum)?_)surge|cycling_surge"),
        unavailable=facts.number("(maximum_|cycling_max(imum)?_)unavailable|cycling_unavailable"),
    )


def read_pulls(facts: Facts) -> Pulls:
    """Read what a node pulls at once."""
    return Pulls(
        count=facts.number("parallel_(image_)?pulls|(concurrent|simultaneous)_(image_)?pulls", max),
        image_bytes=facts.size("image(_size)?(_g[bi]b?)?_compressed|compressed_.*|image_compressed.*"),
        unpacked_bytes=facts.size("(unpacked_|uncompressed_)?image(_size)?(_unpacked)?(_g[bi]b?|_bytes)"),
    )


def read_quota(facts: Facts) -> Quota:
    """Read limits of namespaces and tenancies."""
    return Quota(
        gpus=facts.number("(namespace_|resource_)?quota(_gpus?|_nvidia_com_gpu|_requests_nvidia_com_gpu)?|gpu_quota"),
        shape_limit=facts.number("(service|shape|gpu|tenancy)_limits?(_available)?|limit_available"),
    )


def _prefix(facts: Facts) -> float | None:
    found = re.search(r"/(\d{1,2})\b", facts.raw("(pod_|pods_)?subnet(_cidr|_prefix|_size)?|pod_cidr"))
    return float(found[1]) if found else None


def _spare(facts: Facts) -> float | None:
    said = facts.number("(spare|free|idle|unused)(_gpus?|_capacity|_nodes)?|gpus?_(free|spare|idle|unused)")
    total, used = facts.number(TOTAL_GPUS), facts.number("(used|taken|busy)_gpus?|gpus?_(used|taken|busy|in_use)")
    return total - used if said is None and total is not None and used is not None else said


def _says(facts: Facts, pattern: str, word: str) -> bool | None:
    said = facts.text(pattern)
    return True if said and word in said.lower() else None


def _image_name(facts: Facts) -> str | None:
    said = facts.text("(node_|worker_)(source_)?image(_name)?|source_name|image_display_name")
    plain = facts.text("image(_name)?") or ""
    known = re.search(r"oracle.?linux|\b(gpu|platform|standard) image", plain, re.IGNORECASE)
    return plain if said is None and known else said


def _architecture(said: str | None) -> str | None:
    if not said:
        return None
    return "arm64" if re.search("arm|aarch", said, re.IGNORECASE) else "amd64"


def _features(facts: Facts) -> tuple[str, ...]:
    said = " ".join(
        f"{key} {' '.join(words_of(value))}"
        for key, value in facts.each("workload_identity|virtual_nodes?|self_managed(_nodes)?")
        if value and not is_absent(value)
    )
    said += " " + " ".join(
        " ".join(words_of(value))
        for _, value in facts.each(
            "(bucket_|storage_)?(auth|identity).*|.*add_?ons?|node_type|mode|.*cycling.*|features?"
        )
    )
    return tuple(name for name in ENHANCED_ONLY if re.search(ENHANCED_ONLY[name], said, re.IGNORECASE))


def _joins(facts: Facts) -> bool | None:
    said = facts.raw("cloud_?init|user_?data|node_user_data")
    lacks = re.search(r"(without|no|lacks?|missing|omits)\b[^,;]*(oke|init script|bootstrap)", said, re.IGNORECASE)
    lacks = lacks or re.search(r"\b(replaces|overrides|instead of)\b[^,;]*(default|oke|service)", said, re.IGNORECASE)
    return False if lacks or facts.absent("oke_init(_script)?|bootstrap_script") else None


def _device_plugins(facts: Facts) -> float | None:
    sources = [
        " ".join(words_of(value))
        for _, value in facts.each(
            "(.*_)?add_?ons?|(gpu_)?operator(_device_plugin)?|(nvidia_|gpu_)?device_plugins?(_.*)?"
        )
    ]
    named = [text for text in sources if re.search(r"plugin|enabled|true|daemonset", text, re.IGNORECASE)]
    if facts.absent("(nvidia_|gpu_)?device_plugin"):
        return 0.0
    return float(len(named)) if named else None


def _is_oci(facts: Facts) -> bool:
    said = " ".join(
        " ".join(words_of(value)) for _, value in facts.each("(node_)?shapes?|platform|service|cloud|provider")
    )
    return bool(re.search(r"\bOKE\b|\bOCI\b|oracle|\b(VM|BM)\.\w+", said, re.IGNORECASE))


def _offered(facts: Facts) -> bool | None:
    shape = facts.text("(node_)?shape") or ""
    if re.search(r"\b(not|never|un)\W*(offered|available)", shape):
        return False
    if re.search(r"\b(offered|available|valid|exists)\b", shape):
        return True
    return facts.flag("(shape_)?(offered|available)(_in_(ad|region|(availability_)?domain))?")


def _taints(facts: Facts, pattern: str) -> tuple[Any, ...]:
    return tuple(taint for _, value in facts.each(pattern) for taint in taints_of(value))


def _sharing(facts: Facts) -> str | None:
    said = (facts.text("(gpu_)?sharing(_strategy|_mode)?|mig_strategy|time_slicing") or "").lower()
    if not said and facts.has("time_slic.*"):
        return "time-slicing"
    if re.search(r"time.?slic|oversubscri|^true$", said):
        return "time-slicing"
    if "mps" in said:
        return "mps"
    return f"mig-{said}" if said in ("single", "mixed") else said or None


def _with_driver(facts: Facts) -> bool | None:
    said = facts.raw("(node_|worker_)image(_driver)?|(driver_)?(in_image|preinstalled)|driver_in_node_image")
    if re.search(r"without|no driver", said):
        return False
    return True if re.search(r"driver|true|preinstalled", said, re.IGNORECASE) else None


def _after_join(facts: Facts) -> bool | None:
    said = facts.text("driver_(install(ation|ed)?|setup)(_time)?|gpu_(ready|appears)")
    return None if said is None else bool(re.search(r"after|late|daemon|operator", said, re.IGNORECASE))


def _template_gpus(facts: Facts) -> float | None:
    found = facts.find(
        "(node_)?template_(gpus?|nvidia_com_gpu)|gpus?_in_template|(node_group|asg|pool|autoscaler)_tags|(node_|template_)?capacity|(node_)?template_resources"
    )
    if found is None:
        return None
    said = ", ".join(words_of(found[1]))
    if not said or re.search(r"(without|no|lacks?|missing)\b.*gpu", said, re.IGNORECASE):
        return 0.0
    resources = pairs_of(found[1])
    if GPU_RESOURCE in resources:
        return number_of(resources[GPU_RESOURCE], min)
    return number_of(said, min) if said.isdecimal() else None


def _steps(facts: Facts) -> tuple[str, ...] | None:
    said = facts.text("cloud_?init|user_?data|node_user_data|bootstrap_script")
    if said is None:
        return None
    places = [(match.start(), name) for name, pattern in STEPS if (match := pattern.search(said))]
    return tuple(name for _, name in sorted(places)) or ((said,) if said else ())


def _versions(facts: Facts) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None, bool | None]:
    own = "(pool_|node_|node_pool_|worker_)?(kubernetes|k8s)_version|(pool|node|node_pool|worker)_version"
    pool = facts.text(own)
    image = facts.text("(node_|worker_)?image_(kubernetes_|k8s_)version|image_built_for")
    differ = bool(re.search(r"other|another|differ|newer|older|mismatch", f"{pool} {image}"))
    return (
        facts.version(own),
        facts.version("(node_|worker_)?image_(kubernetes_|k8s_)version|image_built_for"),
        True if pool is not None and image is not None and differ else None,
    )


def _changed(facts: Facts) -> str | None:
    if facts.has("change|provider_below|edit|update|in_place"):
        return facts.text("(changed_|edited_|updated_)?field|changed|edited")
    return facts.text("(changed|edited|updated)_field")
