"""What the agent remembers on disk of each model, so that a restart asks nobody: small JSON files.

Below the root: `records/<model>.json` what is here, `records/<model>.begun` a fetch that was begun,
`models/<model>` a link (unless the declaration names a path), `cache/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.node.declaration import RECORDS
from plinth_runtime.node.record import Begun, Record
from plinth_runtime.weights.disk import make_folder, write_durably
from plinth_runtime.weights.shelf import READY, STATE, Ready

T = TypeVar("T", Record, Begun)


class Records:
    """The records of one root."""

    def __init__(self, root: Path) -> None:
        self._folder = root / RECORDS

    def read_all(self) -> Iterator[Record]:
        """Give every record that can be read; a damaged one is as good as none: its content is found in the cache."""
        yield from _read(self._folder.glob("*.json"), Record)

    def read_begun(self) -> Iterator[Begun]:
        """Give every fetch that was begun and not followed by a record."""
        yield from _read(self._folder.glob("*.begun"), Begun)

    def begin(self, begun: Begun) -> None:
        """Remember that a fetch begins, durably."""
        make_folder(self._folder)
        write_durably(self._path(begun.key, "begun"), begun.canonical_json().encode())

    def write(self, record: Record) -> None:
        """Remember, durably."""
        make_folder(self._folder)
        write_durably(self._path(record.key), record.canonical_json().encode())

    def end(self, key: ModelKey) -> None:
        """Forget that a fetch was begun."""
        self._path(key, "begun").unlink(missing_ok=True)

    def remove(self, key: ModelKey) -> None:
        """Forget."""
        self._path(key).unlink(missing_ok=True)

    def is_intact(self, record: Record) -> bool:
        """Say whether the link leads to the snapshot and the snapshot was finished. Reads one small file."""
        try:
            return self.is_finished(record) and Path(record.link).samefile(record.snapshot)
        except OSError:
            return False

    def is_finished(self, record: Record) -> bool:
        """Say whether the snapshot was finished with the content of the record."""
        ready = read_ready(Path(record.snapshot))
        return ready is not None and ready.manifest == record.content

    def _path(self, key: ModelKey, suffix: str = "json") -> Path:
        return self._folder / f"{key.folder}.{suffix}"


def read_ready(snapshot: Path) -> Ready | None:
    """Read what a finished snapshot says of itself; None if it is not finished."""
    try:
        ready = Ready(**json.loads((snapshot / STATE / READY).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return ready if (snapshot / MANIFEST_NAME).is_file() else None


def _read(paths: Iterable[Path], kind: type[T]) -> Iterator[T]:
    for path in sorted(paths):
        try:
            yield kind.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
