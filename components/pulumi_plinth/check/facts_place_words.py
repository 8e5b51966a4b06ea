"""Reads loosely written facts: keys in any spelling, numbers with units or ranges, booleans and absence as words. Pure.

People write `emptyDir.sizeLimit: absent`, `weights_gb: above 5`, `root_gb: 30 to 47`, `sriov_resource: requested`. What
a value means is decided here once; which fact is which is decided by the readers of `facts_place*.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pulumi_plinth.check.place_pod import Taint

GIGABYTE = 10.0**9
DEPTH = 8
"""Mappings in mappings are followed so far: YAML can write one that holds itself."""

TOO_LARGE = 1e24
"""Numbers from here on are nobody's: they are left out, as are infinity and what is no number."""

PLAIN_NUMBER_IS_BYTES = 10.0**7
"""A size without any unit is bytes from here on; below, people mean gigabytes."""

UNITS = {
    "b": 1.0, "bytes": 1.0, "k": 1e3, "kb": 1e3, "ki": 2.0**10, "kib": 2.0**10, "m": 1e6, "mb": 1e6, "mi": 2.0**20,
    "mib": 2.0**20, "g": 1e9, "gb": 1e9, "gbs": 1e9, "gi": 2.0**30, "gib": 2.0**30, "t": 1e12, "tb": 1e12,
    "ti": 2.0**40, "tib": 2.0**40,
}  # fmt: skip
SECONDS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
NUMBER = re.compile(r"(?<![\w.])(\d[\d_,]*(?:\.\d+)?(?:e\d+)?)\s*([A-Za-z]*)")
ABSENT = re.compile(
    r"(absent|none|missing|unset|nil|null|nothing|omitted|empty|no|without|lacks?|lacking|"
    r"not (set|given|present|there|specified|defined|installed|configured|mounted|declared|requested))\b.*|",
    re.IGNORECASE,
)
FALSE = re.compile(r"(false|off|disabled?|0|not)\b.*", re.IGNORECASE)
COUNTS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}


class Facts:
    """A mapping seen with all keys in one spelling (`livenessProbe.period` is `liveness_probe_period`)."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._values = dict(_flatten("", facts))
        self.read: set[str] = set()

    def find(self, pattern: str) -> tuple[str, Any] | None:
        """Return the first key, in the order of the facts, that the pattern describes wholly, with its value."""
        return next(self.each(pattern), None)

    def each(self, pattern: str) -> Iterator[tuple[str, Any]]:
        """Yield all keys that the pattern describes wholly, with their values."""
        fits = re.compile(pattern).fullmatch
        for key, value in self._values.items():
            if fits(key):
                self.read.add(key)
                yield key, value

    def has(self, pattern: str) -> bool:
        """Tell whether anything is said under such a key."""
        return self.find(pattern) is not None

    def absent(self, pattern: str) -> bool:
        """Tell whether it is said that there is none."""
        found = self.find(pattern)
        return found is not None and is_absent(found[1])

    def text(self, pattern: str) -> str | None:
        """Return a value as text; lists are joined, and what is absent is ''."""
        found = self.find(pattern)
        if found is None:
            return None
        return "" if is_absent(found[1]) else ", ".join(words_of(found[1]))

    def raw(self, pattern: str) -> str:
        """Return a value as it is written, denials included; '' when nothing is said."""
        found = self.find(pattern)
        return str(found[1]) if found else ""

    def everything(self) -> str:
        """Return all values as one text; no key counts as read."""
        return " ".join(str(value) for value in self._values.values())

    def words(self, pattern: str) -> tuple[str, ...] | None:
        """Return a list as texts; one value is a list of one, and what is absent is ()."""
        found = self.find(pattern)
        return None if found is None else words_of(found[1])

    def number(self, pattern: str, pick: Callable[..., float] = min) -> float | None:
        """Return a number; of a range the end that `pick` (min or max) takes. What is absent is 0."""
        found = self.find(pattern)
        return None if found is None else number_of(found[1], pick)

    def size(self, pattern: str, pick: Callable[..., float] = min) -> float | None:
        """Return bytes: the unit stands with the value or ends the key. What is absent is 0."""
        found = self.find(pattern)
        return None if found is None else size_of(found[0], found[1], pick)

    def seconds(self, pattern: str, pick: Callable[..., float] = min) -> float | None:
        """Return a duration: the unit stands with the value or ends the key; without one it is seconds."""
        found = self.find(pattern)
        return None if found is None else seconds_of(found[0], found[1], pick)

    def flag(self, pattern: str) -> bool | None:
        """Return whether something is so: any word that does not deny it affirms it."""
        found = self.find(pattern)
        if found is None:
            return None
        return not (is_absent(found[1]) or found[1] is False or FALSE.fullmatch(str(found[1]).strip()))

    def version(self, pattern: str) -> tuple[int, ...] | None:
        """Return a release such as v1.26.7 as numbers."""
        return version_of(self.text(pattern) or "")


def normal(key: str) -> str:
    """Spell a key in small letters with underscores."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    return re.sub(r"[^A-Za-z0-9]+", "_", spaced).strip("_").lower()


def is_absent(value: Any) -> bool:
    """Tell whether a value says that there is none."""
    return value is None or value in ([], {}, ()) or (isinstance(value, str) and bool(ABSENT.fullmatch(value.strip())))


def words_of(value: Any) -> tuple[str, ...]:
    """Return the texts of a value."""
    if is_absent(value):
        return ()
    if isinstance(value, Mapping):
        return tuple(f"{key}={item}" for key, item in value.items())
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else (str(value),)


def number_of(value: Any, pick: Callable[..., float]) -> float | None:
    """Return the number, or of a range one end, that a value speaks of; None when it speaks of none."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < TOO_LARGE else None
    if is_absent(value):
        return 0.0
    if isinstance(value, (list, tuple)):
        return float(len(value))
    text = str(value)
    numbers = [float(found[1].replace(",", "").replace("_", "")) for found in NUMBER.finditer(text)]
    numbers = numbers or [float(COUNTS[word]) for word in text.lower().split() if word in COUNTS]
    numbers = [number for number in numbers if number < TOO_LARGE]
    return pick(numbers) if numbers else None


def size_of(key: str, value: Any, pick: Callable[..., float]) -> float | None:
    """Return the bytes that a value speaks of."""
    unit_of_key = next((UNITS[part] for part in reversed(key.split("_")) if part in UNITS and len(part) > 1), None)
    if is_absent(value):
        return 0.0
    sizes = []
    for found in NUMBER.finditer(str(value)):
        number = float(found[1].replace(",", "").replace("_", ""))
        unit = UNITS.get(found[2].lower(), unit_of_key)
        if number >= TOO_LARGE:
            continue
        sizes.append(number * (unit or (1.0 if number >= PLAIN_NUMBER_IS_BYTES else GIGABYTE)))
    return pick(sizes) if sizes else None


def seconds_of(key: str, value: Any, pick: Callable[..., float]) -> float | None:
    """Return the seconds that a value speaks of."""
    if is_absent(value):
        return 0.0
    unit_of_key = next((SECONDS[part] for part in reversed(key.split("_")) if part in SECONDS), 1.0)
    found = [
        float(match[1].replace(",", "").replace("_", "")) * SECONDS.get(match[2].lower(), unit_of_key)
        for match in NUMBER.finditer(str(value))
    ]
    found = [seconds for seconds in found if seconds < TOO_LARGE]
    return pick(found) if found else None


def version_of(text: str) -> tuple[int, ...] | None:
    """Return the first release in a text as numbers; None when there is none."""
    found = re.search(r"(?<![\d.])v?(\d+(?:\.\d+){1,2})", text)
    return tuple(int(part) for part in found[1].split(".")) if found else None


def taints_of(value: Any) -> tuple[Taint, ...]:
    """Read taints or tolerations: `key=value:Effect`, or mappings as Kubernetes writes them."""
    if is_absent(value):
        return ()
    if isinstance(value, Mapping):
        return (_taint(value),)
    if isinstance(value, (list, tuple)):
        return tuple(taint for item in value for taint in taints_of(item))
    return tuple(_taint_of_text(part.strip()) for part in str(value).split(",") if part.strip())


def pairs_of(value: Any) -> dict[str, str]:
    """Read labels: a mapping, or `key=value` texts."""
    if isinstance(value, Mapping):
        return {str(key): str(item) for key, item in value.items()}
    parts = [part.strip() for word in words_of(value) for part in word.split(",")]
    pairs = (part.partition("=" if "=" in part else ": ") for part in parts)
    return {key.strip(): item.strip() for key, _, item in pairs if key}


def _taint(item: Mapping[str, Any]) -> Taint:
    return Taint(
        key=str(item.get("key") or ""),
        value=str(item.get("value") or ""),
        effect=str(item.get("effect") or ""),
        exists=item.get("operator") == "Exists",
    )


def _taint_of_text(text: str) -> Taint:
    if re.match(r"(operator\W+)?exists\b|(all|any|every)\b", text, re.IGNORECASE):
        return Taint("", exists=True)
    body, _, effect = text.partition(":")
    key, equals, value = body.partition("=")
    return Taint((key.split() or [""])[0], value.strip(), effect.split(" ")[0], exists=not equals)


def _flatten(prefix: str, value: Mapping[str, Any], depth: int = DEPTH) -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        name = f"{prefix}_{normal(str(key))}".strip("_")
        yield name, item
        if isinstance(item, Mapping) and depth:
            yield from _flatten(name, item, depth - 1)
