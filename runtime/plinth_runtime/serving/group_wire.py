"""The wire between the agents of a group, and what this host's own end of it is called. Decides nothing."""

from __future__ import annotations

import fcntl
import http.client
import socket
import struct
from contextlib import closing

from pydantic import ValidationError

from plinth_runtime.contract.group import GroupOrder, GroupReport

PATH = "/group"
JSON_TYPE = "application/json"
OK, CONFLICT = 200, 409
ANSWER_BYTES = 256 << 10
"""Of an order; it may carry the last lines of a log."""

ANSWER_SECONDS = 2.0

GET_ADDRESS_OF_INTERFACE = 0x8915
"""SIOCGIFADDR of ioctl(2)."""


class SilentLeaderError(Exception):
    """The leader gave no order, and why."""


def ask_leader(host: str, port: int, report: GroupReport) -> GroupOrder:
    """Hand in a report and return the order. Raises SilentLeaderError."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    with closing(connection):
        try:
            headers = {"content-type": JSON_TYPE, "connection": "close"}
            connection.request("POST", PATH, report.model_dump_json().encode(), headers)
            answer = connection.getresponse()
            body = answer.read(ANSWER_BYTES)
            if answer.status != OK:
                raise SilentLeaderError(body.decode(errors="replace")[:300])
            return GroupOrder.model_validate_json(body)
        except (OSError, http.client.HTTPException, ValidationError) as error:
            raise SilentLeaderError(f"{type(error).__name__}: {error}") from error


def find_address(host: str, port: int) -> str:
    """Return this host's address on the way to another; nothing is sent. Raises OSError if there is no way."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


def find_interface(address: str) -> str | None:
    """Name the network interface that has an IPv4 address; None if no one has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                said = fcntl.ioctl(probe, GET_ADDRESS_OF_INTERFACE, struct.pack("256s", name.encode()))
            except OSError:
                continue  # it has no IPv4 address
            if socket.inet_ntoa(said[20:24]) == address:
                return name
    return None
