"""Are these weight files whole, whatever model they are? Pure: sizes and a reading function in, faults out.

Every safetensors header must describe its file to the last byte, and every index must name shards that are there and
tensors that those shards have. Whether a header's data is right only digests can say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from plinth_runtime.contract.card_files import INDEX_LIMIT_BYTES, Folder, Reader, mapping
from plinth_runtime.contract.safetensors import PREFIX_BYTES, HeaderError, Tensor, header_length, parse_header

SUFFIX = ".safetensors"
INDEX_SUFFIX = ".safetensors.index.json"


def structure_faults(files: Mapping[str, int], read: Reader) -> tuple[str, ...]:
    """Find what is wrong with the weight files of a folder (path to bytes); one sentence each."""
    folder = Folder(files, read)
    headers = {path: _header(folder, path) for path in sorted(files) if path.endswith(SUFFIX)}
    for path in sorted(files):
        if path.endswith(INDEX_SUFFIX):
            folder.faults.extend(_index_faults(folder, path, headers))
    return tuple(folder.faults)


def _header(folder: Folder, path: str) -> dict[str, Tensor] | None:
    size = folder.files[path]
    try:
        length = header_length(folder.read(path, 0, PREFIX_BYTES), size)
        return parse_header(folder.read(path, PREFIX_BYTES, length), size)
    except HeaderError as error:
        folder.faults.append(f"{path} {error}")
        return None


def _index_faults(folder: Folder, path: str, headers: Mapping[str, dict[str, Tensor] | None]) -> Iterator[str]:
    weight_map = mapping(mapping(folder.object(path, limit=INDEX_LIMIT_BYTES)).get("weight_map"))
    above = path.rpartition("/")[0]
    shards = {str(shard): f"{above}/{shard}" if above else str(shard) for shard in weight_map.values()}
    absent = sorted(shard for shard, name in shards.items() if name not in headers)
    if absent:
        yield f"{path} names {absent[0]}, which is not there ({len(absent)} of {len(shards)} files)"
    missing = sorted(
        tensor
        for tensor, shard in weight_map.items()
        if (header := headers.get(shards[str(shard)])) is not None and tensor not in header
    )
    if missing:
        yield f"{path} names {len(missing)} tensors that their files do not have, the first is {missing[0][:80]}"
