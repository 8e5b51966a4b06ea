"""Which nodes a declaration is for: nodeSelector and required node affinity, read exactly as Kubernetes does.

The rules are those of its scheduler: every pair of the selector must be a label; of the terms one must match; in a term
all expressions and all fields must match; an empty term matches nothing; a term that is written wrongly matches
nothing, also where a negation would make it true. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TERMS = "nodeSelectorTerms"
_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_NAME_LENGTH, _DOMAIN_LENGTH = 63, 253
_INT64 = 1 << 63
_FIELD = "metadata.name"


def matches(node_name: str, labels: Mapping[str, str], storage: Mapping[str, Any]) -> bool:
    """Say whether a node must have the content of a declaration whose `spec.storage` this is."""
    selector = storage.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = (storage.get("nodeAffinity") or {}).get(_REQUIRED)
    if required is None:
        return True
    return any(_term(node_name, labels, term) for term in required.get(_TERMS) or ())


def _term(node_name: str, labels: Mapping[str, str], term: Mapping[str, Any]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return all(_expression(labels, row) for row in expressions) and all(_field(node_name, row) for row in fields)


def _expression(labels: Mapping[str, str], row: Mapping[str, Any]) -> bool:
    key, operator, values = row.get("key") or "", row.get("operator"), list(row.get("values") or ())
    if not _is_valid(key, operator, values):
        return False
    found = labels.get(key)
    if operator in ("Exists", "DoesNotExist"):
        return bool((found is not None) == (operator == "Exists"))
    if operator in ("In", "NotIn"):
        return bool((found is not None and found in values) == (operator == "In"))
    number, bound = _integer(found), _integer(values[0])
    if number is None or bound is None:
        return False
    return number > bound if operator == "Gt" else number < bound


def _is_valid(key: str, operator: Any, values: Sequence[str]) -> bool:
    """Check what Kubernetes checks when it reads a requirement."""
    if not _is_key(key) or not all(_is_value(value) for value in values):
        return False
    if operator in ("In", "NotIn"):
        return bool(values)
    if operator in ("Exists", "DoesNotExist"):
        return not values
    return operator in ("Gt", "Lt") and len(values) == 1 and _integer(values[0]) is not None


def _field(node_name: str, row: Mapping[str, Any]) -> bool:
    """Compare the one field that nodes are selected by; of an unknown field the value is empty."""
    operator, values = row.get("operator"), list(row.get("values") or ())
    if len(values) != 1 or operator not in ("In", "NotIn"):
        return False
    found = node_name if row.get("key") == _FIELD else ""
    return bool((found == values[0]) == (operator == "In"))


def _is_key(key: str) -> bool:
    domain, slash, name = key.rpartition("/")
    if slash and (len(domain) > _DOMAIN_LENGTH or not _DOMAIN.fullmatch(domain)):
        return False
    return len(name) <= _NAME_LENGTH and _NAME.fullmatch(name) is not None


def _is_value(value: str) -> bool:
    return len(value) <= _NAME_LENGTH and (not value or _NAME.fullmatch(value) is not None)


def _integer(text: str | None) -> int | None:
    """Read a number as Go's ParseInt(text, 10, 64) does."""
    if text is None or not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if -_INT64 <= number < _INT64 else None
