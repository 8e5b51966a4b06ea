"""KAITO's Workspace and InferenceSet, group kaito.sh, and the fragment of them that its documentation shows. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.kubernetes import METADATA, head, is_kind, merge, read_annotations, read_metadata
from pulumi_plinth.model.dialects.table import Dialect, Reading, Row, Unwritable, refuse_external, write_rows
from pulumi_plinth.quantities import to_label

GROUP = "kaito.sh"
_OLD_GROUP = "kdm.io"
_LLAMA2 = re.compile(r"llama-?2-(7b|13b|70b)(-chat)?")

PRESETS = MappingProxyType(
    {
        **{f"llama2-{size}": f"meta-llama/Llama-2-{size}-hf" for size in ("7b", "13b", "70b")},
        **{f"llama2-{size}-chat": f"meta-llama/Llama-2-{size}-chat-hf" for size in ("7b", "13b", "70b")},
        "deepseek-r1-0528": "deepseek-ai/DeepSeek-R1-0528",
        "deepseek-r1-distill-llama-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
        "deepseek-r1-distill-qwen-14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
        "deepseek-v3-0324": "deepseek-ai/DeepSeek-V3-0324",
        "falcon-7b": "tiiuae/falcon-7b",
        "falcon-7b-instruct": "tiiuae/falcon-7b-instruct",
        "falcon-40b": "tiiuae/falcon-40b",
        "falcon-40b-instruct": "tiiuae/falcon-40b-instruct",
        "gemma-3-4b-instruct": "google/gemma-3-4b-it",
        "gemma-3-27b-instruct": "google/gemma-3-27b-it",
        "gpt-oss-20b": "openai/gpt-oss-20b",
        "gpt-oss-120b": "openai/gpt-oss-120b",
        "llama-3.1-8b-instruct": "meta-llama/Llama-3.1-8B-Instruct",
        "llama-3.3-70b-instruct": "meta-llama/Llama-3.3-70B-Instruct",
        "mistral-7b": "mistralai/Mistral-7B-v0.3",
        "mistral-7b-instruct": "mistralai/Mistral-7B-Instruct-v0.3",
        "phi-2": "microsoft/phi-2",
        "phi-3-mini-4k-instruct": "microsoft/Phi-3-mini-4k-instruct",
        "phi-3-mini-128k-instruct": "microsoft/Phi-3-mini-128k-instruct",
        "phi-3-medium-4k-instruct": "microsoft/Phi-3-medium-4k-instruct",
        "phi-3-medium-128k-instruct": "microsoft/Phi-3-medium-128k-instruct",
        "phi-3.5-mini-instruct": "microsoft/Phi-3.5-mini-instruct",
        "phi-4": "microsoft/phi-4",
        "phi-4-mini-instruct": "microsoft/Phi-4-mini-instruct",
        "qwen2.5-coder-7b-instruct": "Qwen/Qwen2.5-Coder-7B-Instruct",
        "qwen2.5-coder-32b-instruct": "Qwen/Qwen2.5-Coder-32B-Instruct",
    }
)
"""Short catalogue names -> the model on the hub that they stand for."""


def preset_name(value: Any) -> str:
    """Read a preset's name; llama-2 in both of its spellings."""
    name = values.text(value)
    match = _LLAMA2.fullmatch(name.lower())
    return f"llama2-{match[1]}{match[2] or ''}" if match else name


_SOURCE = MappingProxyType(
    {
        "name": ("name", values.same),
        "image": ("image", values.text),
        "volumeSource": ("volume", values.tree),
        "volume": ("volume", values.tree),
        "imagePullSecrets": ("imagePullSecrets", values.secrets),
    }
)
"""An adapter's source: their key -> (ours, reader). KAITO's first releases wrote `volume`."""


def _adapters(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        values.refuse("is not a list; write one `- source:` an adapter")
    return [values.inside(index, _adapter, item) for index, item in enumerate(value)]


def _adapter(value: Any) -> dict[str, Any]:
    item = values.tree(value)
    unknown = sorted(set(item) - {"source", "strength"})
    if unknown:
        values.refuse(f"is an adapter with {', '.join(unknown)}; write source and strength")
    found = values.inside("source", _adapter_source, item.get("source") or {})
    if item.get("strength") is not None:
        found["strength"] = values.inside("strength", values.number, item["strength"])
    return dict(found)


def _adapter_source(value: Any) -> dict[str, Any]:
    source = values.tree(value)
    unknown = sorted(set(source) - set(_SOURCE))
    if unknown:
        values.refuse(f"is an adapter's source with {', '.join(unknown)}; write name, and image or volumeSource")
    given = {key: item for key, item in source.items() if item not in (None, "", [])}
    return {_SOURCE[key][0]: values.inside(key, _SOURCE[key][1], item) for key, item in given.items()}


def _write_adapters(adapters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    for adapter in adapters:
        if "uri" in adapter:
            continue  # KAITO takes images and volumes; the comparison with what is read back reports it.
        given = {ours: theirs for theirs, (ours, _) in reversed(list(_SOURCE.items()))}
        source = {theirs: adapter[ours] for ours, theirs in given.items() if ours in adapter}
        strength = {"strength": str(adapter["strength"])} if "strength" in adapter else {}
        documents.append({"source": source} | strength)
    return documents


@lru_cache(maxsize=8)
def rows(root: str) -> tuple[Row, ...]:
    """Return the rows for a document whose resource, inference and tuning lie under `root`."""
    preset, options = f"{root}inference.preset", f"{root}inference.preset.presetOptions"
    tuning = f"{root}tuning"
    return (
        Row(f"{root}resource.instanceType", "placement.instanceType"),
        Row(f"{root}resource.count", "placement.count", values.integer),
        Row(f"{root}resource.partition.mode", "placement.partition.mode"),
        Row(f"{root}resource.partition.profile", "placement.partition.profile"),
        Row(f"{root}resource.partition.count", "placement.partition.count", values.integer),
        Row(f"{preset}.name", "preset.name", preset_name),
        Row(f"{preset}.accessMode", "preset.accessMode", lambda value: values.text(value).lower()),
        Row(f"{options}.image", "preset.image"),
        Row(f"{options}.imagePullSecrets", "preset.imagePullSecrets", values.secrets),
        Row(f"{options}.modelAccessSecret", "storage.key", values.secret, also=(f"{preset}.modelAccessSecret",)),
        Row(f"{options}.modelWeightsPVC", "preset.weightsClaim"),
        Row(f"{options}.modelWeightsSubPath", "preset.weightsPath"),
        Row(f"{root}inference.config", "preset.config"),
        Row(f"{root}inference.template", "podTemplate", values.tree),
        Row(f"{root}inference.adapters", "adapters", _adapters, _write_adapters),
        Row(f"{tuning}.method", "tuning.method", lambda value: values.text(value).lower()),
        Row(f"{tuning}.config", "tuning.config"),
        Row(f"{tuning}.input.name", "tuning.input.name"),
        Row(f"{tuning}.input.urls", "tuning.input.urls", values.texts),
        Row(f"{tuning}.input.image", "tuning.input.image"),
        Row(f"{tuning}.input.imagePullSecrets", "tuning.input.imagePullSecrets", values.secrets),
        Row(f"{tuning}.input.volumeSource", "tuning.input.volume", values.tree, also=(f"{tuning}.input.volume",)),
        Row(f"{tuning}.output.image", "tuning.output.image"),
        Row(f"{tuning}.output.imagePushSecret", "tuning.output.imagePushSecret", values.secret),
        Row(f"{tuning}.output.volumeSource", "tuning.output.volume", values.tree, also=(f"{tuning}.output.volume",)),
    )


_SET = (
    Row("spec.replicas", "serving.replicas", values.integer),
    Row("spec.nodeCountLimit", "placement.nodeCountLimit", values.integer),
)


def detect(document: Any) -> bool:
    """Recognise both kinds, and an `inference:` section with a preset on its own."""
    if any(is_kind(document, group, "Workspace", "InferenceSet") for group in (GROUP, _OLD_GROUP)):
        return True
    return isinstance(document, dict) and "kind" not in document and _preset(document) is not paths.MISSING


def _preset(document: Any) -> Any:
    return paths.get(document, "inference.preset")


def read(reading: Reading) -> None:
    """Read a Workspace, an InferenceSet, or the fragment."""
    kind = reading.value.get("kind")
    if kind is None:
        _read_fragment(reading)
        return
    read_metadata(reading)
    if is_kind(reading.value, _OLD_GROUP, kind):
        reading.warn("apiVersion", f"is KAITO's old group {_OLD_GROUP}", f"write {GROUP}/v1beta1")
    root = "spec.template." if kind == "InferenceSet" else ""
    if kind == "Workspace" and not {"resource", "inference", "tuning"} & set(reading.value):
        root = "spec."
        reading.warn("spec", "is not where a Workspace has its fields", "move resource and inference to the top level")
    if kind == "InferenceSet":
        reading.put("serving.replicas", 1, "spec.replicas") if _no_replicas(reading) else reading.rows(_SET[:1])
        reading.rows(_SET[1:])
    reading.use(f"{root}resource.preferredNodes")
    if paths.get(reading.value, f"{root}resource.preferredNodes") is not paths.MISSING:
        reading.warn(f"{root}resource.preferredNodes", "is not carried over: KAITO reads it no more", "use labels")
    _read_parts(reading, root, "spec.labelSelector" if kind == "InferenceSet" else f"{root}resource.labelSelector")
    read_annotations(reading)


def _no_replicas(reading: Reading) -> bool:
    return reading.get("spec.replicas") is None


def _read_fragment(reading: Reading) -> None:
    reading.warn(
        "inference", "is a part of a Workspace; the model is named after its preset", "add apiVersion and kind"
    )
    found = paths.get(reading.value, "inference.preset.name")
    if isinstance(found, str):
        reading.name, reading.derived = to_label(preset_name_or(found).rpartition("/")[2]), True
    _read_parts(reading, "", "resource.labelSelector")


def preset_name_or(found: str) -> str:
    """Return a preset's name, or what stands there where it is none."""
    try:
        return preset_name(found)
    except ValueError:
        return found


def _read_parts(reading: Reading, root: str, selector: str) -> None:
    reading.rows(rows(root))
    labels = reading.get(selector)
    if labels is not None and labels != _selector(reading.name or ""):
        reading.put("placement.labelSelector", labels, selector, values.tree)
    mig = reading.get(f"{root}resource.mig")
    if mig is not None:
        reading.put("placement.partition", mig, f"{root}resource.mig", _mig)
    tuned = paths.get(reading.value, f"{root}tuning.preset.name")
    if tuned is not paths.MISSING:
        reading.use(f"{root}tuning.preset.name")
        if not reading.has("preset.name"):
            reading.put("preset.name", tuned, f"{root}tuning.preset.name", preset_name)
    _read_source(reading, root)


def _mig(value: Any) -> dict[str, Any]:
    found = values.tree(value)
    count = {"count": values.integer(found["count"])} if found.get("count") is not None else {}
    return {"mode": "mig", "profile": values.text(found.get("profile", ""))} | count


def _read_source(reading: Reading, root: str) -> None:
    """Say where the preset's weights are: on the hub, unless they are in an image of one's own."""
    name = paths.get(reading.data, "preset.name")
    if name is paths.MISSING:
        inference = paths.get(reading.value, f"{root}inference")
        if not reading.errors and not reading.has("podTemplate"):
            place = f"{root}inference.preset.name" if inference is not paths.MISSING else f"{root}tuning.preset.name"
            reading.error(place, None, "is missing", "add a catalogue name such as llama2-7b, or org/model")
        return
    place = f"{root}inference.preset.name"
    if paths.get(reading.data, "preset.accessMode") == "private":
        return
    model = name if "/" in name else PRESETS.get(name.lower())
    if model is None:
        hint = "check it when it is deployed, or write its org/model instead"
        reading.warn(place, "is no preset known here; its weights have no address yet", hint, name)
    else:
        reading.put("storage.uri", f"hf://{model}", place)


def _selector(name: str) -> dict[str, Any]:
    return {"matchLabels": {"apps": name}}


def write(name: str, data: dict[str, Any]) -> Any:
    """Write an InferenceSet where replicas are asked for, else a Workspace."""
    refuse_external(data, "KAITO")
    many = "replicas" in data.get("serving", {})
    root = "spec.template." if many else ""
    document = head(f"{GROUP}/v1beta1", "InferenceSet" if many else "Workspace", name)
    preset = data.get("preset", {}).get("name")
    uri = paths.get(data, "storage.uri")
    if preset is None and uri is not paths.MISSING and uri.startswith("hf://"):
        preset = uri.removeprefix("hf://").partition("@")[0]
    if preset is None and "podTemplate" not in data:
        raise Unwritable("is no preset and not on the hub, and KAITO takes nothing else; give it a storage.uri hf://…")
    selector = data.get("placement", {}).get("labelSelector", _selector(name))
    paths.put(document, "spec.labelSelector" if many else f"{root}resource.labelSelector", selector)
    if preset is not None:
        section = "inference" if "tuning" not in data else "tuning"
        paths.put(document, f"{root}{section}.preset.name", preset)
    if "annotations" in data:
        document["metadata"]["annotations"] = data["annotations"]
    written = write_rows((*METADATA, *rows(root), *_SET), data)
    if "tuning" in data and "inference" in written:
        # KAITO's Workspace does one or the other; what only inference has is reported as lost.
        del written["inference"]
    return merge(document, written)


KAITO = Dialect("kaito", detect, read, write)
