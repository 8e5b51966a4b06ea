"""Watching one engine from a thread: is it there, does it move? Only changes of opinion are reported.

What the answers mean is decided in `liveness.py`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from threading import Event as Flag
from threading import Thread

from plinth_runtime.contract.launch import LaunchLifecycle
from plinth_runtime.serving.computing import processor_time
from plinth_runtime.serving.engine_http import NOT_FOUND, OK, UNAVAILABLE, Question, Target, ask, belongs
from plinth_runtime.serving.liveness import (
    Patience,
    Pulse,
    Sample,
    Verdict,
    computes,
    feel,
    judge,
    moved,
    read_metrics,
    until_next_verdict,
)
from plinth_runtime.serving.states import Event

STARTING_PERIOD_SECONDS = 0.25
READY_PERIOD_SECONDS = 5.0
FIRST_LOOKS = 3
"""Taken at once: a probe and the step it makes, so that a fresh engine has proved itself within a second."""

LOOKS_PER_STALL = 4
"""While requests are computed the engine is looked at this often within the stall limit."""

TIMEOUT_SECONDS = 5.0
PROBE_PREFIX = "/plinth/probe"
"""The gate passes what is under this path on without it; the access log leaves it out."""


class Reply(StrEnum):
    """What came of a probe."""

    ANSWERED = "answered"
    SILENCE = "silence"
    REFUSED = "refused"


def probes(model: str) -> list[Question]:
    """List the cheapest requests that need a step of the engine; which one it knows depends on the kind of model."""
    completion = {"model": model, "prompt": "a", "max_tokens": 1, "temperature": 0}
    embedding = {"model": model, "input": "a"}
    score = {"model": model, "text_1": "a", "text_2": "a"}
    return [
        Question(f"{PROBE_PREFIX}/v1/completions", json.dumps(completion).encode()),
        Question(f"{PROBE_PREFIX}/v1/embeddings", json.dumps(embedding).encode()),
        Question(f"{PROBE_PREFIX}/v1/score", json.dumps(score).encode()),
    ]


class Prober:
    """Watches one engine until told to stop or until it hangs. Reports HEALTHY, UNHEALTHY and HUNG, with a reason."""

    def __init__(self, target: Target, limits: LaunchLifecycle, report: Callable[[Event, str], None]) -> None:
        self._target = target
        self._limits = limits
        longest = max(limits.step_seconds, limits.hang_seconds)
        self._patience = Patience(limits.stall_seconds, limits.hang_seconds, longest)
        self._timeout = min(TIMEOUT_SECONDS, limits.stall_seconds / 2)
        self._report = report
        self._probes = probes(target.model)
        self._probed_at = -limits.probe_seconds
        self._unanswered = False
        self._looks = 0
        self._stopped = Flag()
        Thread(target=self._run, name="probe", daemon=True).start()

    def stop(self) -> None:
        """End at the next occasion; a probe under way is not reported any more."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(STARTING_PERIOD_SECONDS):
            if self._health() == OK and belongs(self._target):
                if self._limits.warm_up:
                    # Whatever comes of it: what is wrong shows itself in the looks that follow.
                    self._probe(self._limits.startup_timeout_seconds)
                self._tell(Event.HEALTHY, "")
                self._watch()
                return

    def _watch(self) -> None:
        pulse, opinion = Pulse(), Event.HEALTHY
        while not self._stopped.wait(self._pause(pulse)):
            self._looks += 1
            at = time.monotonic()
            health = self._health()
            pulse = feel(pulse, self._look(pulse, at) if health is not None else self._silence(at))
            verdict = judge(pulse, time.monotonic(), self._patience)
            if verdict is Verdict.HUNG:
                seconds = time.monotonic() - (pulse.step_since or 0)
                self._tell(Event.HUNG, f"the engine has work and made no step for {seconds:.0f} s")
                return
            new = Event.UNHEALTHY if health == UNAVAILABLE or verdict is Verdict.STALLED else Event.HEALTHY
            if new is not opinion:
                opinion = new
                self._tell(new, "the engine has work and makes no step" if verdict is Verdict.STALLED else "")

    def _pause(self, pulse: Pulse) -> float:
        if self._unanswered or self._looks < FIRST_LOOKS:
            return STARTING_PERIOD_SECONDS
        busy = pulse.still_since is not None
        period = self._patience.stall / LOOKS_PER_STALL if busy else self._limits.probe_seconds
        return min(READY_PERIOD_SECONDS, period)

    def _tell(self, event: Event, why: str) -> None:
        if not self._stopped.is_set():
            self._report(event, why)

    def _health(self) -> int | None:
        return ask(self._target, Question("/health"), self._timeout)[0]

    def _silence(self, at: float) -> Sample:
        self._unanswered = True
        return Sample(at, waiting=True, silent=True)

    def _look(self, pulse: Pulse, at: float) -> Sample:
        """Read the counters; where they prove nothing, ask for a token."""
        status, body = ask(self._target, Question("/metrics"), self._timeout)
        if status is None:
            return self._silence(at)
        told = read_metrics(body.decode(errors="replace"), at) if status == OK else Sample(at, waiting=False)
        if told.steps is None:
            # Without a counter a probe that waits in a long queue and one that is never answered look the same.
            self._unanswered = False
            return Sample(at, waiting=False)
        if told.waiting or self._unanswered:
            # The engine counts a request from its first step on: before, our probe may be the only sign of work.
            told = replace(told, waiting=True, computed=processor_time(self._target.group))
            stepped = moved(pulse, told)
            if stepped or computes(pulse, told) or pulse.still_since is None:
                self._unanswered = self._unanswered and not stepped
                return told
        elif at - self._probed_at < self._limits.probe_seconds:
            return told
        return self._want_a_token(pulse, told)

    def _want_a_token(self, pulse: Pulse, told: Sample) -> Sample:
        self._probed_at = told.at
        # Not longer than half a stall: what the engine computes meanwhile is looked at before it is called stalled.
        reply = self._probe(min(until_next_verdict(pulse, told.at, self._patience), self._patience.stall / 2))
        self._unanswered = reply is Reply.SILENCE
        if reply is Reply.REFUSED:
            return told
        computed = told.computed
        if self._unanswered and computed is None:
            computed = processor_time(self._target.group)
        return replace(told, waiting=self._unanswered, computed=computed)

    def _probe(self, timeout: float) -> Reply:
        while self._probes:
            status, _ = ask(self._target, self._probes[0], timeout)
            if status != NOT_FOUND:
                return {OK: Reply.ANSWERED, None: Reply.SILENCE}.get(status, Reply.REFUSED)
            del self._probes[0]
        return Reply.REFUSED
