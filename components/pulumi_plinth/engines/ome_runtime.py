"""OME's ServingRuntime and ClusterServingRuntime, group ome.io -> Runtime. Pure, and lenient where meaning is clear.

Both generations are read: the engine as `engineConfig.runner`, and as the pod's first container. Its arguments may be a
list or a shell script (`bash -lc '…'`), which is split as a shell would; what the engine is follows from the program,
its release from the image's tag. What is not read here (probes, volumes, routers) is nothing to a choice.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from pulumi_plinth.engines.runtime import Override, Runtime, SupportedFormat
from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.kubernetes import is_kind
from pulumi_plinth.model.findings import Finding
from pulumi_plinth.model.formats import DiffusionPipeline, VersionedName
from pulumi_plinth.quantities import parameter_count, parse_parameter_size

CONTAINER = "ome-container"
GPU_RESOURCES = ("nvidia.com/gpu", "amd.com/gpu")

_PROGRAMS: Mapping[str, str] = {
    "vllm.entrypoints.openai.api_server": "vllm", "vllm.entrypoints.launchers.api_server.entry": "vllm",
    "sglang.launch_server": "sglang",
}  # fmt: skip
_COMMANDS: Mapping[tuple[str, ...], str] = {("vllm", "serve"): "vllm", ("smg", "serve"): "smg"}
_ENDS = ("&", "&&", "|", "||", ";", ")")
_WORDS = re.compile(r"(-{1,2}[\w.-]+|python3?|vllm|sglang|smg)\s")
_TAG = re.compile(r"(?:vllm|sglang)[^/@]*?v?(\d+\.\d+(?:\.\d+)?)")
_OPERATORS = values.one_of(equal="Equal", greaterthan="GreaterThan", greaterthanorequal="GreaterThanOrEqual")


@dataclass(slots=True)
class _Reading:
    """One document while it is read; what does not fit becomes a finding at its place."""

    value: Any
    file: str
    findings: list[Finding] = field(default_factory=list)

    def get(self, place: str, read: Callable[[Any], Any] = values.text) -> Any:
        """Return the converted value of a place; None where it is missing, empty or does not fit."""
        found = paths.get(self.value, place)
        return None if found is paths.MISSING or found in (None, "") else self.convert(place, found, read)

    def convert(self, place: str, found: Any, read: Callable[[Any], Any]) -> Any:
        """Convert a value, or say at which place and why it does not fit."""
        try:
            return read(found)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            problem, _, remedy = _words(error).partition("; ")
            self.findings.append(Finding(self.file, place, found, problem, remedy or "correct it"))
            return None


def is_runtime(document: Any) -> bool:
    """Recognise the two kinds."""
    return is_kind(document, "ome.io", "ServingRuntime", "ClusterServingRuntime")


def read_runtime(document: Any, file: str = "") -> tuple[Runtime | None, tuple[Finding, ...]]:
    """Read one document. None when it has no name; findings say what was left out because it does not fit."""
    reading = _Reading(document, file)
    name = reading.get("metadata.name")
    if not is_runtime(document) or name is None:
        hint = "write apiVersion: ome.io/v1beta1, kind: ClusterServingRuntime and metadata.name"
        return None, (Finding(file, "metadata.name", None, "is not a named serving runtime", hint),)
    runner, place = _runner(reading)
    engine, arguments = _engine(_Reading(runner, file), runner)
    image = paths.get(runner, "image")
    found = Runtime(
        name=name,
        namespaced=document["kind"] == "ServingRuntime",
        formats=tuple(_formats(reading)),
        disabled=bool(reading.get("spec.disabled", values.boolean)),
        least=reading.get("spec.modelSizeRange.min", _size),
        most=reading.get("spec.modelSizeRange.max", _size),
        accelerators=tuple(reading.get("spec.acceleratorRequirements.acceleratorClasses", values.texts) or ()),
        protocols=tuple(reading.get("spec.protocolVersions", values.texts) or ()),
        engine=engine,
        version=_release(image, engine),
        image=image if isinstance(image, str) else None,
        arguments=arguments,
        environment=reading.convert(f"{place}.env", paths.get(runner, "env"), _variables) or {},
        gpus=_gpus(runner),
    )
    return found, tuple(reading.findings)


def _words(error: Exception) -> str:
    return str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)


def _size(value: Any) -> int:
    return parameter_count(parse_parameter_size(value))


def _formats(reading: _Reading) -> Iterator[SupportedFormat]:
    found = reading.get("spec.supportedModelFormats", _items) or []
    for index, item in enumerate(found):
        place = f"spec.supportedModelFormats[{index}]"
        if not isinstance(item, dict):
            reading.findings.append(
                Finding(reading.file, place, item, "is not a mapping", "write modelFormat: under it")
            )
            continue
        inside = _Reading(item, reading.file)
        yield SupportedFormat(
            format=inside.get("modelFormat", _versioned),
            framework=inside.get("modelFramework", _versioned),
            architecture=inside.get("modelArchitecture"),
            quantization=inside.get("quantization"),
            pipeline=inside.get("diffusionPipeline", DiffusionPipeline.model_validate),
            auto_select=inside.get("autoSelect", values.boolean),
            priority=inside.get("priority", values.integer),
            overrides=inside.get("acceleratorConfig", _overrides) or {},
        )
        reading.findings.extend(
            Finding(each.file, f"{place}.{each.path}", each.value, each.message, each.hint) for each in inside.findings
        )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _versioned(value: Any) -> VersionedName:
    """Read a name with its version; a name alone counts. The API server fills in a weight of 1, and so do we."""
    if isinstance(value, str):
        return VersionedName(name=value)
    item = values.tree(value)
    if not item.get("name"):
        values.refuse("has no name; write name:, such as safetensors")
    return VersionedName(
        name=values.text(item["name"]),
        version=values.text(item["version"]) if item.get("version") else None,
        operator=_OPERATORS(item.get("operator") or "Equal"),
        weight=values.integer(item.get("weight", 1)),
    )


def _overrides(value: Any) -> dict[str, Override]:
    return {name: _override(values.tree(item)) for name, item in values.tree(value).items()}


def _override(item: dict[str, Any]) -> Override:
    sizes = values.tree(item.get("tensorParallelismOverride") or {})
    groups = {group: sizes.get(f"{group}ParallelSize") for group in ("tensor", "pipeline", "data")}
    return Override(
        arguments=tuple(word for each in values.texts(item.get("runtimeArgsOverride") or []) for word in _split(each)),
        environment=values.mapping(item.get("environmentOverride") or {}),
        **{group: values.integer(size) if size else None for group, size in groups.items()},
    )


def _runner(reading: _Reading) -> tuple[dict[str, Any], str]:
    """Find the engine's container: the runner, that of a leader of several nodes, or the container called so."""
    for place in ("spec.engineConfig.runner", "spec.engineConfig.leader.runner"):
        found = paths.get(reading.value, place)
        if isinstance(found, dict):
            return found, place
    containers = [item for item in _items(paths.get(reading.value, "spec.containers")) if isinstance(item, dict)]
    named = [index for index, item in enumerate(containers) if item.get("name") == CONTAINER]
    index = named[0] if named else 0
    return (containers[index] if containers else {}), f"spec.containers[{index}]"


def _engine(reading: _Reading, runner: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Split command and arguments into words; return the engine that is started and its own arguments."""
    both = [*(reading.get("command", values.texts) or []), *(reading.get("args", values.texts) or [])]
    words = [word for item in both for word in _split(item)]
    started = _started(words)
    if started:
        return started
    guessed = next((engine for engine in ("vllm", "sglang") if engine in str(runner.get("image", ""))), None)
    return guessed, tuple(words)


def _started(words: list[str]) -> tuple[str, tuple[str, ...]] | None:
    """Find the program of an engine; return the engine, and its arguments up to the end of the command."""
    for index, word in enumerate(words):
        pair = tuple(words[index : index + 2])
        if word in _PROGRAMS or pair in _COMMANDS:
            rest = words[index + 1 :] if word in _PROGRAMS else words[index + 2 :]
            end = next((place for place, each in enumerate(rest) if each in _ENDS), len(rest))
            return _PROGRAMS.get(word) or _COMMANDS[pair], tuple(rest[:end])
    return None


def _split(item: str) -> list[str]:
    """Split a script, line by line, or a flag with its value; other items are words already.

    Of a script, the line that starts the engine is all that counts.
    """
    if not ("\n" in item or _WORDS.match(item.strip())):
        return [item]
    lines = [_shell(line) for line in item.replace("\\\n", " ").splitlines()]
    starting = [words for words in lines if _started(words)]
    return starting[0] if starting else [word for words in lines for word in words]


def _shell(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def _release(image: Any, engine: str | None) -> str | None:
    found = _TAG.search(image) if isinstance(image, str) and engine else None
    return found[1] if found else None


def _variables(value: Any) -> dict[str, str]:
    """Read `- name: …, value: …`; what comes from elsewhere in the cluster has no value here."""
    if value is paths.MISSING or value is None:
        return {}
    items = [values.tree(item) for item in _items(value)]
    if not all(item.get("name") for item in items):
        values.refuse("has an entry without a name; write `- name:` and `value:`")
    return {values.text(item["name"]): values.text(item["value"]) for item in items if item.get("value") is not None}


def _gpus(runner: Mapping[str, Any]) -> int | None:
    for kind in ("limits", "requests"):
        for resource in GPU_RESOURCES:
            found = paths.get(runner, f"resources.{kind}.`{resource}`")
            if str(found).isdecimal():
                return int(found)
    return None
