"""What a model's folder says of it, as fields of its declaration, and which of them may be filled in. Pure.

Only what nobody has written is filled in. Who wrote what, the API server knows: it keeps the owners of every field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plinth_runtime.contract.card_types import ModelCard
from plinth_runtime.contract.model_names import CARD_MANAGER

DESCRIBED = frozenset(
    {
        "modelType", "modelArchitecture", "modelParameterSize", "quantization", "modelCapabilities", "maxTokens",
        "modelFormat", "modelFramework",
    }
)  # fmt: skip
"""Fields that a folder can say. All of them are OME's."""

_SIZES = (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3))


@dataclass(frozen=True, slots=True)
class FillView:
    """Who owns the fields that can be filled in: others, or the card's manager; and what stands in them."""

    others: frozenset[str] = frozenset()
    ours: frozenset[str] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)


def described_by(card: ModelCard) -> dict[str, Any]:
    """Give the fields of `spec` that a card knows."""
    known = {
        "modelType": card.model_type,
        "modelArchitecture": card.architecture,
        "modelParameterSize": parameter_size(card.parameters),
        "quantization": card.quantization.method if card.quantization else None,
        "modelCapabilities": list(card.capabilities),
        "maxTokens": card.max_context,
        "modelFormat": {"name": "diffusers" if card.kind == "diffusion" else "safetensors"},
        "modelFramework": _framework(card),
    }
    return {name: value for name, value in known.items() if value}


def view_of(document: Mapping[str, Any]) -> FillView:
    """Reduce an object to what decides about filling."""
    spec = document.get("spec") or {}
    rows = document["metadata"].get("managedFields") or ()
    others = {name for row in rows if row.get("manager") != CARD_MANAGER for name in _owned(row)}
    ours = {name for row in rows if row.get("manager") == CARD_MANAGER for name in _owned(row)}
    return FillView(
        frozenset(others & DESCRIBED), frozenset(ours), {name: spec[name] for name in DESCRIBED if name in spec}
    )


def fields_to_fill(view: FillView, described: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give what to apply as the card's manager, whole; None when what is there is right already."""
    wanted = {name: value for name, value in described.items() if name not in view.others}
    there = {name: view.values[name] for name in wanted if name in view.values}
    return None if there == wanted and view.ours == wanted.keys() else wanted


def parameter_size(parameters: int) -> str | None:
    """Write a count as model names do: 134515008 is 135M, 7615616512 is 7.62B."""
    for unit, size in _SIZES:
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return None


def _framework(card: ModelCard) -> dict[str, str] | None:
    if card.transformers_version is None:
        return None
    return {"name": "transformers", "version": card.transformers_version}


def _owned(row: Mapping[str, Any]) -> Iterable[str]:
    """List the fields directly below `spec` that a row of managedFields speaks of."""
    if row.get("subresource"):
        return ()
    below = (row.get("fieldsV1") or {}).get("f:spec") or {}
    return [name.removeprefix("f:") for name in below if name.startswith("f:")]
