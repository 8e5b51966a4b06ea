"""How many requests of full length are served at once, and the layout that serves as many as are wanted. Pure."""

from __future__ import annotations

from dataclasses import replace

from pulumi_plinth.fit.layout import Batch, default_batch
from pulumi_plinth.fit.parallel import Asked, Nodes
from pulumi_plinth.fit.plan import Fitted, Refused, Wish, fit
from pulumi_plinth.fit.shapes import Shape
from pulumi_plinth.fit.sizing import Sizer


def in_flight(fitted: Fitted) -> int:
    """Count the requests of full length that one replica computes at once, over all its copies."""
    room = int(fitted.sequences) if fitted.need.cache.rows else fitted.batch.sequences
    return fitted.layout.data * min(room, fitted.batch.sequences)


def wish_on(shape: Shape, wish: Wish, sequences: int | None) -> Wish:
    """Write the batch limits that a shape gets when only the number of sequences is asked for."""
    if sequences is None:
        return wish
    usual = default_batch(shape.usable_bytes, shape.gpu)
    return replace(wish, batch=Batch(max(usual.tokens, sequences), sequences))


def fit_many(sizer: Sizer, nodes: Nodes, wish: Wish, wanted: int | None) -> Fitted | Refused:
    """Fit, and where too few requests are served at once, take the next larger tensor-parallel size that serves them.

    Returns the first layout when none serves them: the caller says so. A layout asked for explicitly is not changed.
    """
    first = fit(sizer, nodes, wish)
    if wanted is None or isinstance(first, Refused) or wish.asked.anything or in_flight(first) >= wanted:
        return first
    pinned = replace(wish, context=first.max_model_len)
    for tensor in sizer.legal(nodes.shape.gpus, mig=nodes.mig):
        if tensor > first.layout.tensor:
            found = fit(sizer, nodes, replace(pinned, asked=Asked(tensor=tensor)))
            if isinstance(found, Fitted) and in_flight(found) >= wanted:
                return found
    return first
