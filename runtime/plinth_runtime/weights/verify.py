"""Is this folder the model that was planned? Pure: takes bytes and facts, gives faults, one sentence each.

Who reads the folder and hashes its files lives in `inspect.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pydantic import ValidationError

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest, size_faults
from plinth_runtime.errors import CorruptWeightsError
from plinth_runtime.weights.names import is_bookkeeping

FAULTS_SHOWN = 5
"""A sentence names this many faults; `verify` lists all."""


def parse_manifest(text: bytes, expected_digest: str | None) -> WeightManifest:
    """Read a manifest file's bytes. Raises CorruptWeightsError if it is another one than planned, or not readable."""
    digest = hashlib.sha256(text).hexdigest()
    if expected_digest is not None and digest != expected_digest:
        raise CorruptWeightsError(
            f"{MANIFEST_NAME} has sha256 {digest}, the launch was planned with {expected_digest}",
            hint="The folder holds another version of the model: plan the deployment again, or restore the folder.",
        )
    try:
        return WeightManifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise CorruptWeightsError(f"{MANIFEST_NAME} is not a manifest: {where}: {first['msg']}") from error


def presence_faults(manifest: WeightManifest, present: Mapping[str, int]) -> tuple[str, ...]:
    """Missing files, wrong sizes, and files that nobody vouches for. Hidden files are not part of a model."""
    listed = {file.path for file in manifest.files}
    extra = sorted(path for path in present if path not in listed and not is_bookkeeping(path))
    return (
        *size_faults(manifest, present),
        *(f"{path} is not in {MANIFEST_NAME}: remove it, or make the manifest again" for path in extra),
    )


def digest_faults(manifest: WeightManifest, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Compare the sha256 of each file (path to hex digits) with the manifest."""
    return tuple(
        f"{file.path} has sha256 {digests.get(file.path, 'unknown')}, the manifest says {file.sha256}"
        for file in manifest.files
        if digests.get(file.path) != file.sha256
    )


def corrupt(folder: str, faults: tuple[str, ...]) -> CorruptWeightsError:
    """Make one error of many faults."""
    shown = "; ".join(faults[:FAULTS_SHOWN])
    more = f" (and {len(faults) - FAULTS_SHOWN} more)" if len(faults) > FAULTS_SHOWN else ""
    return CorruptWeightsError(f"the model folder {folder} is not intact: {shown}{more}")
