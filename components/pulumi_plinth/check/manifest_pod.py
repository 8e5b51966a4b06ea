"""Reads a pod's spec: the server's container with probes, resources and volumes, and how the pod is placed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pulumi_plinth.check.facts_place_words import taints_of
from pulumi_plinth.check.manifest_read import Document, amount, at, entries, flag, mapping, strings, text
from pulumi_plinth.check.place_pod import (
    EPHEMERAL,
    GPU_RESOURCE,
    SHARED_MEMORY,
    Container,
    Pod,
    Probe,
    Probes,
    SideContainer,
    Volume,
)

DEFAULT_GRACE_SECONDS = 30.0
SHELLS = ("sh", "bash", "ash", "dash")
RUNTIME = "plinth-runtime"
SHELL_TEXT = 2
"""Place of the text in `sh -c TEXT`."""

CACHE_VARIABLES = ("HF_HUB_CACHE", "HF_HOME", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE")
VIRTUAL_FUNCTION = re.compile(r"rdma[-_]vf|sriov|rdma/|/vf\b", re.IGNORECASE)
ASKED = (GPU_RESOURCE, EPHEMERAL, "memory")
"""Resources whose absence is known of a whole pod."""


@dataclass(frozen=True, slots=True)
class Part:
    """A pod's spec with the container that serves; `claims` says what is known of a claim by its name."""

    spec: Document
    server: Document
    claims: Callable[[str], Document | None]
    values: Mapping[str, Mapping[str, str]]
    """Data of the file's ConfigMaps by name."""


def is_server(container: Document) -> bool:
    """Tell whether a container runs vLLM, by image or command."""
    return bool(re.search(r"vllm|plinth-runtime", " ".join((text(container, "image") or "", *command(container)))))


def asks_for_gpu(container: Document) -> bool:
    """Tell whether a container asks for a GPU or a slice."""
    return any(re.search(r"/(gpu|mig-)", key) for key in mapping(container, "resources", "limits"))


def command(container: Document) -> tuple[str, ...]:
    """Return command and arguments."""
    return (*strings(container, "command"), *strings(container, "args"))


def engine_command(container: Document) -> tuple[str, ...] | str:
    """Return the words that start the engine; of a shell's text the last command that does, as text.

    Our own runtime has a launch file instead, which the planner has judged.
    """
    words = command(container)
    if words and words[0].rpartition("/")[2] == RUNTIME:
        return ()
    if len(words) <= SHELL_TEXT or words[0].rpartition("/")[2] not in SHELLS or not words[1].startswith("-"):
        return words
    parts = re.split(r"&&|\|\||;|\n", words[SHELL_TEXT].replace("\\\n", " "))
    starting = [part.strip() for part in parts if re.search(r"\bvllm\s+serve\b|api_server\b", part)]
    return starting[-1].removeprefix("exec ") if starting else words


def environment(part: Part) -> dict[str, str]:
    """Return the variables of the server; one whose value comes from elsewhere is ''."""
    found: dict[str, str] = {}
    for source in entries(part.server, "envFrom"):
        found |= part.values.get(text(source, "configMapRef", "name") or "", {})
    for item in entries(part.server, "env"):
        source = mapping(item, "valueFrom", "configMapKeyRef")
        from_map = part.values.get(text(source, "name") or "", {}).get(text(source, "key") or "", "")
        found[text(item, "name") or ""] = text(item, "value") or from_map
    return found


def read_pod(part: Part, model: str | None) -> Pod:
    """Read the pod that serves a model."""
    spec = part.spec
    runtime = text(spec, "runtimeClassName")
    return Pod(
        container=_container(part, model),
        sides=tuple(_side(item) for item in entries(spec, "initContainers")),
        tolerations=taints_of(entries(spec, "tolerations")),
        node_selector={key: str(value) for key, value in mapping(spec, "nodeSelector").items()},
        host_network=flag(spec, "hostNetwork") or False,
        host_ipc=flag(spec, "hostIPC"),
        host_ports=tuple(int(port) for item in entries(part.server, "ports") if (port := amount(item, "hostPort"))),
        runtime_class=runtime or "",
        grace_seconds=amount(spec, "terminationGracePeriodSeconds") or DEFAULT_GRACE_SECONDS,
        pre_stop_seconds=_pre_stop(part.server),
        service_links=flag(spec, "enableServiceLinks") is not False,
        network_functions=any(VIRTUAL_FUNCTION.search(key) for key in mapping(part.server, "resources", "limits")),
    )


def port_of(container: Document, value: Any) -> int | None:
    """Return a port's number, looked up by name where it is named."""
    if isinstance(value, int):
        return value
    for item in entries(container, "ports"):
        if text(item, "name") == str(value):
            number = amount(item, "containerPort")
            return int(number) if number else None
    return int(value) if re.fullmatch(r"\d{1,5}", str(value), re.ASCII) else None


def probe_ports(container: Document) -> list[tuple[str, int]]:
    """Return the ports that probes ask, with the probes' names."""
    found = []
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        for way in ("httpGet", "tcpSocket"):
            port = port_of(container, at(container, name, way, "port"))
            if port:
                found.append((name, port))
    return found


def _container(part: Part, model: str | None) -> Container:
    server, context = part.server, {**mapping(part.spec, "securityContext"), **mapping(part.server, "securityContext")}
    variables = environment(part)
    user = text(context, "runAsUser")
    return Container(
        limits=_resources(server, "limits"),
        requests=_resources(server, "requests"),
        ports=tuple(int(port) for item in entries(server, "ports") if (port := amount(item, "containerPort"))),
        probes=Probes(*(_probe(server, f"{name}Probe") for name in ("startup", "liveness", "readiness"))),
        volumes=tuple(_volumes(part)),
        cache_folder=_cache_folder(variables, command(server), model),
        user=user,
        home=variables.get("HOME"),
        must_not_be_root=flag(context, "runAsNonRoot"),
        privileged=flag(context, "privileged"),
        locks_memory="IPC_LOCK" in strings(context, "capabilities", "add"),
        read_only_root=flag(context, "readOnlyRootFilesystem"),
    )


def _resources(container: Document, kind: str) -> dict[str, float | None]:
    said = mapping(container, "resources", kind)
    found: dict[str, float | None] = {str(key): amount(said, key) for key in said}
    return {**dict.fromkeys(ASKED), **found}


def _probe(container: Document, name: str) -> Probe:
    said = mapping(container, name)
    if not said:
        return Probe(present=False)
    port = port_of(container, at(said, "httpGet", "port"))
    return Probe(
        delay_seconds=amount(said, "initialDelaySeconds") or 0.0,
        period_seconds=amount(said, "periodSeconds") or 10.0,
        failures=amount(said, "failureThreshold") or 3.0,
        timeout_seconds=amount(said, "timeoutSeconds") or 1.0,
        port=port,
        path=text(said, "httpGet", "path"),
    )


def _volumes(part: Part) -> list[Volume]:
    kinds = {text(volume, "name"): volume for volume in entries(part.spec, "volumes")}
    found = []
    for mounted in entries(part.server, "volumeMounts"):
        mount, name = text(mounted, "mountPath"), text(mounted, "name") or ""
        volume = _volume(part, kinds.get(name, {}), name, mount)
        found.append(replace(volume, read_only=flag(mounted, "readOnly")))
    return found


def _volume(part: Part, volume: Document, name: str, mount: str | None) -> Volume:
    claim = text(volume, "persistentVolumeClaim", "claimName") or (name if not volume else None)
    if claim:
        known = part.claims(claim)
        return Volume("claim", mount, amount(known, "spec", "resources", "requests", "storage"), claim=claim)
    if "emptyDir" in volume:
        size, medium = amount(volume, "emptyDir", "sizeLimit"), text(volume, "emptyDir", "medium")
        if mount and mount.rstrip("/") == SHARED_MEMORY:
            return Volume("memory", SHARED_MEMORY, size, medium)
        return Volume("emptyDir", mount, size or 0.0, medium)
    return Volume("hostPath" if "hostPath" in volume else "configuration", mount)


def _cache_folder(variables: Mapping[str, str], argv: tuple[str, ...], model: str | None) -> str | None:
    if model is None or model.startswith(("/", "s3://", "oci://", "gs://")):
        return None
    said = re.search(r"--download[-_]dir[=\s]+(\S+)", " ".join(argv))
    folder = said[1] if said else next((variables[name] for name in CACHE_VARIABLES if variables.get(name)), None)
    home = variables.get("HOME") or "~"
    return folder or f"{home.rstrip('/')}/.cache/huggingface"


def _side(container: Document) -> SideContainer:
    limit = amount(container, "resources", "limits", "memory")
    return SideContainer(f"init container {text(container, 'name') or '?'}", limit)


def _pre_stop(container: Document) -> float | None:
    said = mapping(container, "lifecycle", "preStop")
    slept = re.search(r"\bsleep[\s,'\"\]\[]+(\d{1,6})", " ".join(strings(said, "exec", "command")))
    return amount(said, "sleep", "seconds") or (float(slept[1]) if slept else None)
