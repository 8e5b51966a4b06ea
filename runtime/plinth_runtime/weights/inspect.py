"""Reading a model folder: its files, its card, its digests, its manifest. What counts as a fault is in `verify.py`."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plinth_runtime.contract.card import CardError, ModelCard, read_card
from plinth_runtime.contract.manifest import MANIFEST_NAME, ManifestFile, WeightManifest
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.folder import list_files, reader_of
from plinth_runtime.weights.verify import corrupt, digest_faults, parse_manifest, presence_faults

CHUNK_BYTES = 1 << 20
"""One read. Larger ones are no faster and stay in the agent's memory."""

MANIFEST_LIMIT_BYTES = 64 << 20

Progress = Callable[[int, int], None]
"""(bytes done, bytes in all), called after each chunk. Raise in it to stop."""


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a check found: the card, and `state`: 'verified' (against the planned manifest) or 'unverified'."""

    card: ModelCard
    state: str
    message: str


def ignore_progress(_done: int, _total: int) -> None:
    """Watch nothing."""


def inspect_folder(folder: Path) -> ModelCard:
    """Read the card. Raises CorruptWeightsError naming every structural fault."""
    try:
        return read_card(list_files(folder), reader_of(folder))
    except CardError as error:
        raise corrupt(str(folder), error.faults) from error


def hash_files(folder: Path, files: Mapping[str, int], progress: Progress = ignore_progress) -> dict[str, str]:
    """Return the sha256 of each named file, 64 hex digits by path."""
    total, done = sum(files.values()), 0
    digests = {}
    buffer = memoryview(bytearray(CHUNK_BYTES))
    for path in files:
        hasher = hashlib.sha256()
        with (folder / path).open("rb", buffering=0) as file:
            # The engine reads the same bytes next, so they are worth keeping in the page cache.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while count := file.readinto(buffer):
                hasher.update(buffer[:count])
                done += count
                progress(done, total)
        digests[path] = hasher.hexdigest()
    return digests


def make_manifest(folder: Path, source: str = "", progress: Progress = ignore_progress) -> WeightManifest:
    """Describe a folder as it is now, after checking that it can be a model at all."""
    inspect_folder(folder)
    files = list_files(folder)
    digests = hash_files(folder, files, progress)
    rows = tuple(ManifestFile(path=path, size=size, sha256=digests[path]) for path, size in files.items())
    return WeightManifest(source=source, files=rows)


def write_manifest(folder: Path, manifest: WeightManifest) -> str:
    """Write it beside the weights, whole or not at all; return the sha256 of the file, which `digest()` equals."""
    target = folder / MANIFEST_NAME
    temporary = folder / f".{MANIFEST_NAME}.{os.getpid()}"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(manifest.canonical_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    return manifest.digest()


def check_folder(folder: Path, expected_digest: str | None = None, progress: Progress = ignore_progress) -> FolderFacts:
    """Check a folder before it is served: structure always, contents against its manifest if it has one.

    Raises CorruptWeightsError. Only a folder that agrees with the *planned* manifest is called verified: one that
    agrees with a manifest of its own was at least not damaged, but anybody could have replaced both.
    """
    card = inspect_folder(folder)
    path = folder / MANIFEST_NAME
    if not path.is_file():
        if expected_digest is not None:
            raise CorruptWeightsError(f"{path} is missing, the launch was planned with sha256 {expected_digest}")
        return FolderFacts(card, "unverified", f"no {MANIFEST_NAME}: the weights were not checked")
    manifest = parse_manifest(reader_of(folder)(MANIFEST_NAME, 0, MANIFEST_LIMIT_BYTES), expected_digest)
    present = list_files(folder)
    faults = presence_faults(manifest, present)
    if not faults:
        faults = digest_faults(manifest, hash_files(folder, {f.path: f.size for f in manifest.files}, progress))
    if faults:
        raise corrupt(str(folder), faults)
    if expected_digest is None:
        return FolderFacts(card, "unverified", "the folder agrees with its own manifest, but the launch names none")
    return FolderFacts(card, "verified", f"{len(manifest.files)} files, {manifest.total_bytes} bytes")
