"""Reading a whole folder against its manifest: every file once, sha256 and part checksums together, damage by place.

What the manifest itself may be is in `verify.py`; whether weight files are whole, in `structure.py`.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from plinth_runtime.contract.manifest import MANIFEST_NAME, ManifestFile
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.folder import list_files, reader_of
from plinth_runtime.weights.reader import BUFFER_BYTES, extend_crc
from plinth_runtime.weights.structure import structure_faults
from plinth_runtime.weights.verify import corrupt, parse_manifest, presence_faults
from plinth_runtime.weights.work import Counters, Watch

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

FILE_READERS = 4
WATCH_SECONDS = 0.2
PARTS_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found: 'verified' or 'unverified', and why; the manifest's sha256 if there is one."""

    state: str
    message: str
    files: int
    bytes: int
    manifest: str | None = None


def verify_folder(folder: Path, expected: str | None, watch: Watch) -> Verdict:
    """Read every byte of a folder and compare. Raises CorruptWeightsError with what is wrong and where."""
    present = list_files(folder)
    size = sum(present.values())
    path = folder / MANIFEST_NAME
    text = path.read_bytes() if path.is_file() else None
    if text is None and expected is not None:
        raise CorruptWeightsError(f"{path} is missing, its sha256 should be {expected}")
    faults: Sequence[str] = structure_faults(present, reader_of(folder))
    if text is None:
        _refuse(folder, faults)
        return Verdict("unverified", f"{folder} has no {MANIFEST_NAME}, so nothing can be verified", len(present), size)
    manifest = parse_manifest(text, expected)
    faults = presence_faults(manifest, present) or read_faults(folder, manifest.files, watch) or faults
    _refuse(folder, faults)
    digest = hashlib.sha256(text).hexdigest()
    if manifest.learned:
        words = "nothing changed since the files arrived, but nobody vouched for them then"
        return Verdict("unverified", words, len(present), size, digest)
    return Verdict("verified", "every file agrees with the manifest", len(present), size, digest)


def read_faults(folder: Path, rows: Sequence[ManifestFile], watch: Watch) -> tuple[str, ...]:
    """Read files, several at a time, and name each that is not as its row says, with the part that is wrong."""
    counters = Counters(bytes_total=sum(row.size for row in rows), files_total=len(rows))
    stopped = threading.Event()
    with ThreadPoolExecutor(min(FILE_READERS, os.cpu_count() or 1)) as pool:
        futures = [pool.submit(_file_fault, folder / row.path, row, (counters, stopped)) for row in rows]
        try:
            while not all(future.done() for future in futures):
                watch(counters)
                stopped.wait(WATCH_SECONDS)
        except BaseException:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        watch(counters)
        return tuple(fault for future in futures if (fault := future.result()) is not None)


def _file_fault(path: Path, row: ManifestFile, state: tuple[Counters, threading.Event]) -> str | None:
    """Read one file; say what is wrong with it."""
    hasher = hashlib.sha256()
    part_size = row.part_size or max(1, row.size)
    buffer = memoryview(bytearray(min(BUFFER_BYTES, max(1, row.size))))
    wrong: list[str] = []
    try:
        with path.open("rb", buffering=0) as file:
            for number, start in enumerate(range(0, row.size, part_size)):
                length = min(part_size, row.size - start)
                crc, zero = _read_part(file, length, (buffer, hasher), state)
                if row.part_crcs and crc != row.part_crcs[number]:
                    wrong.append(_part_words(number, start, (row.part_crcs[number], crc), zero=zero))
    except OSError as error:
        return f"{row.path} cannot be read: {error.strerror}"
    state[0].files_done += 1
    if hasher.hexdigest() == row.sha256 and not wrong:
        return None
    more = f" and {len(wrong) - PARTS_SHOWN} more parts" if len(wrong) > PARTS_SHOWN else ""
    where = f": {', '.join(wrong[:PARTS_SHOWN])}{more}" if wrong else ""
    return f"{row.path} has sha256 {hasher.hexdigest()}, the manifest says {row.sha256}{where}"


def _read_part(
    file: FileIO, length: int, into: tuple[memoryview, Hash], state: tuple[Counters, threading.Event]
) -> tuple[int, bool]:
    """Read one part; give its CRC32C and whether it is nothing but zeros. It ends early where the file does."""
    (buffer, hasher), (counters, stopped) = into, state
    crc, zero = 0, True
    while length and not stopped.is_set():
        count = file.readinto(buffer[: min(len(buffer), length)]) or 0
        if not count:
            break
        piece = buffer[:count]
        hasher.update(piece)
        crc = extend_crc(crc, piece)
        zero = zero and bytes(piece) == bytes(count)
        length -= count
        counters.bytes_done += count
    return crc, zero


def _part_words(number: int, offset: int, crcs: tuple[int, int], *, zero: bool) -> str:
    words = f"part {number}, offset {offset}, expected CRC32C {crcs[0]:08x}, found {crcs[1]:08x}"
    return f"{words} (nothing but zeros)" if zero else words


def _refuse(folder: Path, faults: Sequence[str]) -> None:
    if faults:
        raise corrupt(str(folder), tuple(faults))
