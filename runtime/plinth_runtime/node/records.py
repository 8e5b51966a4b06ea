"""What the agent remembers on disk of each model, so that a restart asks nobody: one small JSON file per model.

Below the root: `records/<model>.json`, `models/<model>` (a link, unless the declaration names a path), `cache/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.node.declaration import RECORDS
from plinth_runtime.node.record import Record
from plinth_runtime.weights.disk import make_folder, write_durably
from plinth_runtime.weights.shelf import READY, STATE


class Records:
    """The records of one root."""

    def __init__(self, root: Path) -> None:
        self._folder = root / RECORDS

    def read_all(self) -> Iterator[Record]:
        """Give every record that can be read; a damaged one is as good as none: its content is found in the cache."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield Record.model_validate_json(path.read_bytes())
            except (OSError, ValidationError):
                continue

    def write(self, record: Record) -> None:
        """Remember, durably."""
        make_folder(self._folder)
        write_durably(self._path(record.key), record.canonical_json().encode())

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
        snapshot = Path(record.snapshot)
        try:
            ready = json.loads((snapshot / STATE / READY).read_bytes())
            return bool(ready["manifest"] == record.content) and (snapshot / MANIFEST_NAME).is_file()
        except (OSError, ValueError, TypeError, KeyError):
            return False

    def _path(self, key: ModelKey) -> Path:
        return self._folder / f"{key.folder}.json"
