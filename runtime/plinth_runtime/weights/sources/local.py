"""Folders as sources and stores: `local://`, `file://`, plain paths, and `pvc://` where claims are mounted.

A file's version is its inode, size and time of change, so that a file replaced while it is read is noticed.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.disk import PartialFile, make_folder, sync_folder, writing
from plinth_runtime.weights.sources import (
    ChangedError,
    Listing,
    NotFoundError,
    RefusedError,
    RemoteObject,
    SourceError,
    TransientError,
)

CLAIMS = "PLINTH_CLAIMS_DIR"
"""Environment variable: the folder in which persistent volume claims are mounted, each under its name."""


def open_source(address: str) -> LocalFolder:
    """Give the folder at an address."""
    return LocalFolder(_path(address))


def open_store(address: str) -> LocalFolder:
    """Give the folder at an address; it need not exist yet."""
    return LocalFolder(_path(address))


class LocalFolder:
    """One folder; a `Source` and a `Store`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def describe(self) -> str:
        """Name the folder."""
        return f"local://{self.folder}"

    def list_objects(self) -> Listing:
        """List every file that is not hidden. A link that leads out of the folder is refused."""
        if self.folder.is_file():
            return Listing((self._row(self.folder.name, self.folder),))
        if not self.folder.is_dir():
            raise NotFoundError(f"there is no folder {self.folder}")
        root = self.folder.resolve()
        rows = []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if any(part.startswith(".") for part in name.split("/")) or path.is_dir():
                continue
            if path.is_symlink() and not path.resolve().is_relative_to(root):
                raise RefusedError(f"{path} is a link that leads out of {self.folder}: copy the file instead")
            rows.append(self._row(name, path))
        return Listing(tuple(rows))

    def session(self) -> LocalSession:
        """Give a reader."""
        return LocalSession()

    def begin(self, name: str, size: int, part_size: int) -> LocalUpload:
        """Start a file. Its folder is made if it is not there."""
        return LocalUpload(self.folder / name, size, part_size)

    def _row(self, name: str, path: Path) -> RemoteObject:
        try:
            state = path.stat()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        return RemoteObject(name, state.st_size, str(path), _version(state))


class LocalSession:
    """Reads ranges of files; a `Session`. Reading a file cannot be cut short, and need not be."""

    def __init__(self) -> None:
        self._body: LocalBody | None = None

    def open_range(self, target: RemoteObject, start: int, length: int) -> LocalBody:
        """Open a file at a place."""
        self.close()
        try:
            descriptor = os.open(target.key, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NotFoundError(f"{target.key} is gone") from error
        except OSError as error:
            raise RefusedError(f"{target.key} cannot be read: {error.strerror}") from error
        version = _version(os.fstat(descriptor))
        self._body = LocalBody(descriptor, start, length, version)
        if target.etag not in {None, version}:
            self.close()
            raise ChangedError(target.name, target.etag, version)
        return self._body

    def abort(self) -> None:
        """Do nothing: nothing waits for long."""

    def close(self) -> None:
        """Close the file."""
        if self._body is not None:
            self._body.close()
        self._body = None


class LocalBody:
    """The bytes of one range of one file; a `Body`."""

    def __init__(self, descriptor: int, start: int, length: int, version: str) -> None:
        self.etag: str | None = version
        self._descriptor: int | None = descriptor
        self._position = start
        self._end = start + length

    def readinto(self, buffer: memoryview, /) -> int:
        """Read what fits; 0 at the end of the range or the file."""
        if self._descriptor is None:
            return 0
        wanted = min(len(buffer), self._end - self._position)
        try:
            count = os.preadv(self._descriptor, [buffer[:wanted]], self._position)
        except OSError as error:
            raise TransientError(f"byte {self._position} cannot be read: {error.strerror}") from error
        self._position += count
        return count

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None


class LocalUpload:
    """One file on its way in, under a name of its own until it is complete; an `Upload`."""

    def __init__(self, target: Path, size: int, part_size: int) -> None:
        self._target = target
        self._part_size = part_size
        make_folder(target.parent)
        self._file = PartialFile(target.with_name(f".{target.name}.{uuid.uuid4().hex}"), size, direct=False)

    def put_part(self, number: int, data: memoryview, crc32c: int) -> None:  # noqa: ARG002 a disk has no second opinion
        """Write one part at its place."""
        self._file.write(data, number * self._part_size)

    def complete(self, crc32c: int) -> None:  # noqa: ARG002 as above
        """Make it durable and give it its name."""
        self._file.sync()
        self._file.close()
        with writing(self._target):
            self._file.path.replace(self._target)
            sync_folder(self._target.parent)

    def abort(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._file.path.unlink(missing_ok=True)


def _path(address: str) -> Path:
    """Read the folder out of an address. Only `file://` is encoded as web addresses are."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return Path(address).absolute()
    if scheme == "pvc":
        return _claim(rest)
    return Path(unquote(urlsplit(address).path) if scheme == "file" else rest).absolute()


def _claim(rest: str) -> Path:
    """Find the folder that a claim is mounted at: <claim> below a folder that the environment names."""
    mounts = os.environ.get(CLAIMS)
    if not mounts:
        raise SourceRefusedError(
            "pvc:// is read where the claim is mounted, and this process was not told where that is",
            hint=f"Mount the claim at DIR/<claim> and set {CLAIMS}=DIR, or give the folder itself.",
        )
    claim, _, path = rest.partition("/")
    return Path(mounts, claim.rpartition(":")[2], path).absolute()


def _version(state: os.stat_result) -> str:
    return f'"{state.st_ino:x}-{state.st_size:x}-{state.st_mtime_ns:x}"'
