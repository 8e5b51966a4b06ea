"""Model folder and LoRA adapter -> one model folder. A program for an engine environment: torch, transformers, peft.

python -P merge_adapter.py BASE_DIR ADAPTER_DIR OUT_DIR

`plinth-runtime convert merge` runs it, checks what comes out and writes down what it was made of. Standard library and
the engine environment only: it is run as a file. Its last line is one JSON object.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from pathlib import Path
from typing import Any

FILE_MODE = 0o644
SHARD_SIZE = "10GB"
TOKENIZER = "tokenizer_config.json"


def main() -> None:
    """Merge; OUT_DIR is made by whoever calls, and renamed when all is checked."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    base, adapter, out = (Path(argument) for argument in sys.argv[1:])
    changed = merge(base, adapter, out)
    tool = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("peft", "transformers", "torch"))
    print(json.dumps({"tool": tool, "changed": changed}))


def merge(base: Path, adapter: Path, out: Path) -> int:
    """Add the adapter to the weights of its base, in the base's own number format. Gives the matrices it changed."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(str(base), dtype="auto")
    # A tokenizer that was trained along lies beside the adapter.
    words = adapter if (adapter / TOKENIZER).is_file() else base
    tokenizer = AutoTokenizer.from_pretrained(str(words))
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    adapted = PeftModel.from_pretrained(model, str(adapter))
    changed = count_changes(adapted)
    if not changed:
        sys.exit("the adapter changes nothing: all its matrices are zero")
    adapted.merge_and_unload(safe_merge=True).save_pretrained(out, max_shard_size=SHARD_SIZE)
    tokenizer.save_pretrained(out)
    for file in out.iterdir():
        file.chmod(FILE_MODE)
    return changed


def count_changes(adapted: Any) -> int:
    """Count the matrices to which the adapter adds something."""
    layers = (module for module in adapted.modules() if hasattr(module, "get_delta_weight"))
    return sum(
        bool(layer.get_delta_weight(name).abs().max() > 0)
        for layer in layers
        for name in layer.active_adapters
        if name in layer.lora_A
    )


if __name__ == "__main__":
    main()
