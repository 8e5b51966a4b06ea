"""What the name of an engine's image says: release, CUDA, processors, whether its tag moves. Pure."""

from __future__ import annotations

import re

from pulumi_plinth.check.serving import ImageFacts, Version

MOVING = frozenset({"latest", "nightly", "main", "stable", "edge", "dev", "master"})
CUDA_OF_RELEASES: tuple[tuple[Version, Version], ...] = (
    ((0, 5), (12, 4)), ((0, 9), (12, 8)), ((0, 12), (12, 9)), ((0, 20), (13, 0)),
)  # fmt: skip
"""First release -> CUDA of vllm/vllm-openai (vllm-project/vllm#5635, #18813, #52997)."""

PROCESSORS = {"amd64": "amd64", "x86_64": "amd64", "x86-64": "amd64", "arm64": "arm64", "aarch64": "arm64"}
RELEASE = re.compile(r"(?<![\d.])v?(\d+\.\d+(?:\.\d+)?)")
CUDA = re.compile(r"(?:cuda\D{0,3}|cu)(\d{2})\.?(\d{1,2})", re.IGNORECASE)


def image_facts(text: str) -> ImageFacts:
    """Read everything that a name, or a sentence about an image, tells."""
    lower = text.lower()
    found = CUDA.search(lower)
    release = release_of_image(text)
    known = [cuda for first, cuda in CUDA_OF_RELEASES if release and first <= release and "vllm-openai" in lower]
    return ImageFacts(
        cuda=(int(found[1]), int(found[2])) if found else known[-1] if known else None,
        architectures=tuple(sorted({arch for word, arch in PROCESSORS.items() if re.search(rf"\b{word}\b", lower)})),
        moving=_moves(text),
    )


def release_of_image(text: str) -> Version | None:
    """Return the engine's release in an image's tag or a sentence about it; CUDA's number is none."""
    plain = CUDA.sub("", re.sub(r"ubuntu[\d.]+|@sha256:\w+", "", text))
    found = RELEASE.search(plain) if "vllm" in text.lower() or re.search(r":v?\d", text) else None
    return tuple(int(part) for part in found[1].split(".")) if found else None


def processor_of(text: str) -> str | None:
    """Return amd64 or arm64 as a text names it."""
    lower = text.lower()
    found = {arch for word, arch in PROCESSORS.items() if re.search(rf"\b{word}\b", lower)}
    return found.pop() if len(found) == 1 else None


def _moves(text: str) -> bool:
    """Tell whether a tag moves; a digest never does. A bare word counts as a tag."""
    if "@sha256:" in text or not text:
        return False
    tag = re.search(r"(?:^|:)([\w.-]+)(?=$|[\s(])", text.strip())
    return bool(tag and tag[1].lower() in MOVING)
