"""Is the value of an engine argument one that the flag takes? Pure; what the table of the release says decides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pulumi_plinth.engines.table import EngineTable, Flag
from pulumi_plinth.engines.words import Argument
from pulumi_plinth.errors import nearest

Wrong = tuple[str, str]
"""What is wrong and what to write instead."""

_SCALED = re.compile(r"\d+(\.\d+)?[kmgt]|\d+[KMGT]")
_SCALED_IN_JSON = re.compile(r"(\"(?:[^\"\\]|\\.)*\")|\b\d+(?:\.\d+)?[kKmMgGtT]\b")
_ADAPTER = re.compile(r"\s*\{(?=.*\"name\"\s*:)(?=.*\"path\"\s*:).*\}\s*", re.DOTALL)
_SHOWN = 12

_NAMED: Mapping[str, tuple[str, str]] = {
    "--tool-call-parser": ("tool_parsers", "tool-call parser"),
    "--reasoning-parser": ("reasoning_parsers", "reasoning parser"),
    "--structured-outputs-config.reasoning_parser": ("reasoning_parsers", "reasoning parser"),
    "--reasoning-config.reasoning_parser": ("reasoning_parsers", "reasoning parser"),
    "--quantization": ("quantizations", "quantization method"),
    "--load-format": ("load_formats", "load format"),
    "--attention-backend": ("attention_backends", "attention backend"),
    "--attention-config.backend": ("attention_backends", "attention backend"),
    "--mm-encoder-attn-backend": ("attention_backends", "attention backend"),
}
"""Flags that take any text when they are read and want a name of a registry later, when the server starts."""

_ANY_CASE: Mapping[str, str] = {"attention_backends": "upper", "load_formats": "lower"}
_FREE: Mapping[str, tuple[str, ...]] = {"attention_backends": ("auto",)}
PLUGINS: Mapping[str, str] = {"tool_parsers": "--tool-parser-plugin", "reasoning_parsers": "--reasoning-parser-plugin"}
"""Flags that bring names of their own: with them, an unknown name may be right."""


def wrong_value(argument: Argument, table: EngineTable, plugins: Iterable[str] = ()) -> Wrong | None:
    """Return what is wrong with an argument's value, if anything. `plugins` are the flags of PLUGINS that are used."""
    flag = argument.flag
    if argument.key:
        return _wrong_key(argument) or _wrong_name(argument, table, plugins)
    for value in argument.values:
        wrong = _wrong_kind(flag, value) or (_wrong_choice(flag, value) if flag.choices else None)
        if wrong:
            return wrong
    return _wrong_adapter(argument) or _wrong_name(argument, table, plugins)


def _wrong_adapter(argument: Argument) -> Wrong | None:
    """Judge `--lora-modules`: name=path, or JSON where a path has a comma."""
    for value in argument.values if argument.flag.name == "--lora-modules" else ():
        if value not in ("", "None") and not ("=" in value and "," not in value) and not _ADAPTER.fullmatch(value):
            return "is not an adapter", 'write name=path, or {"name": "…", "path": "…"}'
    return None


def _wrong_kind(flag: Flag, value: str) -> Wrong | None:
    if value in flag.words or value.lower() in flag.words or (not value and "None" in flag.words):
        return None
    braces = flag.mapping and value.strip().startswith("{") and value.strip().endswith("}")
    if flag.kind == "json" or braces:
        return _wrong_json(flag, value)
    if flag.kind not in ("integer", "number"):
        return None
    try:
        number = int(value) if flag.kind == "integer" else float(value)
    except ValueError:
        if flag.scaled and _SCALED.fullmatch(value):
            return None
        whole = "a whole number" if flag.kind == "integer" else "a number"
        also = [*(["such as 32k"] if flag.scaled else []), *(f"or {word}" for word in flag.words)]
        return f"is not {whole}", " ".join([f"write {whole}", *also])
    return _out_of_bounds(flag, number)


def _out_of_bounds(flag: Flag, number: float) -> Wrong | None:
    if flag.least is not None and number < flag.least:
        return "is too small", f"write at least {flag.least:g}"
    if flag.above is not None and number <= flag.above:
        return "is too small", f"write more than {flag.above:g}"
    if flag.most is not None and number > flag.most:
        return "is too large", f"write at most {flag.most:g}"
    if flag.below is not None and number >= flag.below:
        return "is too large", f"write less than {flag.below:g}"
    return None


def _wrong_choice(flag: Flag, value: str) -> Wrong | None:
    plain = value.lower().replace("-", "_") if flag.folds else value
    if flag.kind == "integer":
        plain = str(int(value))
    return None if plain in flag.choices else ("is not one of its values", _instead(value, flag.choices))


def _wrong_json(flag: Flag, value: str) -> Wrong | None:
    """Judge JSON; numbers with a unit (80g) are fine where a configuration class is filled."""
    plain = _SCALED_IN_JSON.sub(lambda match: match[1] or "0", value) if flag.keys else value
    try:
        found = json.loads(plain)
    except ValueError:
        example = "{" + f'"{flag.keys[0]}": …' + "}" if flag.keys else '{"key": "value"}'
        return "is not JSON", f"write it as {example}, or each key as {flag.name}.key and its value"
    if flag.keys and not isinstance(found, dict):
        return "is not a JSON object", f"write {{…}} with keys of {', '.join(flag.keys[:_SHOWN])}"
    return _unknown_key(flag, found) if isinstance(found, dict) else None


def _wrong_key(argument: Argument) -> Wrong | None:
    flag = argument.flag
    if not flag.mapping:
        return "takes a value and no keys", f"write {flag.name} and its value"
    return _unknown_key(flag, {argument.key.partition(".")[0]: None})


def _unknown_key(flag: Flag, found: Mapping[str, Any]) -> Wrong | None:
    unknown = sorted(set(found) - set(flag.keys)) if flag.keys else []
    if not unknown:
        return None
    return f"has no key {unknown[0]}", _instead(unknown[0], flag.keys)


def _wrong_name(argument: Argument, table: EngineTable, plugins: Iterable[str]) -> Wrong | None:
    place = f"{argument.flag.name}.{argument.key}" if argument.key else argument.flag.name
    if place not in _NAMED:
        return None
    field, noun = _NAMED[place]
    known = sorted(getattr(table, field))
    value = argument.values[0]
    cased = getattr(value, _ANY_CASE.get(field, "strip"))()
    free = (*argument.flag.words, "", *_FREE.get(field, ()))
    if value in free or cased in known or PLUGINS.get(field, "") in plugins:
        return None
    return f"is not a {noun} of {table}".replace("a attention", "an attention"), _instead(value, known)


def _instead(value: str, known: Iterable[str]) -> str:
    names = list(known)
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return nearest(value, names) or f"write one of {shown}"
