"""One deployment: performs single steps, keeps their account, and stops when one fails.

It knows how a step is recorded, reported and counted; which steps there are is decided in registration.py,
removal.py and refresh.py.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from pulumi_plinth.embedded.backend import now
from pulumi_plinth.embedded.builtin import OutputsOf
from pulumi_plinth.embedded.errors import EmbeddedError, Failure, ProviderError
from pulumi_plinth.embedded.events import COUNTED, Diagnostic, Event, OnEvent, Options, StepFinished, StepStarted
from pulumi_plinth.embedded.journal import Entry, Journal, dated
from pulumi_plinth.embedded.project import Config, Project
from pulumi_plinth.embedded.state import PROVIDER_PREFIX, Operation, Resource
from pulumi_plinth.embedded.steps import merged
from pulumi_plinth.embedded.values import PropertyMap, leaves, mark_keys

PROTECTED = (
    "is protected and cannot be {verb}; remove `protect` from it in the program and run up, or run "
    "`pulumi state unprotect` on it"
)
_MASK_FROM = 3
"""Shorter secrets are not masked in messages: they would hide ordinary text and are no secrets."""


class Stopped(Exception):  # noqa: N818 - control flow inside this package, never seen outside
    """The deployment takes no more steps."""


@dataclass(frozen=True)
class Run:
    """What a deployment works on."""

    project: Project
    stack: str
    config: Config
    options: Options
    on_event: OnEvent
    outputs_of: OutputsOf
    dry_run: bool
    masked: set[str] = field(default_factory=set)
    """Texts that never appear in an event."""


class Deployment:
    """The account of one run."""

    def __init__(self, run: Run, journal: Journal) -> None:
        self.run, self.journal = run, journal
        self.counts: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.cancelled = False
        self.outputs: PropertyMap = {}
        self.wake = threading.Event()
        self._slots = threading.Semaphore(max(1, run.options.parallel))
        self._lock = threading.Lock()
        self.active = 0

    @property
    def stopped(self) -> bool:
        """Whether no new step may start."""
        return self.cancelled or bool(self.failures)

    def emit(self, event: Event) -> None:
        """Report an event with secrets masked."""
        if isinstance(event, Diagnostic):
            event = replace(event, message=self._masked(event.message))
        elif isinstance(event, StepFinished) and event.error:
            event = replace(event, error=self._masked(event.error))
        with self._lock:
            self.run.on_event(event)

    def mask(self, values: object) -> None:
        """Learn secrets that must not appear in events."""
        for leaf in leaves(values, secret_only=True):
            if isinstance(leaf, str):
                self.run.masked.update(line for line in (leaf, *leaf.splitlines()) if len(line) >= _MASK_FROM)

    def _masked(self, text: str) -> str:
        for secret in sorted(self.run.masked, key=len, reverse=True):
            text = text.replace(secret, "[secret]")
        return text

    def info(self, line: str) -> None:
        """Report a line of a child process."""
        if line.strip():
            self.emit(Diagnostic("info", line))

    def warn(self, message: str, urn: str = "") -> None:
        """Report what the user should look at."""
        self.emit(Diagnostic("warning", message, urn))

    def fail(self, error: EmbeddedError, urn: str = "") -> None:
        """Record a failure; no new step starts after it."""
        message = error.message if isinstance(error, ProviderError) else str(error)
        failure = Failure(getattr(error, "urn", urn), self._masked(message))
        self.failures.append(failure)
        self.emit(Diagnostic("error", failure.message, failure.urn))
        self.wake.set()

    def cancel(self) -> None:
        """Take no new steps; running ones finish. Safe in a signal handler: it takes no lock."""
        self.cancelled = True

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """Count as active: the run does not end in the middle. Raises Stopped when no step may start."""
        with self._lock:
            if self.stopped:
                raise Stopped
            self.active += 1
        try:
            yield
        finally:
            with self._lock:
                self.active -= 1
            self.wake.set()

    @contextlib.contextmanager
    def _step(self, resource: Resource, op: str, keys: tuple[str, ...] = ()) -> Iterator[None]:
        """Report and count a step; a provider's error becomes a failure and Stopped."""
        shown = not _is_default_provider(resource)
        step = (resource.urn, resource.type, resource.name, op, self.run.dry_run, keys)
        with self._slots:
            if self.stopped:
                raise Stopped
            if shown:
                self.emit(StepStarted(*step))
            began, error = time.monotonic(), ""
            try:
                yield
            except EmbeddedError as failure:
                error = str(failure)
                self.fail(failure, resource.urn)
                raise Stopped from failure
            finally:
                if shown:
                    self.emit(StepFinished(*step, seconds=time.monotonic() - began, error=error))
        if shown and op in COUNTED:
            with self._lock:
                self.counts[op] += 1

    def create(
        self,
        goal: Resource,
        call: Callable[[Resource], tuple[str, PropertyMap]],
        step: tuple[str, tuple[str, ...]],
        gone: Entry | None = None,
        replaced: Entry | None = None,
    ) -> Entry:
        """Create a resource; `gone` was deleted before, `replaced` will be deleted after."""
        with self._step(goal, *step):
            operation = self._begin("creating", goal)
            try:
                new_id, outputs = call(goal)
            except ProviderError as error:
                self._partial(operation, error, goal, (gone, replaced))
                raise
            new = dated(self._complete(replace(goal, id=new_id), outputs), now(), created=True)
            return _there(self.journal.end(operation, new=new, gone=gone, replaced=replaced))

    def update(self, goal: Resource, call: Callable[[], PropertyMap], old: Entry, keys: tuple[str, ...] = ()) -> Entry:
        """Update a resource in place."""
        with self._step(goal, "update", keys):
            if not goal.custom:
                return _there(self.journal.settle(new=goal, gone=old))
            operation = self._begin("updating", goal)
            try:
                outputs = call()
            except ProviderError as error:
                self._partial(operation, error, goal, (old, None))
                raise
            new = dated(self._complete(goal, outputs), now(), created=False)
            return _there(self.journal.end(operation, new=new, gone=old))

    def same(self, goal: Resource, old: Entry) -> Entry:
        """Keep a resource; what the program says about it (not to its provider) may still be new."""
        with self._step(goal, "same"):
            return _there(self.journal.settle(new=replace(goal, outputs=old.resource.outputs), gone=old))

    def read(self, goal: Resource, call: Callable[[], PropertyMap], old: Entry | None) -> Entry:
        """Read a resource that others own. `old` is its place; what was ours before is deleted in the end."""
        with self._step(goal, "read"):
            outputs = mark_keys(call(), goal.additional_secret_outputs)
            self.mask(outputs)
            ours = old is not None and not old.resource.external
            known = None if old is None or ours else old.resource
            stamped = merged(goal, known) if known else dated(goal, now(), created=True)
            new = replace(stamped, id=goal.id, outputs=outputs)
            return _there(self.journal.end(None, new=new, gone=None if ours else old, replaced=old if ours else None))

    def take_over(self, taken: Resource, old: Entry | None) -> Entry:
        """Own a resource that exists; `old` is its place if it was only read before."""
        with self._step(taken, "import"):
            new = dated(self._complete(taken, taken.outputs), now(), created=True)
            return _there(self.journal.settle(new=new, gone=old))

    def _begin(self, kind: str, goal: Resource) -> Operation | None:
        """Record a call before it is made; components and providers exist in the state only."""
        return self.journal.begin(kind, goal) if goal.custom and not goal.is_provider else None

    def _complete(self, goal: Resource, outputs: PropertyMap) -> Resource:
        if self.run.dry_run:
            outputs = goal.inputs | outputs
        return replace(goal, outputs=mark_keys(outputs, goal.additional_secret_outputs))

    def _partial(
        self,
        operation: Operation | None,
        error: ProviderError,
        goal: Resource,
        entries: tuple[Entry | None, Entry | None],
    ) -> None:
        """Record a failed create or update: the resource may exist all the same."""
        if error.unfinished:
            return  # the operation stays pending: the next run reports it
        new = None
        if error.partial and not self.run.dry_run:
            state = replace(goal, id=error.partial.id or goal.id, init_errors=error.partial.reasons)
            new = dated(self._complete(state, error.partial.properties), now(), created=not goal.id)
        gone, replaced = entries if new else (None, None)
        self.journal.end(operation, new=new, gone=gone, replaced=replaced)

    def delete(self, entry: Entry, call: Callable[[Resource], None] | None, *, replacing: bool = False) -> None:
        """Delete a resource, or only forget it when there is no `call`.

        When `replacing`, its place in the state stays until the replacement exists.
        """
        old = entry.resource
        with self._step(old, "delete-replaced" if replacing or old.delete else "delete"):
            if old.protect and not old.delete:
                raise ProviderError(old.urn, PROTECTED.format(verb="deleted"))
            if call is None or self.run.dry_run:
                self._leave(entry, replacing=replacing)
                return
            operation = self.journal.begin("deleting", old)
            try:
                call(old)
            except ProviderError as error:
                if not error.unfinished:
                    self.journal.end(operation)
                raise
            if replacing:
                entry.resource = replace(old, pending_replacement=True)
            self.journal.end(operation, gone=None if replacing else entry)

    def _leave(self, entry: Entry, *, replacing: bool) -> None:
        if replacing:
            self.journal.amend(entry, replace(entry.resource, pending_replacement=True))
        else:
            self.journal.settle(gone=entry)

    def refreshed(
        self, entry: Entry, read: Callable[[], Resource | None], diff: Callable[[Resource], tuple[str, ...]]
    ) -> None:
        """Read a resource and keep what it is now; None means that it is gone."""
        old = entry.resource
        with self._step(old, "refresh"):
            new = read()
            keys = diff(new) if new else ()
            op = "same" if new and new.same_content(old) else "update" if new else "delete"
            self.counts[op] += 1
            if new is None:
                self.journal.settle(gone=entry)
            elif op == "update":
                self.journal.amend(entry, dated(new, now(), created=False))
                self.emit(Diagnostic("info", f"changed outside: {', '.join(keys) or 'outputs'}", old.urn))

    def in_parallel(self, jobs: list[Callable[[], None]]) -> None:
        """Run independent jobs and wait for all of them, whatever fails."""

        def guarded(job: Callable[[], None]) -> None:
            with contextlib.suppress(Stopped), self.working():
                try:
                    job()
                except EmbeddedError as error:
                    self.fail(error)

        with ThreadPoolExecutor(max_workers=max(1, self.run.options.parallel)) as pool:
            list(pool.map(guarded, jobs))


def _there(entry: Entry | None) -> Entry:
    if entry is None:
        raise AssertionError("the journal was asked to keep a resource")
    return entry


def _is_default_provider(resource: Resource) -> bool:
    return resource.type.startswith(PROVIDER_PREFIX) and resource.name.startswith("default") and not resource.parent
