"""Rules about the machine under the engine: driver, CUDA, processor, visible GPUs, tags of images."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving import Host, Version
from pulumi_plinth.check.serving_rules.releases import AMD64_ONLY, COMPATIBILITY_ASKED, VISIBLE_BY_NUMBER, release
from pulumi_plinth.check.subject import Subject

DRIVER_CUDA: Mapping[int, Version] = {
    450: (11, 0), 455: (11, 1), 460: (11, 2), 465: (11, 3), 470: (11, 4), 495: (11, 5), 510: (11, 6), 515: (11, 7),
    520: (11, 8), 525: (12, 0), 530: (12, 1), 535: (12, 2), 545: (12, 3), 550: (12, 4), 555: (12, 5), 560: (12, 6),
    565: (12, 7), 570: (12, 8), 575: (12, 9), 580: (13, 0), 590: (13, 1),
}  # fmt: skip
"""Branch of the driver -> newest CUDA it serves (CUDA's release notes)."""

LONG_SUPPORT = (535, 550, 570)
"""Branches of the driver that CUDA's compatibility packages are made for (NVIDIA_REQUIRE_CUDA of the base images)."""

DATA_CENTRE = re.compile(r"^(a2|a10g?|a16|a30|a40|a100|a800|l4|l20|l40s?|t4|v100|p100|p40|h\d+|b\d+|gb\d+|gh\d+)\b")
COMPATIBILITY = "VLLM_ENABLE_CUDA_COMPATIBILITY"
OFFICIAL = "vllm/vllm-openai:"
VISIBLE = "CUDA_VISIBLE_DEVICES"
ARM_GPUS = ("gb200", "gb300", "gh200")
"""GPUs that come with Arm processors."""


def driver(subject: Subject) -> Iterator[Verdict]:
    """Hold that the image's CUDA must not be newer than the driver's."""
    host, needed = subject.serving.host, subject.serving.image_facts.cuda
    served = _served(host)
    if needed and served and needed > served and not _forward(subject):
        have = f"driver {host.driver}" if host.driver else "the driver"
        problem = f"the image needs CUDA {release(needed)}, {have} serves {release(served)}"
        yield refuse("driver", "image", problem, "take an image with an older CUDA, or nodes with a newer driver")
    if needed and host.cuda_below and needed >= host.cuda_below:
        problem = f"the image needs CUDA {release(needed)}, the platform's driver serves less than that"
        yield refuse("driver", "image", problem, f"take an image with a CUDA below {release(host.cuda_below)}")


def processor(subject: Subject) -> Iterator[Verdict]:
    """Hold that the image must have a build for the host's processor."""
    serving = subject.serving
    name = (serving.gpu.name or "").lower()
    host = serving.host.architecture or ("arm64" if any(known in name for known in ARM_GPUS) else None)
    built = serving.image_facts.architectures
    if host and built and host not in built:
        problem = f"the image is built for {', '.join(built)}, the host is {host}"
        yield refuse("image-architecture", "image", problem, f"take an image with a linux/{host} build")


def published(subject: Subject) -> Iterator[Verdict]:
    """Hold that the first official images were built for amd64 only."""
    serving = subject.serving
    name, image = (serving.gpu.name or "").lower(), serving.image or ""
    arm = serving.host.architecture == "arm64" or any(known in name for known in ARM_GPUS)
    if (
        arm
        and image.startswith(OFFICIAL)
        and AMD64_ONLY.holds(serving.version)
        and not serving.image_facts.architectures
    ):
        problem = f"{image} was built for amd64 only, the host is arm64"
        yield refuse("image-architecture", "image", problem, "take a newer release")


def visible(subject: Subject) -> Iterator[Verdict]:
    """Hold that GPUs are made visible by number; older releases cannot read identifiers."""
    text = subject.serving.environment.get(VISIBLE, "")
    named = any(part.strip().upper().startswith(("MIG-", "GPU-")) for part in text.split(","))
    if named and VISIBLE_BY_NUMBER.holds(subject.serving.version, unknown=True):
        problem = f"{VISIBLE}={text} is no number, the engine cannot read it"
        yield refuse("visible-devices", VISIBLE, problem, "leave it to the device plugin")


def moving_tag(subject: Subject) -> Iterator[Verdict]:
    """Hold that a tag that moves cannot be checked."""
    if subject.serving.image_facts.moving and subject.serving.version is None:
        problem = f"'{subject.serving.image}' names another engine every few weeks, nothing can be checked"
        yield warn("moving-tag", "image", problem, "write a release or a digest")


def _forward(subject: Subject) -> bool:
    """Tell whether CUDA's forward compatibility serves an image: on data centres' GPUs with a driver of long support.

    GeForce cards have none (error 804, vllm-project/vllm#4940, #5510). Newer images of vLLM use it only when told.
    """
    serving = subject.serving
    asked = serving.environment.get(COMPATIBILITY, "0").lower() in ("1", "true")
    if COMPATIBILITY_ASKED.holds(serving.version, unknown=True) and not asked:
        return False
    return serving.host.driver in LONG_SUPPORT and DATA_CENTRE.match((serving.gpu.name or "").lower()) is not None


def _served(host: Host) -> Version | None:
    if host.cuda:
        return host.cuda
    known = [branch for branch in DRIVER_CUDA if host.driver and branch <= host.driver]
    return DRIVER_CUDA[max(known)] if known else None
