"""Real engines that die again and again, lose a worker, live through a jump of the clock, and are drained often."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest
from support.engine import PROMPT, World, wait_until
from support.project import lives

STREAM = PROMPT | {"max_tokens": 150, "ignore_eos": True, "stream": True}
STREAMS = 4
LATEST_SIGNAL_SECONDS = 1.5


@pytest.mark.engine
@pytest.mark.timeout(200)
def test_restart_storm(start, record_property):
    """An engine that dies at once each time: longer and longer waits, then the end with the cause and advice."""
    server = start({"lifecycle": {"maxRestarts": 3, "restartBackoffSeconds": 0.5}})
    killed = {}
    while server.process.poll() is None:
        pid = (server.status() or {}).get("enginePid")
        if pid and pid not in killed:
            killed[pid] = time.monotonic()
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    assert server.process.returncode == 17
    assert len(killed) == 4
    moments = list(killed.values())
    waits = [later - sooner for sooner, later in pairwise(moments)]
    record_property("seconds from death to death", ", ".join(f"{wait:.1f}" for wait in waits))
    assert all(wait >= least for wait, least in zip(waits, (0.5, 1, 2), strict=True))
    end = json.loads(server.run_dir.termination.read_text())
    assert (end["cause"], end["engineExit"]) == ("engine-died", "signal 9 (SIGKILL)")
    assert end["advice"]
    assert "4 deaths within 600 s, 3 allowed" in server.run_dir.log.read_text()
    assert not server.engine_processes()


def workers(server):
    """Process ids of the engine's workers."""
    command = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in server.engine_processes()}
    return [pid for pid, words in command.items() if b"Worker" in words]


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("load", [False, True], ids=["idle", "busy"])
def test_killed_worker(start, tiny, load, record_property):
    """A kill -9 of one of two tensor-parallel workers is told, the others end too, and the server comes back."""
    sizes = {"extraArgs": ["--tensor-parallel-size", "2", "--distributed-executor-backend", "mp"]}
    server = start(
        {
            "model": {"folder": str(tiny), "manifestDigest": None},
            "engine": sizes | {"environment": {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}},
        }
    )
    server.wait_ready()
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 2})[0] == 200
    first, second = workers(server)
    others = [pid for pid in server.engine_processes() if pid != second]
    answers = []
    client = threading.Thread(target=lambda: answers.append(server.call("/v1/completions", STREAM)))
    if load:
        client.start()
        time.sleep(0.3)
    begun = time.monotonic()
    os.kill(second, signal.SIGKILL)
    wait_until(lambda: server.call("/readyz", management=True)[0] == 503, 20)
    hidden = time.monotonic() - begun
    status = wait_until(lambda: (s := server.status()) and s["restarts"] == 1 and s, 60)
    record_property("not ready after, started again after", f"{hidden:.1f} s, {time.monotonic() - begun:.1f} s")
    record_property("told", status["lastEnd"]["message"])
    assert status["lastEnd"]["cause"] == "engine-died"
    assert first in others
    assert not any(lives(pid) for pid in others)
    if load:
        client.join(60)
        assert all(status != 200 or "[DONE]" not in text or "error" in text for status, text in answers)
    server.wait_ready()
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 2})[0] == 200


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static volatile long *ahead;
__attribute__((constructor)) static void look(void) {
    int file = open(getenv("OMP_TEST_CLOCK"), O_RDONLY);
    void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) ahead = page;
}
static long seconds(clockid_t id) {
    return ahead && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) ? *ahead : 0;
}
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (!failed) now->tv_sec += seconds(id);
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}
time_t time(time_t *out) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (out) *out = precise.tv_sec;
    return precise.tv_sec;
}
"""
"""Stands before the C library: the wall clock is ahead by what a file says, in every process of agent and engine.

The host's own clock must not be set, and a time namespace shifts monotonic clocks only. Waits until an absolute moment
are still measured by the kernel's clock, so this is harder on a program than a real jump.
"""


@pytest.fixture
def clock(tmp_path):
    """Environment of processes with a wall clock of their own, and a function that sets it ahead by some seconds."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    source, library, offset = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "ahead"
    source.write_text(CLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    offset.write_bytes(struct.pack("l", 0))

    def jump(seconds):
        with offset.open("r+b") as file:
            file.write(struct.pack("l", seconds))

    # Of the engine's surroundings only some variables reach it; those that begin with OMP_ do.
    return {"LD_PRELOAD": str(library), "OMP_TEST_CLOCK": str(offset)}, jump


DAY = 86_400


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(400)
def test_clock_jump(start, clock, record_property):
    """The wall clock leaps a day ahead, then two back, with a stream open each time: nothing else happens."""
    environment, jump = clock
    server = start({"lifecycle": {"stallSeconds": 4, "hangSeconds": 10, "probeSeconds": 1}}, environment)
    server.wait_ready()
    for leap in (DAY, -DAY):
        texts = []
        client = threading.Thread(target=lambda: texts.append(server.call("/v1/completions", STREAM)[1]))  # noqa: B023
        client.start()
        time.sleep(0.5)
        jump(leap)
        while client.is_alive():
            assert server.call("/readyz", management=True)[0] == 200
            time.sleep(0.1)
        client.join()
        assert texts[0].count("data: {") == STREAM["max_tokens"]
        later = json.loads(server.call("/v1/completions", PROMPT | {"max_tokens": 1})[1])["created"]
        record_property("engine's clock minus ours, seconds", f"{later - time.time():.0f}")
        assert abs(later - time.time() - leap) < 60
        begun = time.monotonic()
        while time.monotonic() - begun < server.launch.lifecycle.hang_seconds + 2:
            assert server.call("/readyz", management=True)[0] == 200
            time.sleep(0.2)
    status = server.status()
    assert status["restarts"] == 0
    assert 0 < status["readyAfterSeconds"] < status["seconds"] < 400
    code, seconds = server.stop()
    assert (code, seconds < 20) == (0, True)


def drain_once(server, paths, signal_after):
    """Open streams, ask the agent to end meanwhile; return (status, text) of each."""
    answers = []
    clients = [threading.Thread(target=lambda p=path: answers.append(server.call(*p))) for path in paths]
    for client in clients:
        client.start()
        time.sleep(signal_after / len(paths))
    code, _ = server.stop()
    for client in clients:
        client.join(60)
    assert code == 0
    assert len(answers) == len(paths)
    return answers


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_three_drains(start, record_property):
    """Ended at three moments with streams open and others coming: each is whole, refused with 503, or not answered."""
    counted = {"whole": 0, "refused": 0, "no answer": 0}
    for number in range(3):
        server = start()
        server.wait_ready()
        paths = [("/v1/completions", STREAM)] * STREAMS
        for status, text in drain_once(server, paths, LATEST_SIGNAL_SECONDS * number / 3):
            counted[kind_of(status, text, text.count("data: {") == STREAM["max_tokens"])] += 1
        assert not server.engine_processes()
    record_property("streams", counted)
    assert counted["whole"] >= STREAMS


ROUNDS = 100


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_hundred_refusals(start, record_property):
    """A hundred times a real engine's gate is closed at a random moment and opened again: what is open ends whole.

    A drain as the agent does it, but for the end of the engine, which would cost half a minute each time.
    """
    server = start()
    server.wait_ready()
    moments = random.Random(7)  # noqa: S311 no secret
    counted = {"whole": 0, "refused": 0, "no answer": 0}
    body = STREAM | {"max_tokens": 20}
    for _ in range(ROUNDS):
        answers = []
        clients = [
            threading.Thread(target=lambda a=answers: a.append(server.call("/v1/completions", body)))
            for _ in range(STREAMS)
        ]
        close = threading.Timer(moments.uniform(0, 0.5), server.run_dir.draining.touch)
        close.start()
        for client in clients:
            client.start()
            time.sleep(moments.uniform(0, 0.1))
        for client in clients:
            client.join(60)
        close.join()
        assert server.call("/v1/completions", body)[0] == 503
        server.run_dir.draining.unlink()
        for status, text in answers:
            counted[kind_of(status, text, text.count("data: {") == body["max_tokens"])] += 1
        assert server.call("/v1/completions", body | {"stream": False})[0] == 200
    record_property("streams", counted)
    assert counted["whole"] >= ROUNDS
    assert counted["no answer"] == 0
    assert server.status()["restarts"] == 0


def kind_of(status, text, whole):
    """What became of a request; a part that calls itself complete, or a 500, is a fault."""
    assert status in {200, 503, None}, (status, text)
    if status == 200:
        assert whole, text[-500:]
        assert text.rstrip().endswith("data: [DONE]")
        return "whole"
    return "refused" if status else "no answer"


@pytest.fixture
def fake_world(project_root, tmp_path, tmp_path_factory, make_model):
    """What agents on the fake engine are made of."""
    script = tmp_path / "engine-python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{project_root}/tests/fakes/engine.py" "$@"\n')
    script.chmod(0o755)
    made = World(script, make_model(tmp_path / "model"), tmp_path_factory.mktemp)
    yield made
    made.close()


@pytest.mark.processes
@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_hundred_drains(fake_world, tmp_path, record_property):
    """In a hundred drains of a fake engine at random moments no stream is cut, and nothing stays behind."""
    moments = random.Random(6)  # noqa: S311 no secret
    counted = {"whole": 0, "refused": 0, "no answer": 0}
    for _ in range(100):
        server = fake_world.start({"engine": {"environment": {"FAKE_DIR": str(tmp_path)}}})
        server.wait_ready()
        for status, text in drain_once(server, [("/stream", None)] * STREAMS, moments.uniform(0, 1)):
            counted[kind_of(status, text, text.count("data: ") == 11)] += 1
        assert not server.run_dir.draining.exists()
        fake_world.close()
    record_property("streams", counted)
    assert counted["whole"] >= 100


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_replicas_inside_one_server(start, tiny, record_property):
    """Two data-parallel copies on one node: both compute, and the death of one is the death of the server, told."""
    sizes = {"extraArgs": ["--data-parallel-size", "2"]}
    server = start(
        {
            "model": {"folder": str(tiny), "manifestDigest": None},
            "engine": sizes | {"environment": {"VLLM_CPU_OMP_THREADS_BIND": "0|1"}},
        }
    )
    server.wait_ready()
    cores = [pid for pid in server.engine_processes() if b"EngineCore" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(cores) == 2
    clients = [threading.Thread(target=server.call, args=("/v1/completions", STREAM)) for _ in range(2 * STREAMS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    made = generated(server)
    record_property("tokens of each copy", made)
    assert len(made) == 2
    assert min(made) > 0
    os.kill(cores[1], signal.SIGKILL)
    status = wait_until(lambda: (s := server.status()) and s["restarts"] == 1 and s, 60)
    assert status["lastEnd"]["cause"] == "engine-died"
    assert not any(lives(pid) for pid in cores)
    server.wait_ready()
    assert server.call("/v1/completions", PROMPT | {"max_tokens": 2})[0] == 200


def generated(server):
    """Tokens that each copy has made."""
    text = server.call("/metrics", management=True)[1]
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith("vllm:generation_tokens_total{")]
