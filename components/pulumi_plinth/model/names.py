"""Names of models: what is unique, what follows from what. Randomness and dates are parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from pulumi_plinth.errors import Fault
from pulumi_plinth.quantities import parse_technical

if TYPE_CHECKING:
    from pulumi_plinth.model.spec import ModelSpec

NAME_LIMIT = 63
"""A Kubernetes label and DNS label hold no more."""

_TRIES = 64
"""Four hexadecimal digits collide; after this many tries in a row something else is wrong."""


def trained_name(parts: tuple[str, str], day: str, draw: Callable[[], str], taken: Collection[str] = ()) -> str:
    """Name a trained model: technical name, train name, day (YYYYMMDD), four digits of an id that `draw` returns.

    Draws again while the name is taken. Raises ValueError when a part is no technical name or no free name is found.
    """
    for part in parts:
        parse_technical(part)
    if not re.fullmatch(r"\d{8}", day):
        raise ValueError(f"'{day}' is not a day; write YYYYMMDD")
    return _free(f"{parts[0]}-{parts[1]}-{day}", draw, taken)


def saved_name(trained: str, draw: Callable[[], str], taken: Collection[str] = ()) -> str:
    """Name a saved (merged) model after the trained one. Same rules as `trained_name`."""
    return _free(f"{trained}-s", draw, taken)


def served_name(name: str, spec: ModelSpec) -> str:
    """Return what clients write as `model`."""
    return spec.served_name or name


def technical_name(name: str, spec: ModelSpec) -> str:
    """Return the name that derived names start with."""
    return spec.technical_name or name


def name_faults(models: Mapping[str, ModelSpec], prefix: str) -> Iterator[Fault]:
    """Find technical, display and served names that two models share; each fault names both."""
    for field, read in (
        ("technicalName", technical_name),
        ("displayName", lambda _, spec: spec.display_name),
        ("servedName", served_name),
    ):
        owners: dict[str, str] = {}
        for name, spec in models.items():
            value = read(name, spec)
            if value is None:
                continue
            if value in owners:
                first = owners[value]
                problem = f"is also the {field} of '{first}'; '{name}' and '{first}' could not be told apart"
                yield Fault(f"{prefix}.{name}.{field}", value, problem, "give each its own")
            owners.setdefault(value, name)


def _free(stem: str, draw: Callable[[], str], taken: Collection[str]) -> str:
    for _ in range(_TRIES):
        digits = re.sub(r"[^0-9a-f]", "", draw().lower())[:4]
        name = f"{stem}-{digits}"
        if len(name) > NAME_LIMIT:
            raise ValueError(f"'{name}' has {len(name)} characters, {NAME_LIMIT} are allowed; shorten the train name")
        if len(digits) == 4 and name not in taken:  # noqa: PLR2004 the scheme's four digits
            return name
    raise ValueError(f"no free name begins with '{stem}-'; delete models that are no longer needed")
