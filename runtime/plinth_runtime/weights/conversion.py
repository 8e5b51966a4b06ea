"""Models made of something else: inputs checked first, the result checked and described before it has its name.

Who makes them is a program in an engine environment, which is given and run here; this module knows no library of
tensors. What it was made of stands in the manifest, and a result of inputs that nobody vouched for says so.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plinth_runtime.contract.card import ModelCard
from plinth_runtime.contract.manifest import (
    MANIFEST_NAME,
    ManifestConversion,
    ManifestFile,
    ManifestInput,
    WeightManifest,
)
from plinth_runtime.contract.safetensors import PREFIX_BYTES, header_length, parse_header
from plinth_runtime.errors import CorruptWeightsError, NoSpaceError
from plinth_runtime.weights.check import verify_folder
from plinth_runtime.weights.digests import sha256_of
from plinth_runtime.weights.disk import free_bytes, make_folder, sync_folder
from plinth_runtime.weights.folder import list_files, reader_of
from plinth_runtime.weights.inspect import hash_files, inspect_folder
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.local import LocalFolder
from plinth_runtime.weights.verify import parse_manifest
from plinth_runtime.weights.work import Counters, Watch

WATCH_SECONDS = 0.2
LAST_LINES = 3
SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of what. `program` is the command; inputs and the new folder are added to it."""

    kind: Literal["gguf", "merge"]
    inputs: tuple[Path, ...]
    out: Path
    program: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of it. `state` is 'verified' if somebody vouched for every input."""

    folder: Path
    state: str
    manifest: str
    files: int
    bytes: int
    card: ModelCard
    conversion: ManifestConversion


def convert(job: Job, watch: Watch) -> Converted:
    """Make a model. Raises CorruptWeightsError for what cannot be used or did not come out whole, and NoSpaceError."""
    inputs = tuple(_judge_input(path, watch) for path in job.inputs)
    _require_room(job)
    with _aside(job.out) as made:
        tool = _run(job, made, watch)
        card = inspect_folder(made)
        if job.kind == "merge":
            _require_same_tensors(job.inputs[0], made)
        record = ManifestConversion(kind=job.kind, inputs=inputs, tool=tool)
        vouched = all(row.verified for row in inputs)
        options = PublishOptions(source=_words(job), learned=not vouched, conversion=record)
        done = publish(made, LocalFolder(made), options, watch)
        for folder in {path.parent for path in made.rglob("*")}:
            sync_folder(folder)
        made.replace(job.out)
        sync_folder(job.out.parent)
    state = "verified" if vouched else "unverified"
    return Converted(job.out, state, done.manifest, done.files, done.bytes, card, record)


def _words(job: Job) -> str:
    names = [path.name for path in job.inputs]
    return f"{names[0]}, unpacked" if job.kind == "gguf" else f"{names[1]} merged into {names[0]}"


def _judge_input(path: Path, watch: Watch) -> ManifestInput:
    """Check an input against its manifest; one without is described as it is, and not called verified."""
    if path.is_dir():
        verdict = verify_folder(path, None, watch)
        if verdict.manifest is None:
            return ManifestInput(name=path.name, sha256=_digest_of_folder(path), verified=False)
        source = parse_manifest((path / MANIFEST_NAME).read_bytes(), verdict.manifest).source
        return ManifestInput(
            name=path.name, sha256=verdict.manifest, source=source, verified=verdict.state == "verified"
        )
    if not path.is_file():
        raise CorruptWeightsError(f"there is no {path}", hint="Name a file or a folder that is there.")
    watch(Counters(bytes_total=path.stat().st_size, files_total=1))
    digest = sha256_of(path)
    row, manifest = _row_beside(path)
    if row is not None and row.sha256 != digest:
        raise CorruptWeightsError(f"{path} has sha256 {digest}, {MANIFEST_NAME} beside it says {row.sha256}")
    vouched = row is not None and manifest is not None and not manifest.learned
    return ManifestInput(name=path.name, sha256=digest, source=manifest.source if manifest else "", verified=vouched)


def _row_beside(path: Path) -> tuple[ManifestFile | None, WeightManifest | None]:
    """Give what a manifest in the same folder says of a file."""
    beside = path.parent / MANIFEST_NAME
    if not beside.is_file():
        return None, None
    manifest = parse_manifest(beside.read_bytes(), None)
    row = next((row for row in manifest.files if row.path == path.name), None)
    return (row, manifest) if row is not None else (None, None)


def _digest_of_folder(folder: Path) -> str:
    """Give the digest that the manifest of a folder would have, were there one with nothing but its files."""
    sizes = list_files(folder)
    digests = hash_files(folder, sizes)
    rows = tuple(ManifestFile(path=name, size=size, sha256=digests[name]) for name, size in sorted(sizes.items()))
    return hashlib.sha256(WeightManifest(files=rows).canonical_json().encode()).hexdigest()


def _require_room(job: Job) -> None:
    """Refuse a merge that the disk cannot take: the result is as large as its base."""
    make_folder(job.out.parent)
    needed = sum(list_files(job.inputs[0]).values()) if job.kind == "merge" else job.inputs[0].stat().st_size
    if needed > (free := free_bytes(job.out.parent)):
        raise NoSpaceError(f"{job.out} needs {needed} bytes or more, {job.out.parent} has {free} free")


@contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """Give a folder's name beside the final one; what is still there at the end goes."""
    made = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _run(job: Job, made: Path, watch: Watch) -> str:
    """Run the program to its end; give the libraries it names."""
    command = [*job.program, *map(str, job.inputs), str(made)]
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as wrong:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=wrong)
        try:
            while True:
                watch(Counters())
                with suppress(subprocess.TimeoutExpired):
                    process.wait(WATCH_SECONDS)
                    break
        except BaseException:
            process.kill()
            process.wait()
            raise
        said.seek(0)
        wrong.seek(0)
        lines = said.read().decode(errors="replace").splitlines()
        if process.returncode:
            last = wrong.read().decode(errors="replace").strip().splitlines()[-LAST_LINES:]
            raise CorruptWeightsError(
                f"{_words(job)}: {' '.join(last) or f'ended with {process.returncode}'}",
                hint="Is it the right file, or the right base? `--python` must have torch and transformers.",
            )
    return _tool(lines)


def _tool(lines: Sequence[str]) -> str:
    return str(json.loads(lines[-1])["tool"])


def _require_same_tensors(base: Path, made: Path) -> None:
    """Refuse a merge that lost or added tensors, or left parts of the adapter beside them."""
    before, after = _tensors(base), _tensors(made)
    lost, added = sorted(before - after), sorted(after - before)
    if lost or added:
        words = "; ".join(
            f"{len(names)} {what}, the first is {names[0]}"
            for what, names in (("tensors are missing", lost), ("tensors are new", added))
            if names
        )
        raise CorruptWeightsError(f"{made.name}: {words}", hint="Was the adapter trained on this base?")


def _tensors(folder: Path) -> set[str]:
    """Name every tensor of a folder."""
    read, sizes = reader_of(folder), list_files(folder)
    names: set[str] = set()
    for path, size in sizes.items():
        if path.endswith(SUFFIX) and not path.startswith("adapter_"):
            length = header_length(read(path, 0, PREFIX_BYTES), size)
            names |= set(parse_header(read(path, PREFIX_BYTES, length), size))
    return names
