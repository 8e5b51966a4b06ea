"""Which of OKE's images nodes without GPUs take. Pure: names in, one id out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pulumi_plinth.errors import Fault, SpecError

_NAME = re.compile(
    r"^Oracle-Linux-(?P<release>\d+)\.\d+-(?P<arm>aarch64-)?(?P<date>\d{4}\.\d{2}\.\d{2})-\d+"
    r"-OKE-(?P<kubernetes>\d+\.\d+\.\d+)-(?P<build>\d+)$"
)
"""Oracle-Linux-8.10-2025.05.19-0-OKE-1.32.1-905; GPU images have one word more and are none of these."""

ARM_SHAPES = (".A1.", ".A2.", ".A4.")


def newest_image(sources: Iterable[tuple[str, str]], kubernetes_version: str, shape: str) -> str:
    """Return the id of the newest image of (id, name) for a version and a shape. Raises SpecError if none fits."""
    arm = any(mark in shape for mark in ARM_SHAPES)
    offered = [(found, key) for key, name in sources if (found := _NAME.match(name))]
    fitting = [
        (int(found["release"]), found["date"], int(found["build"]), key)
        for found, key in offered
        if f"v{found['kubernetes']}" == kubernetes_version and bool(found["arm"]) == arm
    ]
    if not fitting:
        problem = f"has no image for {kubernetes_version} and {shape} among the {len(offered)} that OKE offers"
        remedy = "write the id of one, or a kubernetesVersion that `oci ce cluster-options get` lists"
        raise SpecError([Fault("systemPool.imageId", None, problem, remedy)])
    return max(fitting)[3]
