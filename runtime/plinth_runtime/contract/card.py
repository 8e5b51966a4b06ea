"""ModelCard: what can be read from a model folder without loading it. Pure: the caller passes a reading function.

Reads config.json and the headers of the safetensors files (a few kilobytes), whatever the size of the weights.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import Field

from plinth_runtime.contract.base import Document

HEADER_LIMIT_BYTES = 100 << 20
"""The format's own bound on a safetensors header."""

Reader = Callable[[str, int, int], bytes]
"""(relative path, offset, length) -> bytes; shorter only at the end of the file."""


class CardError(ValueError):
    """The folder cannot be a model; `faults` says every reason, one sentence each."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ModelCard(Document):
    """A model's shape. Sizes in bytes, lengths in tokens. Source: config.json and safetensors headers."""

    architecture: str
    model_type: str
    parameters: int = Field(description="Sum over tensors of their elements.")
    weight_bytes: int = Field(description="Sum over tensors of their stored bytes.")
    dtype: str = Field(description="The number format most bytes are stored in, as safetensors spells it.")
    layers: int
    hidden_size: int
    attention_heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_context: int = Field(description="max_position_embeddings: the longest context the model was made for.")

    def kv_bytes_per_token(self, element_bytes: int = 2) -> int:
        """Keys and values of one token over all layers, full attention: 2 x layers x kv heads x head dim x bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * element_bytes


def read_card(files: Mapping[str, int], read: Reader) -> ModelCard:
    """Read the card of a folder given its files (path to bytes). Raises CardError with every fault found."""
    faults: list[str] = []
    config = _read_config(files, read, faults)
    tensors: dict[str, tuple[str, int, int]] = {}
    shards = sorted(path for path in files if path.endswith(".safetensors"))
    if not shards:
        faults.append("there is no *.safetensors file (other weight formats are not served)")
    for path in shards:
        tensors.update(_read_header(path, files[path], read, faults))
    faults.extend(_index_faults(files, read, tensors))
    if faults or config is None:
        raise CardError(tuple(faults))
    return _card(config, tensors)


def _read_config(files: Mapping[str, int], read: Reader, faults: list[str]) -> dict[str, Any] | None:
    if "config.json" not in files:
        faults.append("config.json is missing")
        return None
    try:
        config = json.loads(read("config.json", 0, files["config.json"]))
    except ValueError as error:
        faults.append(f"config.json is not JSON: {error}")
        return None
    if not isinstance(config, dict):
        faults.append("config.json is not an object")
        return None
    # Multimodal models keep the language model's shape one level down.
    shape = {**config, **config.get("text_config", {})}
    wanted = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
    faults.extend(f"config.json has no {key}" for key in wanted if not isinstance(shape.get(key), int))
    return shape if not any(fault.startswith("config.json") for fault in faults) else None


def _read_header(path: str, size: int, read: Reader, faults: list[str]) -> dict[str, tuple[str, int, int]]:
    """Tensors of one file as name -> (dtype, elements, bytes), after checking that they tile the file exactly."""
    prefix = read(path, 0, 8)
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > min(HEADER_LIMIT_BYTES, size - 8):  # noqa: PLR2004 the length field is 8 bytes
        faults.append(f"{path} is no safetensors file or is cut inside its header ({size} bytes)")
        return {}
    try:
        header = json.loads(read(path, 8, length))
        rows = {name: _row(row) for name, row in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        faults.append(f"{path} has an unreadable header: {error}")
        return {}
    expected = 8 + length + max((row[3] for row in rows.values()), default=0)
    if expected != size:
        faults.append(f"{path} has {size} bytes, its header describes {expected}: it is cut short or was appended to")
    if sum(row[2] for row in rows.values()) != expected - 8 - length:
        faults.append(f"{path} has a header whose tensors overlap or leave gaps")
    return {name: row[:3] for name, row in rows.items()}


def _row(row: Mapping[str, Any]) -> tuple[str, int, int, int]:
    start, end = row["data_offsets"]
    return str(row["dtype"]), math.prod(row["shape"]), end - start, end


def _index_faults(files: Mapping[str, int], read: Reader, tensors: Mapping[str, object]) -> Iterator[str]:
    name = "model.safetensors.index.json"
    if name not in files:
        return
    try:
        weight_map = json.loads(read(name, 0, files[name]))["weight_map"]
    except (ValueError, KeyError, TypeError):
        yield f"{name} is not an index (an object with weight_map)"
        return
    for shard in sorted(set(weight_map.values()) - set(files)):
        yield f"{shard} is missing, {name} names it"
    missing = sorted(tensor for tensor, shard in weight_map.items() if tensor not in tensors and shard in files)
    if missing:
        yield f"{len(missing)} tensors named by {name} are in no file, the first is {missing[0]}"


def _card(config: dict[str, Any], tensors: Mapping[str, tuple[str, int, int]]) -> ModelCard:
    by_dtype: dict[str, int] = {}
    for dtype, _, size in tensors.values():
        by_dtype[dtype] = by_dtype.get(dtype, 0) + size
    heads = config["num_attention_heads"]
    return ModelCard(
        architecture=(config.get("architectures") or ["unknown"])[0],
        model_type=config.get("model_type", "unknown"),
        parameters=sum(elements for _, elements, _ in tensors.values()),
        weight_bytes=sum(size for _, _, size in tensors.values()),
        dtype=max(by_dtype, key=lambda key: by_dtype[key], default="unknown"),
        layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        attention_heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or config["hidden_size"] // heads,
        vocabulary=config["vocab_size"],
        max_context=config.get("max_position_embeddings") or 0,
    )
