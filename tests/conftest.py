"""Fixtures that several folders of tests share. What is slow is shared by the whole run."""

import json
import os
import struct
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_report_header():
    """Name the versions that matter when a run fails somewhere else."""
    from importlib.metadata import version

    return [f"plinth: pulumi {version('pulumi')}, pydantic {version('pydantic')}, grpcio {version('grpcio')}"]


@pytest.fixture(scope="session")
def project_root():
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_inherited_settings(monkeypatch):
    """A person's own Pulumi settings must not reach the tests."""
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "PLINTH_")) and "ENGINE" not in name]:
        monkeypatch.delenv(name)


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 128,
    "max_position_embeddings": 4096,
}


def write_safetensors(path, tensors):
    """Write a safetensors file of bf16 zeros: name -> shape."""
    header, offset = {}, 0
    for name, shape in tensors.items():
        size = 2
        for extent in shape:
            size *= extent
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))


@pytest.fixture
def make_model():
    """A function that writes a tiny, structurally right model folder, with a manifest unless told otherwise."""

    def make(folder, *, manifest=True, config=CONFIG):
        from plinth_runtime.weights.inspect import make_manifest, write_manifest

        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        write_safetensors(folder / "model.safetensors", {"embed": [128, 64], "layer": [64, 64]})
        if manifest:
            write_manifest(folder, make_manifest(folder, "test"))
        return folder

    return make


@pytest.fixture
def card():
    """SmolLM2-135M's numbers."""
    from plinth_runtime.contract.card import ModelCard

    return ModelCard(
        architecture="LlamaForCausalLM",
        model_type="llama",
        parameters=134_515_008,
        weight_bytes=269_030_016,
        dtype="BF16",
        layers=30,
        hidden_size=576,
        attention_heads=9,
        kv_heads=3,
        head_dim=64,
        vocabulary=49152,
        max_context=8192,
        license="apache-2.0",
    )
