"""Speed of a preview: 20 pools, 20 stores and 100 deployments, through the embedded engine and stand-ins of providers.

    .venv/bin/python tests/bench/preview.py [RUNS]

What is measured is one preview as `plinth preview` runs it: the program in a process of its own, planning, every
registration, every question to the providers. Prints each run's wall seconds, and the seconds of all its processes on
the processors; exits 1 if the median of the wall is above eight.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.components import IMAGES
from support.stand_ins import project, stand_ins

from pulumi_plinth import embedded

LIMIT_SECONDS = 8.0
POOLS, STORES, DEPLOYMENTS = 20, 20, 100
IMAGE = "registry.example/plinth@sha256:" + "a" * 64


def document() -> dict[str, object]:
    """The stack: deployments dealt to pools, models to stores."""
    place = [{"availabilityDomain": "Uocm:US-CHICAGO-1-AD-1"}]
    pools = {f"p{n}": {"shape": "BM.GPU.H100.8", "size": 4, "placements": place} for n in range(POOLS)}
    models = {
        f"m{n}": {"preset": {"name": "qwen3-8b"}, "store": f"s{n % STORES}", "path": f"m{n}"} for n in range(STORES)
    }
    wish = {"target": "kubernetes", "maxModelLen": 8192, "parallel": {"tensor": 1, "data": 1}}
    deployments = {f"d{n}": {"model": f"m{n % STORES}", "pool": f"p{n % POOLS}", **wish} for n in range(DEPLOYMENTS)}
    oci = {"compartmentId": "ocid1.compartment.oc1..bench", "region": "us-chicago-1", "namespace": "bench"}
    return {
        "oci": oci,
        "cluster": {"kubernetesVersion": "v1.34.1"},
        "kubernetes": {"namespace": "serving", "image": IMAGE},
        "stores": {f"s{n}": {"kind": "bucket"} for n in range(STORES)},
        "models": models,
        "pools": pools,
        "deployments": deployments,
    }


def main() -> int:
    """Run and judge."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stand_ins(folder, os.environ).change(images=list(IMAGES))
        # JSON is YAML.
        text = json.dumps({"config": {"oci:region": "us-chicago-1", "plinth:stack": document()}})
        root = project(folder, {"bench": text})
        took = [_seconds(root) for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    median = statistics.median(took)
    sys.stdout.write(f"median {median:.2f} s, limit {LIMIT_SECONDS:.1f} s, load {os.getloadavg()[0]:.1f}\n")
    return int(median > LIMIT_SECONDS)


def _seconds(root: Path) -> float:
    began, worked = time.monotonic(), _worked()
    result = embedded.preview(
        embedded.Project.load(root), "bench", lambda _: None, embedded.Options(passphrase="bench")
    )
    took = time.monotonic() - began
    sys.stdout.write(f"{took:.2f} s, {_worked() - worked:.2f} s on processors, {result.changes}\n")
    return took


def _worked() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


if __name__ == "__main__":
    sys.exit(main())
