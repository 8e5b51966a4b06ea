"""Permits: the address and headers that open one object for some minutes. Made once, used for all of its ranges.

A signature that leaves `Range` unsigned, a presigned address, the place that a redirect led to: each costs time or a
request to make, none is needed per range. The stores' modules make them; here they are kept, renewed and used.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from plinth_runtime.weights.sources import RefusedError, RemoteObject
from plinth_runtime.weights.sources.answers import Wanted
from plinth_runtime.weights.sources.wire import HttpBody, Wire

PERMIT_SECONDS = 240.0
"""OCI takes a signature for 300 seconds; presigned addresses are asked for with more."""

KEPT_PERMITS = 512
"""More objects than streams can work on at once; older ones are made anew when they are wanted again."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Where an object is read, and with which headers. Both may be secrets: neither is ever printed."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class Permits:
    """The permits of one source by the object's key; shared by threads, which wait for each other per object."""

    def __init__(
        self,
        make: Callable[[RemoteObject], Permit],
        seconds: float = PERMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Slot] = OrderedDict()

    def get(self, target: RemoteObject) -> tuple[Permit, bool]:
        """Give a permit that is good now, and whether it was used before."""
        slot = self._slot(target.key)
        with slot.lock:
            if slot.permit is not None and self._clock() - slot.made < self._seconds:
                return slot.permit, True
            return self._fill(slot, target), False

    def renew(self, target: RemoteObject, refused: Permit) -> Permit:
        """Give another permit than the refused one; the first of several threads makes it."""
        slot = self._slot(target.key)
        with slot.lock:
            if slot.permit is not None and slot.permit is not refused:
                return slot.permit
            return self._fill(slot, target)

    def _fill(self, slot: _Slot, target: RemoteObject) -> Permit:
        made = self._clock()
        slot.permit, slot.made = self._make(target), made
        return slot.permit

    def _slot(self, key: str) -> _Slot:
        with self._lock:
            slot = self._kept.setdefault(key, _Slot())
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT_PERMITS:
                self._kept.popitem(last=False)
            return slot


@dataclass(slots=True)
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    permit: Permit | None = None
    made: float = 0.0


class PermitSession:
    """One stream that reads with permits; a `Session`. `advice` is added to what a refusal says.

    `checks_version` False is for keys that name one content for ever: no condition is sent, and whatever version the
    last server of a redirect claims is not looked at.
    """

    def __init__(self, wire: Wire, permits: Permits, advice: str, *, checks_version: bool = True) -> None:
        self._wire = wire
        self._permits = permits
        self._advice = advice
        self._checks_version = checks_version

    def open_range(self, target: RemoteObject, start: int, length: int) -> HttpBody:
        """Ask for a range. A permit that worked before and is refused now has ended: one more is made, once."""
        etag = target.etag if self._checks_version else None
        wanted = Wanted(target.name, target.size, start, length, etag)
        permit, used_before = self._permits.get(target)
        if used_before:
            try:
                return self._read(permit, wanted, target)
            except RefusedError:
                permit = self._permits.renew(target, permit)
        try:
            return self._read(permit, wanted, target)
        except RefusedError as error:
            # Presigned addresses are secrets while they last.
            words = str(error).replace(permit.url, target.name)
            raise RefusedError(f"{words}; {self._advice}") from None

    def abort(self) -> None:
        """Cut the connection."""
        self._wire.abort()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    def _read(self, permit: Permit, wanted: Wanted, target: RemoteObject) -> HttpBody:
        body = self._wire.get_range(permit.url, wanted, permit.headers)
        if not self._checks_version:
            body.etag = target.etag
        return body
