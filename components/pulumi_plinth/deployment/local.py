"""Servers as processes on this host: start, watch until ready, stop. Effects only, and nothing of Pulumi.

Everything is keyed by the run directory: the agent holds its lock as long as it lives, so a start finds a server that
is already there (after a crash of the deployment, say) and goes on from it instead of starting a second one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.contract.status import Phase, StartupStatus, Termination
from pulumi_plinth.errors import LocalError
from pulumi_plinth.quantities import human_bytes

POLL_SECONDS = 0.2
BOOT_SECONDS = 30.0
"""The agent must hold its lock by then."""
VERIFY_BYTES_PER_SECOND = 50e6
"""Slowest digesting of weights that is still work and not a hang."""
STOP_MARGIN_SECONDS = 15.0
"""Beyond the agent's own limits; then the agent itself is killed and its guard ends the engine."""
SWEEP_SECONDS = 60.0
PROBE_SECONDS = 2.0
PERCENT_STEP = 10
"""A fetch is told each time so much more of it is here."""

HEARTBEAT_SECONDS = 10.0
"""A start that takes long says so this often."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready."""

    pid: int
    ready_after_seconds: float


@dataclass(frozen=True, slots=True)
class Clock:
    """Time as a parameter: monotonic seconds and a pause."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def start(launch: LaunchConfig, run_dir: RunDir, key: str | None, say: Say, clock: Clock = Clock()) -> Server:
    """Have exactly this launch running and ready; one that runs already is kept, another one is stopped first.

    Raises LocalError with cause, advice and the last lines of the log when the server does not become ready.
    """
    running = is_running(run_dir, launch.digest())
    if not running:
        stop(run_dir, say, clock, keep=True)
    # Also for one that runs: whoever started it may have died before its key was kept; the gate rereads the file.
    _write_key(run_dir, key)
    process = None if running else _spawn(launch, run_dir)
    if running:
        say("is already starting or running, kept")
    deadline = clock.now() + BOOT_SECONDS
    while not is_locked(run_dir):
        if (process and process.poll() is not None) or clock.now() > deadline:
            if process:
                process.kill()
                process.wait()
            raise _failure(launch, run_dir)
        clock.sleep(POLL_SECONDS)
    return _wait_until_ready(launch, run_dir, say, clock)


def stop(run_dir: RunDir, say: Say, clock: Clock = Clock(), *, keep: bool = False) -> None:
    """End the server of a run directory, whatever state it is in, and remove the directory (or `keep` it)."""
    pid = holder(run_dir)
    if pid is not None:
        launch = launch_of(run_dir)
        limit = STOP_MARGIN_SECONDS
        if launch is not None:
            limit += launch.lifecycle.shutdown_timeout_seconds + launch.lifecycle.kill_after_seconds
        _signal(pid, signal.SIGTERM)
        if not _gone(run_dir, clock, limit):
            say(f"did not end within {limit:.0f} s, killed")
            _signal(pid, signal.SIGKILL)
            if not _gone(run_dir, clock, STOP_MARGIN_SECONDS):
                raise LocalError(f"the server in {run_dir.path} (process {pid}) cannot be stopped")
            _sweep(run_dir)
        say("stopped")
    elif run_dir.engine_lock.exists():
        _sweep(run_dir)
    if not keep:
        shutil.rmtree(run_dir.path, ignore_errors=True)


def is_locked(run_dir: RunDir) -> bool:
    """Say whether an agent lives in this run directory."""
    try:
        descriptor = os.open(run_dir.lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def holder(run_dir: RunDir) -> int | None:
    """Return the process id of the agent that lives in this run directory, or None."""
    if not is_locked(run_dir):
        return None
    text = run_dir.lock.read_text().split()
    return int(text[0]) if text and text[0].isdigit() else None


def is_running(run_dir: RunDir, digest: str) -> bool:
    """Say whether an agent lives there that was started with the launch of this digest."""
    launch = launch_of(run_dir)
    return launch is not None and launch.digest() == digest and is_locked(run_dir)


def own_ports(run_dir: RunDir) -> tuple[int, ...]:
    """Return the ports of the server that lives there: an update stops it before the new one needs them."""
    launch = launch_of(run_dir)
    return (launch.api.port, launch.management.port) if launch and is_locked(run_dir) else ()


def fetch_status(management: str) -> StartupStatus | None:
    """Ask a management port what the server is doing; None when nobody answers sensibly."""
    try:
        with urllib.request.urlopen(f"{management}/startupz", timeout=PROBE_SECONDS) as answer:  # noqa: S310 our URL
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError:
        return None
    try:
        return StartupStatus.model_validate_json(body)
    except ValidationError:
        return None


def termination(run_dir: RunDir) -> Termination | None:
    """Return why the last agent ended badly, if it said so."""
    try:
        return Termination.model_validate_json(run_dir.termination.read_bytes())
    except (OSError, ValidationError):
        return None


def launch_of(run_dir: RunDir) -> LaunchConfig | None:
    """Return what the server of a run directory was started with, if anything was."""
    try:
        return LaunchConfig.model_validate_json(run_dir.launch.read_bytes())
    except (OSError, ValidationError):
        return None


def _write_key(run_dir: RunDir, key: str | None) -> None:
    if key is not None:
        run_dir.path.mkdir(parents=True, exist_ok=True)
        _write(run_dir.keys, hashlib.sha256(key.encode()).hexdigest() + "\n", 0o600)


def _spawn(launch: LaunchConfig, run_dir: RunDir) -> subprocess.Popen[bytes]:
    run_dir.path.mkdir(parents=True, exist_ok=True)
    for stale in (run_dir.status, run_dir.termination):
        stale.unlink(missing_ok=True)
    _write(run_dir.launch, launch.canonical_json(), 0o644)
    command = [sys.executable, "-m", "plinth_runtime", "serve"]
    arguments = ["--config", str(run_dir.launch), "--run-dir", str(run_dir.path), "--log-file", str(run_dir.log)]
    with (run_dir.path / "boot.log").open("wb") as log:
        # A session of its own: the agent outlives the deployment, the terminal and their signals.
        return subprocess.Popen(
            command + arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=run_dir.path,
        )


def _sweep(run_dir: RunDir) -> None:
    """End what a killed agent left of its engine; without it the port would be held by nobody's process."""
    command = [sys.executable, "-m", "plinth_runtime", "sweep", "--run-dir", str(run_dir.path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=SWEEP_SECONDS, check=False)
    if run.returncode:
        raise LocalError(f"{run_dir.path} cannot be cleared: {run.stderr.strip()}")


def _wait_until_ready(launch: LaunchConfig, run_dir: RunDir, say: Say, clock: Clock) -> Server:
    began, said, spoke = clock.now(), "", clock.now()
    limit = launch.lifecycle.startup_timeout_seconds * (1 + launch.lifecycle.max_restarts)
    while is_locked(run_dir):
        status = fetch_status(launch.management_url)
        if status is not None and status.agent_pid == holder(run_dir):
            if status.phase is Phase.FETCHING:
                began = clock.now()  # a fetch has limits of its own: what arrives slowly still arrives
            limit = max(limit, launch.lifecycle.startup_timeout_seconds + status.bytes_total / VERIFY_BYTES_PER_SECOND)
            if (line := _progress(status)) != said or clock.now() - spoke > HEARTBEAT_SECONDS:
                say(line if line != said else f"{line} ({clock.now() - began:.0f} s{_rest(status)})")
                said, spoke = line, clock.now()
            if status.phase is Phase.READY:
                return Server(status.agent_pid, status.ready_after_seconds or status.seconds)
        if clock.now() - began > limit:
            stop(run_dir, say, clock, keep=True)
            raise LocalError(f"{launch.deployment} was not ready within {limit:.0f} s, stopped; log: {run_dir.log}")
        clock.sleep(POLL_SECONDS)
    raise _failure(launch, run_dir)


def _progress(status: StartupStatus) -> str:
    if status.phase is Phase.FETCHING:
        return _fetching(status)
    if status.phase is Phase.VERIFYING:
        return f"verifying weights {human_bytes(status.bytes_total)}" if status.bytes_total else "verifying weights"
    if status.phase is Phase.STARTING:
        return f"weights {status.weights} {human_bytes(status.bytes_total)} · engine starting"
    if status.phase is Phase.READY:
        return f"ready in {status.ready_after_seconds or status.seconds:.0f} s"
    if status.phase is Phase.RESTARTING and status.last_end:
        return f"restarting: {status.last_end.message}"
    return f"engine {status.phase}"


def _fetching(status: StartupStatus) -> str:
    """Say what comes and, by steps that do not fill the terminal, how much of it is here."""
    fetch = status.fetch
    if fetch is None or not fetch.bytes_total:
        return "fetching weights"
    here = int(fetch.percent) // PERCENT_STEP * PERCENT_STEP
    return f"fetching weights: {here} % of {human_bytes(fetch.bytes_total)}, {fetch.files_total} files"


def _rest(status: StartupStatus) -> str:
    if status.phase is Phase.FETCHING and status.fetch is not None and status.fetch.eta_seconds is not None:
        return f", {human_bytes(status.fetch.bytes_per_second)}/s, about {status.fetch.eta_seconds:.0f} s left"
    return "" if status.eta_seconds is None else f", about {status.eta_seconds:.0f} s left"


def _failure(launch: LaunchConfig, run_dir: RunDir) -> LocalError:
    end = termination(run_dir)
    if end is None:
        boot = run_dir.path / "boot.log"
        tail = boot.read_text(errors="replace")[-2000:].strip() if boot.exists() else ""
        return LocalError(f"{launch.deployment} ended without a word; {tail or f'see {run_dir.log}'}")
    lines = "".join(f"\n    {line}" for line in end.log_tail[-10:])
    said = f"\n  the engine's last lines:{lines}" if lines else ""
    return LocalError(f"{launch.deployment} did not start: {end.message}; {end.advice} [{end.cause}]{said}")


def _write(path: Path, text: str, mode: int) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    partial.replace(path)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _gone(run_dir: RunDir, clock: Clock, limit: float) -> bool:
    deadline = clock.now() + limit
    while is_locked(run_dir):
        if clock.now() > deadline:
            return False
        clock.sleep(POLL_SECONDS)
    return True
