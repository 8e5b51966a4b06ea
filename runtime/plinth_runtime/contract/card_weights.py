"""Safetensors files of a folder -> totals: bytes, parameters by number format and by part of the model.

Which files count is decided here (index first, as engines load them); what a header is, in `safetensors.py`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from plinth_runtime.contract.card_files import INDEX_LIMIT_BYTES, Folder, mapping
from plinth_runtime.contract.card_types import Quantization
from plinth_runtime.contract.safetensors import PREFIX_BYTES, HeaderError, Tensor, header_length, parse_header

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
HEADERS_LIMIT_BYTES = 64 << 20
"""All headers of a folder together; the largest model of 2026 has 25 MB of them."""

MAX_TENSORS = 1 << 20
FAULTS_SHOWN = 20

FLOATS = frozenset({"float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz",
                    "float8_e5m2fnuz", "float4_e2m1", "float6_e2m3", "float6_e3m2"})  # fmt: skip

SCALES = re.compile(r"(^|[._])(scales?|scale_inv|scale_2|zeros?|qzeros|zero_point|g_idx|absmax|quant_map|quant_state\S*"
                    r"|(input|weight)_(global_)?scale(_inv|_2)?|[kqv]_scale|weight_shape)$")  # fmt: skip
"""Last words of tensors that help to read others and are no parameters. Only looked for in quantised models."""

PACKED = re.compile(r"(\.qweight|\.weight_packed|_blocks)$")
EXPERTS = re.compile(r"\.experts[._]|\.expert_\d")
VISION = re.compile(r"(^|\.)(vision|visual|audio|image|vpm|resampler|multi_modal_projector|mm_projector|projector"
                    r"|embed_(vision|audio)|aligner|gen_)")  # fmt: skip
EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings?|tok_embeddings|embed_in|embedding|shared)\.weight$"
                       r"|word_embeddings\.weight$")  # fmt: skip
HEAD = re.compile(r"(^|\.)(lm_head|embed_out)\.|^output\.weight$|^output_layer\.weight$")
NUMBERED = re.compile(r"([^/]*)-(\d{5})-of-(\d{5})\.safetensors")
LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")


@dataclass(slots=True)
class Totals:
    """Sums over all tensors. `draft` layers lie behind the last layer: multi-token prediction heads."""

    shards: int = 0
    tensors: int = 0
    bytes_by_part: Counter[str] = field(default_factory=Counter)
    parameters_by_part: Counter[str] = field(default_factory=Counter)
    parameters_by_dtype: Counter[str] = field(default_factory=Counter)
    bytes_by_dtype: Counter[str] = field(default_factory=Counter)

    def active(self, share: float) -> int:
        """Parameters used for one token when that share of the experts works; draft heads left out."""
        experts = self.parameters_by_part["experts"]
        rest = self.parameters_by_part.total() - experts - self.parameters_by_part["draft"]
        return round(rest + experts * share)


def read_tensors(folder: Folder) -> tuple[dict[str, Tensor], int]:
    """Read every header that counts. Faults go to the folder; returns what could be read and the number of files."""
    index = _index(folder)
    tensors: dict[str, Tensor] = {}
    budget = HEADERS_LIMIT_BYTES
    shards = _shards(folder, index)
    if not shards and index is None:
        folder.faults.append("there is no *.safetensors file (other weight formats are not served)")
    for path in shards:
        before = len(folder.faults)
        found, used = _read_header(folder, path, budget)
        budget -= used
        if twice := tensors.keys() & found.keys():
            folder.faults.append(f"{path} holds tensor {min(twice)[:80]}, which another file holds too")
        tensors.update(found)
        if len(tensors) > MAX_TENSORS or budget <= 0 or len(folder.faults) > FAULTS_SHOWN:
            _stop(folder, before)
            break
    _compare(folder, index, tensors)
    return tensors, len(shards)


def add_up(tensors: Mapping[str, Tensor], layers: int, quantization: Quantization | None) -> Totals:
    """Sum up. `layers` tells draft layers from the model's own."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for name, tensor in tensors.items():
        dtype, elements = _logical(name, tensor, quantization)
        row = sums.setdefault((_part(name, layers), tensor.dtype, dtype), [0, 0])
        row[0] += tensor.size
        row[1] += elements
    totals = Totals(tensors=len(tensors))
    for (part, stored, dtype), (size, elements) in sums.items():
        totals.bytes_by_part[part] += size
        totals.bytes_by_dtype[stored] += size
        if elements:
            totals.parameters_by_part[part] += elements
            totals.parameters_by_dtype[dtype] += elements
    return totals


def _index(folder: Folder) -> dict[str, str] | None:
    """Read which tensor is in which file; None without an index. Names of files outside the folder are faults."""
    if INDEX not in folder.files:
        return None
    weight_map = mapping(folder.object(INDEX, limit=INDEX_LIMIT_BYTES)).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        folder.faults.append(f"{INDEX} is not an index (an object with weight_map)")
        return None
    return weight_map


def _shards(folder: Folder, index: Mapping[str, str] | None) -> list[str]:
    """Choose as engines do: the index's files, else model.safetensors, else all beside config.json.

    Mistral's own copy (consolidated) and a LoRA (adapter_) count only where nothing else is there.
    """
    if index is not None:
        return sorted(set(index.values()) & set(folder.files))
    if SINGLE in folder.files:
        return [SINGLE]
    flat = sorted(path for path in folder.files if path.endswith(".safetensors") and "/" not in path)
    own = [path for path in flat if not path.startswith(("consolidated", "adapter_"))]
    return own or [path for path in flat if path.startswith("consolidated")] or flat


def _read_header(folder: Folder, path: str, budget: int) -> tuple[dict[str, Tensor], int]:
    size = folder.files[path]
    try:
        length = header_length(folder.read(path, 0, PREFIX_BYTES), size)
        if length > budget:
            return {}, budget + 1
        return parse_header(folder.read(path, PREFIX_BYTES, length), size), length
    except HeaderError as error:
        folder.faults.append(f"{path} {error}")
        return {}, 0


def _stop(folder: Folder, before: int) -> None:
    if len(folder.faults) == before:
        folder.faults.append(f"the headers together exceed {HEADERS_LIMIT_BYTES} bytes or {MAX_TENSORS} tensors")


def _compare(folder: Folder, index: Mapping[str, str] | None, tensors: Mapping[str, Tensor]) -> None:
    if index is None:
        folder.faults.extend(_gaps(folder))
        return
    absent = sorted(set(index.values()) - set(folder.files))
    folder.faults.extend(f"{shard[:200]} is missing, {INDEX} names it" for shard in absent[:FAULTS_SHOWN])
    missing = sorted(name for name, shard in index.items() if name not in tensors and shard in folder.files)
    if missing and not any("header" in fault for fault in folder.faults):
        folder.faults.append(f"{len(missing)} tensors named by {INDEX} are in no file, the first is {missing[0][:80]}")


def _gaps(folder: Folder) -> Iterator[str]:
    """Find missing files of a numbered row (`-00002-of-00005`) that came without its index."""
    rows = [match for path in folder.files if (match := NUMBERED.fullmatch(path))]
    for stem, total in sorted({(match[1], match[3]) for match in rows}):
        found = {int(match[2]) for match in rows if (match[1], match[3]) == (stem, total)}
        missing = next((number for number in range(1, len(found) + 2) if number not in found), 0)
        if len(found) < int(total):
            yield f"{stem}-{missing:05}-of-{total}.safetensors is missing"


def _part(name: str, layers: int) -> str:
    """Tell which part of the model a tensor belongs to. Most names have a layer number, so that comes first."""
    layer = LAYER.search(name)
    if VISION.search(name, 0, layer.start() + 1 if layer else len(name)):
        return "vision"
    if (layer and layers and int(layer[1][:9]) >= layers) or name.startswith(("mtp", "model.mtp")):
        return "draft"
    if ".expert" in name and EXPERTS.search(name):
        return "experts"
    if layer:
        return "other"
    if EMBEDDING.search(name):
        return "embedding"
    return "head" if HEAD.search(name) else "other"


def _logical(name: str, tensor: Tensor, quantization: Quantization | None) -> tuple[str, int]:
    """Return the format and number of parameters a tensor stands for; 0 for scales, indices and counters."""
    dtype, elements, _ = tensor
    if quantization is None:
        return dtype, elements if dtype in FLOATS else 0
    if SCALES.search(name) or dtype == "float8_e8m0fnu":
        return dtype, 0
    bits = quantization.bits or 4
    if PACKED.search(name) or (dtype == "uint8" and name.endswith("weight")):
        width = {"int32": 32, "uint8": 8, "int8": 8}.get(dtype, bits)
        four = "float4_e2m1" if "fp4" in f"{quantization.method} {quantization.format}" else f"int{bits}"
        return four, elements * width // bits
    if dtype == "int8" and name.endswith("weight"):
        return dtype, elements
    return dtype, elements if dtype in FLOATS else 0
