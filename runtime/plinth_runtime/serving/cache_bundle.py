"""Bundles of what an engine compiled, on disk: packed whole, unpacked only if every byte is as the table says."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pydantic import ValidationError

from plinth_runtime.contract.cache import TABLE_NAME, CachedFile, CacheFacts, CacheTable

MOST_BYTES = 4 << 30
"""Of a bundle. Large models on GPUs come to some hundred MiB."""

MOST_FILES = 100_000
MOST_TABLE_BYTES = 32 << 20
CHUNK_BYTES = 1 << 20

PASSING = (".lock", ".tmp")
"""Files that mean nothing without the process that made them."""


class BundleError(Exception):
    """Why a bundle is not used, in one sentence."""


def list_files(folder: Path) -> tuple[CachedFile, ...]:
    """Describe all files below a folder. Raises BundleError if there are too many, OSError."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file() or path.name.endswith(PASSING):
            continue
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(CachedFile(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=digest))
    if len(found) > MOST_FILES or sum(file.size for file in found) > MOST_BYTES:
        raise BundleError(f"{len(found)} files, {sum(file.size for file in found)} bytes are more than are kept")
    return tuple(found)


def pack(folder: Path, table: CacheTable, bundle: Path) -> None:
    """Write a bundle in one step. Raises OSError, and BundleError when a file changed meanwhile."""
    temporary = bundle.with_name(f".{bundle.name}.{os.getpid()}")
    try:
        with tarfile.open(temporary, "w") as archive:
            _add(archive, TABLE_NAME, table.canonical_json().encode())
            for file in table.files:
                content = (folder / file.path).read_bytes()
                if hashlib.sha256(content).hexdigest() != file.sha256:
                    raise BundleError(f"{file.path} changed while it was packed")
                _add(archive, file.path, content)
        temporary.replace(bundle)
    finally:
        temporary.unlink(missing_ok=True)


def read_table(bundle: Path) -> CacheTable:
    """Read what is in a bundle. Raises BundleError."""
    with _opened(bundle) as archive:
        return _first(archive)


def unpack(bundle: Path, facts: CacheFacts, folder: Path) -> CacheTable:
    """Put a bundle's files below a folder that is made for them: all, or none and BundleError."""
    _refuse_strangers(bundle)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        with _opened(bundle) as archive:
            table = _first(archive)
            _refuse_others(table.facts, facts)
            _extract(archive, table, temporary)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except (OSError, tarfile.TarError) as error:
        raise BundleError(f"{bundle.name} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return table


def _opened(bundle: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(bundle, "r:")
    except (OSError, tarfile.TarError) as error:
        raise BundleError(f"{bundle.name} is no bundle: {error}") from error


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _first(archive: tarfile.TarFile) -> CacheTable:
    try:
        entry = archive.next()
        stream = archive.extractfile(entry) if entry and entry.name == TABLE_NAME else None
        if entry is None or stream is None or entry.size > MOST_TABLE_BYTES:
            raise BundleError(f"a bundle begins with {TABLE_NAME}, this does not")
        return CacheTable.model_validate_json(stream.read(MOST_TABLE_BYTES))
    except (OSError, tarfile.TarError, ValidationError) as error:
        raise BundleError(f"its table cannot be read: {type(error).__name__}") from error


def _refuse_strangers(bundle: Path) -> None:
    """Code that others could have written is not run."""
    try:
        status = bundle.stat()
    except OSError as error:
        raise BundleError(f"{bundle.name} cannot be read: {error.strerror}") from error
    if status.st_uid not in (0, os.getuid()) or status.st_mode & stat.S_IWOTH:
        raise BundleError(f"{bundle.name} belongs to user {status.st_uid} or may be written by everybody")


def _refuse_others(theirs: CacheFacts, ours: CacheFacts) -> None:
    said, wanted = theirs.model_dump(mode="json"), ours.model_dump(mode="json")
    other = [name for name, value in wanted.items() if said[name] != value]
    if other:
        raise BundleError(f"it was made for another {', '.join(other)}")


def _extract(archive: tarfile.TarFile, table: CacheTable, folder: Path) -> None:
    folder.mkdir(parents=True)
    entries = _members(archive)
    for file in table.files:
        entry, stream = next(entries, (None, None))
        if entry is None or stream is None or (entry.name, entry.size) != (file.path, file.size):
            raise BundleError(f"{file.path} is missing or has another size")
        target = folder / _safe(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if _copy(stream, target) != file.sha256:
            raise BundleError(f"{file.path} is damaged")
    if next(entries, None) is not None:
        raise BundleError("it has more files than its table says")


def _members(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    while (entry := archive.next()) is not None:
        yield entry, archive.extractfile(entry) if entry.isreg() else None


def _safe(path: str) -> PurePosixPath:
    name = PurePosixPath(path)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise BundleError(f"{path!r} leads out of the folder")
    return name


def _copy(stream: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
