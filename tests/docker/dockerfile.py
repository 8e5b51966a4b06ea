"""Reads a Dockerfile as far as ours needs it: instructions, stages, build arguments. No daemon, no builder."""

import json
import re
from dataclasses import dataclass

VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<sign>[-+])(?P<word>[^}]*))?\}")
INSTRUCTIONS = {
    "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "VOLUME",
    "WORKDIR",
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One instruction: its keyword, its flags (`--from=x`), the rest of its text, and the line it begins on."""

    keyword: str
    flags: dict
    text: str
    line: int

    def words(self):
        """The words of its JSON form, or of its text."""
        return json.loads(self.text) if self.text.startswith("[") else self.text.split()

    def pairs(self):
        """NAME=value as in ARG, ENV and LABEL; an ARG without a value has None."""
        found = re.findall(r'([\w.]+)(?:=("[^"]*"|\S*))?', self.text)
        return {name: value.strip('"') if f"{name}=" in self.text else None for name, value in found}


@dataclass(frozen=True)
class Stage:
    """What it is built on, its name, and its steps without the FROM."""

    base: str
    name: str
    steps: tuple


def parse(text):
    """(global ARG steps, stages). Raises AssertionError for an instruction that it does not know."""
    before, stages = [], []
    for step in _steps(text):
        assert step.keyword in INSTRUCTIONS, f"line {step.line}: {step.keyword}"
        if step.keyword == "FROM":
            base, _, name = step.text.partition(" AS ")
            stages.append((base, name, []))
        elif stages:
            stages[-1][2].append(step)
        else:
            before.append(step)
    return before, [Stage(base, name, tuple(steps)) for base, name, steps in stages]


def _steps(text):
    logical, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (line.strip() or logical):
            continue
        began = began if logical else number
        logical += line.rstrip("\\").strip() + " "
        if not line.endswith("\\"):
            yield _step(logical.strip(), began)
            logical = ""
    assert not logical, "the last line goes on"


def _step(logical, line):
    keyword, _, rest = logical.partition(" ")
    flags = {}
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        name, _, value = flag[2:].partition("=")
        flags[name] = value
    return Step(keyword, flags, rest.strip(), line)


def expand(text, values):
    """Put variables in, with `:-` and `:+` as a builder does."""

    def value(match):
        known = values.get(match["name"]) or ""
        if match["sign"] == "+":
            return expand(match["word"], values) if known else ""
        return known or (match["word"] or "" if match["sign"] == "-" else "")

    return VARIABLE.sub(value, text)
