"""WeightManifest: which files make up a model, with sizes and digests. Pure: takes facts, gives faults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from plinth_runtime.contract.base import Document

MANIFEST_NAME = "plinth-manifest.json"
"""The manifest's name inside the model folder. It does not list itself."""


class ManifestFile(Document):
    """One file of a model."""

    path: str = Field(description="Relative to the folder, with forward slashes.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class WeightManifest(Document):
    """Every file of a model folder, in order of path."""

    version: Literal[1] = 1
    source: str = Field(default="", description="Where the weights came from, for people.")
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
