"""A program that converts as far as its caller can see: copies the first input's model, last line JSON, faults.

converter.py FAULTS INPUT… OUT. Faults, separated by commas: `fail` (words on standard error and 1), `lose` (a tensor is
missing), `cut` (a weight file is cut short), `slow` (for a minute).
"""

import json
import shutil
import struct
import sys
import time
from pathlib import Path


def write(path, tensors):
    """Write a safetensors file of bf16 zeros: name -> shape."""
    header, offset = {}, 0
    for name, (rows, columns) in tensors.items():
        size = 2 * rows * columns
        header[name] = {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))


def main():
    """Convert."""
    faults, *inputs, out = sys.argv[1:]
    if "slow" in faults:
        time.sleep(60)
    if "fail" in faults:
        print("Traceback (most recent call last):\nValueError: this is no model", file=sys.stderr)
        sys.exit(1)
    target = Path(out)
    target.mkdir()
    shutil.copy(Path(inputs[0]) / "config.json" if Path(inputs[0]).is_dir() else Path(inputs[0] + ".json"), target)
    for path in target.glob("*.gguf.json"):
        path.rename(target / "config.json")
    tensors = {"embed": (128, 64), "layer": (64, 64)}
    if "lose" in faults:
        tensors.pop("layer")
    write(target / "model.safetensors", tensors)
    if "cut" in faults:
        with (target / "model.safetensors").open("r+b") as file:
            file.truncate(100)
    print("some words")
    print(json.dumps({"tool": "converter 1.0"}))


main()
