"""Reads facts about a pod and what creates it: resources, probes, volumes, names, numbers. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from pulumi_plinth.check.facts_place_words import Facts, is_absent, number_of, pairs_of, size_of, taints_of, words_of
from pulumi_plinth.check.place_pod import (
    EPHEMERAL,
    GPU_RESOURCE,
    SHARED_MEMORY,
    Container,
    Pod,
    Probe,
    Probes,
    SideContainer,
    Taint,
    Volume,
    Workload,
)

DEFAULT_GRACE_SECONDS = 30.0
"""What Kubernetes grants a pod that is to end."""

BUDGETS = r"(startup_|start_)?probe_budget(_seconds|_s|_min|_minutes)?|startup_budget(_seconds|_s|_min|_minutes)?"
OFFLOADS = (
    "cpu_offload(ing)?(_gb|_buffer_size)?|swap_space|kv_offloading_size|(lmcache_)?max_local_cpu_size|"
    "(vllm_)?cpu_kvcache_space|cpu_cache_gb"
)
DURATION = re.compile(r"\d+\s*(s|sec|seconds|m|min|minutes|h|hours?)", re.IGNORECASE)
SIDES = "router|storage_initializer|initializer|init_container|init|downloader|gateway|epp|sidecar|operator|controller"


def read_pod(facts: Facts) -> Pod:
    """Read the pod."""
    return Pod(
        container=_container(facts),
        sides=tuple(_sides(facts)),
        tolerations=_tolerations(facts),
        node_selector=_selector(facts),
        host_network=facts.flag("(pod_)?host_?network"),
        host_ipc=facts.flag("(pod_)?host_?ipc|ipc"),
        host_ports=tuple(int(port) for port in (facts.number("host_?ports?"),) if port),
        runtime_class_exists=facts.flag("runtime_class_(exists|present|installed)"),
        runtime_class=facts.text("(pod_)?runtime_class(_name)?"),
        grace_seconds=_grace(facts),
        pre_stop_seconds=facts.number("pre_?stop(_hook)?(_sleep)?(_seconds|_s)?|lifecycle_pre_?stop.*"),
        shutdown_seconds=facts.number("shutdown_timeout(_seconds|_s)?|drain(_timeout|_seconds).*"),
        service_links=facts.flag("enable_service_links"),
        rdma=facts.flag("(uses_)?(rdma|infiniband|roce)(_devices?)?"),
        network_functions=facts.flag("sr_?iov.*|rdma_vf|virtual_functions?|nvidia_com_rdma_vf|network_attachment"),
        security=facts.text("pod_security(_level|_standard|_admission)?|psa|security_level"),
        per_node=facts.number("(services|pods|servers|replicas|instances)_(per|on)(_one|_a|_same)?_node", max),
    )


def read_workload(facts: Facts) -> Workload:
    """Read what creates the pods."""
    template = facts.raw("template|command|args|pod_template")
    lone = re.search(r"\bplain\b|\bno (ray|rank|distribut|nnodes)|single.node", template, re.IGNORECASE)
    nodes = facts.number(
        "(nodes|pods|workers)_per_(replica|group|server)|(worker_|pod_)group_size|lws_size|leader_worker_size|nodes|count"
    )
    surge = facts.find("(rolling_update_|strategy_)?max_?surge")
    unavailable = facts.find("(rolling_update_|strategy_)?max_?unavailable")
    policy = facts.text("pod_management(_policy)?")
    return Workload(
        kind=facts.text("(workload_|object_|resource_)?kind|workload|controller|workload_type"),
        name=_name(facts),
        namespace=facts.text("namespace"),
        replicas=facts.number("replicas|replica_count|min_replicas|(desired|wanted)_replicas"),
        pods_per_replica=nodes,
        gang=facts.flag("gang(_scheduling)?|pod_group|coscheduling"),
        strategy=_strategy(facts),
        surge=_pods(facts, surge[1], up=True) if surge else None,
        unavailable=_pods(facts, unavailable[1], up=False) if unavailable else None,
        ordered=None if policy is None else "parallel" not in policy.lower(),
        distributed=False if lone else None,
        workers_probed=_workers_probed(facts),
        publishes_unready=facts.flag("publish_not_ready_addresses"),
        progress_seconds=facts.seconds("(knative_)?progress_deadline(_seconds|_s|_min)?"),
        min_available=facts.number("(pdb_|pod_disruption_budget_)?min_available"),
    )


def _name(facts: Facts) -> str | None:
    name = facts.text(
        "name|(service|workload|deployment|stateful_set|inference_service|isvc|release|metadata|resource|object|pod)_name"
    )
    return name if name and not re.search(r"\s", name) else None


def _workers_probed(facts: Facts) -> bool | None:
    where = facts.raw("(readiness|startup|liveness)(_probe)?(_on)?|probes?(_on)?")
    on_workers = re.search(r"\b(workers?|all (pods|ranks)|every (pod|rank))\b", where, re.IGNORECASE)
    return True if on_workers or facts.flag("worker_(readiness|startup|liveness)?_?probed?s?") else None


def _grace(facts: Facts) -> float | None:
    pattern = "(pod_)?termination_grace(_period)?(_seconds|_s)?|grace_period(_seconds)?"
    return DEFAULT_GRACE_SECONDS if facts.raw(pattern) == "default" else facts.seconds(pattern)


def _strategy(facts: Facts) -> str | None:
    said = facts.text("(update_|deployment_|rollout_|default_)?strategy(_type)?|(revision_)?rollout")
    return "RollingUpdate" if said and re.search(r"surge|before|first", said, re.IGNORECASE) else said


def _pods(facts: Facts, value: object, *, up: bool) -> float | None:
    number = number_of(value, max)
    if number is None or "%" not in str(value):
        return number
    whole, rest = divmod(number * (facts.number("replicas|replica_count") or 1), 100)
    return whole + (1 if up and rest else 0)


def _container(facts: Facts) -> Container:
    return Container(
        limits=_resources(facts, "limits?"),
        requests=_resources(facts, "requests?"),
        probes=Probes(
            _probe(facts, "startup(_probe)?"), _probe(facts, "liveness(_probe)?"), _probe(facts, "readiness(_probe)?")
        ),
        volumes=tuple(_volumes(facts)) or (() if facts.absent("(writable_)?(mounts|volumes)") else None),
        cache_folder=_cache_folder(facts),
        user=facts.text("(image|container|run)_?(as_)?user(_id)?|run_as_user|runs_as|uid"),
        home=facts.text("home(_folder|_dir)?"),
        must_not_be_root=facts.flag("run_as_non_root|must_run_as_non_root"),
        privileged=facts.flag("privileged"),
        locks_memory=_locks(facts),
        offload_bytes=_offload(facts),
        read_only_root=facts.flag("read_only_root(_?file_?system)?"),
    )


def _locks(facts: Facts) -> bool | None:
    capabilities = facts.words("(added_)?capabilities(_add)?")
    if capabilities is not None:
        return any("IPC_LOCK" in word for word in capabilities)
    return facts.flag("ipc_lock|memlock(_unlimited)?")


def _offload(facts: Facts) -> float | None:
    """Add up what is to lie in host memory; offloaded weights and swap count per rank."""
    ranks = facts.number("(tensor_parallel_size|tp)") or 1
    found = 0.0
    for key, value in facts.each(OFFLOADS):
        size = size_of(f"{key}_gib", value, max) or 0.0
        found += size * (ranks if re.search("swap|cpu_offload_gb", key) else 1)
    return found or None


def _resources(facts: Facts, what: str) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    asked = "(ephemeral_storage|memory|nvidia_com_gpu)"
    for key, value in facts.each(rf"(resources_)?{what}_{asked}(_g[bi]b?)?|{asked}_{what}(_g[bi]b?)?"):
        name = next(name for mark, name in _NAMES.items() if mark in key)
        if name == "memory" and facts.has("component|side_?container"):
            continue
        amount = number_of(value, min) if name == GPU_RESOURCE else size_of(key, value, min)
        found[name] = None if is_absent(value) else amount
    written = facts.raw(rf"(resources_)?{what}")
    for mark, name in _NAMES.items():
        inside = re.search(rf"[\w./-]*{mark}[\w./-]*\W+(\d[\w.]*)", written)
        if inside and name not in found:
            found[name] = number_of(inside[1], min) if name == GPU_RESOURCE else size_of("", inside[1], min)
    if facts.absent(rf"(resources_)?{what}"):
        found.setdefault(GPU_RESOURCE, None)
    rendered = facts.raw("rendered.*")
    if what == "limits?" and re.search(r"\bno nvidia\.com/gpu", rendered):
        found[GPU_RESOURCE] = None
    return found


_NAMES = {"ephemeral": EPHEMERAL, "memory": "memory", "gpu": GPU_RESOURCE}


def _probe(facts: Facts, name: str) -> Probe | None:
    if facts.absent(name):
        return Probe(present=False)
    said = facts.raw(name)
    number = {
        "delay_seconds": facts.seconds(f"{name}_initial_delay(_seconds|_s)?") or _inside(said, "initialDelaySeconds"),
        "period_seconds": facts.seconds(f"{name}_period(_seconds|_s)?") or _inside(said, "periodSeconds"),
        "failures": facts.number(f"{name}_failure_threshold|{name}_failures") or _inside(said, "failureThreshold"),
        "timeout_seconds": facts.seconds(f"{name}_timeout(_seconds|_s)?") or _inside(said, "timeoutSeconds"),
    }
    path = facts.text(f"{name}_(http_get_)?path") or (facts.text("(health_|probe_)path") if name[0] == "r" else None)
    given = {key: value for key, value in number.items() if value}
    budget = facts.seconds(f"{name}_budget(_seconds|_s|_min|_minutes)?|{BUDGETS}") if name[0] == "s" else None
    if budget is None and name[0] == "s" and DURATION.fullmatch(said.strip()):
        budget = facts.seconds(name)
    if budget is not None and not given:
        return Probe(period_seconds=1, failures=budget, path=path)
    if given:
        return Probe(path=path, **given)  # type: ignore[arg-type]
    unknown = 3.0 if said == "default" else math.inf
    return Probe(path=path, failures=unknown) if path or facts.flag(name) else None


def _inside(text: str, field: str) -> float | None:
    """Find a field in a probe that is written as one text."""
    found = re.search(rf"{field}\W*(\d+)", text, re.IGNORECASE)
    return float(found[1]) if found else None


def _volumes(facts: Facts) -> Iterator[Volume]:
    kind = (facts.text("(model_|cache_|data_)?volume(_type|_kind)?") or "").replace("_", "").lower()
    mount = facts.text("(volume_|pvc_|model_|data_)?mount(_path)?s?")
    size = facts.size("empty_?dir(_size_?limit|_limit)|size_limit(_g[bi]b?)?")
    hidden = re.search(r"no /dev/shm", facts.raw("rendered.*"))
    shared = (
        ("shm", "default")
        if hidden
        else facts.find("(dev_)?shm(_size)?(_limit)?(_g[bi]b?|_m[bi]b?)?|shared_memory(_g[bi]b?|_m[bi]b?)?|shm_volume")
    )
    if kind.startswith("hostpath"):
        yield Volume("hostPath", mount, owner=facts.text("(.*_)?owner"))
    elif mount and mount.rstrip("/") != SHARED_MEMORY:
        fixed = facts.flag("(mount_|volume_|model_)?read_only(_mount)?")
        yield Volume("claim" if "empty" not in kind else "emptyDir", mount.split(",")[0].strip(), read_only=fixed)
    medium = facts.text("empty_?dir_medium|medium")
    if size is not None or medium:
        yield Volume("emptyDir", None, size, medium)
    if shared is not None:
        default = is_absent(shared[1]) or re.match("default|container default", str(shared[1]))
        yield Volume("memory", SHARED_MEMORY, 64 * 2.0**20 if default else size_of(shared[0], shared[1], min))


def _cache_folder(facts: Facts) -> str | None:
    said = facts.text("(hf_|model_|download_|weights_)?(cache|download)_?(dir|folder|path|home)?|hf_home|hf_hub_cache")
    if said is None:
        return None
    path = re.search(r"[~/][\w./~-]*", said)
    if path:
        return path[0]
    return "~/.cache/huggingface" if said == "" or re.search("default|home", said, re.IGNORECASE) else None


def _sides(facts: Facts) -> Iterator[SideContainer]:
    named = facts.text("component|side_?container|container_name")
    limit = rf"({SIDES})_(memory(_limit)?|limits?(_memory)?)(_g[bi]b?|_m[bi]b?)?|memory_limit(_g[bi]b?|_m[bi]b?)?"
    found = facts.find(limit)
    if found is None or not (named or found[0] != "memory_limit"):
        return
    default = "default" in str(found[1]).lower()
    name = named or re.sub(r"_?(memory|limits?).*", "", found[0]).replace("_", " ") or "server"
    needed = facts.size("(memory_)?(needed|measured|used|peak)(_memory)?(_g[bi]b?|_m[bi]b?)?")
    yield SideContainer(name, None if default else size_of(found[0], found[1], min), default or None, needed)


def _tolerations(facts: Facts) -> tuple[Taint, ...] | None:
    found = facts.find("(pods?_|gpu_)?tolerations?(_keys?)?")
    return None if found is None else taints_of(found[1])


def _selector(facts: Facts) -> dict[str, str] | None:
    found = facts.find("(pod_)?node_?selectors?|node_affinity|label_selector")
    return None if found is None or not words_of(found[1]) else pairs_of(found[1])
