"""Serving speed: our server against bare vLLM on the same model, both up at once and measured in turn, in one run.

    make bench-serving [ROUNDS=7] [STARTS=3]

Prints each measure as a median with its ratio or difference, last a line of JSON; exits 1 if a target of TARGETS is
missed. Bare vLLM has no key, no gate and no agent; sizes and threads are the same. The idle server of the two computes
nothing but our probes (one token in five seconds). A round measures one server, then the other, the next round the
other way round, so that a noisy minute hits both.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bench.serving_starts import READY_SECONDS, SEQUENCES, bare_vllm, measure_idle, measure_starts
from support.engine import KEY, make_world, wait_until

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("ROUNDS", "7"))
TOKENS = 32
REQUESTS = {1: 6, 8: 16, 64: 64}
"""Clients at once, and streamed requests of TOKENS tokens in a round."""

PAIRS = 40
"""Requests of one token in a round, in turn one by one: what is added to the first token when nobody waits."""

BATCH = [f"Write a sentence about the number {number}." for number in range(8)]
TARGETS = {
    "throughput ratio at least": 0.99,
    "added milliseconds at most": 0.3,
    "generate ratio at least": 0.95,
    "ready ratio at most": 1.03,
    "agent MB at most": 60.0,
    "agent percent at most": 0.1,
}

Measure = Callable[["Server"], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask, with which key if any, and the process that answers there."""

    name: str
    port: int
    pid: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one request, in seconds."""

    first: float
    whole: float


NUMBERS = count()


async def post(server: Server, path: str, document: dict[str, Any]) -> Timing:
    """Ask once over a connection of its own; `first` is when the first byte of the body came."""
    body = json.dumps(document).encode()
    key = f"authorization: Bearer {server.key}\r\n" if server.key else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n{key}"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    began = time.perf_counter()
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    status = await reader.readline()
    while await reader.readline() != b"\r\n":
        pass
    await reader.readline()
    first = time.perf_counter()
    rest = await reader.read()
    writer.close()
    if b" 200 " not in status or (document.get("stream") and b"[DONE]" not in rest):
        sys.exit(f"{server.name} said {status!r} {rest[:300]!r}")
    return Timing(first - began, time.perf_counter() - began)


def wish(tokens: int) -> dict[str, Any]:
    """A streamed request whose beginning no other has, so that no cache helps."""
    prompt = f"{next(NUMBERS)} is a number. Tell me more about it, and about what it is made of."
    sampling = {"max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
    return {"model": "smollm2", "prompt": prompt, **sampling}


async def load(server: Server, clients: int) -> tuple[float, float]:
    """Tokens a second, and the median milliseconds to the first token, with so many clients at once."""
    left = iter(range(REQUESTS[clients]))
    timings: list[Timing] = []

    async def client() -> None:
        timings.extend([await post(server, "/v1/completions", wish(TOKENS)) for _ in left])

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    seconds = time.perf_counter() - began
    return len(timings) * TOKENS / seconds, 1000 * statistics.median(timing.first for timing in timings)


async def single(ours: Server, bare: Server) -> tuple[list[float], float]:
    """What ours takes longer than bare, asked one after the other: milliseconds to each first token, and milliseconds
    of processor time of the web server's process a request, which a crowded machine does not disturb as much.
    """
    took: dict[Server, list[float]] = {ours: [], bare: []}
    computed: dict[Server, list[float]] = {ours: [], bare: []}
    for number in range(PAIRS):
        for server in (ours, bare) if number % 2 else (bare, ours):
            before = processor_ms(server.pid)
            took[server].append(1000 * (await post(server, "/v1/completions", wish(1))).first)
            computed[server].append(processor_ms(server.pid) - before)
    added = [one - other for one, other in zip(took[ours], took[bare], strict=True)]
    return added, statistics.median(computed[ours]) - statistics.median(computed[bare])


def processor_ms(pid: int) -> float:
    """Processor time that the threads of a process used."""
    rows = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(row.split()[0]) for row in rows) / 1e6


async def batch(server: Server) -> float:
    """How many times faster or slower /generate is than /v1/completions, for the same eight prompts at once."""
    bounds = {"max_gen_len": 64, "temperature": 0.0, "top_p": 0.0}
    direct = {"model": "smollm2", "prompt": BATCH, "max_tokens": 64, "temperature": 0}
    asked = [("/generate", {"prompts": BATCH, "parameters": bounds}), ("/v1/completions", direct)]
    took = {path: (await post(server, path, document)).whole for path, document in asked[:: next(NUMBERS) % 2 * 2 - 1]}
    return took["/v1/completions"] / took["/generate"]


async def measure(ours: Server, bare: Server) -> dict[str, Any]:
    """Warm both up, then every measure in every round."""
    for server in (ours, bare):
        await load(server, 64)
        await load(server, 8)
    found: dict[str, Any] = {"rounds": ROUNDS, "added_ms": [], "added_processor_ms": [], "generate_ratio": []}
    rows: dict[int, list[tuple[float, float, float, float]]] = {clients: [] for clients in REQUESTS}
    for number in range(ROUNDS):
        for clients in REQUESTS:
            order = (ours, bare) if number % 2 else (bare, ours)
            got = {server: await load(server, clients) for server in order}
            rows[clients].append((*got[ours], *got[bare]))
        added, computed = await single(ours, bare)
        found["added_ms"] += added
        found["added_processor_ms"].append(computed)
        found["generate_ratio"].append(await batch(ours))
        print(f"round {number + 1} of {ROUNDS}", flush=True)
    found["clients"] = {clients: _row(values) for clients, values in rows.items()}
    return found


def _row(values: list[tuple[float, float, float, float]]) -> dict[str, float]:
    return {
        "tokens_per_second": statistics.median(row[0] for row in values),
        "tokens_per_second_bare": statistics.median(row[2] for row in values),
        "throughput_ratio": statistics.median(row[0] / row[2] for row in values),
        "first_token_ms": statistics.median(row[1] for row in values),
        "first_token_ms_bare": statistics.median(row[3] for row in values),
        "first_token_added_ms": statistics.median(row[1] - row[3] for row in values),
    }


def answers(port: int, key: str) -> bool:
    """Whether requests are taken."""
    try:
        asyncio.run(post(Server("starting", port, 0, key), "/v1/completions", wish(1)))
    except OSError:
        return False
    return True


def judge(found: dict[str, Any]) -> list[str]:
    """Print the figures; list the targets that are missed."""
    missed = []

    def say(what: str, value: float, target: str) -> None:
        met = value <= TARGETS[target] if target.endswith("most") else value >= TARGETS[target]
        print(f"{what}: {value:.3f} ({target} {TARGETS[target]}){'' if met else '  MISSED'}")
        if not met:
            missed.append(what)

    for clients, row in found["clients"].items():
        print(f"{clients} clients: {json.dumps({name: round(value, 3) for name, value in row.items()})}")
        say(f"throughput at {clients}", row["throughput_ratio"], "throughput ratio at least")
    quartiles = statistics.quantiles(found["added_ms"], n=4)
    print(f"first token alone, added ms, quartiles: {', '.join(f'{value:.3f}' for value in quartiles)}")
    say("first token alone, added ms", quartiles[1], "added milliseconds at most")
    print(f"processor time of the web server a request, added ms: {statistics.median(found['added_processor_ms']):.3f}")
    say(
        "/v1/completions over /generate, 8 prompts",
        statistics.median(found["generate_ratio"]),
        "generate ratio at least",
    )
    say("ready, ours over bare", found["ready_ratio"], "ready ratio at most")
    say("agent, MB", found["agent_mb"], "agent MB at most")
    say("agent, idle, percent of a processor", found["agent_idle_percent"], "agent percent at most")
    return missed


def main() -> None:
    """Start both, measure, judge. Whoever ends the benchmark early ends its servers."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(ROOT, lambda name: Path(tempfile.mkdtemp(prefix=name, dir=folder)))
        try:
            found = measure_starts(world, answers, KEY)
            with bare_vllm(world) as (port, bare_pid):
                wait_until(lambda: answers(port, ""), READY_SECONDS)
                launched = world.start({"api": {"generate": True}, "engine": {"maxNumSeqs": SEQUENCES}})
                pid = launched.wait_ready()["enginePid"]
                found |= measure_idle(launched)
                ours, bare = Server("plinth", launched.launch.api.port, pid, KEY), Server("bare vLLM", port, bare_pid)
                found |= asyncio.run(measure(ours, bare))
        finally:
            world.close()
    missed = judge(found)
    found["added_ms"] = statistics.median(found["added_ms"])
    print(json.dumps(found | {"targets": TARGETS, "missed": missed}))
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
