"""Words of loosely written facts about engines: releases, quantization at load, rope scaling. Pure parsing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pulumi_plinth.check.facts_place_words import is_absent
from pulumi_plinth.check.serving import Version

RELEASE = re.compile(r"(?<![\w.])v?(\d+(?:\.\d+){1,2})(?![\d.]*\w*-cuda)")
BEFORE = re.compile(r"\b(before|older than|earlier than|below|prior to|until|<)\b|<", re.IGNORECASE)
OLDER = re.compile(r"\b(earlier|older|previous|before|outdated|old)\b", re.IGNORECASE)
BEFORE_EVERYTHING: Version = (0,)
"""Older than any release that is spoken of."""

METHODS = (
    "awq_marlin", "gptq_marlin", "awq", "gptq", "bitsandbytes", "fp8", "mxfp4", "modelopt", "nvfp4", "gguf", "marlin",
)  # fmt: skip
"""Methods that people name in a sentence."""


def release_of(text: str) -> Version | None:
    """Return the release that a text speaks of; just below it for `before 0.9`."""
    plain = re.sub(r"cuda\s*\d+(\.\d+)*|python\s*\d+(\.\d+)*|torch\s*\d+(\.\d+)*", "", text, flags=re.IGNORECASE)
    found = RELEASE.search(plain)
    if found is None:
        return BEFORE_EVERYTHING if OLDER.search(plain) else None
    version = tuple(int(part) for part in found[1].split("."))
    return _just_below(version) if BEFORE.search(plain[: found.start()]) else version


def online_method(text: str) -> str:
    """Return the engine's word for a quantization that people describe: `online fp8 per block` is fp8_per_block."""
    lower = text.lower()
    if grain := re.search(r"per[ _-](block|tensor|channel|token)", lower):
        return f"fp8_per_{grain[1]}" if "fp8" in lower else f"int8_per_{grain[1]}"
    if " " in lower:
        return next((name for name in METHODS if name in lower), lower.split()[0])
    return lower


def rope_of(value: Any) -> Mapping[str, Any]:
    """Read rope scaling: a mapping, or `yarn, factor 4 over 32768`."""
    if is_absent(value):
        return {}
    if isinstance(value, Mapping):
        kind = value.get("rope_type") or value.get("type") or ("yarn" if "factor" in value else "default")
        return {**value, "rope_type": "longrope" if kind == "su" else kind}
    text = str(value).lower()
    kind = re.search(r"yarn|dynamic|linear|longrope|llama3|ntk|su\b", text)
    factor = re.search(r"(?:factor|x|by)\D{0,3}(\d+(?:\.\d+)?)", text) or re.search(r"(\d+(?:\.\d+)?)\s*x\b", text)
    trained = re.search(r"\b(\d{4,7})\b", text)
    said: dict[str, Any] = {"rope_type": kind[0] if kind else "default"}
    if factor:
        said["factor"] = float(factor[1])
    if trained:
        said["original_max_position_embeddings"] = int(trained[1])
    return said


def capability_of(text: str) -> tuple[int, int] | None:
    """Return the compute capability in a text: 8.9, sm_89, 8.0 or more, 75."""
    found = re.search(r"(?<![\d.])(\d{1,2})\.(\d)(?!\d)", text) or re.search(r"\bsm[_ ]?(\d{1,2})(\d)\b", text.lower())
    found = found or re.search(r"^\s*(\d{1,2})(\d)\s*$", text)
    return (int(found[1]), int(found[2])) if found else None


def below(text: str) -> bool:
    """Tell whether a number is an upper end that is not reached."""
    return bool(BEFORE.search(text))


def _just_below(version: Version) -> Version:
    """Return what is older than a release and no older than any before it."""
    significant = list(version)
    while significant and not significant[-1]:
        significant.pop()
    return (*significant[:-1], significant[-1] - 1, 999) if significant else BEFORE_EVERYTHING
