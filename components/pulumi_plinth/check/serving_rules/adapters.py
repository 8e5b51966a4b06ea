"""Rules about LoRA adapters: ranks, modules, what the engine wraps."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import ADAPTERS_MISSING, RANK_LIMITS
from pulumi_plinth.check.subject import Subject

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that --max-lora-rank takes (0.32)."""

DEFAULT_RANK = 16
SAVED = frozenset({"classifier", "score"})
"""Whole modules that an adapter may bring (0.32, PEFTHelper)."""

WRAPPED = frozenset({
    "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "out_proj", "gate_proj", "up_proj", "down_proj", "gate_up_proj",
    "embed_tokens", "lm_head", "query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h", "fc1", "fc2", "c_attn",
    "c_proj", "c_fc", "w1", "w2", "w3", "wqkv", "wo", "W_pack", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa",
    "kv_b_proj", "in_proj", "x_proj", "dt_proj", "experts", "gate", "qkv", "proj", "attn", "mlp", "all-linear", "all",
    "in_proj_qkvz", "in_proj_ba", "in_proj_qkv", "in_proj_z", "in_proj_a", "in_proj_b", "linear_fc1", "linear_fc2",
})  # fmt: skip
"""Last words of linear modules in the model classes of 0.32."""

TOWERS = ("visual", "vision", "image_encoder", "multi_modal_projector", "audio_tower")
EXTRA_TOKENS = 256
"""What --lora-extra-vocab-size was while it existed."""

PLAIN = frozenset({"lora", "rslora", "peft"})


def ranks(subject: Subject) -> Iterator[Verdict]:
    """Hold that the engine's highest rank must be that of the adapter's highest module."""
    adapter, path = subject.serving.adapter, "--max-lora-rank"
    stated = values.whole(subject.serving, "max-lora-rank")
    limit = stated or DEFAULT_RANK
    if adapter.rank and adapter.rank > limit:
        fitting = next((rank for rank in RANKS if rank >= adapter.rank), RANKS[-1])
        problem = f"the adapter has rank {adapter.rank}, the engine takes {limit}"
        yield refuse("lora-rank", path, problem, f"write {fitting}")
    elif adapter.uneven and (stated is None or (adapter.rank or 0) >= stated):
        problem = f"some modules have a rank above the adapter's {adapter.rank or 'own'} (rank_pattern)"
        yield refuse("lora-rank", path, problem, "write the highest rank of rank_pattern")


def legal_ranks(subject: Subject) -> Iterator[Verdict]:
    """Hold that only some ranks are buffers' sizes."""
    stated = values.whole(subject.serving, "max-lora-rank")
    if stated is not None and stated not in RANKS:
        fitting = next((rank for rank in RANKS if rank >= stated), RANKS[-1])
        problem = f"{stated} is none of {', '.join(map(str, RANKS))}"
        yield refuse("lora-rank", "--max-lora-rank", problem, f"write {fitting}")


def saved_modules(subject: Subject) -> Iterator[Verdict]:
    """Hold that an adapter that brings whole modules is not served."""
    if foreign := sorted(set(subject.serving.adapter.saved) - SAVED):
        problem = f"the adapter carries whole modules: {', '.join(foreign)}"
        yield refuse("lora-saved-modules", "modules_to_save", problem, "merge the adapter into the weights")


def targets(subject: Subject) -> Iterator[Verdict]:
    """Hold that an adapter may only change modules that the server wraps."""
    adapter = subject.serving.adapter
    foreign = sorted({name.rsplit(".", 1)[-1] for name in adapter.targets} - (set(adapter.wrapped) or WRAPPED))
    if foreign:
        problem = f"the adapter changes {', '.join(foreign)}, which the server does not wrap"
        yield refuse("lora-targets", "target_modules", problem, "train without it, or merge the adapter")


def nothing_matches(subject: Subject) -> Iterator[Verdict]:
    """Hold that an adapter without a matching module answers as its base, silently."""
    if subject.serving.adapter.matches is False:
        problem = "no weight of the adapter belongs to a module of the model, replies would be the base model's"
        yield refuse("lora-matches", "adapter", problem, "serve it on the model it was trained on")


def variants(subject: Subject) -> Iterator[Verdict]:
    """Hold that DoRA and other variants are not served."""
    method = subject.serving.adapter.method
    if method and method not in PLAIN:
        yield refuse("lora-method", "adapter", f"{method} adapters are not served", "merge the adapter")


def switch(subject: Subject) -> Iterator[Verdict]:
    """Hold that an engine loads adapters only when it is told to."""
    serving = subject.serving
    if "lora-modules" in serving.arguments and not values.switched(serving, "enable-lora"):
        problem = "adapters are named and --enable-lora is not set"
        yield refuse("lora-switch", "--lora-modules", problem, "add --enable-lora")


def slots(subject: Subject) -> Iterator[Verdict]:
    """Hold that adapters on the GPU are kept in host memory too."""
    gpu, host = values.whole(subject.serving, "max-loras"), values.whole(subject.serving, "max-cpu-loras")
    if gpu and host and host < gpu:
        problem = f"{host} adapters in host memory are fewer than {gpu} on the GPU"
        yield refuse("lora-slots", "--max-cpu-loras", problem, f"write at least {gpu}")


def biases(subject: Subject) -> Iterator[Verdict]:
    """Hold that an adapter which changes biases is not served."""
    if subject.serving.adapter.bias:
        problem = "the adapter changes biases, which the server does not apply"
        yield refuse("lora-bias", "adapter", problem, "train with bias none, or merge the adapter")


def other_base(subject: Subject) -> Iterator[Verdict]:
    """Hold that an adapter belongs to the model it was trained on."""
    adapter = subject.serving.adapter
    if adapter.fits is False:
        problem = f"the adapter was trained on {adapter.base}, {subject.serving.model} is served"
        yield refuse("lora-base", "adapter", problem, f"serve {adapter.base}")


def added_tokens(subject: Subject) -> Iterator[Verdict]:
    """Hold that tokens which an adapter adds must have room beside the base's."""
    added, room = subject.serving.adapter.tokens, values.whole(subject.serving, "lora-extra-vocab-size") or EXTRA_TOKENS
    if added and added > room:
        problem = f"the adapter adds {added} tokens, the engine has room for {room}"
        yield refuse("lora-tokens", "--lora-extra-vocab-size", problem, "merge the adapter into the weights")


def towers(subject: Subject) -> Iterator[Verdict]:
    """Hold that adapters change the language model, not the tower that sees."""
    seeing = [name for name in subject.serving.adapter.targets if name.startswith(TOWERS)]
    if seeing and not values.switched(subject.serving, "enable-tower-connector-lora"):
        problem = f"the adapter changes {seeing[0]}, a part of the vision tower"
        yield refuse("lora-targets", "target_modules", problem, "train the language model only, or merge the adapter")


def unsupported(subject: Subject) -> Iterator[Verdict]:
    """Hold that some model types took adapters late."""
    serving = subject.serving
    span = ADAPTERS_MISSING.get(values.model_type(serving))
    asked = values.switched(serving, "enable-lora") or serving.adapter.rank is not None
    if asked and span and span.holds(serving.version):
        problem = f"{values.model_type(serving)} takes no adapters in this release"
        yield refuse("lora-support", "--enable-lora", problem, "merge the adapter, or take a newer release")


def highest_rank(subject: Subject) -> Iterator[Verdict]:
    """Hold that each release has a highest rank."""
    serving = subject.serving
    wanted = max(serving.adapter.rank or 0, values.whole(serving, "max-lora-rank") or 0)
    version = serving.version or RANK_LIMITS[-1][0]
    limit = max(rank for first, rank in RANK_LIMITS if first <= version)
    if wanted > limit:
        problem = f"rank {wanted} is above {limit}, the highest of this release"
        yield refuse("lora-rank", "--max-lora-rank", problem, "merge the adapter, or train a lower rank")
