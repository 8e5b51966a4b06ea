"""Facts with their patterns kept compiled: there are more of them than Python remembers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pulumi_plinth.check.facts_place_words import Facts


class Reader(Facts):
    """The same readings, without compiling each pattern for each mapping anew."""

    def find(self, pattern: str) -> tuple[str, Any] | None:
        """Return the first key that the pattern describes wholly, with its value."""
        return next(self.each(pattern), None)

    def each(self, pattern: str) -> Iterator[tuple[str, Any]]:
        """Yield all keys that the pattern describes wholly, with their values."""
        describes = _compiled(pattern).fullmatch
        for key, value in self._values.items():
            if describes(key):
                self.read.add(key)
                yield key, value


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
