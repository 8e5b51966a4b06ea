"""Every way a server or a fetch can fail, as one class each: what to do next, the exit code and one piece of advice.

RuntimeFault
├── SourceRefusedError       6  never retry: the store does not give what was asked for
├── NoSpaceError             7  never retry: the disk is too small
├── FetchCancelledError      8  never retry: somebody ended the fetch; the next one continues it
├── BadConfigError          10  never retry: the launch file or the host is wrong
├── CorruptWeightsError     11  never retry: the model folder is not what it should be
├── PortTakenError          12  never retry: somebody else listens there
├── AlreadyRunningError     13  never retry: another agent holds this run directory
├── BadArgumentsError       14  never retry: the engine refuses how it is started
├── OutOfMemoryError        15  retry: memory may have been taken by a neighbour
├── StartupTimeoutError     16  retry: a cold disk may be warm the next time
├── EngineDiedError         17  retry: the engine ended although nobody asked it to
├── HungError               18  retry: the engine had work and stood still
├── PeerLostError           19  retry: another member of the group went away
└── InternalError           70  never retry: a fault of this program

Codes 0 (stopped as asked), 2 (wrong use of the command line), 4 (fetched, but nothing vouches for the bytes) and 5
(what `verify` and `fetch` make of CorruptWeightsError) are taken. Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from plinth_runtime.contract.status import Cause, Termination


class RuntimeFault(Exception):  # noqa: N818 the family; its members end in Error
    """What went wrong in one sentence (the message) and what to do about it (the hint)."""

    cause: ClassVar[Cause]
    exit_code: ClassVar[int]
    retryable: ClassVar[bool] = False
    hint: str

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint


class SourceRefusedError(RuntimeFault):
    """The store of the weights does not give what was asked for, or its answer cannot be trusted."""

    cause = Cause.SOURCE_REFUSED
    exit_code = 6
    hint = "Check the address, the credentials and what lies at that address."


class SourceUnavailableError(SourceRefusedError):
    """The store did not answer as it should for so long that the fetch gave up. What has arrived is kept."""

    retryable = True
    hint = "Run the same command again when the store answers: it continues where this one ended."


class NoSpaceError(RuntimeFault):
    """The disk has no room for the weights."""

    cause = Cause.NO_SPACE
    exit_code = 7
    hint = "Free space on that file system or choose another folder; what has arrived is kept."


class FetchCancelledError(RuntimeFault):
    """The fetch was ended before it was complete."""

    cause = Cause.CANCELLED
    exit_code = 8
    hint = "Run the same command again: it continues where this one ended."


class BadConfigError(RuntimeFault):
    """The launch file cannot be read or asks for something this host does not have."""

    cause = Cause.BAD_CONFIG
    exit_code = 10
    hint = "Correct the launch file at the named place, or plan the deployment again."


class CorruptWeightsError(RuntimeFault):
    """The model folder is incomplete, altered, or not the one that was planned."""

    cause = Cause.CORRUPT_WEIGHTS
    exit_code = 11
    hint = "Fetch the model folder again; `plinth-runtime verify FOLDER` lists every fault."


class PortTakenError(RuntimeFault):
    """A port that the server needs is in use."""

    cause = Cause.PORT_TAKEN
    exit_code = 12
    hint = "Stop the process that listens there, or give this deployment another port."


class AlreadyRunningError(RuntimeFault):
    """Another agent holds the run directory."""

    cause = Cause.ALREADY_RUNNING
    exit_code = 13
    hint = "Stop that agent first (SIGTERM lets open requests finish), or use another run directory."


class BadArgumentsError(RuntimeFault):
    """The engine does not accept its arguments or cannot serve this model with them."""

    cause = Cause.BAD_ARGUMENTS
    exit_code = 14
    hint = "Correct the deployment's engine settings; the last lines of the log name the one refused."


class OutOfMemoryError(RuntimeFault):
    """The engine needed more memory than there was."""

    cause = Cause.OUT_OF_MEMORY
    exit_code = 15
    retryable = True
    hint = "Lower the KV cache, the context length or the number of parallel requests, or give it a larger machine."


class StartupTimeoutError(RuntimeFault):
    """The engine was not ready within the startup timeout."""

    cause = Cause.STARTUP_TIMEOUT
    exit_code = 16
    retryable = True
    hint = "Raise lifecycle.startupTimeoutSeconds, or put the weights on a faster disk."


class EngineDiedError(RuntimeFault):
    """The engine ended although nobody asked it to. Its own exit status does not matter: 0 is no success."""

    cause = Cause.ENGINE_DIED
    exit_code = 17
    retryable = True
    hint = "Read the last lines of the log; if they name a fault of the engine, try another engine version."


class HungError(RuntimeFault):
    """The engine had work and made no step for too long, so it was killed."""

    cause = Cause.HUNG
    exit_code = 18
    retryable = True
    hint = "Look at the devices (driver, interconnect); if single steps are that slow, raise lifecycle.hangSeconds."


class PeerLostError(RuntimeFault):
    """Another member of the group was lost, started again without its engine, or never came."""

    cause = Cause.PEER_LOST
    exit_code = 19
    retryable = True
    hint = "Look at the node and the pod of the rank that is named, and whether members reach the leader's group port."


class InternalError(RuntimeFault):
    """This program is at fault."""

    cause = Cause.INTERNAL
    exit_code = 70
    hint = "Report it together with the log."


def _families() -> Iterator[tuple[Cause, type[RuntimeFault]]]:
    for family in RuntimeFault.__subclasses__():
        yield family.cause, family


FAULT_OF: Mapping[Cause, type[RuntimeFault]] = MappingProxyType(dict(_families()))
"""The class of each contract cause."""


def termination_of(fault: RuntimeFault) -> Termination:
    """Tell a fault in the contract's words."""
    family = FAULT_OF[fault.cause]
    return Termination(cause=fault.cause, message=str(fault), advice=fault.hint, exit_code=family.exit_code)
