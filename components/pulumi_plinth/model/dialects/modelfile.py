"""Ollama's Modelfile ↔ spec. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth.model.dialects import paths, values
from pulumi_plinth.model.dialects.addresses import adapter_name, from_address, to_address
from pulumi_plinth.model.dialects.modelfile_text import Instruction, TextFault, parse, quote
from pulumi_plinth.model.dialects.table import Dialect, Reading, Unwritable, refuse_external
from pulumi_plinth.model.modelfile import RETIRED, read_parameter, read_version
from pulumi_plinth.quantities import to_label

_ONCE = {
    "TEMPLATE": "template", "SYSTEM": "system", "RENDERER": "renderer", "PARSER": "parser", "DRAFT": "draft",
    "REQUIRES": "requires",
}  # fmt: skip
"""Instructions of which the last one wins -> field."""

_BRACES = re.compile(r"\{+[^{}]*\}+")
_REGISTRY = re.compile(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}(:\d{1,5})?/[\w.-]+/[\w.-]+(:[\w.-]+)?")
"""A model's name in a registry of Ollama's kind, with the host before it."""

_MORE = re.compile(r"\s#")

TEXT_KEY = "modelfile"
"""A Modelfile travels as a document with its text under this key."""


def detect(document: Any) -> bool:
    """Recognise the wrapping that `convert` gives a Modelfile's text."""
    return isinstance(document, dict) and set(document) == {TEXT_KEY} and isinstance(document[TEXT_KEY], str)


def read(reading: Reading) -> None:
    """Read the instructions in order."""
    reading.use(TEXT_KEY)
    reading.data["modelfile"] = {}
    for item in parse(reading.value[TEXT_KEY]):
        if isinstance(item, TextFault):
            reading.error_at(item.line, item.path, item.value, (f"(line {item.line}): {item.problem}", item.remedy))
        else:
            _take(reading, item)
    if reading.name is None:
        reading.error_at(1, "FROM", None, ("no FROM line", "add `FROM` with a model's name, file or folder"))


def _take(reading: Reading, item: Instruction) -> None:
    part = reading.data["modelfile"]
    _warn_of_quotes(reading, item)
    if item.command == "FROM":
        reading.name = reading.name or "model"  # A FROM line is there, whatever is wrong with it.
        _checked(reading, item, lambda: _take_from(reading, _address(item.value), item.line))
    elif item.command == "ADAPTER":
        _checked(reading, item, lambda: _take_adapter(reading, _address(item.value)))
    elif item.command == "PARAMETER":
        _take_parameter(reading, item)
    elif item.command == "MESSAGE":
        part.setdefault("messages", []).append({"role": item.argument, "content": item.value})
    elif item.command == "LICENSE":
        part.setdefault("licenses", []).append(item.value)
    elif item.command == "REQUIRES":
        _checked(reading, item, lambda: part.update(requires=read_version(item.value)))
    elif item.value:
        part[_ONCE[item.command]] = item.value


def _warn_of_quotes(reading: Reading, item: Instruction) -> None:
    """Say so where quotes or brackets of other languages become part of a value."""
    single = len(item.value) > 1 and item.value[0] == item.value[-1] == "'"
    if single or (item.argument == "stop" and item.value.startswith("[")):
        place = f"{item.command} {item.argument[:40]}".strip()
        remedy = 'write "…" or """…"""' if single else "write one PARAMETER stop line for each text"
        problem = f"(line {item.line}): is taken with its {'single quotes' if single else 'brackets'}, as Ollama does"
        reading.warn_at(item.line, place, (problem, remedy))


def _address(value: str) -> str:
    """Read a name, file or folder. Raises ValueError for what Ollama would take for a very odd name."""
    if _BRACES.fullmatch(value):
        values.refuse("is a placeholder; write the real name, file or folder")
    if _MORE.search(value):
        values.refuse("has a # behind the name; write the comment in a line of its own")
    return values.text(value)


def _take_adapter(reading: Reading, value: str) -> None:
    """Take an adapter; the last one wins, as in Ollama."""
    reading.data["adapters"] = [{"name": adapter_name(value), "uri": _parsed(_local(value))}]


def _take_from(reading: Reading, value: str, line: int) -> None:
    """Take the base. Of several files Ollama makes one model, the first holds the language model; of names the last."""
    uri, before = _checked_uri(value), reading.data["modelfile"].get("base")
    if before is not None:
        files = uri.startswith("local://") and from_address(before).startswith("local://")
        lost, remedy = (value, "keep it for Ollama") if files else (before, "keep one FROM line")
        reading.warn_at(line, "FROM", (f"(line {line}): is one of several; {lost[:200]} is not carried over", remedy))
        if files:
            return
    reading.data["modelfile"]["base"] = value
    last = value.rstrip("/").rpartition("/")[2]
    reading.name, reading.derived = to_label(last.removesuffix(".gguf")), True
    if value.startswith(("hf.co/", "huggingface.co/", "https://")) or uri.startswith("local://"):
        reading.data["storage"] = {"uri": uri}
    else:
        reading.data.pop("storage", None)


def _checked_uri(value: str) -> str:
    """Return the address of a base. Raises ValueError for a file or folder that no address can name."""
    registry = _REGISTRY.fullmatch(value) and not value.startswith(("hf.co/", "huggingface.co/"))
    if registry or not value.strip("./\\"):
        return f"hf://{value}"  # A registry's name or the folder itself: like any name, the base alone says it.
    return _parsed(from_address(value))


def _parsed(uri: str) -> str:
    """Return a file's or folder's address when it is one. Raises ValueError for one that no address can name."""
    if uri.startswith("local://"):
        try:
            StorageUri.parse(uri)
        except ValueError as error:
            values.refuse(f"{str(error).partition(';')[0]}; write the path from the root, such as /models/x.gguf")
    return uri


def _take_parameter(reading: Reading, item: Instruction) -> None:
    part = reading.data["modelfile"].setdefault("parameters", {})
    if item.argument in RETIRED:
        place = f"PARAMETER {item.argument}"
        reading.warn_at(item.line, place, (f"(line {item.line}): is not carried over: Ollama ignores it", "remove it"))
        return
    _checked(reading, item, lambda: _add(part, item.argument, read_parameter(item.argument, item.value)))


def _add(part: dict[str, Any], name: str, value: Any) -> None:
    if name == "stop":
        part.setdefault("stop", []).extend(value)
    else:
        part[name] = value


def _checked(reading: Reading, item: Instruction, take: Callable[[], None]) -> None:
    """Take a value; one that does not fit is an error at its line."""
    try:
        take()
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        place = f"{item.command} {item.argument[:40]}".strip()
        reading.error_at(item.line, place, item.value, (f"(line {item.line}): {problem}", remedy))


def _local(value: str) -> str:
    """Read an adapter's address: unlike FROM, a bare name is a folder here."""
    uri = from_address(value)
    return f"local://{value}" if uri.startswith("hf://") and not value.startswith(("hf.co/", "hf://")) else uri


def write(_: str, data: dict[str, Any]) -> str:
    """Write the text. Raises Unwritable where there is no FROM, or a value cannot be quoted."""
    refuse_external(data, "Ollama")
    part = data.get("modelfile", {})
    lines = [f"FROM {quote(part.get('base') or _base(data))}"]
    # ADAPTER takes one folder; the comparison with what is read back reports the others.
    addresses = [address for adapter in data.get("adapters", []) if (address := _adapter(adapter))]
    lines += [f"ADAPTER {quote(address)}" for address in addresses[:1]]
    for parameter, value in part.get("parameters", {}).items():
        for item in value if isinstance(value, list) else [value]:
            text = str(item).lower() if isinstance(item, bool) else str(item)
            lines.append(f"PARAMETER {parameter} {quote(text)}")
    lines += [f"{command} {quote(part[field])}" for command, field in _ONCE.items() if field in part]
    lines += [f"MESSAGE {item['role']} {quote(item['content'])}" for item in part.get("messages", [])]
    lines += [f"LICENSE {quote(item)}" for item in part.get("licenses", [])]
    return "\n".join(lines) + "\n"


def _base(data: dict[str, Any]) -> str:
    uri = paths.get(data, "storage.uri")
    if uri is paths.MISSING and "path" in data:
        return f"./{data['path']}"
    if uri is paths.MISSING or not uri.startswith(("hf://", "local://")):
        raise Unwritable("has no weights that FROM can name; give it a storage.uri hf://… or local://…")
    source = StorageUri.parse(uri)
    if source.scheme == "hf":
        return f"hf.co/{source.get('model')}"
    address = to_address(uri)
    return address if address.startswith(("/", "./", "~")) else f"./{address}"


def _adapter(adapter: dict[str, Any]) -> str | None:
    scheme, _, rest = str(adapter.get("uri", "")).partition("://")
    if scheme == "local":
        return rest if rest.startswith(("/", "~")) else f"./{rest}"
    return f"hf.co/{rest.partition('@')[0]}" if scheme == "hf" else None


MODELFILE = Dialect("modelfile", detect, read, write)
