"""The small process between agent and engine: whatever happens to the agent, no process of the engine stays behind.

Run as a script by `process.py` (`python -I -S guard.py CONTROL STATUS -- COMMAND…`), standard library only, nothing of
ours imported: it costs about 10 MiB. It starts the engine in a session of its own and then listens to two things:

- CONTROL, a pipe from the agent: `n` = note what the engine has in use, `t` = SIGTERM to the engine's first process,
  `k` = SIGKILL to all of them; its end means that the agent is dead: SIGTERM to all, SIGKILL soon after.
- the engine's first process: when it ends, the rest of its group is killed.

STATUS, a pipe to the agent, carries `pid N`, then `exit N` or `signal N` once *every* process of the engine is gone.
The guard adopts orphans (subreaper), so that even a process that left the group is found; should the guard itself be
killed, the kernel kills the engine's first process (parent-death signal) and the agent the rest of the group.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress

ORPHAN_GRACE_SECONDS = 2.0
"""The agent is dead and nobody waits for answers; the engine may still tidy up this long."""

REAP_ROUNDS, REAP_PAUSE_SECONDS = 100, 0.05
"""How often killed processes are looked for, and the pause between."""

SET_PARENT_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 36
"""prctl(2) options."""

CANNOT_EXECUTE = 127
OOM_SCORE = "500"
"""When memory runs out, the kernel shall take the engine and not the agent that can tell about it."""

SHARED_MEMORY = "/dev/shm/"  # noqa: S108 no file of ours
PYTHONS_OWN = ("psm_", "sem.mp-")
"""What Python calls its shared memory segments and named semaphores."""

RESET = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


def prctl(option: int, value: int) -> None:
    """Set a property of this process; where it does not exist the other means must do."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def start(command: list[str], guard_pid: int) -> int:
    """Fork and execute the engine as leader of its own session; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        for number in RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.setsid()
        prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123 lean
            file.write(OOM_SCORE)
        if os.getppid() == guard_pid:  # otherwise the guard died before the line above could work
            os.execv(command[0], command)  # noqa: S606 no shell is wanted
    except OSError as error:
        os.write(2, f"plinth-guard: cannot execute {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(CANNOT_EXECUTE)
    return 0


def members(group: int) -> list[int]:
    """List the living processes of a session or group, and every child of ours, whatever it calls itself."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 lean
        if not name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", encoding="utf-8") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
            state, parent, pgrp, session, threads = (*fields[:4], fields[17])
            ours = group in (int(pgrp), int(session)) or int(parent) == os.getpid()
            # While a thread lives its ports and memory are held, although the first one, a zombie, waits for it.
            if ours and (state not in "ZX" or int(threads) > 1):
                found.append(int(name))
    return found


def mapped_segments(pids: list[int]) -> set[str]:
    """Shared memory that these processes have mapped: a killed one cannot remove it."""
    inodes = set()
    for pid in pids:
        with suppress(OSError), open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            inodes |= {int(line.split()[4]) for line in file if SHARED_MEMORY in line}
    found = set()
    with suppress(OSError), os.scandir(SHARED_MEMORY) as entries:
        # By number, not by name: a semaphore is mapped under the name it had before it got its own.
        found = {entry.path for entry in entries if entry.name.startswith(PYTHONS_OWN) and entry.inode() in inodes}
    return found


def signal_all(group: int, number: int) -> None:
    """Signal the group and, by name, who left it."""
    with suppress(OSError):
        os.killpg(group, number)
    for pid in members(group):
        with suppress(OSError):
            os.kill(pid, number)


def reap(leader: int) -> bool:
    """Collect dead children except the leader, which stays a zombie so that its id stays ours. True: it is dead."""
    while True:
        try:
            dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        if dead is None:
            return False
        if dead.si_pid == leader:
            return True
        os.waitpid(dead.si_pid, 0)


def supervise(control: int, wake: int, leader: int) -> set[str]:
    """Obey until the engine is to be killed or its leader is dead; return the shared memory seen in use."""
    deadline: float | None = None
    seen: set[str] = set()
    while not reap(leader):
        patience = None if deadline is None else max(0.0, deadline - time.monotonic())
        if patience == 0.0:
            break
        ready, _, _ = select.select([wake] if deadline else [control, wake], [], [], patience)
        if wake in ready:
            os.read(wake, 4096)
        if control not in ready:
            continue
        order = os.read(control, 64)
        seen |= mapped_segments(members(leader))
        if b"k" in order:
            break
        if not order:
            signal_all(leader, signal.SIGTERM)
            deadline = time.monotonic() + ORPHAN_GRACE_SECONDS
        elif b"t" in order:
            os.kill(leader, signal.SIGTERM)
    return seen | mapped_segments(members(leader))


def bury(leader: int) -> str:
    """Kill whoever is left, collect all, and say how the leader ended."""
    for _ in range(REAP_ROUNDS):
        signal_all(leader, signal.SIGKILL)
        if reap(leader) and not members(leader):
            break
        time.sleep(REAP_PAUSE_SECONDS)
    _, status = os.waitpid(leader, 0)
    code = os.waitstatus_to_exitcode(status)
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return f"exit {code}" if code >= 0 else f"signal {-code}"


def main(arguments: list[str]) -> int:
    """Start, supervise, bury, report."""
    control, status, command = int(arguments[0]), int(arguments[1]), arguments[3:]
    for descriptor in os.listdir("/proc/self/fd"):  # noqa: PTH208 lean
        if int(descriptor) > 2:  # noqa: PLR2004 all but the standard streams, locks of the agent included
            with suppress(OSError):
                os.set_inheritable(int(descriptor), False)  # noqa: FBT003 the only way
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    prctl(SET_CHILD_SUBREAPER, 1)
    leader = start(command, os.getpid())
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nowhere, stream)  # the engine's pipe must end with the engine
    with suppress(OSError):
        os.write(status, f"pid {leader}\n".encode())
    seen = supervise(control, wake, leader)
    report = bury(leader)
    for path in seen:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108 lean
    with suppress(OSError):
        os.write(status, f"{report}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
