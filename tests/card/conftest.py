"""Model folders made of bytes in memory: the card's reader never sees a disk."""

import json
import struct

import pytest

from plinth_runtime.contract.card import read_card

BITS = {"BF16": 16, "F32": 32, "F16": 16, "I64": 64, "I32": 32, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F4": 4}


def header_of(tensors):
    """A safetensors header: name -> (dtype, shape), tiled one after the other; returns (bytes, bytes of data)."""
    rows, offset = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = BITS[dtype]
        for extent in shape:
            size *= extent
        rows[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size // 8]}
        offset += size // 8
    text = json.dumps(rows).encode()
    return struct.pack("<Q", len(text)) + text, offset


class Folder:
    """Files as bytes; weights are headers only, their size is made up, and reads are recorded."""

    def __init__(self):
        self.bodies, self.sizes, self.reads = {}, {}, []

    def add(self, path, body, extra=0):
        """Put a file: bytes, text or something to write as JSON, followed by `extra` bytes nobody may read."""
        if not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        self.bodies[path] = body.encode() if isinstance(body, str) else body
        self.sizes[path] = len(self.bodies[path]) + extra
        return self

    def weights(self, tensors, path="model.safetensors"):
        """Put a weight file with these tensors."""
        header, data = header_of(tensors)
        return self.add(path, header, data)

    def read(self, path, offset, length):
        """Read as the real ones do; only what was put can be read."""
        self.reads.append((path, offset, length))
        return self.bodies[path][offset : offset + length]

    def card(self):
        """The card of this folder."""
        return read_card(self.sizes, self.read)


CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 128, "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture
def folder():
    """An empty folder."""
    return Folder()


@pytest.fixture
def llama(folder):
    """A function that makes a small Llama folder; keywords change config.json."""

    def make(tensors=None, **changes):
        folder.add("config.json", {**CONFIG, **changes})
        return folder.weights(tensors or {"model.embed_tokens.weight": ("BF16", [128, 64])})

    return make
