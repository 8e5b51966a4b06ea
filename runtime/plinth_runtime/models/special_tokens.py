"""Special tokens that a tokenizer has in its vocabulary but does not name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PAD_TOKENS = ("<|finetune_right_pad_id|>",)
"""Llama 3.1, 3.2 and 3.3 have this one, made for padding, and leave pad_token empty."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Tokens to use where the tokenizer names none."""

    pad_token: str | None = None


def get_default_special_tokens(tokenizer: Any | None) -> SpecialTokens:
    """Find them by the vocabulary, not by the model's name: folders can be called anything."""
    vocabulary = {} if tokenizer is None else tokenizer.get_vocab()
    return SpecialTokens(pad_token=next((token for token in PAD_TOKENS if token in vocabulary), None))
