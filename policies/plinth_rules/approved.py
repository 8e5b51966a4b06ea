"""Only what somebody approved: shapes, regions, models, licences. An empty list approves everything."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from plinth_rules.resource import LATER, Resource, Rule, at, each, texts

_SHAPES = {
    "oci:ContainerEngine/nodePool:NodePool": ("nodeShape",),
    "oci:Core/instance:Instance": ("shape",),
    "oci:Core/instanceConfiguration:InstanceConfiguration": ("instanceDetails", "launchDetails", "shape"),
    "plinth:index:GpuNodePool": ("shape",),
}
_REGIONS = {
    "pulumi:providers:oci": ("region",),
    "oci:ObjectStorage/replicationPolicy:ReplicationPolicy": ("destinationRegionName",),
}
_DECLARATIONS = ("kubernetes:ome.io/v1beta1:BaseModel", "kubernetes:ome.io/v1beta1:ClusterBaseModel")
_ADDRESS = re.compile(r"\b(?:hf|oci|ocios|s3|gs|az|github|pvc)://[^\s\"']+")


def _list(name: str, description: str) -> dict[str, dict[str, Any]]:
    return {name: {"type": "array", "items": {"type": "string"}, "default": [], "description": description}}


def _fits(value: str, allowed: list[str]) -> bool:
    return not allowed or any(fnmatchcase(value, pattern) for pattern in allowed)


def _one_of(places: Mapping[str, tuple[str, ...]], setting: str, noun: str) -> Any:
    def check(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
        path, allowed = places.get(resource.type), config.get(setting, [])
        value = at(resource.props, *path) if path else None
        if value not in (None, LATER) and not _fits(str(value), allowed):
            yield f"{resource.name} has the {noun} {value}, which is not approved; write one of {', '.join(allowed)}"

    return each(check)


def _models(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
    allowed = config.get("models", [])
    if not allowed or not resource.type.startswith(("kubernetes:", "plinth:")):
        return
    for address in sorted({found for text in texts(resource.props) for found in _ADDRESS.findall(text)}):
        if not _fits(address, allowed):
            yield f"{resource.name} serves {address}, which is not approved; write one of {', '.join(allowed)}"


def _licences(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
    allowed = config.get("licences", [])
    if not allowed or resource.type not in _DECLARATIONS:
        return
    licence = at(resource.props, "spec", "license")
    if licence is None:
        yield f"{resource.name} does not say its licence; write spec.license: {allowed[0]}"
    elif licence is not LATER and not _fits(str(licence), allowed):
        yield f"{resource.name} has the licence {licence}, which is not approved; use one of {', '.join(allowed)}"


SHAPES = Rule(
    "shapes-are-approved",
    "Nodes have approved shapes.",
    _one_of(_SHAPES, "shapes", "shape"),
    _list("shapes", "Shapes, such as BM.GPU.H100.8 or VM.Standard.*. Empty: all."),
)
REGIONS = Rule(
    "regions-are-approved",
    "Providers and copies are in approved regions.",
    _one_of(_REGIONS, "regions", "region"),
    _list("regions", "Regions, such as us-chicago-1 or eu-*. Empty: all."),
)
MODELS = Rule(
    "models-are-approved",
    "Models come from approved addresses.",
    each(_models),
    _list("models", "Addresses, such as hf://meta-llama/* or oci://n/acme/b/weights/*. Empty: all."),
)
LICENCES = Rule(
    "licences-are-approved",
    "Declared models have an approved licence.",
    each(_licences),
    _list("licences", "Licence ids, such as apache-2.0 or llama3*. Empty: all."),
)
