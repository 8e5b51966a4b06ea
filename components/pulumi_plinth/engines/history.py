"""EngineHistory: which names each release of an engine knew, read by `tests/engines/write_history.py`. Pure values.

The file `<engine>-history.json` beside this module ships in the wheel. Only some releases were read; between two of
them a name counts as unknown only where neither knew it, so that nothing is refused wrongly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal

from pulumi_plinth.errors import PlinthError

Release = tuple[int, ...]
Kind = Literal["flags", "tool_parsers", "reasoning_parsers", "quantizations", "architectures", "environment"]
KINDS: tuple[Kind, ...] = (
    "flags", "tool_parsers", "reasoning_parsers", "quantizations", "architectures", "environment",
)  # fmt: skip


@dataclass(frozen=True)
class EngineHistory:
    """Releases that were read, oldest first, and for each kind of name the releases that knew it."""

    engine: str
    releases: tuple[Release, ...]
    names: Mapping[str, Mapping[str, frozenset[Release]]]

    def knew(self, kind: Kind, name: str, version: Release) -> bool | None:
        """Tell whether a release knew a name; None where what was read does not say.

        A name that came after the first release that was read was not there before it; one that never came may have
        been there before.
        """
        known = self.names[kind].get(name, frozenset())
        near = self._near(version)
        if not near:
            older = version < self.releases[0]
            return False if older and known and self.releases[0] not in known else None
        answers = {release in known for release in near}
        return answers.pop() if len(answers) == 1 else None

    def ever(self, kind: Kind, name: str) -> bool:
        """Tell whether any release that was read knew a name."""
        return name in self.names[kind]

    def at(self, kind: Kind, version: Release) -> frozenset[str]:
        """Return every name that a release may have known."""
        return frozenset(name for name in self.names[kind] if self.knew(kind, name, version) is not False)

    def first(self, kind: Kind, name: str) -> Release | None:
        """Return the first release that was read and knew a name."""
        return min(self.names[kind].get(name, ()), default=None)

    def last(self, kind: Kind, name: str) -> Release | None:
        """Return the last release that was read and knew a name."""
        return max(self.names[kind].get(name, ()), default=None)

    def _near(self, version: Release) -> tuple[Release, ...]:
        """Return the releases that speak for one: itself, else those on both sides; () where it is outside."""
        if version in self.releases:
            return (version,)
        before = [release for release in self.releases if release < version]
        after = [release for release in self.releases if release > version and release[: len(version)] != version]
        own = [release for release in self.releases if release[: len(version)] == version]
        return (before[-1], *own, after[0]) if before and after else ()


@lru_cache(maxsize=8)
def load_history(engine: str) -> EngineHistory:
    """Read the history of an engine. Raises PlinthError when there is none."""
    source = files("pulumi_plinth.engines") / f"{engine}-history.json"
    if not source.is_file():
        raise PlinthError(f"no history of {engine} is there")
    return parse_history(json.loads(source.read_text(encoding="utf-8")))


def parse_history(document: Mapping[str, Any]) -> EngineHistory:
    """Read the document: for each name spans of releases, `0.8.5-0.12.0 0.16.0-0.16.0`."""
    releases = tuple(_release(text) for text in document["releases"])
    return EngineHistory(
        engine=document["engine"],
        releases=releases,
        names={
            kind: {name: _within(text, releases) for name, text in document.get(kind, {}).items()} for kind in KINDS
        },
    )


def _within(text: str, releases: tuple[Release, ...]) -> frozenset[Release]:
    spans = [tuple(_release(end) for end in span.split("-")) for span in text.split()]
    return frozenset(release for release in releases if any(first <= release <= last for first, last in spans))


def _release(text: str) -> Release:
    return tuple(int(part) for part in text.split("."))
