"""EngineTable: what one engine release knows, as `runtime/engines/describe_engine.py` wrote it down. Pure values.

The files `<engine>-<version>.json` beside this module are generated (`make engine-table`) and ship in the wheel, so
that a plan needs no engine to be installed. Only `load_table` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from typing import Any, Literal

from pulumi_plinth.errors import PlinthError

Values = Literal["none", "optional", "one", "many"]
Kind = Literal["text", "integer", "number", "json", "name"]

GENERATING = ("ForCausalLM", "ForConditionalGeneration", "LMHeadModel")
"""How classes of models that generate are called; those of other tasks were not looked at."""

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "": ("", "_total", "_created", "_bucket", "_sum", "_count"),
}
"""What Prometheus appends to a name; a metric whose kind the source does not say may have any."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `other_names` are further spellings; `scaled` numbers may be written 32k; `words` count as values too.

    A number is at `least` and at `most`, or `above` and `below`; None is no bound.
    `folds`: upper case and dashes are read as lower case and underscores. `mapping`: keys may follow, as in
    `--flag.key value`; `keys` are those it knows, empty where any is taken. `repeats`: each use adds a value.
    """

    name: str
    other_names: tuple[str, ...] = ()
    values: Values = "one"
    kind: Kind = "text"
    scaled: bool = False
    words: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    folds: bool = False
    mapping: bool = False
    keys: tuple[str, ...] = ()
    repeats: bool = False
    deprecated: bool = False
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    default: str | int | float | bool | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every spelling."""
        return (self.name, *self.other_names)


@dataclass(frozen=True, slots=True)
class Quantization:
    """A way to make weights smaller: least compute capability as its class says, and whether it is on its way out."""

    name: str
    capability: tuple[int, int]
    deprecated: bool = False


@dataclass(frozen=True)
class EngineTable:
    """One release. Names are spelled as the engine spells them.

    `metrics` maps a name without Prometheus' suffix to its kind, '' where the source does not say it at one place.
    `architectures` maps a class to what it can do: generate, pooling, multimodal, transcription, pipeline, lora,
    hybrid, attention-free, draft, cross-encoder, late-interaction; `unread: …` where it could not be imported.
    `removed` maps a class to the last release that had it; `general` are those that run by Transformers' own code, of
    models that generate. `suffixes` may be exchanged in a name: a class for another task is made from the one there is.
    `described_on` is the device of the build that was asked.
    """

    engine: str
    version: str
    described_on: str
    flags: Mapping[str, Flag]
    tool_parsers: tuple[str, ...]
    reasoning_parsers: tuple[str, ...]
    quantizations: Mapping[str, Quantization]
    load_formats: tuple[str, ...]
    kv_cache_dtypes: tuple[str, ...]
    attention_backends: tuple[str, ...]
    float16_refused: frozenset[str]
    metrics: Mapping[str, str]
    architectures: Mapping[str, tuple[str, ...]]
    removed: Mapping[str, str]
    general: frozenset[str]
    suffixes: tuple[str, ...]
    environment: frozenset[str]

    def __str__(self) -> str:
        """Render as people call it: `vllm 0.32.0`."""
        return f"{self.engine} {self.version}"

    @cached_property
    def spellings(self) -> Mapping[str, Flag]:
        """Every spelling of every flag."""
        return {name: flag for flag in self.flags.values() for name in flag.names}

    @cached_property
    def metric_names(self) -> frozenset[str]:
        """Every name that `/metrics` may show: `vllm:prompt_tokens` is published as `vllm:prompt_tokens_total`."""
        return frozenset(
            (name if kind == "histogram" or not suffix else name.removesuffix("_total")) + suffix
            for name, kind in self.metrics.items()
            for suffix in SUFFIXES[kind]
        )

    def abilities(self, architecture: str) -> frozenset[str] | None:
        """Return what an architecture can do; None when the release does not know it or could not look at it."""
        found = self.architectures.get(architecture)
        return None if found is None or any(word.startswith("unread") for word in found) else frozenset(found)

    def runs(self, architecture: str) -> bool | None:
        """Tell whether a model of this class can run without code of its own; None where nobody looked."""
        if architecture in self.architectures or architecture in self.general:
            return True
        ending = next((suffix for suffix in self.suffixes if architecture.endswith(suffix)), "")
        if ending and any(architecture.replace(ending, other) in self.architectures for other in self.suffixes):
            return True
        return False if architecture in self.removed or architecture.endswith(GENERATING) else None


@lru_cache(maxsize=8)
def load_table(engine: str, version: str) -> EngineTable:
    """Read the table of a release. Raises PlinthError when there is none."""
    source = files("pulumi_plinth.engines") / f"{engine}-{version}.json"
    if not source.is_file():
        raise PlinthError(f"no table of {engine} {version} is there; install that engine and run `make engine-table`")
    return parse_table(json.loads(source.read_text(encoding="utf-8")))


def parse_table(document: Mapping[str, Any]) -> EngineTable:
    """Read the document that `describe_engine.py` wrote."""
    names = ("tool_parsers", "reasoning_parsers", "load_formats", "kv_cache_dtypes", "attention_backends")
    return EngineTable(
        engine=document["engine"],
        version=document["version"],
        described_on=document["described_on"],
        flags={name: _flag(name, entry) for name, entry in document["flags"].items()},
        quantizations={
            name: Quantization(name, (entry["capability"][0], entry["capability"][1]), entry.get("deprecated", False))
            for name, entry in document["quantizations"].items()
        },
        float16_refused=frozenset(document["float16_refused"]),
        metrics=document["metrics"],
        architectures={name: tuple(words) for name, words in document["architectures"].items()},
        removed=document["architectures_removed"],
        general=frozenset(document["architectures_general"]),
        suffixes=tuple(document["architecture_suffixes"]),
        environment=frozenset(document["environment"]),
        **{name: tuple(document[name]) for name in names},
    )


def _flag(name: str, entry: Mapping[str, Any]) -> Flag:
    said = {key: item for key, item in entry.items() if key != "also"}
    values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in said.items()}
    return Flag(name, tuple(entry.get("also", ())), **values)
