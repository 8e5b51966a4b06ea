"""Two hosts on this one: network namespaces joined by a cable, and agents of one group in them. Needs root."""

import ctypes
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import psutil
import pytest
from support.engine import session_of, whole_or_cut
from support.project import lives

from plinth_runtime.contract.rundir import RunDir

NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""

OWN_MEMORY = 'mount -t tmpfs shm /dev/shm && exec "$@"'
"""Engines that see the same shared memory take themselves for neighbours and leave the network alone."""

NODES = 2
END_SECONDS = 10


def ip(*words):
    """Have the host's network changed."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Hosts:
    """Namespaces `names`, with `addresses` on the interfaces `cables`."""

    names: list
    addresses: list
    cables: list

    @classmethod
    def make(cls):
        """Make both and join them; skip where that is not allowed."""
        mark = f"pl{os.getpid() % 100000}"
        hosts = cls(
            [f"{mark}-{number}" for number in range(NODES)],
            [f"10.213.7.{number + 1}" for number in range(NODES)],
            [f"{mark}v{number}" for number in range(NODES)],
        )
        try:
            for name in hosts.names:
                ip("netns", "add", name)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("needs root and network namespaces")
        ip("link", "add", hosts.cables[0], "type", "veth", "peer", "name", hosts.cables[1])
        for name, address, cable in zip(hosts.names, hosts.addresses, hosts.cables, strict=True):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
            ip("-n", name, "link", "set", "lo", "up")
        return hosts

    def close(self):
        """Take both away."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def plug(self, *, joined):
        """Join the hosts or part them: nothing is refused, everything is lost."""
        ip("-n", self.names[1], "link", "set", self.cables[1], "up" if joined else "down")

    def inside(self, rank, act):
        """Call a function in a host's network and return what it returns."""
        result = []

        def run():
            descriptor = os.open(f"/run/netns/{self.names[rank]}", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, NEW_NETWORK):
                    raise OSError(ctypes.get_errno(), "setns")
            finally:
                os.close(descriptor)
            result.append(act())

        thread = Thread(target=run)
        thread.start()
        thread.join()
        return result[0]


@dataclass
class Member:
    """An agent of a group on its own host."""

    hosts: Hosts
    rank: int
    process: subprocess.Popen
    run_dir: RunDir
    document: dict
    sessions: set = field(default_factory=set)

    def call(self, path, body=None, headers=None, management=False):
        """(status, body text) of a request from its own host."""
        port = self.document["management" if management else "api"]["port"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers or {})

        def ask():
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 our URL
                    return answer.status, whole_or_cut(answer)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()
            except (OSError, http.client.HTTPException):
                return None, ""

        return self.hosts.inside(self.rank, ask)

    def status(self):
        """What it says of itself; None if nothing."""
        code, text = self.call("/startupz", management=True)
        status = json.loads(text) if code else None
        if status and status["enginePid"]:
            self.sessions.add(status["enginePid"])
        return status

    def is_ready(self):
        """Whether clients may come."""
        return self.call("/readyz", management=True)[0] == 200

    def engine_processes(self):
        """Process ids of every engine that this member was seen to have."""
        if self.process.poll() is None:
            self.status()
        return [pid for pid in psutil.pids() if session_of(pid) in self.sessions and lives(pid)]

    def send(self, number):
        """Signal the agent."""
        self.process.send_signal(number)

    def log(self):
        """What agent and engine said."""
        return self.run_dir.log.read_text(errors="replace")


@dataclass
class Group:
    """Both members, and how to start one again."""

    hosts: Hosts
    document: dict
    folder: Path
    environment: dict
    members: list = field(default_factory=list)
    everyone: list = field(default_factory=list)

    def start(self, rank):
        """Start the agent of a rank, in the run directory that it had before."""
        run_dir = RunDir(self.folder / f"run-{rank}")
        run_dir.path.mkdir(exist_ok=True)
        config = self.folder / "launch.json"
        config.write_text(json.dumps(self.document))
        seat = {"PLINTH_GROUP_RANK": str(rank), "PLINTH_GROUP_LEADER": self.hosts.addresses[0]}
        enter = ["ip", "netns", "exec", self.hosts.names[rank], "sh", "-c", OWN_MEMORY, "sh"]
        command = [*enter, sys.executable, "-m", "plinth_runtime", "serve"]
        process = subprocess.Popen(
            [*command, "--config", config, "--run-dir", run_dir.path, "--log-file", run_dir.log],
            env=os.environ | seat | self.environment.get(rank, {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        member = Member(self.hosts, rank, process, run_dir, self.document)
        self.everyone.append(member)
        self.members[rank:] = [member, *self.members[rank + 1 :]]
        return member

    def epochs(self):
        """The epoch of each member, None where it is not ready."""
        statuses = [member.status() for member in self.members]
        return [s["group"]["epoch"] if s and s["phase"] == "ready" else None for s in statuses]

    def works(self):
        """The epoch that all members work in; None if they do not."""
        epochs = set(self.epochs())
        return epochs.pop() if len(epochs) == 1 and all(member.is_ready() for member in self.members) else None

    def close(self):
        """Leave nothing running."""
        for member in self.everyone:
            member.engine_processes()
            if member.process.poll() is None:
                member.process.kill()
            member.process.wait()
            deadline = time.monotonic() + END_SECONDS
            while member.engine_processes() and time.monotonic() < deadline:
                time.sleep(0.05)
            for pid in member.engine_processes():
                os.kill(pid, signal.SIGKILL)
