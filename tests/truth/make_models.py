"""Runs inside the engine environment: writes model folders with random weights, as transformers saves them.

Reads a JSON list of {folder, config, dtype}; writes the bytes of each folder's tensors, read back from its files.
"""

import json
import logging
import sys
import warnings
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM


def make(folder, config, dtype):
    """Write one model."""
    own = AutoConfig.for_model(**config)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(own, dtype=getattr(torch, dtype)).save_pretrained(folder)
    return sum(stored(path) for path in Path(folder).glob("*.safetensors"))


def stored(path):
    """Bytes of all tensors of one file."""
    with safe_open(path, "pt") as file:
        tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118 the file is no mapping
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    out, sys.stdout = sys.stdout, sys.stderr
    json.dump([make(**case) for case in json.load(sys.stdin)], out)
