"""Rules about images, video and audio: one item against one step, the worst case against length and memory."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.context import longest
from pulumi_plinth.check.serving_rules.releases import MEDIA_LIMIT_REFUSED
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.quantities import GIB, human_gib

WHOLE_ITEMS = ("bagel", "gemma3", "gemma4", "molmo2", "moondream3", "paligemma")
"""Types that attend to an item in both directions, so that the engine computes it in one step (0.32)."""

LARGE_ITEMS = (
    "qwen2_vl",
    "qwen2_5_vl",
    "qwen2_5_omni",
    "qwen3_vl",
    "qwen3_vl_moe",
    "qwen3_omni_moe",
    "glm4v",
    "glm4v_moe",
)
"""Types whose images and videos have as many tokens as they have pixels for."""

TEXT_ONLY = ("TEXT_TO_TEXT",)
PROFILE_BYTES = 20 * GIB
"""What the profile run's largest image and video have taken beside weights: 24 GB less 7 GB was not enough for a model
of 3B (vllm-project/vllm#18124)."""


def item_above_step(subject: Subject) -> Iterator[Verdict]:
    """Hold that an item that is computed in one step must fit into it."""
    serving, media = subject.serving, subject.serving.media
    tokens = values.whole(serving, "max-num-batched-tokens")
    kind = values.model_type(serving)
    whole = media.encoder_decoder or media.chunked is False or (media.chunked is None and kind in WHOLE_ITEMS)
    if values.switched(serving, "disable-chunked-mm-input"):
        whole = True
    if tokens and media.item_tokens and media.item_tokens > tokens and whole:
        problem = f"one item has {media.item_tokens} tokens, a step {tokens}, and items are not cut"
        yield refuse("media-item", "--max-num-batched-tokens", problem, f"write at least {media.item_tokens}")


def worst_case_above_length(subject: Subject) -> Iterator[Verdict]:
    """Hold that the largest items together should fit the length."""
    media = subject.serving.media
    total = media.profile_tokens or (media.item_tokens or 0) * (media.items or 1)
    length = values.length(subject.serving, longest(subject.serving))
    if total and length and total > length and not media.encoder_decoder:
        problem = f"the largest items together have {total} tokens, a request may have {length}"
        yield warn("media-profile", "--limit-mm-per-prompt", problem, "bound pixels or the number of items")


def profile_peak(subject: Subject) -> Iterator[Verdict]:
    """Hold that the profile run computes the largest image and video; a small budget has no room for them."""
    serving = subject.serving
    if not serving.gpu.memory_bytes or serving.card is None or values.model_type(serving) not in LARGE_ITEMS:
        return
    if {"limit-mm-per-prompt", "mm-processor-kwargs", "language-model-only"} & set(serving.arguments):
        return
    budget = serving.gpu.memory_bytes * values.utilization(serving)
    spare = budget - (serving.weights.bytes or serving.card.weight_bytes) / values.gpus_used(serving)
    if 0 < spare < PROFILE_BYTES:
        problem = f"{human_gib(spare)} are left beside the weights, the largest image and video may need more"
        yield warn("media-profile", "--limit-mm-per-prompt", problem, "bound images, videos and pixels")


def limits_of_text(subject: Subject) -> Iterator[Verdict]:
    """Hold that a model of text has no media to limit."""
    serving, card = subject.serving, subject.serving.card
    reads_text = card is not None and card.capabilities == TEXT_ONLY and values.model_type(serving) not in LARGE_ITEMS
    if reads_text and "limit-mm-per-prompt" in serving.arguments and MEDIA_LIMIT_REFUSED.holds(serving.version):
        problem = f"{serving.model or 'the model'} reads text only, this release refuses limits of media for it"
        yield refuse("media-limit", "--limit-mm-per-prompt", problem, "leave it out")
