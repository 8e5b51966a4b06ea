"""Speed of `plinth render`: 200 deployments on Kubernetes to files, the whole command, on one core.

    .venv/bin/python tests/bench/render.py [RUNS]

Models of the catalogue in turn on nodes that are there, some of them in groups or scaled. Prints CPU and wall seconds
of each run, the start of Python and the planning included, and of the rendering alone; exits 1 if the median of the
whole command's CPU seconds is above two.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from plinth_runtime.contract.card import ModelCard
from pulumi_plinth.model.catalogue import load_catalogue
from pulumi_plinth.project import Workspace
from pulumi_plinth.rendering_files import files_of

LIMIT_SECONDS = 2.0
DEPLOYMENTS = 200
CONTEXT = 4096
LARGEST_BYTES = 400 << 30
"""Of weights on eight H200, beside room for some requests. Mllama is gone from the engine since 0.10."""

WISHES = (
    {},
    {"replicas": {"min": 1, "max": 4}, "autoscaling": {}},
    {"open": True, "generate": True, "rollout": {"spareGpus": 8}},
    {"replicas": {"min": 2}, "pod": {"namespace": "team", "nodeSelector": {"pool": "gpus"}}},
)


def main() -> int:
    """Run and judge."""
    with tempfile.TemporaryDirectory() as folder:
        _write_stack(Path(folder))
        took = [_seconds(folder) for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
        _alone(Path(folder))
    median = statistics.median(took)
    sys.stdout.write(f"median {median:.2f} s of CPU, limit {LIMIT_SECONDS:.1f} s\n")
    return int(median > LIMIT_SECONDS)


def _write_stack(folder: Path) -> None:
    cards = ((entry.name, entry.card()) for entry in load_catalogue().entries())
    fitting = [name for name, card in cards if card and card.max_context >= CONTEXT and _fits(card)]
    rows = list(zip(range(DEPLOYMENTS), itertools.cycle(fitting), itertools.cycle(WISHES), strict=False))
    stack = {
        "kubernetes": {"image": f"registry.example/runtime@sha256:{'ab' * 32}", "monitoring": {}},
        "models": {f"m{number}": _model(name) for number, name, _ in rows},
        "deployments": {
            f"d{number}": {
                "model": f"m{number}", "target": "kubernetes", "shape": "BM.GPU.H200.8", "maxModelLen": CONTEXT, **wish,
            }
            for number, _, wish in rows
        },
    }  # fmt: skip
    (folder / "Pulumi.yaml").write_text("name: bench\nruntime: python\nstackConfigDir: stacks\n")
    (folder / "stacks").mkdir()
    # JSON is YAML.
    (folder / "stacks/Pulumi.bench.yaml").write_text(json.dumps({"config": {"plinth:stack": stack}}))


def _fits(card: ModelCard) -> bool:
    return card.weight_bytes < LARGEST_BYTES and card.kind == "generate" and card.model_type != "mllama"


def _model(name: str) -> dict[str, object]:
    return {"preset": {"name": name}, "storage": {"uri": f"oci://n/ns/b/models/o/{name}"}}


def _seconds(folder: str) -> float:
    """Run the command once into a fresh folder; CPU seconds of the process."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pulumi_plinth", "render", "--cwd", folder, "--to", f"{target}/out"]
        subprocess.run(command, stderr=subprocess.DEVNULL, check=True, env={**os.environ, "PLINTH_STACK": "bench"})
        count = sum(path.is_file() for path in Path(target).rglob("*"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    sys.stdout.write(
        f"{DEPLOYMENTS} deployments, {count} files: {cpu:.2f} s of CPU, {time.monotonic() - began:.2f} s\n"
    )
    return cpu


def _alone(folder: Path) -> None:
    """Time the plan and its rendering inside one process."""
    began = time.process_time()
    plan = Workspace(folder, "bench").plan()
    planned = time.process_time()
    size = sum(map(len, files_of(plan).values()))
    sys.stdout.write(
        f"of it {planned - began:.2f} s of planning, {time.process_time() - planned:.2f} s of rendering "
        f"{size:,} characters\n"
    )


if __name__ == "__main__":
    sys.exit(main())
