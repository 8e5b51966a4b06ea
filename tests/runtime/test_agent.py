"""The agent as a real process around a fake engine: whatever happens, the truth is told and nothing stays behind."""

import ctypes
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

STOPPED_SECONDS = 5


def test_becomes_ready_and_ends_when_asked(start_agent, engine_processes):
    """A server becomes ready with verified state shown, answers on its management port, and ends with 0."""
    agent = start_agent()
    status = agent.wait_phase("ready")
    assert status["readyAfterSeconds"] is not None
    assert status["weights"] == "unverified"
    assert agent.get("/readyz")[0] == agent.get("/livez")[0] == agent.get("/startupz")[0] == 200
    metrics = agent.get("/metrics")[1]
    assert 'plinth_phase{phase="ready"} 1.0' in metrics
    assert 'vllm:num_requests_running{engine="0"} 0' in metrics
    assert agent.get("/nothing")[0] == 404
    assert (agent.run_dir.sockets / "core").is_socket()
    agent.send()
    assert agent.wait() == 0
    assert not engine_processes()
    assert not agent.run_dir.sockets.exists()
    assert agent.status()["phase"] == "stopped"
    assert agent.run_dir.lock.read_text() == ""
    assert not agent.run_dir.termination.exists()
    assert not agent.run_dir.draining.exists()


def test_verified_when_the_launch_names_the_manifest(start_agent, launch_document):
    """Weights that agree with the planned manifest are called verified, with all their bytes counted."""
    import hashlib

    folder = Path(launch_document["model"]["folder"])
    text = (folder / "plinth-manifest.json").read_bytes()
    launch_document["model"]["manifestDigest"] = hashlib.sha256(text).hexdigest()
    status = start_agent().wait_phase("ready")
    assert status["weights"] == "verified"
    assert status["bytesDone"] == status["bytesTotal"] > 0


@pytest.mark.parametrize("moment", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("faults", [("hang",), ("hang", "ignore-term", "children")])
def test_sigterm_during_load(start_agent, engine_processes, until, moment, faults):
    """SIGTERM while an engine loads ends everything within seconds, even one that does not hear it."""
    agent = start_agent(*faults)
    until(agent.run_dir.lock.exists)
    time.sleep(moment)
    begun = time.monotonic()
    agent.send()
    assert agent.wait() == 0
    assert time.monotonic() - begun < STOPPED_SECONDS
    assert not engine_processes()


def test_open_stream_ends_whole(start_agent, until):
    """From SIGTERM on readiness is refused while an open stream is delivered to its end."""
    agent = start_agent()
    agent.wait_phase("ready")
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.launch.api.port}/stream", timeout=10) as stream:
        stream.readline()
        agent.send()
        until(lambda: agent.get("/readyz")[0] == 503)
        until(agent.run_dir.draining.exists)
        assert stream.read().endswith(b"data: [DONE]\n\n")
    assert agent.wait() == 0


def test_drain_over_http(start_agent):
    """POST /drain from this host is SIGTERM by other means; GET is refused."""
    agent = start_agent()
    agent.wait_phase("ready")
    assert agent.get("/drain")[0] == 405
    assert agent.get("/drain", method="POST")[0] == 202
    assert agent.wait() == 0


def test_second_signal_hastens(start_agent, launch_document, engine_processes):
    """A second signal does not wait for the shutdown timeout."""
    launch_document["lifecycle"]["shutdownTimeoutSeconds"] = 60
    agent = start_agent("ignore-term", "children")
    agent.wait_phase("ready")
    agent.send(signal.SIGINT)
    agent.wait_phase("draining")
    begun = time.monotonic()
    agent.send(signal.SIGINT)
    assert agent.wait() == 0
    assert time.monotonic() - begun < STOPPED_SECONDS
    assert not engine_processes()


def test_hard_end(start_agent, launch_document, engine_processes):
    """An engine that has nothing open and does not hear SIGTERM is killed when it had its time."""
    launch_document["lifecycle"] |= {"shutdownTimeoutSeconds": 30, "killAfterSeconds": 1}
    agent = start_agent("ignore-term", "children")
    agent.wait_phase("ready")
    begun = time.monotonic()
    agent.send()
    assert agent.wait() == 0
    assert 1.0 <= time.monotonic() - begun < STOPPED_SECONDS
    assert not engine_processes()


def test_work_that_takes_too_long_is_cut_off(start_agent, launch_document, engine_processes):
    """A stream that is open at the shutdown timeout ends without its end: nobody takes it for complete."""
    launch_document["lifecycle"] |= {"shutdownTimeoutSeconds": 0.3, "killAfterSeconds": 30}
    agent = start_agent()
    agent.wait_phase("ready")
    begun = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.launch.api.port}/stream", timeout=10) as stream:
        stream.readline()
        agent.send()
        assert b"[DONE]" not in stream.read()
    assert agent.wait() == 0
    assert time.monotonic() - begun < STOPPED_SECONDS
    assert not engine_processes()


def test_killed_engine_leaves_no_shared_memory(start_agent, launch_document, tmp_path):
    """What a killed engine had in shared memory, named semaphores too, is removed, and nobody else's."""
    launch_document["lifecycle"] |= {"shutdownTimeoutSeconds": 0.2, "killAfterSeconds": 0.2}
    stranger = Path(f"/dev/shm/sem.mp-plinth-test-{os.getpid()}")
    stranger.touch()
    try:
        agent = start_agent("semaphore", "ignore-term")
        agent.wait_phase("ready")
        semaphore = Path((tmp_path / "semaphore").read_text())
        assert semaphore.exists()
        agent.send()
        assert agent.wait() == 0
        assert not semaphore.exists()
        assert stranger.exists()
    finally:
        stranger.unlink()


def test_hangup_is_ignored(start_agent):
    """A closed terminal does not end a server."""
    agent = start_agent()
    agent.wait_phase("ready")
    agent.send(signal.SIGHUP)
    time.sleep(0.2)
    assert agent.get("/readyz")[0] == 200


@pytest.mark.parametrize("faults", [("hang", "ignore-term", "children"), ("ignore-term", "children")])
def test_killed_agent_leaves_no_orphan(start_agent, engine_processes, alive, until, faults):
    """A kill -9 of the agent ends the engine, its children and even those that left its group."""
    agent = start_agent(*faults)
    agent.wait_phase("loading" if "hang" in faults else "ready")
    notes = Path(agent.document["engine"]["environment"]["FAKE_DIR"])
    pids = [int(until(lambda name=name: (notes / name).read_text())) for name in ("pid", "child", "runaway")]
    assert all(alive(pid) for pid in pids)
    agent.send(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in pids), STOPPED_SECONDS)
    until(lambda: not engine_processes(), STOPPED_SECONDS)


def test_successor_of_a_killed_agent(start_agent):
    """An agent started right after another was killed waits for the old engine's end and serves on the same ports."""
    first = start_agent("ignore-term")
    first.wait_phase("ready")
    first.send(signal.SIGKILL)
    first.wait()
    second = start_agent()
    assert second.wait_phase("ready", "failed")["agentPid"] in {first.pid, second.pid}
    assert [s for s in [second.wait_phase("ready", "failed")] if s["phase"] == "ready"]


def test_killed_guard(start_agent, tmp_path, alive, until):
    """A kill -9 of the guard ends the engine too, and the agent tells and restarts."""
    agent = start_agent("children")
    engine = agent.wait_phase("ready")["enginePid"]
    guard = int(Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[1])
    child = int((tmp_path / "child").read_text())
    os.kill(guard, signal.SIGKILL)
    until(lambda: not alive(engine) and not alive(child), STOPPED_SECONDS)
    status = until(lambda: (s := agent.status()) and s["restarts"] == 1 and s["phase"] == "ready" and s)
    assert status["lastEnd"]["engineExit"] == "unknown: its guard was killed"


def test_successor_clears_what_is_left(start_agent, tmp_path, alive, until):
    """When agent and guard are killed at once, the engine dies with them and the next start ends its children."""
    agent = start_agent("child")
    engine = agent.wait_phase("ready")["enginePid"]
    guard = int(Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[1])
    child = int((tmp_path / "child").read_text())
    agent.send(signal.SIGKILL)
    os.kill(guard, signal.SIGKILL)
    until(lambda: not alive(engine), STOPPED_SECONDS)
    agent.wait()
    assert alive(child)
    successor = start_agent()
    until(lambda: successor.get("/readyz")[0] == 200)
    assert not alive(child)


def test_exit_zero_is_no_success(start_agent, until):
    """An engine that ends itself with 0 when ready is reported as dead and restarted."""
    agent = start_agent("die-ready-once")
    agent.wait_phase("ready")
    until(lambda: agent.get("/readyz")[0] == 503)
    status = until(lambda: (s := agent.status()) and s["restarts"] == 1 and s["phase"] == "ready" and s)
    assert status["lastEnd"]["cause"] == "engine-died"
    assert status["lastEnd"]["engineExit"] == "exit code 0"
    assert "plinth_engine_restarts_total 1.0" in agent.get("/metrics")[1]


def test_restarts_then_gives_up(start_agent, launch_document, tmp_path):
    """An engine that keeps dying is started again as often as allowed, then the agent ends with the cause's code."""
    launch_document["lifecycle"]["maxRestarts"] = 2
    agent = start_agent("die-loading")
    assert agent.wait() == 17
    assert (tmp_path / "starts").read_text() == "3"
    end = agent.termination()
    assert end["cause"] == "engine-died"
    assert end["logTail"][-1] == "RuntimeError: something unknown"
    assert agent.status()["phase"] == "failed"


@pytest.mark.parametrize(
    "case",
    [
        ("bad-arguments", 14, "bad-arguments", 1),
        ("corrupt", 11, "corrupt-weights", 1),
        ("oom", 15, "out-of-memory", 2),
    ],
)
def test_known_causes(start_agent, tmp_path, case):
    """A known cause is named, and not tried again more often than makes sense."""
    fault, code, cause, starts = case
    agent = start_agent(fault)
    assert agent.wait() == code
    assert agent.termination()["cause"] == cause
    assert agent.termination()["exitCode"] == code
    assert (tmp_path / "starts").read_text() == str(starts)
    assert "Traceback" not in agent.stderr
    assert len(agent.stderr.strip().splitlines()) == 2


def test_startup_timeout(start_agent, launch_document, engine_processes):
    """An engine that never becomes ready is killed at the startup timeout and this is the cause."""
    launch_document["lifecycle"] |= {"startupTimeoutSeconds": 0.5, "maxRestarts": 0}
    agent = start_agent("hang", "ignore-term", "children")
    assert agent.wait() == 16
    assert not engine_processes()


def test_second_copy_touches_nothing(start_agent):
    """A second agent on the same run directory ends with its own code, names the holder and changes nothing."""
    agent = start_agent()
    agent.wait_phase("ready")
    before = agent.run_dir.status.read_bytes()
    second = start_agent()
    assert second.wait() == 13
    assert f"process id {agent.pid}" in second.stderr
    assert agent.run_dir.status.read_bytes() == before
    assert agent.get("/readyz")[0] == 200
    assert not agent.run_dir.termination.exists()


@pytest.mark.parametrize("which", ["api", "management"])
def test_port_taken(start_agent, launch_document, tmp_path, which):
    """A taken port is found before the engine starts; the message names port and holder."""
    with socket.create_server(("127.0.0.1", launch_document[which]["port"])):
        agent = start_agent()
        assert agent.wait() == 12
    end = agent.termination()
    assert str(launch_document[which]["port"]) in end["message"]
    assert f"process {os.getpid()} " in end["message"]
    assert not (tmp_path / "starts").exists()


def test_corrupt_weights_never_start(start_agent, launch_document, tmp_path):
    """A flipped byte in the weights ends the agent before there is an engine."""
    shard = Path(launch_document["model"]["folder"]) / "model.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    agent = start_agent()
    assert agent.wait() == 11
    assert "model.safetensors has sha256" in agent.termination()["message"]
    assert not (tmp_path / "starts").exists()


@pytest.mark.parametrize(
    "case",
    [
        ("engine", "python", "/no/such/python", "engine.python"),
        ("api", "keysFile", "/no/such/keys", "api.keysFile"),
        ("model", "maxModelLen", 0, "model.maxModelLen"),
        ("model", "typo", 1, "model.typo"),
    ],
)
def test_bad_launch_file(start_agent, launch_document, case):
    """A launch file that is wrong or does not fit this host is refused with the place of the fault."""
    section, key, value, words = case
    launch_document[section][key] = value
    agent = start_agent()
    assert agent.wait() == 10
    assert words in agent.stderr
    assert agent.termination()["cause"] == "bad-config"


def test_log_file(start_agent, tmp_path):
    """With a log file nothing goes to standard output, and the file holds the engine's and the agent's lines."""
    agent = start_agent(arguments=["--log-file", str(tmp_path / "server.log")])
    agent.wait_phase("ready")
    agent.send()
    out, _ = agent.process.communicate(timeout=10)
    text = (tmp_path / "server.log").read_text()
    assert out == ""
    assert "Application startup complete." in text
    assert "plinth: phase stopped" in text


def test_small_and_quiet(start_agent):
    """A ready agent takes less than 60 MiB and next to no processor time."""
    agent = start_agent()
    agent.wait_phase("ready")
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{agent.pid}/status").read_text().splitlines())
    assert int(fields["VmRSS"].split()[0]) < 60 * 1024
    ticks = [_ticks(agent.pid), time.sleep(2), _ticks(agent.pid)]
    assert ticks[2] - ticks[0] <= 2


def _ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_signal_that_another_thread_gets_is_heard(start_agent):
    """The kernel may hand SIGTERM to any thread; the one that waits for news must notice all the same."""
    agent = start_agent()
    agent.wait_phase("ready")
    threads = [int(path.name) for path in Path(f"/proc/{agent.process.pid}/task").iterdir()]
    other = next(thread for thread in threads if thread != agent.process.pid)
    tgkill = 234
    assert ctypes.CDLL(None).syscall(tgkill, agent.process.pid, other, signal.SIGTERM) == 0
    assert agent.wait() == 0


HASTY = {"stallSeconds": 0.5, "hangSeconds": 1.0, "probeSeconds": 0.2}


def test_frozen_engine_is_hidden_and_replaced(start_agent, launch_document, until):
    """An idle engine that answers everything but requests is not ready soon, and is killed and started again."""
    launch_document["lifecycle"] |= HASTY | {"hangSeconds": 3.0}
    agent = start_agent("freeze-once", "ignore-term", "children")
    agent.wait_phase("ready")
    until(lambda: agent.get("/readyz")[0] == 503)
    assert agent.status()["phase"] == "ready"
    assert "makes no step" in agent.status()["message"]
    status = until(lambda: (s := agent.status()) and s["restarts"] == 1 and s["phase"] == "ready" and s)
    assert status["lastEnd"]["cause"] == "hung"
    assert status["lastEnd"]["exitCode"] == 18
    until(lambda: agent.get("/readyz")[0] == 200)


@pytest.mark.parametrize("faults", [("busy",), ("no-completions",), ("still",), ("busy", "no-metrics")])
def test_moving_engine_is_left_alone(start_agent, launch_document, faults):
    """A full engine that answers no probe is no hang, nor one without completions, with a wrong gauge or none."""
    launch_document["lifecycle"] |= HASTY
    agent = start_agent(*faults)
    agent.wait_phase("ready")
    time.sleep(2.5)
    assert agent.status()["restarts"] == 0
    assert agent.get("/readyz")[0] == 200


def test_agent_is_known_by_a_token_that_is_nowhere_else(start_agent, launch_document, tmp_path, until):
    """The engine is probed with a token; disk, arguments and environment hold no more than its hash."""
    import hashlib

    launch_document["lifecycle"] |= HASTY
    agent = start_agent()
    engine = agent.wait_phase("ready")["enginePid"]
    token = until((tmp_path / "probes").exists) and (tmp_path / "probes").read_text().removeprefix(
        "/plinth/probe/v1/completions"
    )
    assert hashlib.sha256(token.encode()).hexdigest() == agent.run_dir.agent_hash.read_text().strip()
    assert agent.run_dir.agent_hash.stat().st_mode & 0o777 == 0o600
    for name in ("environ", "cmdline"):
        assert token.encode() not in Path(f"/proc/{engine}/{name}").read_bytes()
