"""OME's BaseModel and ClusterBaseModel, group ome.io. Pure.

Accepts what is found in the wild: `storageKey`, capabilities in any case, a configuration written as JSON text, and
`path` and `storageUri` in each other's place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.kubernetes import METADATA, head, is_kind, merge, read_annotations, read_metadata
from pulumi_plinth.model.dialects.table import Dialect, Reading, Row, Unwritable, refuse_external, write_rows

_ANNOTATION = "metadata.annotations.`models.ome.io/{}`"
_AFFINITY = "storage.nodeAffinity"


def _versioned(theirs: str, ours: str) -> tuple[Row, ...]:
    return (
        Row(f"{theirs}.name", f"{ours}.name"),
        Row(f"{theirs}.version", f"{ours}.version"),
        Row(f"{theirs}.operator", f"{ours}.operator"),
        Row(f"{theirs}.weight", f"{ours}.weight", values.integer),
    )


def _truth(value: bool) -> str:  # noqa: FBT001 a converter
    return "true" if value else "false"


_phase = values.one_of(
    active="ACTIVE", deprecated="DEPRECATED", experiment="EXPERIMENTAL", experimental="EXPERIMENTAL", public="PUBLIC",
    internal="INTERNAL",
)  # fmt: skip
_mode = values.one_of(ondemand="On-demand", dedicated="Dedicated")
_policy = values.one_of(alwaysdownload="AlwaysDownload", reuseifexists="ReuseIfExists")


def _modes(value: Any) -> list[str]:
    return [_mode(item) for item in values.texts(value)]


SPEC = (
    *_versioned("spec.modelFormat", "format"),
    *_versioned("spec.modelFramework", "framework"),
    Row("spec.modelType", "modelType"),
    Row("spec.modelArchitecture", "architecture"),
    Row("spec.quantization", "quantization"),
    Row("spec.modelParameterSize", "parameterSize"),
    Row("spec.modelCapabilities", "capabilities", values.texts),
    Row("spec.apiCapabilities", "apiCapabilities", values.texts),
    Row("spec.modelConfiguration", "configuration", values.anything),
    Row("spec.servingMode", "serving.modes", _modes),
    Row("spec.maxTokens", "maxTokens", values.integer),
    Row("spec.diffusionPipeline", "diffusionPipeline", values.tree),
    Row("spec.additionalMetadata", "metadata", values.mapping),
    Row("spec.displayName", "displayName"),
    Row("spec.version", "version"),
    Row("spec.vendor", "vendor"),
    Row("spec.license", "license"),
    Row("spec.compartmentID", "compartmentId", also=("spec.compartmentId",)),
    Row("spec.disabled", "lifecycle.disabled", values.boolean),
    Row("spec.isLongTermSupported", "lifecycle.longTermSupport", values.boolean),
    Row("spec.deprecationTime", "lifecycle.deprecationTime"),
    Row(_ANNOTATION.format("lifecycle-phase"), "lifecycle.phase", _phase),
    Row(_ANNOTATION.format("category"), "lifecycle.category", values.upper),
    Row(_ANNOTATION.format("experimental"), "lifecycle.experimental", values.boolean, _truth),
    Row(_ANNOTATION.format("internal"), "lifecycle.internal", values.boolean, _truth),
    Row("spec.storage.schemaPath", "storage.schemaPath"),
    Row("spec.storage.parameters", "storage.parameters", values.mapping),
    Row("spec.storage.key", "storage.key", values.secret, also=("spec.storage.storageKey",)),
    Row("spec.storage.nodeSelector", "storage.nodeSelector", values.mapping),
    Row("spec.storage.nodeAffinity", _AFFINITY, values.tree),
    Row("spec.storage.downloadPolicy", "storage.downloadPolicy", _policy),
)
PLACES = (Row("spec.storage.storageUri", "storage.uri"), Row("spec.storage.path", "storage.path"))


def detect(document: Any) -> bool:
    """Recognise the two kinds, and their storage and status on their own, so that they can be explained."""
    return is_kind(document, "ome.io", "BaseModel", "ClusterBaseModel") or is_piece(document)


def is_piece(document: Any) -> bool:
    """Tell whether a document is the storage or the status of a model, on its own."""
    if not isinstance(document, dict) or len(document) != 1:
        return False
    part = next(iter(document.values()))
    return isinstance(part, dict) and ("storage" in document or ("status" in document and "nodesReady" in part))


def read(reading: Reading) -> None:
    """Read a BaseModel or ClusterBaseModel."""
    if "kind" not in reading.value:
        part = next(iter(reading.value))
        reading.use(part)
        whole = "write it under `spec:` of a BaseModel, with apiVersion, kind and metadata.name"
        hint = whole if part == "storage" else "give the BaseModel it belongs to; the cluster writes the status"
        reading.error(part, None, f"is the {part} of a model, not a model", hint)
        return
    read_metadata(reading)
    cluster = reading.value["kind"] == "ClusterBaseModel"
    reading.data["scope"] = "cluster" if cluster else "namespaced"
    if cluster and "namespace" in reading.data:
        reading.warn("metadata.namespace", "is not carried over: a ClusterBaseModel has none", "remove it")
        del reading.data["namespace"]
    for theirs, ours in (("spec.modelFormat", "format"), ("spec.modelFramework", "framework")):
        if isinstance(paths.get(reading.value, theirs), str):
            reading.rows((Row(theirs, f"{ours}.name"),))
    reading.rows(SPEC)
    if paths.get(reading.value, "spec.storage.storageKey") is not paths.MISSING:
        reading.warn("spec.storage.storageKey", "is read as `key`: OME's API server drops `storageKey`", "write `key:`")
    _read_places(reading)
    _warn_of_text_comparisons(reading)
    read_annotations(reading)


def _warn_of_text_comparisons(reading: Reading) -> None:
    """Say where Gt or Lt compare something else than whole numbers, as OME's own example does with 500Gi."""
    place = "spec.storage.nodeAffinity"
    for keys, value in _leaves(paths.get(reading.value, place), paths.split(place)):
        if keys[-1] == "operator" and value in ("Gt", "Lt"):
            compared = paths.walk(reading.value, (*keys[:-1], "values"))
            if not all(re.fullmatch(r"-?\d+", str(item)) for item in compared or [""]):
                hint = "write a whole number without a unit, as Kubernetes demands"
                reading.warn((*keys[:-1], "values"), f"is compared as text by {value}", hint, compared)


def _leaves(value: Any, keys: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*keys, key), item
        yield from _leaves(item, (*keys, key))


def _read_places(reading: Reading) -> None:
    """Read source and folder; where they stand in each other's place, say so and put them right."""
    uri, path = reading.get("spec.storage.storageUri"), reading.get("spec.storage.path")
    at_uri, at_path = "spec.storage.storageUri", "spec.storage.path"
    if isinstance(path, str) and "://" in path and not (isinstance(uri, str) and "://" in uri):
        reading.warn(at_path, "holds an address; it is read as storageUri, and storageUri as path", "swap them", path)
        uri, path, at_uri, at_path = path, uri, at_path, at_uri
    if isinstance(uri, str) and uri.startswith("/"):
        reading.warn(at_uri, "is a folder; it is read as local://", f"write local://{uri}", uri)
        uri = f"local://{uri}"
    if not uri and isinstance(path, str) and path.startswith("/"):
        reading.warn(at_uri, "is missing; the weights are taken to lie in `path` already", f"write local://{path}")
        uri = f"local://{path}"
    if not uri:
        reading.error(at_uri, None, "is missing", "add where the weights come from, such as hf://org/model")
    else:
        reading.put("storage.uri", uri, at_uri, values.text)
    if path:
        reading.put("storage.path", path, at_path, values.text)


def write(name: str, data: dict[str, Any]) -> Any:
    """Write a document; without a namespace it is cluster-wide unless the spec says otherwise."""
    refuse_external(data, "OME")
    if paths.get(data, "storage.uri") is paths.MISSING:
        raise Unwritable("has no address, and OME needs one; give it a storage.uri such as hf://org/model")
    scope = data.get("scope", "namespaced" if "namespace" in data else "cluster")
    document = head("ome.io/v1beta1", "ClusterBaseModel" if scope == "cluster" else "BaseModel", name)
    document["metadata"] |= {"annotations": data["annotations"]} if "annotations" in data else {}
    return merge(document, write_rows((*METADATA, *SPEC, *PLACES), data))


OME = Dialect("ome", detect, read, write)
