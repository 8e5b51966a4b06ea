"""Files as a fetch writes them: room reserved first, direct or buffered writes at any place, durable when asked.

What is written where is decided elsewhere.
"""

from __future__ import annotations

import ctypes
import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from plinth_runtime.errors import NoSpaceError
from plinth_runtime.weights.parts import BLOCK_BYTES

DATA_MODE = 0o644
CLOSED = -1
DIRECT_MIN_BYTES = 8 << 20
"""Smaller files are not worth a second descriptor."""

NOT_SUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
UNFIT = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENODEV})
ELSEWHERE = "Choose a folder that can be written, or mount that file system for writing."
SYNC_ONE_BY_ONE = 8
"""Up to so many files are synced each; beyond, the file system at once is quicker."""

_LIBC = ctypes.CDLL(None, use_errno=True)


class PartialFile:
    """One file while it is put together; parts may be written by several threads at once."""

    def __init__(self, path: Path, size: int, *, direct: bool) -> None:
        self.path = path
        self.size = size
        self._buffered = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, DATA_MODE)
        self._direct: int | None = None
        try:
            _reserve(self._buffered, size)
            if direct and size >= DIRECT_MIN_BYTES:
                self._direct = _open_direct(path)
        except OSError as error:
            self.close()
            path.unlink()
            raise space_fault(error, path) from error

    @property
    def is_direct(self) -> bool:
        """Say whether writes go past the page cache."""
        return self._direct is not None

    def write(self, data: memoryview, offset: int) -> None:
        """Write all of it. Direct writes need a page-aligned buffer and place; a last odd piece goes the other way."""
        with writing(self.path):
            whole = len(data) - len(data) % BLOCK_BYTES if self._direct is not None else 0
            if self._direct is not None and whole:
                _write_all(self._direct, data[:whole], offset)
            if whole < len(data):
                _write_all(self._buffered, data[whole:], offset + whole)

    def sync(self) -> None:
        """Make everything written durable."""
        with writing(self.path):
            os.fdatasync(self._buffered)

    def sync_all(self) -> None:
        """Make everything on this file system durable: one call for many files."""
        if _LIBC.syncfs(self._buffered):
            raise OSError(ctypes.get_errno(), "syncfs")

    def close(self) -> None:
        """Close the descriptors."""
        opened = [descriptor for descriptor in (self._buffered, self._direct) if descriptor not in {None, CLOSED}]
        self._buffered, self._direct = CLOSED, None
        for descriptor in opened:
            os.close(descriptor)


def sync_files(files: Iterable[PartialFile]) -> None:
    """Make several files durable, in the quickest way."""
    chosen = list(files)
    if len(chosen) > SYNC_ONE_BY_ONE:
        chosen[0].sync_all()
    else:
        for file in chosen:
            file.sync()


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, text: bytes) -> None:
    """Write a small file whole or not at all, so that it survives a power cut."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise space_fault(error, path) from error


def stamp_of(path: Path) -> str | None:
    """Say what the disk says of a file: inode, size, time of change. None if it is not a file."""
    try:
        state = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return f"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}"


def read_range(path: Path, start: int, length: int) -> bytes:
    """Read a piece of a file; shorter only at its end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, length, start)
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Give the bytes that can be written to a folder's file system."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of a write that fails for want of room or permission what it was."""
    try:
        yield
    except OSError as error:
        raise space_fault(error, path) from error


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises NoSpaceError with the reason if it cannot be made, whatever that is."""
    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoSpaceError(f"{folder} cannot be made: {error.strerror}", hint=ELSEWHERE) from error


def space_fault(error: OSError, path: Path) -> OSError | NoSpaceError:
    """Turn the system's words for a full, read-only, forbidden or broken disk into ours; others stay as they are."""
    if error.errno in FULL:
        return NoSpaceError(f"{path} cannot be written: {error.strerror}")
    if error.errno in UNFIT:
        return NoSpaceError(f"{path} cannot be written: {error.strerror}", hint=ELSEWHERE)
    return error


def _reserve(descriptor: int, size: int) -> None:
    """Reserve the room now, so that a full disk is known before a byte is fetched. Sparse where that cannot be."""
    if os.fstat(descriptor).st_size == size:
        return
    if size and _LIBC.fallocate(descriptor, 0, ctypes.c_long(0), ctypes.c_long(size)):
        code = ctypes.get_errno()
        if code not in NOT_SUPPORTED:
            raise OSError(code, os.strerror(code))
    os.ftruncate(descriptor, size)


def _open_direct(path: Path) -> int | None:
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in NOT_SUPPORTED:
            return None
        raise


def _write_all(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(descriptor, data, offset)
        data, offset = data[count:], offset + count
