"""What builders refuse, and in which words: the field, its value, what is wrong and what to write instead. Pure.

BuildError (a ValueError)             parameters that cannot be followed
MissingPackageError (an ImportError)  this environment lacks what a builder needs
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable
from typing import Any


class BuildError(ValueError):
    """A parameter asks for something that does not exist or does not fit the model."""

    def __init__(self, field: str, value: Any, problem: str, remedy: str) -> None:
        super().__init__(f"{field}: {problem} (got {shorten(value)}). Fix: {remedy}.")
        self.field = field
        self.value = value
        self.remedy = remedy


class MissingPackageError(ImportError):
    """A package is not in this environment. The message names the environment that has it."""


def shorten(value: Any) -> str:
    """Show a value in 100 characters at most."""
    return textwrap.shorten(repr(value), 100, placeholder="...")


def near(word: str, known: Iterable[str], limit: int = 3) -> str:
    """List the known names most like `word`; an empty string when none is."""
    return ", ".join(difflib.get_close_matches(word, list(known), n=limit, cutoff=0.5))
