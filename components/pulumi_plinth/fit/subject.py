"""Which cards can be planned for at all: language models. Pure."""

from __future__ import annotations

from plinth_runtime.contract.card import ModelCard


def unplannable(card: ModelCard) -> tuple[str, str] | None:
    """Say why a card's memory follows other rules, and what to do; None when it can be planned."""
    if card.adapter is not None:
        return "is an adapter", f"give its base model, {card.adapter.base_model}"
    if not card.layers or not card.hidden_size:
        return f"({card.kind}) has no transformer layers that could be planned for", "give a language model"
    return None
