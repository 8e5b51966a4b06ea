"""Bytes of weights on each GPU of a layout: the plan against what vLLM's own model classes allocate there."""

import pytest

from pulumi_plinth.fit.layout import Batch, Layout
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.model.catalogue import load_catalogue

CLOSE = 0.01
LAYOUTS = {
    "llama-3.1-8b-instruct": ((1, 1, 1), (2, 1, 1), (8, 1, 1), (16, 1, 1), (1, 2, 1), (2, 3, 1)),
    "llama-3.2-1b-instruct": ((1, 1, 1), (4, 1, 1), (1, 2, 1)),
    "qwen2.5-7b-instruct": ((1, 1, 1), (2, 1, 1), (4, 1, 1)),
    "qwen3-30b-a3b": ((1, 1, 1), (4, 1, 1), (4, 1, 4), (8, 1, 8)),
    "mixtral-8x7b-instruct-v0.1": ((1, 1, 1), (2, 1, 1), (8, 1, 8)),
    "deepseek-v2-lite-chat": ((1, 1, 1), (4, 1, 1), (4, 1, 4), (1, 2, 1)),
    "gemma-3-1b-it": ((1, 1, 1), (2, 1, 1), (4, 1, 1)),
    "gemma-2-9b-it": ((1, 1, 1), (8, 1, 1)),
    "phi-4": ((1, 1, 1), (2, 1, 1)),
    "mistral-7b-instruct-v0.3": ((1, 1, 1), (4, 1, 1)),
    "c4ai-command-r-08-2024": ((1, 1, 1), (4, 1, 1)),
    "olmo-2-1124-7b-instruct": ((1, 1, 1), (4, 1, 1)),
    "glm-4.5-air": ((1, 1, 1), (8, 1, 8)),
}
"""(tensor, pipeline, expert) of dense and mixed models in 16 bit; quantised layouts differ by platform."""


def ranks():
    """Every different rank of every layout: name, layout, number of its stage, planned bytes."""
    catalogue = load_catalogue()
    for name, layouts in LAYOUTS.items():
        sizer = Sizer(catalogue.find(name).card())
        for tensor, pipeline, expert in layouts:
            layout = Layout(tensor, pipeline, expert=expert)
            for need in sizer.needs(layout, Batch(2048, 256)):
                stage = need.stage
                place = 0 if stage.first else pipeline - 1 if stage.last else 1
                yield name, layout, place, need.weights


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_each_rank_holds_what_was_planned(ask, tell):
    """Within one percent, without loading anything."""
    asked, catalogue = list(ranks()), load_catalogue()
    cases = [
        {
            "config": catalogue.find(name).config,
            "tensor": layout.tensor,
            "pipeline": layout.pipeline,
            "expert": layout.expert,
            "stage": place,
        }
        for name, layout, place, _ in asked
    ]
    answers = ask("ask_weights.py", cases)
    off = [
        (planned / seen - 1 if isinstance(seen, int) else seen, name, str(layout), place)
        for (name, layout, place, planned), seen in zip(asked, answers, strict=True)
    ]
    failed = [row for row in off if not isinstance(row[0], float)]
    assert failed == []
    worst = max(off, key=lambda row: abs(row[0]))
    tell(
        f"weights on {len(off)} ranks of {len(LAYOUTS)} models",
        "",
        f"at most {worst[0]:+.2%}",
        f"{worst[1]}, {worst[2]}",
    )
    assert [row for row in off if abs(row[0]) > CLOSE] == []
