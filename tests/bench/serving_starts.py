"""What `serving.py` measures of a start and of a server that nobody asks: time to ready, the agent itself."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.engine import Server, World, free_ports, wait_until

STARTS = int(os.environ.get("STARTS", "3"))
READY_SECONDS = 300
IDLE_SECONDS = 40
LENGTH, SEQUENCES = 1024, 64
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def bare_vllm(world: World) -> Iterator[tuple[int, int]]:
    """Start vLLM as people do by hand; give its port and process id."""
    port = free_ports(1)[0]
    command = [
        *(str(world.python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(world.model)),
        *("--served-model-name", "smollm2", "--host", "127.0.0.1", "--port", str(port), "--dtype", "bfloat16"),
        *("--max-model-len", str(LENGTH), "--max-num-seqs", str(SEQUENCES), "--enforce-eager"),
    ]
    settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command, env=os.environ | settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield port, process.pid
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(2)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def measure_starts(world: World, answers: Callable[[int, str], bool], key: str) -> dict[str, Any]:
    """Seconds from nothing to the first answer, ours and bare in turn, each alone on the machine."""
    pairs = []
    for number in range(STARTS):
        took = {}
        for name in ("ours", "bare") if number % 2 else ("bare", "ours"):
            took[name] = (_ours if name == "ours" else _bare)(world, answers, key)
        pairs.append((took["ours"], took["bare"]))
        print(f"start {number + 1} of {STARTS}: ours {took['ours']:.1f} s, bare {took['bare']:.1f} s", flush=True)
    return {
        "ready_seconds": statistics.median(ours for ours, _ in pairs),
        "ready_seconds_bare": statistics.median(bare for _, bare in pairs),
        "ready_ratio": statistics.median(ours / bare for ours, bare in pairs),
    }


def _bare(world: World, answers: Callable[[int, str], bool], _key: str) -> float:
    began = time.monotonic()
    with bare_vllm(world) as (port, _):
        wait_until(lambda: answers(port, ""), READY_SECONDS)
        return time.monotonic() - began


def _ours(world: World, answers: Callable[[int, str], bool], key: str) -> float:
    began = time.monotonic()
    server = world.start({"engine": {"maxNumSeqs": SEQUENCES}})
    try:
        wait_until(lambda: answers(server.launch.api.port, key), READY_SECONDS)
        return time.monotonic() - began
    finally:
        world.close()


def measure_idle(server: Server) -> dict[str, Any]:
    """The agent's memory, and the share of one processor that it uses when nobody asks."""
    pid = server.process.pid
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    before = _processor_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return {
        "agent_mb": int(fields["VmRSS"].split()[0]) * 1024 / 1e6,
        "agent_idle_percent": 100 * (_processor_seconds(pid) - before) / IDLE_SECONDS,
    }


def _processor_seconds(pid: int) -> float:
    return sum(int(word) for word in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]) / TICKS
