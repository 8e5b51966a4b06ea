"""What a plan needs to know of the world, as values. Pure: `observe.py` fills them in, tests write them by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.price import Capacity
from pulumi_plinth.fit.shapes import Shape


@dataclass(frozen=True, slots=True)
class FetchFacts:
    """How a model comes that no folder store holds. `origin` says where its card is from, `is_here` that it was fetched
    before; `free_bytes` are those of the cache's disk.
    """

    uri: str
    cache: Path
    origin: str = ""
    is_here: bool = False
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What is known of an adapter's folder on this host: its highest rank, or what is wrong with it."""

    name: str
    folder: Path
    rank: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a model's folder, or with `fetch` of the model that will be fetched.

    `faults` says why it cannot be served; `card` is None then. `digests_checked` is true when every byte was compared
    with the manifest at preview; the runtime does so again before the engine starts.
    """

    folder: Path
    card: ModelCard | None
    faults: tuple[str, ...] = ()
    manifest_digest: str | None = None
    total_bytes: int = 0
    digests_checked: bool = False
    fetch: FetchFacts | None = None
    adapters: tuple[AdapterFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is known of the host. Ports held by the stack's own servers do not count as taken.

    `engines` maps the name of an engine environment to its interpreter, for those that are installed.
    """

    memory_bytes: int
    ports_taken: Mapping[int, str] = field(default_factory=dict)
    engines: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolNodes:
    """A pool as a deployment sees it: its nodes' shape, the most there are (None: nobody said), how pods get there.

    `taints` are written as the kubelet reads them: key=value:effect.
    """

    name: str
    shape: Shape
    most: int | None
    capacity: Capacity = "on-demand"
    selector: tuple[tuple[str, str], ...] = ()
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What is known of a model that lies somewhere else. `origin` says where the card is from.

    `source` is the address of public weights, where the catalogue knows one; `gated` if it wants an account's token.
    `fault` says what is wrong and what to do about it where there is no card: path below the deployment, problem,
    remedy.
    """

    card: ModelCard | None
    origin: str = ""
    warnings: tuple[str, ...] = ()
    fault: tuple[str, str, str] | None = None
    source: str | None = None
    gated: bool = False
