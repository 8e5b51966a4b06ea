"""Which runtime serves a model: the rules of OME's runtime selection, with a reason for each that is not taken. Pure.

Every hard rule must hold (`matching.py`), and a format that matches must be open to automatic choice. Then points:
(weight of the format + weight of the framework) x priority of the best matching format. Ties: the nearest size range,
then the name. A namespaced runtime comes before every one of the cluster. (OME also counts formats that do not match,
so that a runtime can win by what it offers to other models; here it cannot.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pulumi_plinth.engines.matching import format_misfits, runtime_misfits
from pulumi_plinth.engines.runtime import Accelerator, Candidate, Override, Runtime, SupportedFormat

FORMAT_POINTS = 10
FRAMEWORK_POINTS = 5
"""Weights where a runtime gives none, or 0."""

ANY = Accelerator()
"""Nothing is demanded and nothing known."""

_SIZES: Mapping[str, tuple[str, ...]] = {
    "tensor": ("--tensor-parallel-size", "--tp-size", "--tp", "-tp"),
    "pipeline": ("--pipeline-parallel-size", "--pp-size", "--pp", "-pp"),
    "data": ("--data-parallel-size", "--dp-size", "--dp", "-dp"),
}
"""Flags for the size of a group, by vLLM and by SGLang; the first is added where none is there."""


@dataclass(frozen=True, slots=True)
class Match:
    """A runtime that could serve the model, the format that matches, and the points it has."""

    runtime: Runtime
    format: SupportedFormat
    points: int

    @property
    def reason(self) -> str:
        """Say how the points came about; an open format needs none to be understood."""
        if self.format.open:
            return f"{self.runtime.name}: serves what {self.runtime.engine} {self.runtime.version} knows"
        counted = [FORMAT_POINTS if not self.format.format else self.format.format.weight or FORMAT_POINTS]
        if self.format.framework:
            counted.append(self.format.framework.weight or FRAMEWORK_POINTS)
        scope = "namespaced" if self.runtime.namespaced else "cluster-wide"
        sums = " + ".join(map(str, counted))
        return f"{self.runtime.name}: ({sums}) x priority {_priority(self.format)} = {self.points} points, {scope}"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A runtime that cannot be taken, and every reason."""

    name: str
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        """Render as `name: reason; reason`."""
        return f"{self.name}: {'; '.join(self.reasons)}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The runtime that is taken, those that come after it in order, and those that cannot be taken."""

    chosen: Match | None
    others: tuple[Match, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Say what was taken and why nothing else was."""
        first = [f"{self.chosen.reason}, taken"] if self.chosen else ["no runtime can serve the model"]
        return (*first, *(f"{match.reason}, comes after" for match in self.others), *map(str, self.rejected))


def choose(runtimes: Iterable[Runtime], model: Candidate, accelerator: Accelerator = ANY) -> Choice:
    """Choose. The result does not depend on the order of the runtimes."""
    matches: list[Match] = []
    rejected: list[Rejected] = []
    for runtime in sorted(runtimes, key=lambda each: (each.name, not each.namespaced)):
        found = _match(runtime, model, accelerator)
        if isinstance(found, Match):
            matches.append(found)
        else:
            rejected.append(found)
    matches.sort(key=lambda match: (not match.runtime.namespaced, -match.points, _distance(match.runtime, model)))
    return Choice(matches[0] if matches else None, tuple(matches[1:]), tuple(rejected))


def overridden(match: Match, accelerator: Accelerator) -> tuple[tuple[str, ...], dict[str, str]]:
    """Give arguments and variables of a runtime on an accelerator: a flag said again replaces the first."""
    runtime = match.runtime
    change = match.format.overrides.get(accelerator.name or "", Override())
    arguments = _merged(runtime.arguments, change.arguments)
    for group, flags in _SIZES.items():
        size = getattr(change, group)
        if size:
            arguments = _resized(arguments, flags, size)
    return arguments, {**runtime.environment, **change.environment}


def _match(runtime: Runtime, model: Candidate, accelerator: Accelerator) -> Match | Rejected:
    against = list(runtime_misfits(runtime, model, accelerator))
    misfits = [format_misfits(supported, runtime, model, accelerator) for supported in runtime.formats]
    fitting = [each for each, wrong in zip(runtime.formats, misfits, strict=True) if not wrong]
    if not fitting:
        nearest = min(misfits, key=len, default=["names no model format"])
        return Rejected(runtime.name, (*against, *nearest))
    automatic = [each for each in fitting if each.auto_select is not False]
    if not automatic or not any(each.auto_select for each in runtime.formats):
        against.append("is not open to automatic choice (autoSelect), it must be named")
    if against:
        return Rejected(runtime.name, tuple(against))
    best = max(automatic, key=lambda each: _points(each, model))
    return Match(runtime, best, _points(best, model))


def _priority(supported: SupportedFormat) -> int:
    return 1 if supported.priority is None else supported.priority


def _points(supported: SupportedFormat, model: Candidate) -> int:
    points = (supported.format.weight if supported.format else 0) or FORMAT_POINTS
    if supported.framework and model.framework:
        points += supported.framework.weight or FRAMEWORK_POINTS
    return points * _priority(supported)


def _distance(runtime: Runtime, model: Candidate) -> int:
    """Return how far the bounds of the size range are from the model; an open end counts nothing, as in OME."""
    size = model.parameters
    return sum(abs(bound - size) for bound in (runtime.least, runtime.most) if bound is not None and size is not None)


def _merged(arguments: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    groups = {group[0].partition("=")[0]: group for group in _groups(arguments)}
    groups |= {group[0].partition("=")[0]: group for group in _groups(more)}
    return tuple(word for group in groups.values() for word in group)


def _groups(words: tuple[str, ...]) -> list[list[str]]:
    """Put every flag together with the values after it; -1 is a value."""
    groups: list[list[str]] = []
    for word in words:
        if not groups or (word.startswith("-") and not word[1:2].isdigit()):
            groups.append([word])
        else:
            groups[-1].append(word)
    return groups


def _resized(arguments: tuple[str, ...], flags: tuple[str, ...], size: int) -> tuple[str, ...]:
    found = next((flag for word in arguments for flag in flags if word.partition("=")[0] == flag), flags[0])
    return _merged(arguments, (f"{found}={size}",))
