"""What is served and how: the model, the engine with its arguments, the GPU. Values only; None is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plinth_runtime.contract.card import ModelCard

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPUs of one node: `memory_bytes` of one as a process sees it, `count` on a node."""

    name: str | None = None
    capability: tuple[int, int] | None = None
    below: tuple[int, int] | None = None
    """The capability is below this one, where no more is said."""
    memory_bytes: int | None = None
    count: int | None = None
    mig: bool = False
    """The devices are slices of GPUs."""
    free_bytes: int | None = None
    """What other processes leave free of one GPU before the engine starts."""


@dataclass(frozen=True, slots=True)
class Host:
    """The machine under the container."""

    architecture: str | None = None
    """amd64 or arm64."""
    driver: int | None = None
    """Branch of the NVIDIA driver, such as 535."""
    cuda: Version | None = None
    """Highest CUDA release that the driver serves."""
    cuda_below: Version | None = None
    """The driver serves CUDA releases below this one, where no more is established."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is known of the engine's image beside its name."""

    cuda: Version | None = None
    architectures: tuple[str, ...] = ()
    kernels: tuple[tuple[int, int], ...] = ()
    """Compute capabilities that it is built for, where they are listed."""
    moving: bool = False
    """The tag names different images at different times."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The model's files. `formats` are safetensors, bin, gguf, mlx, ...; empty: not known."""

    formats: tuple[str, ...] = ()
    bytes: int | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA adapters that are to be served. Ranks are the highest that any module needs."""

    rank: int | None = None
    uneven: bool = False
    """Some modules have a rank above `rank`; how high is not known."""
    targets: tuple[str, ...] = ()
    saved: tuple[str, ...] = ()
    wrapped: tuple[str, ...] = ()
    """Modules that the server wraps, where they are stated."""
    matches: bool | None = None
    """False: no weight of the adapter belongs to a module of the model."""
    method: str | None = None
    """A variant beside plain LoRA, such as dora."""
    base: str | None = None
    """The model it was trained on."""
    fits: bool | None = None
    """Whether that model has the size of the one that is served."""
    tokens: int | None = None
    """Tokens that it adds to the vocabulary."""
    bias: bool = False
    """It changes biases too."""


@dataclass(frozen=True, slots=True)
class Media:
    """Tokens of images, video and audio. `profile` is what the engine's worst case adds up to."""

    item_tokens: int | None = None
    items: int | None = None
    """Items of a request that are allowed."""
    profile_tokens: int | None = None
    encoder_decoder: bool = False
    chunked: bool | None = None
    """Whether an item may be computed over several steps."""


@dataclass(frozen=True, slots=True)
class Template:
    """The chat template: what the repository brings, and what is passed from outside."""

    own: bool | None = None
    given: str | None = None


@dataclass(frozen=True, slots=True)
class Double:
    """One thing that is stated twice."""

    name: str
    first: tuple[str, Any]
    second: tuple[str, Any]
    """(where, value)."""


@dataclass(frozen=True, slots=True)
class Cache:
    """The KV cache as an engine reported it, and requests that are meant for it."""

    blocks: int | None = None
    block_tokens: int | None = None
    tokens: int | None = None
    request_tokens: int | None = None
    """Prompt and answer of the longest request."""
    needed_bytes: int | None = None
    available_bytes: int | None = None
    """What the wanted context needs and what there is, where both are stated."""
    estimated_bytes: int | None = None
    measured_bytes: int | None = None
    """What somebody counted, and what it turned out to be."""
    whole_windows: bool = False
    """The allocator keeps all tokens of sliding layers too."""
    states: int | None = None
    """Requests that the cache of a state-space model holds."""


@dataclass(frozen=True, slots=True)
class Serving:
    """One engine. `arguments` are its flags without dashes in front, as text; a flag without a value is ''.

    `card` is what is known of the model, zeros where nothing is; `config` are the keys of its config.json that are
    stated, under Llama's spelling.
    """

    card: ModelCard | None = None
    model: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    weights: Weights = field(default_factory=Weights)
    adapter: Adapter = field(default_factory=Adapter)
    media: Media = field(default_factory=Media)
    template: Template = field(default_factory=Template)
    cache: Cache = field(default_factory=Cache)
    engine: str = "vllm"
    version: Version | None = None
    upgraded_from: Version | None = None
    """The release that the same arguments ran on before."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    image_facts: ImageFacts = field(default_factory=ImageFacts)
    gpu: Gpu = field(default_factory=Gpu)
    host: Host = field(default_factory=Host)
    nodes: int | None = None
    words: tuple[str, ...] = ()
    """Arguments as they stand in a command line, where there is one."""
    commanded: bool = False
    """The whole command line is known, so what it does not say has the engine's default."""
    doubles: tuple[Double, ...] = ()
