"""The nodes' network: a program that holds a network namespace of its own and carries connections over its border.

    relay.py FOLDER PORT     (as root; needs only the standard library)

Nodes hang on the bridge in this namespace and reach nothing but each other and, at 172.30.0.1:PORT, the API server on
this machine's loopback. In the other direction, API server and tests say `CONNECT address:port` on FOLDER/network.sock.
No route leads in or out, so no packet for a private address can leave the machine, and the namespace ends with its
processes.
"""

import asyncio
import contextlib
import ctypes
import os
import socket
import subprocess
import sys
from pathlib import Path

GATEWAY = "172.30.0.1"
CONNECT_SECONDS = 10
_NEW_NETWORK = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(folder, port):
    """Make the namespace and serve until killed."""
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    _checked(_LIBC.unshare(_NEW_NETWORK))
    inside = os.open("/proc/self/ns/net", os.O_RDONLY)
    for words in (
        "link set lo up",
        "link add br0 type bridge",
        f"addr add {GATEWAY}/24 dev br0",
        "link set br0 up",
        "route add 10.96.0.0/16 dev br0",  # any route: what goes there gets another address before it leaves
    ):
        subprocess.run(["ip", *words.split()], check=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    asyncio.run(_serve(Path(folder), int(port), (outside, inside)))


async def _serve(folder, port, spaces):
    outside, inside = spaces

    async def to_api_server(reader, writer):
        await _carry(reader, writer, (outside, "127.0.0.1", port))

    async def into_the_network(reader, writer):
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, address, *_ = head.split()
            host, _, wanted = address.rpartition(":")
            if method == "CONNECT":
                await _carry(reader, writer, (inside, host.strip("[]"), int(wanted)), b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    await asyncio.start_server(to_api_server, GATEWAY, port, backlog=1024)
    partial = folder / "network.sock.partial"
    await asyncio.start_unix_server(into_the_network, partial, backlog=1024)
    partial.rename(folder / "network.sock")  # it is there only when it answers
    await asyncio.Event().wait()


async def _carry(reader, writer, target, greeting=b""):
    """Join a connection with a new one to (namespace, host, port); it ends when both sides have ended."""
    space, host, port = target
    try:
        onward = await _connected(space, host, port)
    except OSError as error:
        if greeting:
            writer.write(f"HTTP/1.1 502 {error.strerror or 'timed out'}\r\n\r\n".encode())
        writer.close()
        return
    writer.write(greeting)
    far_reader, far_writer = await asyncio.open_connection(sock=onward)
    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    for end in (writer, far_writer):
        end.close()


async def _connected(space, host, port):
    """A connection in a namespace: a socket belongs to the one that its thread was in when it was made."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _checked(_LIBC.setns(space, 0))
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    finally:
        _checked(_LIBC.setns(here, 0))
        os.close(here)
    made.setblocking(False)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(made, (host, port)), CONNECT_SECONDS)
    except OSError:
        made.close()
        raise
    return made


async def _pump(reader, writer):
    """Carry bytes one way until they end, then say so to the other side."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
        return
    writer.close()


def _checked(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(*sys.argv[1:])
