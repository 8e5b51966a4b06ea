"""Speed of `plinth plan`: a stack of a hundred deployments on GPUs, whole command, on one core.

    .venv/bin/python tests/bench/plan.py [RUNS]

Models of the catalogue in turn, with and without shapes, budgets and requests at once. Prints CPU and wall seconds of
each run, the start of Python included; exits 1 if the median of the CPU seconds is above three.
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

from pulumi_plinth.engines.environments import table_of
from pulumi_plinth.model.catalogue import load_catalogue

LIMIT_SECONDS = 3.0
DEPLOYMENTS = 100
LEAST_CONTEXT = 4096
INSTEAD = "llama-3.1-70b-instruct"
"""For a model that the engine no longer serves, which a plan refuses."""
WISHES = (
    {},
    {"maxModelLen": LEAST_CONTEXT, "concurrency": 8},
    {"shape": "BM.GPU.H200.8", "budget": 3000},
    {"shapes": ["BM.GPU.H200.8", "BM.GPU.MI300X.8", "BM.GPU.B200.8"], "replicas": {"min": 1, "max": 4}},
    {"shape": "BM.GPU.B200.8", "parallel": {"tensor": 8}, "region": "us-chicago-1"},
)


def main() -> int:
    """Run and judge."""
    cards = ((entry.name, entry.card()) for entry in load_catalogue().entries())
    served = table_of("vllm-cuda").architectures
    names = [
        name if card.architecture in served else INSTEAD
        for name, card in cards
        if card and card.kind == "generate" and card.max_context >= LEAST_CONTEXT
    ]
    pairs = list(zip(range(DEPLOYMENTS), itertools.cycle(names), itertools.cycle(WISHES), strict=False))
    stack = {
        "models": {f"m{number}": {"preset": {"name": name}} for number, name, _ in pairs},
        "deployments": {
            f"d{number}": {"model": f"m{number}", "target": "kubernetes", **wish} for number, _, wish in pairs
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Pulumi.yaml").write_text("name: bench\nruntime: python\nstackConfigDir: stacks\n")
        (Path(folder) / "stacks").mkdir()
        # JSON is YAML.
        document = json.dumps({"config": {"plinth:stack": stack}})
        (Path(folder) / "stacks/Pulumi.local.yaml").write_text(document)
        took = [_seconds(folder) for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)]
    median = statistics.median(took)
    sys.stdout.write(f"median {median:.2f} s, limit {LIMIT_SECONDS:.1f} s\n")
    return int(median > LIMIT_SECONDS)


def _seconds(folder: str) -> float:
    """Run the command once; CPU seconds of the process."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pulumi_plinth", "plan", "--json", "--cwd", folder]
    run = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, "PLINTH_STACK": "local"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    said = json.loads(run.stdout)
    shapes = len({item["shape"]["name"] for item in said["deployments"]})
    sys.stdout.write(
        f"{len(said['deployments'])} deployments on {shapes} shapes, {len(run.stdout):,} bytes of JSON: "
        f"{cpu:.2f} s of CPU, {time.monotonic() - began:.2f} s\n"
    )
    return cpu


if __name__ == "__main__":
    sys.exit(main())
