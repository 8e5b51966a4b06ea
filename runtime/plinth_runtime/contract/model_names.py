"""Names that everybody who speaks of declared models must spell the same: kinds, labels, annotations, managers. Pure.

The labels on nodes are OME's own, so that pods which select them go on working; ours stand beside them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum

GROUP = "ome.io"
VERSION = "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"

OME_DOMAIN = "models.ome.io"
OUR_DOMAIN = "models.plinth.dev"
RESERVED_LABEL = f"{OME_DOMAIN}/reserve-model-artifact"
"""On a declaration, "true": what was fetched stays on the nodes when the declaration goes."""

SKIP_DETECTION = ("ome.io/skip-config-parsing", "ome.oracle.com/skip-config-parsing")
"""On a declaration, "true": nothing is filled in from the folder. OME documents the first and reads the second."""

AGENT_NAME, AGENT_NAMESPACE = "plinth-node-agent", "plinth-system"
"""The agents' objects, and where they and the secrets of cluster-wide declarations are by default."""

STATE_MANAGER = "plinth-model-state"
"""Owns `status.state` and `status.conditions`, whichever agent writes them."""

CARD_MANAGER = "plinth-card"
"""Owns what was filled in from the folder because nobody had written it."""

LABEL_MANAGER = AGENT_NAME
"""Owns our labels on a node."""

_NAME_LENGTH = 49
_HASH_LENGTH = 8
_LEAST_NAMESPACE = 8
_MANAGER_LENGTH = 128
_KEY_LENGTH = 200


class ModelKind(StrEnum):
    """The two kinds of declaration. The value is the plural in the API's paths."""

    BASE_MODEL = "basemodels"
    CLUSTER_BASE_MODEL = "clusterbasemodels"

    @property
    def kind(self) -> str:
        """The kind as objects spell it."""
        return "BaseModel" if self is ModelKind.BASE_MODEL else "ClusterBaseModel"

    @property
    def namespaced(self) -> bool:
        """Whether its objects live in a namespace."""
        return self is ModelKind.BASE_MODEL


@dataclass(frozen=True, slots=True, order=True)
class ModelKey:
    """One declaration in a cluster. `namespace` is empty for the cluster-wide kind."""

    kind: ModelKind
    namespace: str
    name: str

    def __str__(self) -> str:
        """Name it as kubectl does, with the namespace in front."""
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{place}{self.kind.kind}/{self.name}"

    @property
    def folder(self) -> str:
        """A folder's name for it: readable, and different for different declarations."""
        readable = f"{self.namespace}.{self.name}" if self.namespace else self.name
        if len(readable) <= _KEY_LENGTH and self.kind is ModelKind.CLUSTER_BASE_MODEL:
            return f"cluster.{readable}"
        if len(readable) <= _KEY_LENGTH:
            return f"namespace.{readable}"
        return f"long.{hashlib.sha256(str(self).encode()).hexdigest()}"

    @property
    def ome_label(self) -> str:
        """OME's label on nodes: Ready, Updating or Failed."""
        if self.kind is ModelKind.CLUSTER_BASE_MODEL:
            head = "clusterbasemodel."
            return f"{OME_DOMAIN}/{head}{_shortened(self.name, _NAME_LENGTH - len(head))}"
        space = _NAME_LENGTH - len("basemodel.") - 1
        if len(self.namespace) + len(self.name) <= space:
            return f"{OME_DOMAIN}/{self.namespace}.basemodel.{self.name}"
        for_namespace = min(len(self.namespace), _LEAST_NAMESPACE)
        namespace = _shortened(self.namespace, for_namespace)
        return f"{OME_DOMAIN}/{namespace}.basemodel.{_shortened(self.name, space - for_namespace)}"

    @property
    def content_label(self) -> str:
        """Our label on nodes: the digest of the content that the model's link points to now."""
        return f"{OUR_DOMAIN}/{self.ome_label.partition('/')[2]}"


def entry_manager(node: str) -> str:
    """Name the field manager that owns a node's entries in the status of models."""
    manager = f"plinth-node-{node}"
    if len(manager) <= _MANAGER_LENGTH:
        return manager
    return f"plinth-node-{hashlib.sha256(node.encode()).hexdigest()}"


def is_model_label(label: str) -> bool:
    """Tell whether a label on a node is one that agents write: OME's for a model, or one of ours."""
    domain, _, name = label.partition("/")
    return domain in (OME_DOMAIN, OUR_DOMAIN) and re.search(r"(^|\.)(cluster)?basemodel\.", name) is not None


def _shortened(name: str, length: int) -> str:
    """Shorten as OME does: eight hex digits of the sha256, a dash, and as much of the end as fits."""
    if len(name) <= length:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    rest = length - _HASH_LENGTH - 1
    return f"{digest}-{name[-rest:]}" if rest > 0 else digest[:length]
