"""Words of a command line -> arguments, read as vLLM's own parser reads them. Pure: grammar only, no value is judged.

vLLM 0.32 (`FlexibleArgumentParser`): underscores in names count as dashes; `--flag=value`; `--flag.key value` and
`--flag.key+ a,b` fill a mapping and always take the next word; `-O2` is `--optimization-level 2`; a flag may be cut
short as long as one flag begins so; `-1` is a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pulumi_plinth.engines.renamed import FLAGS
from pulumi_plinth.engines.table import EngineTable, Flag
from pulumi_plinth.errors import nearest

_NUMBER = re.compile(r"-(\d+|\d*\.\d+)")
_LEVELS = ("0", "1", "2", "3")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Argument:
    """One use of a flag. `word` is how it was written; `key` is `a.b` of `--flag.a.b`, else ''."""

    flag: Flag
    word: str
    values: tuple[str, ...] = ()
    key: str = ""
    shortened: bool = False

    @property
    def negated(self) -> bool:
        """Whether the `--no-` form was used."""
        return self.word.replace("_", "-").startswith("--no-") and not self.flag.name.startswith("--no-")


@dataclass(frozen=True, slots=True)
class Misread:
    """A word that the engine would refuse to read: what is wrong and what to write instead."""

    word: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _Found:
    """A flag that a name stands for; `glued` is the 8 of -q8."""

    flag: Flag
    glued: str = ""
    shortened: bool = False


def read_words(words: Sequence[str], table: EngineTable) -> Iterator[Argument | Misread]:
    """Yield what each flag was given, and each word that belongs to none, in order."""
    rest = list(words)
    last: Argument | Misread | None = None
    while rest:
        word = rest.pop(0)
        last = _read_flag(word, rest, table) if _is_flag(word, table) else _stray(word, last)
        yield last


def _is_flag(word: str, table: EngineTable) -> bool:
    if not word.startswith("-") or word in ("-", "--") or _NUMBER.fullmatch(word):
        return False
    return " " not in word or _name(word).partition(".")[0] in table.spellings


def _name(word: str) -> str:
    """Return a flag as the parser sees it: underscores of the long form are dashes up to the first dot."""
    name = word.partition("=")[0]
    head, dot, keys = name.partition(".")
    return (head.replace("_", "-") if head.startswith("--") else head) + dot + keys


def _read_flag(word: str, rest: list[str], table: EngineTable) -> Argument | Misread:
    """Read one flag and take its values from what follows."""
    name, equals, given = _name(word), "=" in word, word.partition("=")[2]
    if name.startswith("-O"):
        name, equals, given = _level(word, rest)
    head, _, key = name.partition(".")
    found = _find(head, word, table)
    if isinstance(found, Misread):
        if not equals:
            _take(rest, table, "many")
        return found
    flag = found.flag
    if found.glued:
        equals, given = True, found.glued
    if key:
        return _read_key(flag, word, key, [given] if equals else rest)
    if equals and flag.values == "none":
        switch = f"{flag.name} or {flag.other_names[-1]}" if flag.other_names else f"{flag.name}, or leave it out"
        return Misread(word, "takes no value", f"write {switch}")
    values = (given,) if equals else _take(rest, table, flag.values)
    if flag.values in ("one", "many") and not values:
        return Misread(word, "has no value", f"write {flag.name} and its value")
    return Argument(flag, word, values, shortened=found.shortened)


def _level(word: str, rest: list[str]) -> tuple[str, bool, str]:
    """Read -O, -O2, -O=2 and -O 2 as the long form."""
    given = word[2:].removeprefix("=")
    if not given and rest and rest[0] in _LEVELS:
        given = rest.pop(0)
    return "--optimization-level", bool(given), given


def _read_key(flag: Flag, word: str, key: str, source: list[str]) -> Argument | Misread:
    if not source:
        return Misread(word, "has no value", f"write {word} and its value")
    value = source.pop(0)
    return Argument(flag, word, (value,), key.removesuffix("+"))


def _take(rest: list[str], table: EngineTable, values: str) -> tuple[str, ...]:
    """Take the values that a flag wants: as many as follow, one, at most one, or none."""
    limit = {"none": 0, "one": 1, "optional": 1}.get(values, len(rest))
    count = 0
    while count < min(limit, len(rest)) and not _is_flag(rest[count], table):
        count += 1
    taken = tuple(rest[:count])
    del rest[:count]
    return taken


def _find(name: str, word: str, table: EngineTable) -> _Found | Misread:
    """Look a name up: whole, with a value glued to one letter, or cut short."""
    if name in table.spellings:
        return _Found(table.spellings[name])
    if not name.startswith("--") and name[:2] in table.spellings:
        return _Found(table.spellings[name[:2]], glued=name[2:])
    beginning = sorted(spelling for spelling in table.spellings if spelling.startswith(name))
    if len(beginning) == 1:
        return _Found(table.spellings[beginning[0]], shortened=True)
    if beginning:
        return Misread(
            word, f"is the beginning of {len(beginning)} flags", f"write one of {', '.join(beginning[:_SHOWN])}"
        )
    if name in FLAGS:
        return Misread(word, f"is not a flag of {table} any more", f"write {FLAGS[name]}")
    remedy = nearest(name, table.spellings) or "take one that `vllm serve --help=all` lists"
    return Misread(word, f"is not a flag of {table}", remedy)


def _stray(word: str, last: Argument | Misread | None) -> Misread:
    if isinstance(last, Argument) and last.flag.values == "none":
        return Misread(word, f"follows {last.word}, which takes no value", "remove it")
    remedy = "write each flag and each value as an item of its own"
    return Misread(word, "is a value that no flag takes", remedy)
