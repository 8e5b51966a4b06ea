"""Cards of folders that are no language model: LoRA adapters and diffusers pipelines."""

from __future__ import annotations

import re

from plinth_runtime.contract.card_files import Folder
from plinth_runtime.contract.card_sidecars import diffusion_capabilities, read_adapter, read_diffusion
from plinth_runtime.contract.card_types import ModelCard
from plinth_runtime.contract.card_weights import Totals, add_up, read_tensors

VARIANT = re.compile(r"\.(fp16|bf16|non_ema|ema)\.")
"""The same weights once more in another precision."""


def adapter_card(folder: Folder) -> ModelCard | None:
    """Read a folder with adapter_config.json and no config.json. None with faults in the folder."""
    adapter = read_adapter(folder)
    tensors, shards = read_tensors(folder)
    if adapter is None or folder.faults:
        return None
    totals = add_up(tensors, 0, None)
    head = folder.front_matter()
    return _bare_card("adapter", totals).model_copy(
        update={
            "architecture": "PeftModel",
            "model_type": adapter.method,
            "adapter": adapter,
            "shards": shards,
            "license": next(iter(head.get("license", ())), None),
        }
    )


def diffusion_card(folder: Folder) -> ModelCard | None:
    """Read a folder with model_index.json: each component's headers by themselves, precision variants left out."""
    diffusion = read_diffusion(folder)
    if diffusion is None:
        return None
    totals = Totals()
    for component in sorted(diffusion.components):
        part = _component(folder, component)
        if not any(path.endswith(".safetensors") for path in part.files):
            continue
        tensors, shards = read_tensors(part)
        found = add_up(tensors, 0, None)
        folder.faults.extend(f"{component}/{fault}" for fault in part.faults)
        totals.tensors += found.tensors
        totals.shards += shards
        totals.bytes_by_part[component] += found.bytes_by_part.total()
        totals.bytes_by_dtype += found.bytes_by_dtype
        totals.parameters_by_dtype += found.parameters_by_dtype
    head = folder.front_matter()
    return _bare_card("diffusion", totals).model_copy(
        update={
            "architecture": diffusion.pipeline,
            "model_type": "diffusers",
            "diffusion": diffusion,
            "capabilities": diffusion_capabilities(diffusion.pipeline),
            "shards": totals.shards,
            "license": next(iter(head.get("license", ())), None),
        }
    )


def _bare_card(kind: str, totals: Totals) -> ModelCard:
    dtype = max(sorted(totals.bytes_by_dtype), key=lambda name: totals.bytes_by_dtype[name], default="unknown")
    zero = dict.fromkeys(
        ("layers", "hidden_size", "attention_heads", "kv_heads", "head_dim", "vocabulary", "max_context"), 0
    )
    return ModelCard.model_validate({
        **zero,
        "architecture": "",
        "model_type": "",
        "kind": kind,
        "parameters": totals.parameters_by_dtype.total(),
        "weight_bytes": totals.bytes_by_part.total(),
        "dtype": dtype,
        "parameters_by_dtype": dict(sorted(totals.parameters_by_dtype.items())),
        "bytes_by_part": dict(sorted(totals.bytes_by_part.items())),
        "tensors": totals.tensors,
    })  # fmt: skip


def _component(folder: Folder, name: str) -> Folder:
    """Show one sub-folder as a folder of its own, its index under the name that `card_weights` looks for."""
    inner = {
        path.removeprefix(f"{name}/").replace("diffusion_pytorch_model.", "model."): path
        for path in folder.files
        if path.startswith(f"{name}/") and not VARIANT.search(path)
    }

    def read(path: str, offset: int, length: int) -> bytes:
        return folder.read(inner[path], offset, length)

    return Folder({alias: folder.files[path] for alias, path in inner.items()}, read)
