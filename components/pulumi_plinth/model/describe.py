"""ModelSpec + card -> ModelSpec: what nobody wrote is filled in from the folder. Pure.

What a person wrote is never overwritten, and `detect: false` switches the filling off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.model.formats import VersionedName
from pulumi_plinth.model.spec import ModelSpec


def described(spec: ModelSpec, card: ModelCard | None) -> ModelSpec:
    """Return the spec with the fields that are not set and that the card knows."""
    if card is None or not spec.detect:
        return spec
    return spec.model_copy(update={name: value for name, value in _known(card).items() if _unset(spec, name, value)})


def _unset(spec: ModelSpec, name: str, value: Any) -> bool:
    return value not in (None, (), 0) and name not in spec.model_fields_set


def _known(card: ModelCard) -> Mapping[str, Any]:
    return {
        "model_type": card.model_type,
        "architecture": card.architecture,
        "parameter_size": parameter_size(card.parameters),
        "quantization": card.quantization.method if card.quantization else None,
        "capabilities": card.capabilities,
        "kind": card.kind,
        "max_tokens": card.max_context,
        "license": card.license,
        "format": VersionedName(name="safetensors"),
    }


def parameter_size(parameters: int) -> str | None:
    """Write a count as model names do: 134515008 is 135M, 7615616512 is 7.62B."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return None
