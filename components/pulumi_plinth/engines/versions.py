"""Versions of formats and frameworks, compared as OME compares them (pkg/modelver). Pure.

`v1.2.3-pre+build` and `4.43.0.dev0` are read; a version that cannot be read matches nothing. The operator is the
runtime's and asks whether *its* version is greater than the model's: a runtime for 4.51 serves a model of 4.43.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pulumi_plinth.model.formats import VersionedName

_NUMBER = r"(0|[1-9]\d*)"
_SHAPE = re.compile(rf"(v?){_NUMBER}(?:\.{_NUMBER}(?:\.{_NUMBER}(\.[^-+]+)?(-[^+]+)?(\+.+)?)?)?")


@dataclass(frozen=True, slots=True)
class Version:
    """A version. `parts` is how many numbers were written; `unofficial` a preview, a build, a state of development."""

    prefix: str
    numbers: tuple[int, int, int]
    parts: int
    unofficial: tuple[str, str, str]


def parse_version(text: str) -> Version | None:
    """Read a version; None when it is not one."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        return None
    prefix, major, minor, patch, development, preview, build = match.groups()
    given = [part for part in (major, minor, patch) if part is not None]
    numbers = (int(major), int(minor or 0), int(patch or 0))
    return Version(prefix, numbers, len(given), (preview or "", build or "", development or ""))


def version_fits(runtime: VersionedName, model: VersionedName) -> bool:
    """Tell whether a runtime's version suits the model's; one without a version suits only one without."""
    if runtime.version is None or model.version is None:
        return runtime.version is model.version
    ours, theirs = parse_version(runtime.version), parse_version(model.version)
    if ours is None or theirs is None:
        return False
    same = (ours.numbers, ours.unofficial) == (theirs.numbers, theirs.unofficial)
    if runtime.operator == "Equal" or any((*ours.unofficial, *theirs.unofficial)):
        return same
    if (ours.parts, ours.prefix) != (theirs.parts, theirs.prefix):
        return False
    return ours.numbers > theirs.numbers or (same and runtime.operator == "GreaterThanOrEqual")
