"""Ollama's Modelfile as text: lines of instructions, read and written by Ollama's own grammar. Pure.

A value is bare up to the end of its line, or in "…" or three quotes over several lines; nothing is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

COMMANDS = (
    "FROM", "LICENSE", "TEMPLATE", "SYSTEM", "ADAPTER", "RENDERER", "PARSER", "PARAMETER", "MESSAGE", "DRAFT",
    "REQUIRES",
)  # fmt: skip
ROLES = ("system", "user", "assistant")

_FIRST = re.compile(rf"(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(?:{'|'.join(COMMANDS)})[ \t]+\S", re.IGNORECASE)
_WORD = re.compile(r"\s*(\S+)[ \t]*")
_NAME = re.compile(r"[A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `argument` is the name of a parameter or the role of a message, else empty."""

    line: int
    command: str
    argument: str
    value: str


@dataclass(frozen=True, slots=True)
class TextFault:
    """One mistake in a Modelfile."""

    line: int
    path: str
    value: str | None
    problem: str
    remedy: str


def looks_like(text: str) -> bool:
    """Tell whether a text begins as a Modelfile does."""
    return _FIRST.match(text.removeprefix("\ufeff")) is not None


def parse(text: str) -> Iterator[Instruction | TextFault]:
    """Read the instructions and faults of a Modelfile, in order."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    index = 0
    while index < len(lines):
        number, line = index + 1, lines[index]
        index += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        head = _head(line, number)
        if isinstance(head, TextFault):
            yield head
            continue
        command, argument, rest = head
        end = _end(lines, rest, index)
        if end is None:
            # Everything below is inside the quote, so nothing more can be said about it.
            remedy = 'end it with " or """; what stands behind a closing quote belongs to the text'
            yield TextFault(number, command, None, "has a quote that is never closed", remedy)
            return
        value = _unquoted("\n".join([rest, *lines[index:end]]).strip())
        index = end
        if not value and command in {"FROM", "PARAMETER", "ADAPTER"}:
            yield TextFault(number, command, None, "has no value", f"write it behind {command}")
        else:
            yield Instruction(number, command, argument, value)


def _head(line: str, number: int) -> tuple[str, str, str] | TextFault:
    """Split off the command, and the parameter's name or the message's role."""
    match = _WORD.match(line)
    word = match[1] if match else ""
    command, rest = word.upper(), line[match.end() if match else 0 :]
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        remedy = f'command must be one of {known}; text of several lines needs """ around it'
        return TextFault(number, word[:80], None, "is no instruction", remedy)
    if not _goes_on(line, match):
        return TextFault(number, command, None, "has no value", f"write it behind {command}")
    return (command, "", rest) if command not in {"PARAMETER", "MESSAGE"} else _argument(command, rest, number)


def _argument(command: str, rest: str, number: int) -> tuple[str, str, str] | TextFault:
    """Split off the name of a parameter or the role of a message; a space or tab must follow it."""
    match = _WORD.match(rest)
    argument = match[1] if match else ""
    if command == "MESSAGE" and argument not in ROLES:
        return TextFault(number, command, argument[:80], "is no role", f"write {', '.join(ROLES)}, in lower case")
    if not _NAME.fullmatch(argument):
        remedy = "write name and value with a space between, such as `PARAMETER temperature 0.7`"
        return TextFault(number, command, argument[:80], "is no name of a parameter", remedy)
    if argument and not _goes_on(rest, match):
        return TextFault(number, f"{command} {argument[:40]}", None, "has no value", "write it behind, after a space")
    return command, argument, rest[match.end() if match else 0 :]


def _goes_on(line: str, word: re.Match[str] | None) -> bool:
    """Tell whether a space or tab follows the word: Ollama ends a word with nothing else."""
    return word is not None and line[word.end(1) : word.end(1) + 1] in {" ", "\t"}


def _end(lines: list[str], rest: str, index: int) -> int | None:
    """Return the line after the value, or None when its quote is never closed. Looks at each line once."""
    first = rest.strip()
    mark = '"""' if first.startswith('"""') else '"' if first.startswith('"') else ""
    if not mark or (len(first) >= 2 * len(mark) and first.endswith(mark)):
        return index
    return next((at + 1 for at in range(index, len(lines)) if lines[at].rstrip().endswith(mark)), None)


def _unquoted(text: str) -> str:
    """Return what a whole value means."""
    if text.startswith('"""'):
        return text[3:-3]
    return text[1:-1] if text.startswith('"') else text


def quote(value: str) -> str:
    """Write a value so that it reads back the same. Raises ValueError where the grammar cannot."""
    if value and value == value.strip() and "\n" not in value and not value.startswith('"'):
        return value
    if '"""' in value:
        raise ValueError('holds """, which a Modelfile cannot quote; write it another way')
    return f'"""{value}"""'
