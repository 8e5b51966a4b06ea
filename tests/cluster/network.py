"""What the tests know of the nodes' network: its addresses, how to enter it, and connections to pods and Services."""

import http.client
import json
import socket
import sys
import urllib.parse
from pathlib import Path

from cluster.relay import GATEWAY

SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/16"
DOMAIN = "cluster.local"
READY_SECONDS = 30
RELAY = Path(__file__).parent / "relay.py"

__all__ = ["DOMAIN", "GATEWAY", "PODS", "SERVICES", "Answer", "call", "connect", "enter", "start"]


def start(place, processes):
    """Start the namespace and its relay unless they are there; return the process that holds it."""
    relay = processes.find("network")
    if relay is None:
        (place.folder / "network.sock").unlink(missing_ok=True)
        command = [sys.executable, "-I", str(RELAY), str(place.folder), str(place.ports[0])]
        relay = processes.start("network", command)
        there = (place.folder / "network.sock").exists
        processes.wait_for(there, READY_SECONDS, "the nodes' network", (relay,))
    return relay


def enter(relay):
    """The words that run a command inside the network."""
    return ["nsenter", f"--net=/proc/{relay.pid}/ns/net"]


def connect(folder, host, port, timeout=60):
    """A connection to an address inside the network: a pod's, a Service's or a node's."""
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(timeout)
    try:
        made.connect(str(folder / "network.sock"))
        made.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = made.recv(1)
            if not byte:
                raise ConnectionError(f"{host}:{port}: the nodes' network closed the connection")
            head += byte
        if b" 200 " not in head.splitlines()[0]:
            raise ConnectionError(f"{host}:{port}: {head.splitlines()[0].decode()}")
    except OSError:
        made.close()
        raise
    return made


class Answer:
    """What an HTTP server said: `status`, `headers`, `text`, and `json()`."""

    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    def json(self):
        """The text, read as JSON."""
        return json.loads(self.text)


def call(folder, url, body=None, headers=None, timeout=60):
    """One request to a server inside the network: GET, or POST where there is a body, JSON unless it is bytes."""
    parts = urllib.parse.urlsplit(url)
    sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=timeout)
    connection.sock = connect(folder, parts.hostname, parts.port or 80, timeout)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        all_headers = {"content-type": "application/json"} | (headers or {})
        connection.request("GET" if sent is None else "POST", path or "/", sent, all_headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read().decode(errors="replace"))
    finally:
        connection.close()
