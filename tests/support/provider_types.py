"""Registered inputs held against the argument types of the provider packages: a misspelt property cannot pass."""

import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pulumi import _types

PACKAGES = {"oci": "pulumi_oci", "kubernetes": "pulumi_kubernetes"}
ARGUMENTS = ("Args", "InitArgs")
"""What is put behind a resource's class name; Kubernetes uses the second where the first is another type."""


def argument_faults(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """Name every input of a resource that its package does not know, or that has another type, or is missing.

    Tokens of packages without a table here (our own components), and of Kubernetes' custom kinds, have no faults.
    """
    if token.split(":", 1)[0] not in PACKAGES or _is_custom(token):
        return []
    found = arguments_of(token)
    return [f"{token} is no resource"] if found is None else list(_object_faults(found, inputs, token))


@cache
def arguments_of(token: str) -> type | None:
    """The argument class of a resource; None when there is no such resource."""
    home = _homes(PACKAGES[token.split(":", 1)[0]]).get(token)
    if home is None:
        return None
    module, name = importlib.import_module(home[0]), home[1]
    return next(found for suffix in reversed(ARGUMENTS) if (found := getattr(module, name + suffix, None)))


@cache
def _homes(package: str) -> dict[str, tuple[str, str]]:
    """Token -> (module, class), as the package registers them."""
    text = Path(importlib.import_module(package).__file__).read_text()
    rows = json.loads(re.search(r'resource_modules="""(.*?)"""', text, re.DOTALL)[1])
    return {token: (row["fqn"], name) for row in rows for token, name in row["classes"].items()}


def _is_custom(token: str) -> bool:
    """Whether a kind is of a group that Kubernetes itself does not have: its definition says what it may be."""
    package, group, _ = token.split(":", 2)
    known = {home.split(":")[1].split("/")[0] for home in _homes(PACKAGES[package])}
    return package == "kubernetes" and group.split("/")[0] not in known


def required_of(arguments: type) -> set[str]:
    """Names, as the protocol spells them, that must be given."""
    names = _types.input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments).parameters
    return {names[key] for key, item in parameters.items() if key in names and item.default is inspect.Parameter.empty}


def _object_faults(arguments: type, inputs: Mapping[str, Any], path: str) -> Iterator[str]:
    known = _types.input_type_types(arguments)
    yield from (f"{path}.{key} is missing" for key in sorted(required_of(arguments) - inputs.keys()))
    for key, value in inputs.items():
        if key not in known:
            yield f"{path}.{key} is unknown"
        else:
            yield from _faults(known[key], value, f"{path}.{key}")


def _faults(kind: Any, value: Any, path: str) -> Iterator[str]:
    value = getattr(value, "value", value) if type(value).__name__ == "Secret" else value
    if value is None or type(value).__name__ == "_Unknown":
        return
    members = _members(kind)
    kind = members[0]
    if _types.is_input_type(kind) if isinstance(kind, type) else False:
        yield from _object_faults(kind, value, path) if isinstance(value, Mapping) else (f"{path} is no object",)
    elif get_origin(kind) in (list, Sequence):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for number, item in enumerate(value):
            yield from _faults(get_args(kind)[0], item, f"{path}[{number}]")
    elif get_origin(kind) in (dict, Mapping):
        if not isinstance(value, Mapping):
            yield f"{path} is no map"
            return
        for key, item in value.items():
            yield from _faults(get_args(kind)[1], item, f"{path}.{key}")
    elif kind in SCALARS and not _fits(members, value):
        yield f"{path} is {type(value).__name__}, not {kind.__name__}"


def _fits(members: list[Any], value: Any) -> bool:
    return any(isinstance(value, SCALARS.get(each, ())) for each in members)


SCALARS = {str: str, bool: bool, int: (int, float), float: (int, float)}
"""Numbers cross the protocol as floats."""


def _members(kind: Any) -> list[Any]:
    """Take Input and Optional away; several are left where a property takes a number or a text."""
    if get_origin(kind) is not Union and type(kind).__name__ != "UnionType":
        return [kind]
    return [found for item in get_args(kind) if item is not type(None) for found in _members(item)]
