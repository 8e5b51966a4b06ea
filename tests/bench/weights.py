"""Weights from a web server to a disk: ours against the tools that people use, interleaved, in one run.

    make bench-weights [RUNS=3] [MIB=2048]

nginx serves four files from memory; every contender brings them to the disk, where they are synced. Printed for each:
best wall time, least CPU seconds per GB (client only), largest memory. Ours also checks every byte. Exits 1 if a
promise of docs/weights.md is broken.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

from weights_world import CAP_BYTES, Command, Cost, World, contenders, measure, small_contenders, world

RUNS = int(os.environ.get("RUNS", "3"))
MIB = int(os.environ.get("MIB", "2048"))
CAPPED = "plinth, 60 MB/s a stream"
CAPPED_SHARE = 0.9
CAPPED_MIB, CAPPED_RUNS = 4096, 5
"""Streams are added while the first ones are measured: some half a second, of a small model as of a large one."""
BATCH_BYTES, PART_BYTES = 64 << 20, 16 << 20


def rounds(commands: dict[str, Command], where: World, runs: int) -> dict[str, list[Cost]]:
    """Run every contender in turn, so that a noisy minute hits everybody; give what each cost, less a first round."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, command in commands.items():
            cost = measure(command, where)
            if number:  # in the first, memory and disk are touched for the first time
                costs[name].append(cost)
    return costs


def best_of(rows: list[Cost]) -> Cost:
    """Give the best of each figure; of memory and bytes written the worst."""
    return Cost(
        min(row.wall for row in rows),
        min(row.cpu for row in rows),
        max(row.memory for row in rows),
        max(row.written for row in rows),
        max((row.said for row in rows), key=lambda said: said.get("streams", 0)),
    )


def compare(names: Iterable[str], mib: int, runs: int) -> dict[str, list[Cost]]:
    """Measure some contenders only. For tests."""
    with world(mib) as where:
        chosen = set(names)
        commands = {name: command for name, command in contenders(where).items() if name in chosen}
        return rounds(commands, where, runs)


def capped_share(capped: list[Cost], free: list[Cost], mib: int) -> float:
    """Give what arrived with a cap on each connection, as a share of what could: streams x cap, or the free rate."""
    size, slow, fast = mib << 20, best_of(capped), best_of(free)
    return size / slow.wall / min(slow.said["streams"] * CAP_BYTES, size / fast.wall)


def refetched_after_kill(command: Command, where: World, seconds: float) -> int:
    """Kill a fetch at half of its usual time, run it again; give the bytes that were sent twice."""
    shutil.rmtree(where.out, ignore_errors=True)
    where.sent()
    words = [str(word) for word in command]
    child = subprocess.Popen(words, env=where.environment, stdout=subprocess.DEVNULL)
    time.sleep(seconds / 2)
    child.kill()
    child.wait()
    subprocess.run(words, env=where.environment, stdout=subprocess.DEVNULL, check=True)
    return where.sent() - sum(path.stat().st_size for path in where.out.glob("*.safetensors"))


def second_pod(command: Command, where: World) -> tuple[Cost, int]:
    """Fetch into a cache, then once more for another folder; give the second one's cost and the bytes sent for it."""
    shutil.rmtree(where.out, ignore_errors=True)
    cached = [*command[:-3], *("--cache", where.out / "cache", "--json", "--to")]
    measure([*cached, where.out / "first"], where, keep=True)
    manifest = (where.data / "m1" / "plinth-manifest.json").stat().st_size
    where.sent()
    cost = measure([*cached, where.out / "second"], where, keep=True)
    return cost, where.sent() - manifest


def report(costs: dict[str, Cost], size: int) -> None:
    """Print a table."""
    for name, row in costs.items():
        rate, cpu, written = size / 1e9 / row.wall, row.cpu / size * 1e9, row.written / size
        streams = f"{row.said['streams']:4} streams" if "streams" in row.said else ""
        print(
            f"{name:26} {row.wall:7.2f} s {rate:5.2f} GB/s {cpu:5.2f} CPU s/GB {row.memory:5.0f} MB "
            f"{written:5.2f} x written {streams}"
        )


def broken_promises(best: dict[str, Cost], after_kill: int, second: tuple[Cost, int], mib: int) -> list[str]:
    """Compare with what docs/weights.md promises."""
    ours, size = best["plinth"], mib << 20
    most = BATCH_BYTES + (ours.said["streams"] + 1) * PART_BYTES
    ours_of_all = [row for name, row in best.items() if name.startswith("plinth")]
    rows: list[tuple[str, Callable[[], bool]]] = [
        ("CPU <= 0.5 x s5cmd", lambda: ours.cpu <= 0.5 * best["s5cmd"].cpu),
        ("wall: 1.3 x as fast as s5cmd", lambda: 1.3 * ours.wall <= best["s5cmd"].wall),
        ("wall: 2 x as fast as boto3", lambda: 2 * ours.wall <= best["boto3"].wall),
        ("wall: 2 x as fast as huggingface_hub", lambda: 2 * ours.wall <= best["huggingface_hub"].wall),
        ("wall: 2.5 x as fast as OCI's", lambda: 2.5 * ours.wall <= best["oci DownloadManager"].wall),
        ("wall: 0.85 of a reader that checks nothing", lambda: best["raw, checks nothing"].wall >= 0.85 * ours.wall),
        ("TLS: CPU <= 0.85 x s5cmd", lambda: best["plinth, TLS"].cpu <= 0.85 * best["s5cmd, TLS"].cpu),
        ("memory <= 64 MB and 1 MiB a stream", lambda: all(map(_is_small, ours_of_all))),
        ("written 1.00 times", lambda: ours.written <= 1.005 * size),
        (f"refetched after kill <= {most / 1e6:.0f} MB", lambda: after_kill <= most),
        ("second pod: no byte, below a second", lambda: second[1] == 0 and second[0].wall < 1),
        ("10,000 files: as fast as s5cmd", lambda: _wall(best, "plinth") <= _wall(best, "s5cmd")),
    ]
    return [words for words, holds in rows if not holds()]


def _is_small(cost: Cost) -> bool:
    return cost.memory * 1.048576 <= 64 + cost.said["streams"] * 1.048576


def _wall(best: dict[str, Cost], who: str) -> float:
    return best[f"{who}, 10,000 files"].wall


def main() -> None:
    """Measure everything, print it, compare it with what is promised."""
    with world(MIB, small=True) as where:
        commands = contenders(where)
        costs = rounds(commands, where, RUNS)
        short_share = capped_share(costs[CAPPED], costs["plinth"], MIB)
        best = {name: best_of(rows) for name, rows in costs.items()}
        report(best, MIB << 20)
        small = {name: best_of(rows) for name, rows in rounds(small_contenders(where), where, RUNS).items()}
        for name, row in small.items():
            print(f"{name:26} {row.wall:7.2f} s {row.cpu:5.2f} CPU s {row.memory:5.0f} MB")
        again = refetched_after_kill(commands["plinth"], where, best["plinth"].wall)
        second = second_pod(commands["plinth"], where)
    print(f"sent twice after kill -9 at half: {again / 1e6:.0f} MB")
    print(f"second pod: {second[1]} bytes sent, ready after {second[0].wall:.2f} s")
    capped = compare(("plinth", CAPPED), CAPPED_MIB, CAPPED_RUNS)
    share = capped_share(capped[CAPPED], capped["plinth"], CAPPED_MIB)
    print(
        f"60 MB/s a stream: {share:.2f} of what can come, of a model of {CAPPED_MIB} MiB ({MIB} MiB: {short_share:.2f})"
    )
    broken = broken_promises(best | small, again, second, MIB)
    broken += [f"60 MB/s a stream: {CAPPED_SHARE} of what can come"] if share < CAPPED_SHARE else []
    print("\n".join(f"broken: {words}" for words in broken) or "every promise holds")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
