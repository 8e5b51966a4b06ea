"""What works on paper and deserves a second look: remarks, never refusals."""

from __future__ import annotations

from collections.abc import Iterator

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.fit.layout import Reason
from pulumi_plinth.fit.overhead import FLOAT
from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted
from pulumi_plinth.fit.weights import padded_vocabulary
from pulumi_plinth.quantities import GIB, human_gib

MARGIN = 0.05
"""Share of the budget by which estimates of activations and graphs have been off (docs/planner.md)."""

LARGE_LOGITS_BYTES = GIB // 2
"""One float32 copy of the logits from which sampler warm-up has run out of memory (201,088 x 1024 x 4 B did)."""

MEDIA = ("IMAGE", "VIDEO", "AUDIO")


def cautions(card: ModelCard, nodes: Nodes, fitted: Fitted) -> Iterator[Reason]:
    """Yield remarks on a plan that fits."""
    least = fitted.need.bytes_for(fitted.max_model_len)
    if fitted.need.cache.rows and fitted.budget - least < MARGIN * fitted.budget and fitted.sequences < 1 + MARGIN:
        spare = human_gib(max(fitted.budget - least, 0))
        yield _caution(
            f"one request of full length leaves {spare}; estimates have been off by more, see docs/planner.md"
        )
    if any(word in name for name in card.capabilities for word in MEDIA):
        yield _caution(
            "images, video and audio in the engine's profile run are not counted; bound --limit-mm-per-prompt"
        )
    logits = padded_vocabulary(card) * fitted.batch.sequences * FLOAT
    if card.kind == "generate" and logits >= LARGE_LOGITS_BYTES:
        yield _caution(
            f"logits take {human_gib(logits)} a copy at --max-num-seqs {fitted.batch.sequences}; fewer need less"
        )
    if fitted.layout.tensor > nodes.shape.gpus:
        yield _caution("tensors cross nodes at every layer; a tensor-parallel size inside a node is faster")


def _caution(text: str) -> Reason:
    return Reason("caution", text)
