"""WeightManifest: which files make up a model, with sizes and digests. Pure: takes facts, gives faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from plinth_runtime.contract.base import Document

MANIFEST_NAME = "plinth-manifest.json"
"""The manifest's name inside the model folder. It does not list itself."""

MAX_PART_BYTES = 1 << 30


class _Sparse(Document):
    """A document whose absent values are not written, so that older manifests keep their bytes and digest."""

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class ManifestFile(_Sparse):
    """One file of a model."""

    path: str = Field(description="Relative to the folder, with forward slashes.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    part_size: int | None = Field(default=None, gt=0, le=MAX_PART_BYTES, description="Bytes of each part but the last.")
    part_crc32c: str | None = Field(
        default=None,
        alias="partCrc32c",
        pattern=r"^([0-9a-f]{8})*$",
        description="CRC32C of each part in order, 8 hex digits each.",
    )
    etag: str | None = Field(default=None, description="The version that the source named, if it named one.")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if (self.part_size is None) != (self.part_crc32c is None):
            raise ValueError("partSize and partCrc32c come together or not at all")
        if self.part_size is not None and len(self.part_crcs) != -(-self.size // self.part_size):
            count = -(-self.size // self.part_size)
            raise ValueError(f"partCrc32c has {len(self.part_crcs)} parts, {self.size} bytes make {count}")
        return self

    @property
    def part_crcs(self) -> tuple[int, ...]:
        """The parts' CRC32C as numbers; empty if they are not known."""
        text = self.part_crc32c or ""
        return tuple(int(text[start : start + 8], 16) for start in range(0, len(text), 8))


class ManifestInput(_Sparse):
    """Something that a model was made of: a file, or a model or adapter folder."""

    name: str = Field(description="Its file's or folder's name.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of the file, or of the folder's manifest.")
    source: str = Field(default="", description="Where it came from, as its own manifest says.")
    verified: bool = Field(description="Somebody vouched for it, and it was compared with that before it was used.")


class ManifestConversion(_Sparse):
    """How a model was made of something else."""

    kind: Literal["gguf", "merge"] = Field(description="A GGUF file unpacked, or an adapter merged into its base.")
    inputs: tuple[ManifestInput, ...] = Field(min_length=1, description="What it was made of, in the order given.")
    tool: str = Field(description="Libraries that did it, with versions.")


class WeightManifest(_Sparse):
    """Every file of a model folder, in order of path."""

    version: Literal[1] = 1
    source: str = Field(default="", description="Where the weights came from, for people.")
    commit: str | None = Field(default=None, description="The source's commit or version, if it has one.")
    learned: Literal[True] | None = Field(
        default=None,
        description="The digests were taken from what arrived: nothing vouched for it. Agreeing with them proves that "
        "nothing changed since, not that it was right.",
    )
    conversion: ManifestConversion | None = Field(
        default=None, description="How it was made, if it was not published like this. Absent: as its source has it."
    )
    files: tuple[ManifestFile, ...] = Field(min_length=1)

    @property
    def total_bytes(self) -> int:
        """Sum of the files' sizes."""
        return sum(file.size for file in self.files)


def size_faults(manifest: WeightManifest, present: Mapping[str, int]) -> tuple[str, ...]:
    """Compare the files present (path to bytes) with the manifest; each fault is one sentence. Empty: sizes agree."""
    faults = []
    for file in manifest.files:
        if file.path not in present:
            faults.append(f"{file.path} is missing ({file.size} bytes expected)")
        elif present[file.path] != file.size:
            faults.append(f"{file.path} has {present[file.path]} bytes, the manifest says {file.size}")
    return tuple(faults)
