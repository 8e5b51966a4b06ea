"""LoRA adapters of a running server: which there are, which may come, and the calls that bring and remove them.

The engine's own routes for this would read any folder of the host for anybody who reaches them. Here they are reached
with the agent's token only (the gate knows nobody else there), and only after the folder was looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import ValidationError

from plinth_runtime.contract.launch import MOST_ADAPTERS, LaunchAdapter, LaunchConfig
from plinth_runtime.serving.adapter_folder import AdapterError, read_rank
from plinth_runtime.serving.engine_http import NOT_FOUND, OK, Question, Target, ask

LOAD_SECONDS = 60.0
"""For the engine to load or drop one adapter; megabytes from a disk, between steps of other requests."""

LOAD_PATH, UNLOAD_PATH = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


class RefusedError(Exception):
    """An adapter is not added or removed: an HTTP status and why, in one sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AdapterDesk:
    """Knows the adapters of one server, over restarts of its engine. For several threads."""

    def __init__(self, launch: LaunchConfig, say: Callable[[str], None]) -> None:
        self._model, self._engine, self._say = launch.model, launch.engine, say
        self._present = {adapter.name: adapter for adapter in launch.model.adapters}
        self._lock = Lock()

    def tell(self) -> dict[str, Any]:
        """List the adapters, and what may come."""
        return {
            "adapters": [adapter.model_dump(mode="json", by_alias=True) for adapter in self._present.values()],
            "maxAdapters": MOST_ADAPTERS if self._model.takes_adapters else 0,
            "maxAdapterRank": self._engine.max_adapter_rank,
            "adapterFolders": list(self._model.adapter_folders),
        }

    def usable(self) -> tuple[LaunchAdapter, ...]:
        """Give those that an engine can be started with; one whose folder is gone is dropped, and that is said."""
        with self._lock:
            self._present = {name: adapter for name, adapter in self._present.items() if self._is_there(adapter)}
            return tuple(self._present.values())

    def _is_there(self, adapter: LaunchAdapter) -> bool:
        try:
            read_rank(Path(adapter.folder))
        except AdapterError as error:
            self._say(f"adapter {adapter.name} is left out: {error}")
            return False
        return True

    def add(self, name: str, path: str, target: Target | None) -> LaunchAdapter:
        """Load an adapter into the engine that answers at `target`. Raises RefusedError."""
        with self._lock:
            adapter = self._admit(name, path)
            _order(target, LOAD_PATH, {"lora_name": adapter.name, "lora_path": adapter.folder})
            self._present = {**self._present, adapter.name: adapter}
        self._say(f"adapter {adapter.name} added from {adapter.folder}")
        return adapter

    def remove(self, name: str, target: Target | None) -> None:
        """Take an adapter away; requests that use it are finished. Raises RefusedError."""
        with self._lock:
            if name not in self._present:
                raise RefusedError(NOT_FOUND, f"there is no adapter {name!r}; there are {_listed(self._present)}")
            _order(target, UNLOAD_PATH, {"lora_name": name})
            self._present = {key: adapter for key, adapter in self._present.items() if key != name}
        self._say(f"adapter {name} removed")

    def _admit(self, name: str, path: str) -> LaunchAdapter:
        """Decide whether this adapter may come, before the engine hears of it."""
        if name in self._present or name == self._model.served_name:
            raise RefusedError(409, f"the name {name!r} is taken; remove that adapter first, or choose another name")
        if len(self._present) >= MOST_ADAPTERS:
            raise RefusedError(409, f"there are {MOST_ADAPTERS} adapters, the most there may be; remove one first")
        folder = self._inside(path)
        try:
            rank = read_rank(folder)
            adapter = LaunchAdapter(name=name, folder=str(folder), rank=rank)
        except AdapterError as error:
            raise RefusedError(400, str(error)) from error
        except ValidationError as error:
            fault = error.errors()[0]
            raise RefusedError(400, f"{fault['loc'][0]}: {fault['msg']}") from error
        if rank > self._engine.max_adapter_rank:
            limit = f"rank {rank} is above engine.maxAdapterRank = {self._engine.max_adapter_rank}"
            raise RefusedError(400, f"{limit}; plan the deployment with a higher one")
        return adapter

    def _inside(self, path: str) -> Path:
        """Resolve every link first: what counts is where the files are."""
        if not self._model.adapter_folders:
            raise RefusedError(403, "model.adapterFolders is empty in the launch, so no adapter may be added")
        folder = Path(path)
        if "\0" in path or not folder.is_absolute():
            raise RefusedError(400, f"path {path!r} is not the absolute path of a folder")
        try:
            folder = folder.resolve()
        except (OSError, RuntimeError) as error:
            raise RefusedError(400, f"path {path!r} cannot be followed: {error}") from error
        roots = self._model.adapter_folders
        if not any(folder.is_relative_to(Path(root).resolve()) for root in roots):
            raise RefusedError(403, f"{path} is outside model.adapterFolders ({', '.join(roots)})")
        return folder


def _order(target: Target | None, path: str, document: dict[str, str]) -> None:
    if target is None:
        raise RefusedError(503, "the engine is not ready; try again when /readyz says so")
    status, text = ask(target, Question(path, json.dumps(document).encode()), LOAD_SECONDS)
    if status is None:
        raise RefusedError(503, f"the engine did not answer within {LOAD_SECONDS:.0f} s")
    if status != OK:
        raise RefusedError(422, f"the engine refuses it ({status}): {_words(text)}")


def _listed(present: dict[str, LaunchAdapter]) -> str:
    return ", ".join(present) or "none"


def _words(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")[:200]
