"""The values a card is made of. Types only: what is read from where stands in the `card_*` modules beside this one.

Sizes are bytes, lengths are tokens, counts are elements. What a folder does not say is None or empty, never guessed.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from plinth_runtime.contract.base import Document

LayerKind = Literal["full", "sliding", "chunked", "mla", "linear", "mamba", "conv", "cross", "none"]
"""What a layer keeps per token: all tokens, a window, a chunk, a latent, or a state of fixed size; 'none' keeps nothing
(an expert or feed-forward layer that is counted as a layer), 'cross' keeps the image's tokens."""

CardKind = Literal["generate", "embed", "rerank", "classify", "reward", "adapter", "diffusion", "speech"]


class CardError(ValueError):
    """The folder cannot be a model; `faults` says every reason, one sentence each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class LayerGroup(Document):
    """Layers that keep the same thing in the cache. `window` is tokens; state elements are per sequence and layer."""

    kind: LayerKind
    layers: int
    kv_heads: int = 0
    head_dim: int = 0
    window: int | None = None
    conv_state: int = Field(default=0, description="Elements of the convolution state of one sequence in one layer.")
    recurrent_state: int = Field(default=0, description="Elements of the recurrent state of one sequence in one layer.")


class MlaRanks(Document):
    """Multi-head latent attention: one compressed latent and one rotary part are kept for all heads."""

    kv_lora_rank: int
    qk_rope_head_dim: int
    qk_nope_head_dim: int
    v_head_dim: int
    q_lora_rank: int | None = None

    @property
    def latent_dim(self) -> int:
        """Elements kept per token and layer."""
        return self.kv_lora_rank + self.qk_rope_head_dim


class Experts(Document):
    """A mixture of experts: `count` in all, `active` used for one token, `shared` always used."""

    count: int
    active: int
    shared: int = 0
    intermediate_size: int | None = None
    dense_layers: int = Field(default=0, description="Leading layers without experts.")


class Quantization(Document):
    """How weights were made smaller. `method` is spelled as vLLM's --quantization spells it."""

    method: str
    bits: int | None = None
    group_size: int | None = None
    format: str | None = Field(default=None, description="The method's own variant, such as nvfp4-pack-quantized.")
    activations: str | None = Field(default=None, description="dynamic or static, where activations are quantised too.")
    kv_cache: str | None = Field(default=None, description="The number format the checkpoint asks the cache to have.")


class Embedding(Document):
    """What an embedding model gives back and how much it reads."""

    dimension: int
    pooling: str = Field(description="mean, cls, last, max, or what the folder says.")
    normalized: bool = False
    max_tokens: int | None = Field(default=None, description="max_seq_length of sentence-transformers.")


class Adapter(Document):
    """A LoRA folder: small weights that only work on top of `base_model`."""

    method: str
    base_model: str
    rank: int
    alpha: float
    target_modules: tuple[str, ...] = ()
    modules_to_save: tuple[str, ...] = ()
    base_revision: str | None = None
    variants: tuple[str, ...] = Field(default=(), description="What it has beyond plain LoRA: rslora, dora, bias…")


class Diffusion(Document):
    """A diffusers pipeline as model_index.json lists it: component to [library, class]."""

    pipeline: str
    components: dict[str, tuple[str, str]] = Field(default={})
    version: str | None = None


class ModelCard(Document):
    """A model's shape. Source: config.json, safetensors headers and the small files beside them."""

    architecture: str
    model_type: str
    parameters: int = Field(
        description="Elements of all weight tensors; packed ones counted unpacked, scales left out."
    )
    weight_bytes: int = Field(description="Sum over tensors of their stored bytes.")
    dtype: str = Field(description="The format the model computes in, as config.json says; else what is stored most.")
    layers: int
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_context: int = Field(
        description="Longest context the engine accepts, as vLLM derives it; 0: no bound is known."
    )
    default_context: int = Field(
        default=0, description="What vLLM takes when nobody asks; below max_context: LongRoPE."
    )
    context_source: str = Field(default="", description="Which key and which correction max_context comes from.")
    kind: CardKind = "generate"
    capabilities: tuple[str, ...] = ()
    parameters_by_dtype: dict[str, int] = Field(default={}, description="Sums to `parameters`.")
    bytes_by_part: dict[str, int] = Field(
        default={}, description="weight_bytes by embedding, head, experts, vision, draft, other: what sharding splits."
    )
    tensors: int = 0
    shards: int = 0
    intermediate_size: int | None = None
    layer_pattern: tuple[LayerKind, ...] = Field(default=(), description="The kind of each layer, in order.")
    attention: tuple[LayerGroup, ...] = Field(default=(), description="The same layers by what they keep in the cache.")
    sliding_window: int | None = None
    mla: MlaRanks | None = None
    experts: Experts | None = None
    active_parameters: int | None = Field(default=None, description="Used for one token; differs with experts only.")
    tied_embeddings: bool = False
    quantization: Quantization | None = None
    embedding: Embedding | None = None
    adapter: Adapter | None = None
    diffusion: Diffusion | None = None
    license: str | None = None
    languages: tuple[str, ...] = ()
    chat_template: bool = Field(default=False, description="The folder brings a chat template.")
    tokenizer: str | None = Field(default=None, description="The tokenizer's class.")
    generation: dict[str, float | int | bool] = Field(default={}, description="Sampling defaults the folder asks for.")
    remote_code: bool = Field(default=False, description="config.json names Python files of its own (auto_map).")
    transformers_version: str | None = None

    def kv_bytes_per_token(self, element_bytes: int = 2) -> int:
        """Bytes of keys and values of one token while no window is full: 2 x layers x kv heads x head dim x bytes.

        Layers with a latent keep it once (layers x latent x bytes), layers with a state of fixed size keep nothing.
        """
        if not self.attention:
            return 2 * self.layers * self.kv_heads * self.head_dim * element_bytes
        return sum(_elements_per_token(group) for group in self.attention) * element_bytes


def _elements_per_token(group: LayerGroup) -> int:
    if group.kind == "mla":
        return group.layers * group.head_dim
    return 2 * group.layers * group.kv_heads * group.head_dim if group.kind in ("full", "sliding", "chunked") else 0
