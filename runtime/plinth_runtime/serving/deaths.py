"""Why did the engine end? Pure: exit status, last lines and circumstances in; cause, sentence and advice out.

The engine's exit status is a poor witness: vLLM exits 0 when its core process was killed. So an end that nobody asked
for is never a success, and the circumstances come first: what we did, what the kernel did, what the log says.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from plinth_runtime.contract.status import Cause, Termination
from plinth_runtime.errors import FAULT_OF

TAIL_LINES = 20
"""Lines of the log that a termination carries."""

LINE_SHOWN = 300
"""Characters of a log line that a message quotes."""

USAGE = 2
"""What argparse exits with."""

CORE_DEATH = re.compile(r"EngineCore.*(died|dead|failed)|EngineDeadError|Engine core proc .* died", re.IGNORECASE)

SIGNS: tuple[tuple[Cause, re.Pattern[str], str | None], ...] = (
    (
        Cause.BAD_CONFIG,
        re.compile(r"No module named '?(vllm|torch|plinth_middleware)\b|plinth-guard: cannot execute"),
        "engine.python must be the interpreter of an environment with vLLM in it.",
    ),
    (Cause.PORT_TAKEN, re.compile(r"[Aa]ddress already in use|Errno 98"), None),
    (
        Cause.OUT_OF_MEMORY,
        re.compile(
            r"CUDA out of memory|OutOfMemoryError|\bMemoryError\b|can't allocate memory|Cannot allocate memory"
            r"|std::bad_alloc|No available memory for the cache blocks|larger than the available KV cache memory"
            r"|Not enough (available )?memory|larger than the maximum number of tokens that can be stored in KV cache"
            r"|is less than (desired [CG]PU memory utilization|requested memory for kv)"
        ),
        None,
    ),
    (
        Cause.CORRUPT_WEIGHTS,
        re.compile(
            r"SafetensorError|MetadataIncompleteBuffer|InvalidHeader|Cannot find any model weights"
            r"|There is no module or parameter named|weights were not initialized from checkpoint"
        ),
        None,
    ),
    (
        Cause.BAD_ARGUMENTS,
        re.compile(
            r"error: (unrecognized arguments|argument|the following arguments|ambiguous)|ValidationError"
            r"|invalid tool call parser|invalid reasoning parser|derived max_model_len|are not supported for now"
            r"|Unknown quantization|unsupported.*(dtype|quantization)"
        ),
        None,
    ),
    (
        Cause.BAD_CONFIG,
        re.compile(r"\b(OSError|PermissionError): \[Errno (13|30)\] "),
        (
            "The engine must be able to write its caches: make HOME, TMPDIR, VLLM_CACHE_ROOT and "
            "TORCHINDUCTOR_CACHE_DIR folders that its user may write to."
        ),
    ),
)
"""Searched in this order, in the last lines only: (cause, what betrays it, better advice than the class has)."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How the engine's first process ended: an exit code, or the signal that killed it, or neither (unknown)."""

    code: int | None = None
    signal_number: int | None = None

    def __str__(self) -> str:
        """Say it as people do."""
        if self.signal_number is not None:
            return f"signal {self.signal_number} ({_signal_name(self.signal_number)})"
        return f"exit code {self.code}" if self.code is not None else "unknown: its guard was killed"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What was going on when the engine ended."""

    lines: tuple[str, ...] = ()
    was_ready: bool = False
    overdue: bool = False
    oom_kills: int = 0
    hung: str = ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def explain(end: Exit, seen: Circumstances) -> Termination:
    """Name the cause of an end that nobody asked for."""
    cause, message, advice = _diagnose(end, seen)
    family = FAULT_OF[cause]
    return Termination(
        cause=cause,
        message=message,
        advice=advice or family.hint,
        exit_code=family.exit_code,
        engine_exit=str(end),
        log_tail=seen.lines[-TAIL_LINES:],
    )


Diagnosis = tuple[Cause, str, str | None]
"""Cause, sentence, and better advice than the class has."""


def _diagnose(end: Exit, seen: Circumstances) -> Diagnosis:
    when = "after it had been ready" if seen.was_ready else "before it was ready"
    return _from_deeds(seen, when) or _from_lines(end, seen, when) or _from_status(end, seen, when)


def _from_deeds(seen: Circumstances, when: str) -> Diagnosis | None:
    """Judge by what we or the kernel did."""
    if seen.overdue:
        return Cause.STARTUP_TIMEOUT, "the engine was not ready within the startup timeout and was killed", None
    if seen.hung:
        return Cause.HUNG, f"{seen.hung} and was killed", None
    if seen.oom_kills:
        return Cause.OUT_OF_MEMORY, f"the kernel killed a process of the engine for memory {when}", None
    return None


def _from_lines(end: Exit, seen: Circumstances, when: str) -> Diagnosis | None:
    for cause, pattern, advice in SIGNS:
        # A ready engine has good arguments and good weights: such words in its log mean something else.
        if seen.was_ready and cause is not Cause.OUT_OF_MEMORY:
            continue
        line = next((line for line in reversed(seen.lines) if pattern.search(line)), None)
        if line is not None:
            return cause, f"the engine ended {when} ({end}): {line.strip()[:LINE_SHOWN]}", advice
    return None


def _from_status(end: Exit, seen: Circumstances, when: str) -> Diagnosis:
    if end.code == USAGE and not seen.was_ready:
        return Cause.BAD_ARGUMENTS, f"the engine refused how it was started ({end})", None
    if end.signal_number == signal.SIGILL:
        advice = "This build of the engine uses instructions that this processor lacks; install another build."
        return Cause.ENGINE_DIED, f"the engine ended {when} ({end})", advice
    if any(CORE_DEATH.search(line) for line in seen.lines):
        return Cause.ENGINE_DIED, f"the engine's core process died and the server ended with it {when} ({end})", None
    return Cause.ENGINE_DIED, f"the engine ended {when} although nobody asked it to ({end})", None
