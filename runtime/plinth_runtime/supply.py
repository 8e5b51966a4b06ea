"""Brings the weights of a launch into their folder before the engine starts: a fetch in a process of its own.

A process, because the libraries of stores are large and the agent stays small, and because one that does not hear can
be killed. It says how far it is in lines of JSON and how it ended in one object; its exit status is never needed, since
the agent collects every child itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from plinth_runtime.contract.launch import LaunchModel, LaunchSource
from plinth_runtime.contract.status import Cause
from plinth_runtime.contract.transfer import TransferStatus
from plinth_runtime.errors import FAULT_OF, FetchCancelledError, InternalError
from plinth_runtime.serving.assignment import WeightsReport
from plinth_runtime.weights.inspect import inspect_folder

END_SECONDS = 2.0
"""From SIGTERM to SIGKILL: a fetch that is told to end writes down what has arrived and does so."""

Say = Callable[[str], None]


class Supply:
    """The weights of one launch that names their source. Two threads call: one brings and checks, one may `end` it."""

    def __init__(self, model: LaunchModel, source: LaunchSource, say: Say) -> None:
        self._model, self._source, self._say = model, source, say
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        self._found: dict[str, Any] = {}
        self._last_words = "nothing"

    def fetch(self, progress: Callable[[TransferStatus], None]) -> None:
        """Have the weights in their folder. Raises the RuntimeFault that the fetch ended with."""
        with self._running() as (lines, answer):
            for line in lines:
                self._hear(line, progress)
            self._found = self._judge(answer)

    def check(self, _progress: Callable[[int, int], None]) -> WeightsReport:
        """Say what the fetch found, and whether it is a model at all; every byte was checked on its way."""
        inspect_folder(Path(self._model.folder))
        found = self._found
        words = f"{found['files']} files, {found['bytes']} bytes from {self._source.uri}"
        return WeightsReport(found["state"], words)

    def end(self) -> None:
        """End a fetch that still runs, within END_SECONDS; what has arrived is kept."""
        self._ended = True
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @contextmanager
    def _running(self) -> Iterator[tuple[Iterable[bytes], IO[bytes]]]:
        """Run the fetch; give its lines and, once they ended, what it answered."""
        with tempfile.TemporaryFile() as answer:
            # Anything else than a file could fill up while nobody reads it.
            process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=answer, stderr=subprocess.PIPE, start_new_session=True
            )
            self._process = process
            try:
                if self._ended:
                    process.terminate()
                assert process.stderr is not None  # noqa: S101 it is a pipe
                with process.stderr:
                    yield process.stderr, answer
            finally:
                process.wait()

    def _command(self) -> list[str]:
        model, source = self._model, self._source
        return [
            sys.executable, "-m", "plinth_runtime", "fetch", source.uri,
            "--to", model.folder,
            *(("--cache", source.cache) if source.cache else ()),
            *(("--expect", model.manifest_digest) if model.manifest_digest else ()),
            "--reuse",  # a start does not depend on a store whose weights are here
            "--skip-pickles",  # many models come in two formats; the engine is told to read the other one only
            "--page-cache",  # the engine reads the same bytes next
            "--parent", str(os.getpid()),
            "--progress", "json",
            "--json",
        ]  # fmt: skip

    def _hear(self, line: bytes, progress: Callable[[TransferStatus], None]) -> None:
        try:
            progress(TransferStatus.model_validate_json(line))
        except ValidationError:
            self._last_words = line.decode(errors="replace").rstrip()
            self._say(f"fetch: {self._last_words}")

    def _judge(self, answer: IO[bytes]) -> dict[str, Any]:
        """Read how it ended. Raises what it ended with."""
        if self._ended:
            raise FetchCancelledError("ended while the weights were fetched")
        answer.seek(0)
        text = answer.read()
        try:
            found: dict[str, Any] = json.loads(text)
            cause = Cause(found["state"]) if "exitCode" in found else None
        except (ValueError, KeyError, TypeError):
            words = f"the fetch of {self._source.uri} ended without an answer; its last words: {self._last_words}"
            raise InternalError(words) from None
        if cause is not None:
            raise FAULT_OF[cause](found["message"], hint=found["advice"])
        return found
