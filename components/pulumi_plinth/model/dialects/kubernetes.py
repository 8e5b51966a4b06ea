"""What documents for Kubernetes have in common: metadata. Pure."""

from __future__ import annotations

import re
from typing import Any

from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.table import Reading, Row
from pulumi_plinth.quantities import parse_label, to_label

_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_CLUSTERS_OWN = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation", "managedFields",
    "ownerReferences", "resourceVersion", "selfLink", "uid",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

METADATA = (
    Row("metadata.namespace", "namespace", values.text),
    Row("metadata.labels", "labels", values.mapping),
)


def is_kind(document: Any, group: str, *kinds: str) -> bool:
    """Tell whether a document is of a kind; versions of the group do not matter."""
    if not isinstance(document, dict):
        return False
    return str(document.get("apiVersion", "")).split("/")[0] == group and document.get("kind") in kinds


def read_metadata(reading: Reading) -> None:
    """Read name, namespace and labels; what the cluster writes is left to the cluster."""
    reading.use("apiVersion")
    reading.use("kind")
    for key in _CLUSTERS_OWN:
        reading.use(f"metadata.{key}")
    reading.use(f"metadata.annotations.`{_LAST_APPLIED}`")
    if isinstance(reading.value.get("status"), dict) and reading.value["status"]:
        reading.use("status")
        reading.warn("status", "is not carried over: it is what the cluster says", "nothing, it is written anew")
    reading.rows(METADATA)
    read_name(reading, "metadata.name")


def read_annotations(reading: Reading) -> None:
    """Keep the annotations that no row has read."""
    left = reading.rest("metadata.annotations")
    if left:
        reading.put("annotations", left, "metadata.annotations", values.mapping)


def read_name(reading: Reading, place: str) -> None:
    """Read the model's name. What Kubernetes accepts and we do not is shortened, with a word about it."""
    found = reading.get(place)
    if found is None or found == "":
        reading.error(place, None, "is missing", f"add `{paths.split(place)[-1]}:`, unique in the stack")
        return
    try:
        name = values.text(found)
        if not re.fullmatch(r"[a-z0-9-]{1,63}", name) and _SUBDOMAIN.fullmatch(name):
            reading.name = to_label(name)
            reading.warn(
                place, f"is no DNS label; the model is called '{reading.name}'", "use that name from now on", name
            )
            return
        reading.name = parse_label(name)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        reading.error(place, found, problem, remedy)


def head(api_version: str, kind: str, name: str) -> dict[str, Any]:
    """Begin a document."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}


def merge(document: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Put one nested mapping into another and return it."""
    for key, item in more.items():
        if isinstance(item, dict) and isinstance(document.get(key), dict):
            merge(document[key], item)
        else:
            document[key] = item
    return document
