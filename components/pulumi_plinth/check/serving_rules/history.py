"""Rules about names of another time: flags, parsers, variables and model classes that a release did not know.

They speak only where a release is stated and what was read of releases around it agrees; the pinned release has its own
table and rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pulumi_plinth.check.core import Rule, Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving, Version
from pulumi_plinth.check.serving_rules.architectures import speaks_for
from pulumi_plinth.check.serving_rules.releases import PARSERS_SINCE, release
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.engines.history import EngineHistory, Kind
from pulumi_plinth.engines.renamed import FLAGS, VARIABLES
from pulumi_plinth.engines.table import EngineTable
from pulumi_plinth.errors import nearest

PARSERS: tuple[tuple[str, Kind], ...] = (
    ("tool-call-parser", "tool_parsers"),
    ("reasoning-parser", "reasoning_parsers"),
)
PLUGIN = "tool-parser-plugin"
ANY_CODE = "ForCausalLM"
"""Text models of classes that a release does not know run by Transformers' own code."""


def history_rules(history: EngineHistory, table: EngineTable) -> tuple[Rule, ...]:
    """Return the rules that ask what older releases knew."""
    past = _Past(history, table)
    return (past.flags, past.parsers, past.variables, past.classes)


@dataclass(frozen=True, slots=True)
class _Past:
    """Rules over what was read of older releases, and the table of the pinned one."""

    history: EngineHistory
    table: EngineTable

    def flags(self, subject: Subject) -> Iterator[Verdict]:
        """Hold that a release takes the flags of its time; a flag may be cut short."""
        version = self._older(subject.serving)
        if version is None or subject.serving.engine != "vllm":
            return
        there = self.history.at("flags", version)
        for flag in _flags(subject.serving):
            name = f"--{flag.removeprefix('--no-')}" if flag.startswith("--no-") else flag
            short = any(known.startswith(name) for known in there)
            if not short and self.history.knew("flags", name, version) is False:
                problem = f"{flag} {self._when('flags', name, version)}"
                remedy = FLAGS.get(name) or nearest(name, there) or "leave it out"
                yield refuse("flag", flag, problem, remedy)

    def parsers(self, subject: Subject) -> Iterator[Verdict]:
        """Hold that a release has the parsers of its time, unless a plug-in brings one."""
        serving, version = subject.serving, self._older(subject.serving)
        for flag, kind in PARSERS if version and PLUGIN not in serving.arguments else ():
            name = serving.arguments.get(flag, "")
            early = version is not None and version < PARSERS_SINCE.get(name, ())
            if version and name and (early or self.history.knew(kind, name, version) is False):
                problem = f"'{name}' {self._when(kind, name, version)}"
                yield refuse("flag", f"--{flag}", problem, "take a parser of this release, or a newer release")

    def variables(self, subject: Subject) -> Iterator[Verdict]:
        """Hold that the engine's variables do something: of others it says so in its log only, if at all."""
        version = subject.serving.version
        for name in subject.serving.environment:
            if name.startswith("VLLM_") and self._reads(name, version) is False:
                of = f"vLLM {release(version)}" if version else str(self.table)
                remedy = f"write {VARIABLES[name]}" if name in VARIABLES else "leave it out, or write the flag"
                yield warn("environment", name, f"{name} is read by nothing in {of}", remedy)

    def classes(self, subject: Subject) -> Iterator[Verdict]:
        """Hold that a release knows a model's class; classes of text models have another way in."""
        card, version = subject.serving.card, self._older(subject.serving)
        name = card.architecture if card else ""
        if version is None or name.endswith(ANY_CODE) or not self.history.ever("architectures", name):
            return
        if self.history.knew("architectures", name, version) is False:
            problem = f"{name} {self._when('architectures', name, version)}"
            yield refuse("model-release", "image", problem, "take a release that knows it")

    def _older(self, serving: Serving) -> Version | None:
        """Return the release where it is stated and the pinned table does not speak for it."""
        version = serving.version
        return version if version and version != (0,) and not speaks_for(self.table, serving) else None

    def _reads(self, name: str, version: Version | None) -> bool | None:
        """Tell whether a release reads a variable; where nobody says which, only what none ever read is not."""
        if version is None:
            return name in self.table.environment or self.history.ever("environment", name)
        if speaks_for(self.table, Serving(version=version)):
            return name in self.table.environment
        ever = name in self.table.environment or self.history.ever("environment", name)
        return self.history.knew("environment", name, version) if ever else False

    def _when(self, kind: Kind, name: str, version: Version) -> str:
        """Say when a name was known, beside the release that is asked."""
        first, last = self.history.first(kind, name), self.history.last(kind, name)
        if first is None or last is None:
            read = release(self.history.releases[0])
            return f"is known to no release from {read} on, this is {release(version)}"
        if first > version:
            return f"is there in vLLM {release(first)} and later, this is {release(version)}"
        return f"was last known to vLLM {release(last)}, this is {release(version)}"


def _flags(serving: Serving) -> list[str]:
    """Return the flags of a command line as they are looked up: without values, keys and underscores."""
    words = (word.partition("=")[0].partition(".")[0] for word in serving.words)
    names = (f"--{word[2:].replace('_', '-')}" if word.startswith("--") else word for word in words)
    return list(dict.fromkeys(name for name in names if _is_flag(name)))


def _is_flag(word: str) -> bool:
    """Tell a flag from a value: `-O3`, `-1` and a text with blanks are none that can be looked up."""
    plain = word.startswith("-") and word.strip("-") != "" and " " not in word
    return plain and not word[1:2].isdigit() and not word.startswith("-O")
