"""Freezing: which parameters training leaves as they are, by dotted names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from plinth_runtime.models.errors import BuildError, near


def freeze(model: Any, names: Iterable[str]) -> int:
    """Freeze the named modules and parameters; return how many parameter tensors that were.

    All names are checked before anything is changed: one that matches nothing raises BuildError.
    """
    # Names are those of the model as it was written: an adapter puts its own levels around them.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    # Tied weights have two names, and either may be given.
    parameters = dict(inner.named_parameters(remove_duplicate=False))
    chosen = [parameter for name in names for parameter in _matching(name, parameters)]
    for parameter in chosen:
        parameter.requires_grad_(False)  # noqa: FBT003 torch's own signature
    return len(chosen)


def _matching(name: str, parameters: dict[str, Any]) -> list[Any]:
    found = [value for key, value in parameters.items() if key == name or key.startswith(f"{name}.")]
    if not found:
        known = sorted(set(_modules(parameters)))
        remedy = near(name, known) or f"one of its parts, such as {', '.join(known[:3])}"
        raise BuildError("freeze_layers", name, "is no layer of this model", f"write {remedy}")
    return found


def _modules(parameters: Collection[str]) -> Iterator[str]:
    """List every dotted prefix: these are the modules."""
    for name in parameters:
        parts = name.split(".")
        yield from (".".join(parts[:length]) for length in range(1, len(parts)))
