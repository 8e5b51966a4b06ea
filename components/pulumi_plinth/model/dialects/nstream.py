"""Nstream AI's MegaModel, BaseModel and EmbeddingModel, group llm.nstream.ai. Pure."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, get_args

from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.kubernetes import METADATA, head, is_kind, merge, read_annotations, read_metadata
from pulumi_plinth.model.dialects.table import Dialect, Reading, Row, Unwritable, write_rows
from pulumi_plinth.model.external import Provider, read_provider
from pulumi_plinth.quantities import parse_cpu, parse_memory

GROUP = "llm.nstream.ai"
_TEMPLATES = MappingProxyType(
    {
        "azure": "azureOpenAI",
        "openai": "openAI",
        "anthropic": "anthropic",
        "gemini": "gemini",
        "compatible": "openAICompatible",
    }
)
_PROVIDERS = MappingProxyType(
    {
        "azure": "AzureOpenAI",
        "openai": "OpenAI",
        "anthropic": "Anthropic",
        "gemini": "Gemini",
        "compatible": "OpenAICompatible",
    }
)
_PLACEHOLDERS = frozenset(
    {"NAME", "NAMESPACE", "MODEL_PROVIDER", "PREVIEW", "DEPLOYMENT", "ENDPOINT", "HF_MODEL_ID", "EMBEDDING_MODEL"}
)
"""What the documentation's templates write where a value belongs."""


def _real(value: Any) -> str:
    found = values.text(value)
    if found in _PLACEHOLDERS:
        values.refuse("is the documentation's placeholder; write the real value (text)")
    return found


def _provider(value: Any) -> str:
    found = read_provider(values.text(value))
    if found not in get_args(Provider):
        values.refuse(f"is not a known provider; write {', '.join(_PROVIDERS.values())}")
    return str(found)


def _served(prefix: str) -> tuple[Row, ...]:
    template = f"spec.{prefix}ServingTemplate"
    rows = [Row(f"{template}.replicas", "serving.replicas", values.integer)]
    for theirs, ours in (("resourceLimit", "limits"), ("resourceRequest", "requests")):
        rows += [
            Row(f"{template}.{theirs}.cpu", f"serving.{ours}.cpu", parse_cpu),
            Row(f"{template}.{theirs}.memory", f"serving.{ours}.memory", parse_memory),
            Row(f"{template}.{theirs}.gpu", f"serving.{ours}.gpu", values.integer),
        ]
    token = f"spec.{prefix}ServingInfo.modelProviderToken"
    rows.append(Row(token, "storage.key", values.secret, values.reference))
    return tuple(rows)


_KINDS = MappingProxyType({"BaseModel": "baseModel", "EmbeddingModel": "embeddingModel"})
_ROWS = MappingProxyType({kind: _served(prefix) for kind, prefix in _KINDS.items()})
_EXTERNAL = (
    ("apikey", "apiKey", values.secret, values.reference),
    ("apiKey", "apiKey", values.secret, values.reference),
    ("apiVersion", "apiVersion", _real, values.same),
    ("deployment", "deployment", _real, values.same),
    ("endpoint", "endpoint", _real, values.same),
    ("model", "model", _real, values.same),
    ("modelName", "model", _real, values.same),
)


def detect(document: Any) -> bool:
    """Recognise the three kinds."""
    return is_kind(document, GROUP, "MegaModel", *_KINDS)


def read(reading: Reading) -> None:
    """Read one of the three kinds."""
    read_metadata(reading)
    if reading.value["kind"] == "MegaModel":
        _read_mega(reading)
    else:
        _read_served(reading, reading.value["kind"])
    read_annotations(reading)


def _read_mega(reading: Reading) -> None:
    reading.data["kind"] = "external"
    templates = paths.get(reading.value, "spec.modelTemplate")
    names = list(templates) if isinstance(templates, dict) else []
    reading.rows((Row("spec.modelProvider", "external.provider", _provider),))
    if not reading.has("external.provider") and not reading.errors and names:
        reading.put("external.provider", names[0], "spec.modelTemplate", _provider)
    if len(names) > 1:
        reading.error("spec.modelTemplate", names, "has several templates", f"keep one, such as {names[0]}")
    for name in names[:1]:
        place = f"spec.modelTemplate.`{name}`"
        reading.rows(
            Row(f"{place}.{theirs}", f"external.{ours}", read, write) for theirs, ours, read, write in _EXTERNAL
        )
        provider = paths.get(reading.data, "external.provider")
        if not reading.has("external.apiKey") and provider != "compatible":
            reading.error(f"{place}.apikey", None, "is missing or empty", "add `apikey:` with the name of a secret")
    if not names:
        reading.error("spec.modelTemplate", None, "is missing", "add the provider's settings, such as `azureOpenAI:`")


def _read_served(reading: Reading, kind: str) -> None:
    prefix = _KINDS[kind]
    reading.data["kind"] = "embed" if kind == "EmbeddingModel" else "generate"
    reading.rows(_ROWS[kind])
    place = f"spec.{prefix}Name"
    found = reading.get(place)
    if found not in (None, "", reading.name):
        reading.put("servedName", found, place, _real)
    place = f"spec.{prefix}ServingInfo.hfModelId"
    found, provider = reading.get(place), reading.get(f"spec.{prefix}ServingInfo.modelProvider")
    if found in (None, ""):
        reading.error(place, None, "is missing", "add the model's id, such as `hfModelId: org/model`")
    else:
        reading.put("storage.uri", found, place, lambda value: _address(_real(value), provider))


def _address(found: str, provider: Any) -> str:
    """Read the id of a model: on the hub, or by an address or path for the other providers."""
    kind = re.sub(r"[^a-z0-9]", "", str(provider or "huggingface").lower())
    if "://" in found:
        return found
    if kind in ("huggingface", "hf"):
        return f"hf://{found}"
    if kind in ("localpath", "local"):
        return f"local://{found}"
    return values.refuse(f"needs an address for the provider {provider}; write for example s3://bucket/folder")


def write(name: str, data: dict[str, Any]) -> Any:
    """Write the kind that fits."""
    kind = data.get("kind")
    if kind == "external" or "external" in data:
        return _write_mega(name, data)
    if kind == "rerank":
        raise Unwritable("ranks, and Nstream has no kind for that; convert it to ome")
    document = head(f"{GROUP}/v1", "EmbeddingModel" if kind == "embed" else "BaseModel", name)
    prefix = _KINDS[document["kind"]]
    uri = paths.get(data, "storage.uri")
    if uri is paths.MISSING:
        raise Unwritable("has no address that Nstream can name; give it a storage.uri such as hf://org/model")
    source = StorageUri.parse(uri)
    hub = source.scheme == "hf"
    paths.put(document, f"spec.{prefix}Name", data.get("servedName", name))
    info = {"hfModelId": uri.removeprefix("hf://"), "modelProvider": "HUGGINGFACE" if hub else source.scheme.upper()}
    paths.put(document, f"spec.{prefix}ServingInfo", info)
    return merge(_annotated(document, data), write_rows((*METADATA, *_ROWS[document["kind"]]), data))


def _write_mega(name: str, data: dict[str, Any]) -> Any:
    external = data["external"]
    provider = external["provider"]
    document = head(f"{GROUP}/v1", "MegaModel", name)
    rows = {ours: (theirs, write) for theirs, ours, _, write in reversed(_EXTERNAL)}
    template = {rows[key][0]: rows[key][1](item) for key, item in external.items() if key in rows}
    document["spec"] = {"modelProvider": _PROVIDERS[provider], "modelTemplate": {_TEMPLATES[provider]: template}}
    return merge(_annotated(document, data), write_rows(METADATA, data))


def _annotated(document: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    if "annotations" in data:
        document["metadata"]["annotations"] = data["annotations"]
    return document


NSTREAM = Dialect("nstream", detect, read, write)
