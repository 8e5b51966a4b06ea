"""Who listens on a port of this host? Read from /proc, so nothing is connected to and nothing is disturbed."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from plinth_runtime.errors import BadConfigError, PortTakenError

LISTEN = "0A"
"""The state LISTEN in /proc/net/tcp."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that listens."""

    pid: int
    name: str


def require_free(host: str, port: int, purpose: str) -> None:
    """Raise PortTakenError, naming the holder if it can be known, or BadConfigError for an address that is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise explain_bind(error, host, port, purpose) from error


def explain_bind(error: OSError, host: str, port: int, purpose: str) -> PortTakenError | BadConfigError:
    """Turn the failure of a bind into a sentence."""
    if error.errno != errno.EADDRINUSE:
        return BadConfigError(f"{purpose} cannot listen on {host}:{port}: {error.strerror or error}")
    holder = find_holder(port)
    who = f"process {holder.pid} ({holder.name})" if holder else "a process that this user cannot see"
    return PortTakenError(f"port {port}, meant for {purpose}, is taken by {who}")


def find_holder(port: int) -> Holder | None:
    """Find the process that listens on a port; None if nobody does or if it is another user's."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, inodes):
            with suppress(OSError):
                return Holder(int(process.name), (process / "comm").read_text().strip())
    return None


def _listening_inodes(port: int) -> list[str]:
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    found.append(fields[9])
    return found


def _holds(process: Path, inodes: set[str]) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) in inodes:
                    return True
    return False
