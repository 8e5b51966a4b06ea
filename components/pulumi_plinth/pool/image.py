"""Which of OKE's images a pool of GPUs takes. Pure: names in, one id out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

NAME = re.compile(
    r"^(?P<os>.+?)-(?P<release>\d[\d.]*)-(?:(?P<flavour>.*?)-)?(?P<date>\d{4}\.\d{2}\.\d{2})-\d+"
    r"-OKE-(?P<kubernetes>\d+\.\d+\.\d+)-(?P<build>\d+)$"
)
"""Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.32.1-905, Oracle-Linux-8.10-aarch64-2025.05.19-0-OKE-1.32.1-905."""

VENDOR_MARKS = ("AMD", "ROCM")
"""What a flavour says when its driver is not NVIDIA's."""


@dataclass(frozen=True, slots=True)
class ImageWish:
    """What the image must be for. `kubernetes` is a version with its v."""

    os: str
    os_version: str
    kubernetes: str
    arch: str = "x86_64"
    vendor: str = "nvidia"


def choose_image(sources: Iterable[tuple[str, str]], wish: ImageWish) -> str | None:
    """Return the id of the newest image of (id, name) that fits; None when there is none."""
    fitting = [(found["date"], int(found["build"]), key) for key, name in sources if (found := _match(name, wish))]
    return max(fitting)[2] if fitting else None


def _match(name: str, wish: ImageWish) -> re.Match[str] | None:
    found = NAME.match(name)
    if found is None or found["os"] != wish.os or f"v{found['kubernetes']}" != wish.kubernetes:
        return None
    if not (found["release"] == wish.os_version or found["release"].startswith(f"{wish.os_version}.")):
        return None
    flavour = (found["flavour"] or "").upper().split("-")
    foreign = any(mark in part for part in flavour for mark in VENDOR_MARKS)
    fits = "GPU" in flavour and ("AARCH64" in flavour) == (wish.arch == "aarch64")
    return found if fits and foreign == (wish.vendor == "amd") else None
