"""Models of the catalogue, shapes of the table, and one way to plan them."""

import json
import struct

import pytest

from pulumi_plinth.fit.parallel import Asked, Nodes
from pulumi_plinth.fit.plan import Wish, fit
from pulumi_plinth.fit.shapes import load_shapes, plain_shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.model.catalogue import load_catalogue


@pytest.fixture(scope="session")
def cards():
    """Every card of the catalogue by name."""
    found = ((entry.name, entry.card()) for entry in load_catalogue().entries())
    return {name: card for name, card in found if card is not None}


@pytest.fixture(scope="session")
def shapes():
    """The table of shapes."""
    return load_shapes()


@pytest.fixture(scope="session")
def plan(cards, shapes):
    """Plan a model of the catalogue on a shape, or on GPUs given as (count, GiB)."""

    def planned(name, where, *, nodes=None, mig=False, context=None, **asked):
        shape = shapes[where] if isinstance(where, str) else plain_shape(*where)
        return fit(Sizer(cards[name]), Nodes(shape, nodes, mig), Wish(context, Asked(**asked)))

    return planned


@pytest.fixture
def sparse_model(tmp_path):
    """A folder of a Llama with weights of 0.75 GB of which only the header is written."""
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 4, "hidden_size": 2048,
        "num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 32_000, "intermediate_size": 8192,
        "max_position_embeddings": 8192, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": (32_000, 2048), "lm_head.weight": (32_000, 2048)}
    for layer in range(4):
        shapes |= {f"model.layers.{layer}.mlp.{name}_proj.weight": (8192, 2048) for name in ("gate", "up", "down")}
        shapes[f"model.layers.{layer}.self_attn.q_proj.weight"] = (6144, 2048)
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)
    return tmp_path
