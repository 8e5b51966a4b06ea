"""Faults: what is wrong, where, and what to write instead.

PlinthError
├── SpecError      a document or plan is wrong; carries every Fault found, not only the first
├── LocalError     a server on this host could not be started or stopped
└── DeployError    the deployment could not be carried out
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_PLAIN_WORDS = {
    "int_type": ("is not a whole number", "write it without quotes or fraction"),
    "int_from_float": ("is not a whole number", "write it without a fraction"),
    "bool_type": ("is not true or false", "write true or false, without quotes"),
    "string_type": ("is not text", "put it in quotes"),
    "dict_type": ("is not a mapping", "write `key: value` lines under it"),
    "model_type": ("is not a mapping", "write `key: value` lines under it"),
    "tuple_type": ("is not a list", "write one `- item` a line"),
    "literal_error": ("is not known here", "write {expected}"),
    "greater_than": ("is too small", "write more than {gt}"),
    "greater_than_equal": ("is too small", "write at least {ge}"),
    "less_than": ("is too large", "write less than {lt}"),
    "too_long": ("has too many entries", "write at most {max_length}"),
    "string_too_long": ("is too long", "write at most {max_length} characters"),
    "string_pattern_mismatch": ("is not written as it must be", "write what matches {pattern}"),
    "float_type": ("is not a number", "write it without quotes"),
    "less_than_equal": ("is too large", "write at most {le}"),
    "string_too_short": ("is empty", "write a name or leave the key out"),
}
"""pydantic's kinds of error that people meet most, as (problem, remedy)."""

_TAG = re.compile(r"<([a-z0-9]+)>")

VALUE_LIMIT = 80
"""Longest value shown in a message, in characters."""


class PlinthError(Exception):
    """Base of everything Plinth raises on purpose. The message is for people and complete."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One mistake: where it is, what stands there, what is wrong with it and what to write instead."""

    path: str
    value: Any
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Render as `path: value: problem; remedy`."""
        return f"{self.path}: {self.reason}"

    @property
    def reason(self) -> str:
        """The fault without its path."""
        shown = "" if self.value is None else f"{_shown(self.value)} "
        return f"{shown}{self.problem}; {self.remedy}"


class SpecError(PlinthError):
    """A stack file or plan is refused. `faults` holds all reasons in document order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        noun = "fault" if len(self.faults) == 1 else "faults"
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(f"{len(self.faults)} {noun} in the stack, nothing was started:{lines}")


class LocalError(PlinthError):
    """A server on this host could not be started, observed or stopped."""


class DeployError(PlinthError):
    """The stack could not be deployed; what was done before is kept in the state."""


def faults_of(error: ValidationError, document: type[BaseModel], prefix: str) -> list[Fault]:
    """Turn pydantic's findings into faults with paths as people write them (`prefix.deployments.chat.port`)."""
    return [_fault(item, document, prefix) for item in error.errors(include_url=False)]


def unknown_name(path: str, name: str, known: Iterable[str]) -> Fault:
    """Report a reference to something that is not declared, with the nearest declared name."""
    names = sorted(known)
    return Fault(path, name, "is not declared", nearest(name, names) or f"declared are: {', '.join(names) or 'none'}")


def tag(kind: str) -> str:
    """Name one class of a union. pydantic puts it into locations; people did not write it, so paths leave it out."""
    return f"<{kind}>"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'?" for a near miss, else an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def without_traceback(text: str) -> str:
    """Leave out the Python traceback that Pulumi's dynamic providers put around a message of ours."""
    return re.sub(r"Traceback \(most recent call last\):\n(?:[ ]+.*\n)+(?:[\w.]+\.)?\w+: ", "", text).strip()


def _fault(item: Any, document: type[BaseModel], prefix: str) -> Fault:
    location = [str(part) for part in item["loc"] if part != "[key]" and not _TAG.fullmatch(str(part))]
    path = ".".join([prefix, *location])
    kind, context, value = item["type"], item.get("ctx", {}), item.get("input")
    if kind == "extra_forbidden":
        keys = _keys_at(document, item["loc"][:-1])
        hint = nearest(location[-1], keys) or f"known keys are: {', '.join(keys)}"
        return Fault(path, None, "is an unknown key", hint)
    if kind == "missing":
        return Fault(path, None, "is missing", f"add '{location[-1]}:'")
    if kind == "value_error":
        problem, _, remedy = str(context["error"]).partition("; ")
        return Fault(path, value, problem, remedy or "see `plinth schema`")
    if kind == "unknown_kind":
        problem, _, remedy = str(item["msg"]).partition("; ")
        return Fault(f"{path}.kind", value.get("kind"), problem, remedy)
    if kind == "secret_value":  # what stands there must not be shown
        problem, _, remedy = str(item["msg"]).partition("; ")
        return Fault(path, None, problem, remedy)
    problem, remedy = _PLAIN_WORDS.get(kind, ("is wrong: {msg}", "see `plinth schema`"))
    words = {"msg": f"{item['msg'][0].lower()}{item['msg'][1:]}", **context}
    return Fault(path, value, problem.format(**words), remedy.format(**words))


def _keys_at(document: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """List the keys allowed at a location by following field annotations; map keys are skipped over."""
    current: Any = document
    for part in location:
        fields = getattr(current, "model_fields", None)
        if fields is None:
            continue
        match = next((field for name, field in fields.items() if part in (name, field.alias)), None)
        if match is None:
            continue
        models = list(_models_in(match.annotation))
        tags = [kind[1] for step in location if (kind := _TAG.fullmatch(str(step)))]
        chosen = [model for model in models if len(models) > 1 and _kind_of(model) in tags]
        current = next(reversed(chosen or models), None)
    return sorted(field.alias or name for name, field in getattr(current, "model_fields", {}).items())


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the classes that an annotation speaks of, through unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _kind_of(model: type[BaseModel]) -> str | None:
    kind = model.model_fields.get("kind")
    return next(iter(get_args(kind.annotation)), None) if kind else None


def _shown(value: Any) -> str:
    """Write a value as JSON, short; texts inside a mapping are left out, because one of them may be a secret."""
    if isinstance(value, dict):
        value = {key: "…" if isinstance(item, (str, dict, list, tuple)) else item for key, item in value.items()}
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= VALUE_LIMIT else text[: VALUE_LIMIT - 1] + "…"
