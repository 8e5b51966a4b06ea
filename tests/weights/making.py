"""Bytes, files and folders that the tests of weights are about."""

import hashlib
import json
import os
import struct

PART = 1 << 20
SHARD = "model-00001-of-00002.safetensors"


def safetensors(tensors, data):
    """A safetensors file of bytes: tensor name -> bytes of it, cut from `data`."""
    header, offset = {}, 0
    for name, size in tensors.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[:offset]


def noise(size, seed=0):
    """Bytes that nobody would take for zeros, the same for the same seed."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 16)
    return (block * (size // len(block) + 1))[:size]


def contents(folder):
    """Visible files but the manifest, path to bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != "plinth-manifest.json"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def flip(path, offset):
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path)
