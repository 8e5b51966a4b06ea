"""Remarks on plans that fit: said where somebody was hurt before, silent elsewhere."""

import pytest

from pulumi_plinth.fit.cautions import cautions
from pulumi_plinth.fit.parallel import Asked, Nodes
from pulumi_plinth.fit.plan import Wish, fit
from pulumi_plinth.fit.shapes import plain_shape
from pulumi_plinth.fit.sizing import Sizer


@pytest.fixture
def remarks(cards):
    """Plan and return what is remarked, as one text."""

    def do(name, where, wish, nodes=None):
        there = Nodes(plain_shape(*where), nodes)
        return " | ".join(item.text for item in cautions(cards[name], there, fit(Sizer(cards[name]), there, wish)))

    return do


def test_a_plan_with_room_is_not_remarked_on(remarks):
    """Llama 3.1 8B with a moderate batch on an A100 of 40."""
    assert remarks("llama-3.1-8b-instruct", (1, 40), Wish(8192)) == ""


def test_a_near_miss_is_said(remarks):
    """The longest context that fits leaves nothing."""
    assert "one request of full length leaves 0.00 GiB" in remarks("llama-3.1-8b-instruct", (1, 22), Wish())


def test_media_are_not_counted(remarks):
    """The profile run of images sets the peak of such models."""
    assert "--limit-mm-per-prompt" in remarks("qwen2.5-vl-7b-instruct", (1, 80), Wish(8192))


def test_large_logits_are_said(remarks):
    """1024 sequences of 201,088 words: 0.77 GiB a copy."""
    assert "logits take 0.77 GiB a copy at --max-num-seqs 1024" in remarks("gpt-oss-20b", (1, 80), Wish(8192))


def test_tensors_over_nodes_are_slow(remarks):
    """Sixteen over two nodes is allowed."""
    wish = Wish(asked=Asked(tensor=16))
    assert "tensors cross nodes" in remarks("llama-3.1-405b-instruct", (8, 141), wish, 2)
