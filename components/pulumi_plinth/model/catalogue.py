"""Models by name: what a row of `catalogue/*.yaml` holds, how rows are found, extended and overridden.

A row carries the keys of the model's config.json that shape memory, so a plan needs no download: `card()` derives the
same card from them as from a folder. What will fit on which GPU is not decided here; `Filter` has a place for it.
Only `read_rows` reads files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from plinth_runtime.contract.card import CardError, ModelCard, card_of_config
from plinth_runtime.contract.card_types import Embedding
from pulumi_plinth.errors import Fault, SpecError, faults_of, nearest
from pulumi_plinth.model.capabilities import CapabilityName, preferred
from pulumi_plinth.model.lifecycle import Lifecycle
from pulumi_plinth.quantities import ByteSize
from pulumi_plinth.spec import Spec

FILE_LIMIT_BYTES = 4 << 20
"""A catalogue file is written by hand; ours have 15 KB."""

Kind = Literal["generate", "embed", "rerank"]
KIND_CAPABILITIES: Mapping[str, tuple[str, ...]] = {"embed": ("EMBEDDING",), "rerank": ("RERANK",)}
EntryName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$")]


class EmbeddingFacts(Spec):
    """What an embedding model gives back, as far as config.json does not say it."""

    dimension: int | None = Field(default=None, gt=0, description="Numbers per vector. Default: the hidden size.")
    pooling: str = Field(default="unknown", description="mean, cls or last. Default: not said.")
    normalized: bool = Field(default=False, description="Vectors have length 1. Default: false.")
    max_tokens: int | None = Field(default=None, gt=0, description="Longest text, tokens. Default: the context.")


class CatalogueEntry(Spec):
    """One model. Rows without `hubId` and `storageUri` have no public weights: the user says where they are."""

    name: EntryName = Field(description="Unique name: the hub's last part, lower case.")
    display_name: str | None = Field(default=None, description="Name for people. Default: the name.")
    aliases: tuple[str, ...] = Field(default=(), description="Other names it is found by. Default: none.")
    hub_id: str | None = Field(default=None, description="Repository on the Hugging Face hub. Default: not published.")
    storage_uri: str | None = Field(default=None, description="Where a team keeps it. Default: the hub.")
    vendor: str | None = Field(default=None, description="Who made it. Default: not said.")
    license: str | None = Field(default=None, description="Licence as the hub spells it. Default: not said.")
    gated: bool = Field(default=False, description="The hub wants a token of an account that accepted the licence.")
    kind: Kind = Field(default="generate", description="How it is served. Default: generate.")
    capabilities: tuple[CapabilityName, ...] = Field(default=(), description="Default: what kind and config.json say.")
    lifecycle: Lifecycle = Field(default=Lifecycle(), description="Phase, size class, support. Default: ACTIVE.")
    replacement: str | None = Field(default=None, description="Which entry to take instead. Default: none named.")
    parameters: int | None = Field(default=None, gt=0, description="Number of weights. Default: unknown.")
    active_parameters: int | None = Field(default=None, gt=0, description="Used for one token. Default: all.")
    weight_bytes: ByteSize | None = Field(default=None, description="Bytes of the weight files. Default: unknown.")
    max_context: int | None = Field(
        default=None,
        gt=0,
        description="Longest context, tokens, where a file beside config.json says less than it does.",
    )
    embedding: EmbeddingFacts | None = Field(default=None, description="For kind embed. Default: the engine's own.")
    config: dict[str, Any] = Field(default={}, description="Keys of config.json that shape memory. Default: unknown.")
    notes: str | None = Field(default=None, description="What a reader should know. Default: nothing.")
    source: str = Field(description="Where the numbers come from.")
    checked: str = Field(description="When they were looked up, YYYY-MM-DD.", pattern=r"^\d{4}-\d\d-\d\d$")

    @property
    def has_public_weights(self) -> bool:
        """Whether a deployment can say the name and nothing else."""
        return bool(self.hub_id or self.storage_uri)

    def card(self) -> ModelCard | None:
        """Derive the card; None when the row has no geometry. Raises CardError when its config cannot be a model's."""
        if not self.config or self.parameters is None or self.weight_bytes is None:
            return None
        card = card_of_config(self.config, self.parameters, self.weight_bytes, self.active_parameters)
        return card.model_copy(update=self._said(card))

    def all_capabilities(self) -> tuple[str, ...]:
        """List what it can do, in preferred names."""
        if self.capabilities or self.kind != "generate":
            return preferred(self.capabilities) or KIND_CAPABILITIES[self.kind]
        card = self.card()
        return card.capabilities if card else ("TEXT_TO_TEXT",)

    def _said(self, card: ModelCard) -> dict[str, Any]:
        """Collect what the row says beyond config.json."""
        own = preferred(self.capabilities) or KIND_CAPABILITIES.get(self.kind) or card.capabilities
        said: dict[str, Any] = {"kind": self.kind, "license": self.license, "capabilities": own, "embedding": None}
        limit = self.max_context
        if self.kind == "embed":
            facts = self.embedding or EmbeddingFacts()
            limit = facts.max_tokens or limit
            said["embedding"] = Embedding(
                dimension=facts.dimension or card.hidden_size,
                pooling=facts.pooling,
                normalized=facts.normalized,
                max_tokens=facts.max_tokens,
            )
        if limit:
            said |= {"max_context": limit, "default_context": limit, "context_source": "the catalogue's row"}
        return said


@dataclass(frozen=True, slots=True)
class Row:
    """A row as read: still unchecked, with the file it stands in."""

    values: Mapping[str, Any]
    place: str


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to. `accepts` is for what only the caller can judge, such as fitting on a shape."""

    capability: str | None = None
    kind: str | None = None
    accepts: Callable[[CatalogueEntry], bool] = lambda _: True

    def __call__(self, entry: CatalogueEntry) -> bool:
        """Tell whether the entry belongs in the list."""
        wanted = preferred((self.capability,)) if self.capability else ()
        return (
            (self.kind is None or entry.kind == self.kind)
            and set(wanted) <= set(entry.all_capabilities())
            and self.accepts(entry)
        )


@dataclass(frozen=True)
class Catalogue:
    """All rows; each is checked when it is asked for."""

    rows: Mapping[str, Row]

    def entry(self, name: str) -> CatalogueEntry:
        """Check and return one row. Raises SpecError naming file, row and field; KeyError for an unknown name."""
        row = self.rows[name]
        try:
            return CatalogueEntry.model_validate(row.values)
        except ValidationError as error:
            raise SpecError(faults_of(error, CatalogueEntry, f"{row.place}.{name}")) from error

    def entries(self, wanted: Filter | None = None) -> Iterator[CatalogueEntry]:
        """Yield the entries a filter accepts, by name."""
        accepts = wanted or Filter()
        return (entry for name in sorted(self.rows) if accepts(entry := self.entry(name)))

    def find(self, name: str) -> CatalogueEntry | None:
        """Look up a name, an alias or a hub id; upper and lower case are the same."""
        found = self._names.get(name.casefold())
        return self.entry(found) if found else None

    def resolve(self, name: str, path: str) -> tuple[CatalogueEntry, tuple[str, ...]]:
        """Return the entry and warnings for a model named at `path`. Raises SpecError: unknown or disabled."""
        entry = self.find(name)
        if entry is None:
            remedy = nearest(name, self.rows) or "see `plinth models`, or write a storageUri"
            raise SpecError([Fault(path, name, "is not in the catalogue", remedy)])
        if entry.lifecycle.disabled:
            remedy = f"write '{entry.replacement}'" if entry.replacement else "choose another, see `plinth models`"
            raise SpecError([Fault(path, name, "is disabled in the catalogue", remedy)])
        return entry, tuple(_warnings(entry))

    @cached_property
    def _names(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for name, row in self.rows.items():
            aliases = row.values.get("aliases")
            others = [*aliases, row.values.get("hubId")] if isinstance(aliases, list) else [row.values.get("hubId")]
            for other in others:
                if isinstance(other, str):
                    found.setdefault(other.casefold(), name)
        return found | {name.casefold(): name for name in self.rows}


def load_catalogue(*folders: Path) -> Catalogue:
    """Read the catalogue, then each folder of YAML files on top. Raises SpecError with every file's fault.

    A row of a later folder with a name that exists changes the fields it gives; `config` is merged key by key.
    """
    return _stacked(_own().rows, folders) if folders else _own()


@cache
def _own() -> Catalogue:
    """Read the catalogue of this package, once."""
    return _stacked({}, (files("pulumi_plinth.model") / "catalogue",))


def _stacked(below: Mapping[str, Row], folders: Iterable[Traversable | Path]) -> Catalogue:
    faults: list[Fault] = []
    rows = dict(below)
    for folder in folders:
        for row in read_rows(folder, faults):
            name = str(row.values["name"])
            earlier = rows.get(name)
            rows[name] = Row(_merge(earlier.values, row.values), row.place) if earlier else row
    if faults:
        raise SpecError(faults)
    return Catalogue(rows)


def read_rows(folder: Traversable | Path, faults: list[Fault]) -> Iterator[Row]:
    """Read the rows of all YAML files of a folder, by file name."""
    if not folder.is_dir():
        faults.append(Fault("catalogue", str(folder), "is not a folder", "point at a folder of *.yaml files"))
        return
    for path in sorted(folder.iterdir(), key=lambda item: item.name):
        if path.name.endswith((".yaml", ".yml")):
            yield from _rows_of(path.name, path.read_bytes(), faults)


def weights_fault(entry: CatalogueEntry, path: str) -> Fault | None:
    """Say what to do about a model whose weights nobody publishes; None when they are published."""
    if entry.has_public_weights:
        return None
    remedy = "give your own storageUri"
    if entry.notes and "published as" in entry.notes:
        remedy += f" ({entry.notes})"
    return Fault(path, entry.name, "has no public weights", remedy)


def _warnings(entry: CatalogueEntry) -> Iterator[str]:
    life = entry.lifecycle
    if life.phase == "DEPRECATED" or life.deprecation_time:
        since = f" since {life.deprecation_time}" if life.deprecation_time else ""
        instead = f"; take {entry.replacement} instead" if entry.replacement else ""
        yield f"{entry.name} is deprecated{since}{instead}"
    if life.experimental or life.phase == "EXPERIMENTAL":
        yield f"{entry.name} is experimental"


def _rows_of(place: str, body: bytes, faults: list[Fault]) -> Iterator[Row]:
    if len(body) > FILE_LIMIT_BYTES:
        faults.append(Fault(place, None, f"has {len(body)} bytes", f"keep a file below {FILE_LIMIT_BYTES}"))
        return
    try:
        document = yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 both are safe
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        faults.append(Fault(place, None, f"is not YAML{line}", "mend it; rows are `- name: ...` items"))
        return
    yield from _checked(place, document if isinstance(document, list) else [document], faults)


def _checked(place: str, rows: Iterable[Any], faults: list[Fault]) -> Iterator[Row]:
    seen: set[str] = set()
    for number, row in enumerate(rows):
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str):
            faults.append(Fault(f"{place}[{number}]", None, "has no name", "write `- name: my-model`"))
        elif name in seen:
            faults.append(Fault(f"{place}.{name}", None, "stands here twice", "keep one row"))
        else:
            seen.add(name)
            plain = {key: str(value) if key == "checked" else value for key, value in row.items()}
            yield Row(plain, place)


def _merge(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**earlier, **later}
    for key in ("config", "lifecycle"):
        if isinstance(earlier.get(key), dict) and isinstance(later.get(key), dict):
            merged[key] = {**earlier[key], **later[key]}
    return merged


def geometry(entry: CatalogueEntry) -> ModelCard | None:
    """Return the row's card; a config that cannot be one is an SpecError with its reasons."""
    try:
        return entry.card()
    except CardError as error:
        raise SpecError([Fault(f"{entry.name}.config", None, text, "mend the row") for text in error.faults]) from error
