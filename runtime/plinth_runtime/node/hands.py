"""Performing what was decided about one model: fetches, links, records, bytes given back. Decides nothing."""

from __future__ import annotations

from typing import Any

from plinth_runtime.contract.model_names import ModelKey
from plinth_runtime.contract.model_status import NodePhase, NodeProgress
from plinth_runtime.node.api import ApiFault, MissingError
from plinth_runtime.node.attempts import Attempt, Patience, Stage, pause_after
from plinth_runtime.node.credentials import environment_for, missing_key
from plinth_runtime.node.decide import Action, Decision
from plinth_runtime.node.declaration import Declaration
from plinth_runtime.node.record import Begun, Record, Superseded
from plinth_runtime.node.settings import Ports
from plinth_runtime.node.tasks import Arrived, Failure, FetchTask, Report
from plinth_runtime.node.world import World


class Hands:
    """Acts on the world and on what is outside."""

    def __init__(self, world: World, ports: Ports, patience: Patience, home: str) -> None:
        """Take what is acted on; `home` is where secrets of cluster-wide declarations lie."""
        self._world = world
        self._ports = ports
        self._patience = patience
        self._home = home

    def take(self, report: Report) -> bool:
        """Take in what a fetch says; says whether it matters."""
        attempt = self._world.attempts.get(report.key)
        if attempt is None or attempt.declared != report.declared:
            return False
        if isinstance(report.news, Arrived):
            self._ports.log(f"{report.key}: {report.news.bytes} bytes from {report.news.address} are here")
            self._arrived(report.key, report.news)
        elif isinstance(report.news, Failure):
            self._ports.log(f"{report.key}: {report.news.reason}: {report.news.message}")
            self._world.attempts[report.key] = self._failed(attempt, report.news)
        else:
            moving = report.news is not None and report.news.bytes_total > 0
            self._world.attempts[report.key] = _on(attempt, Stage.MOVING if moving else Stage.LISTING, report.news)
        return True

    def adopt(self) -> set[ModelKey]:
        """Take note of what fetches brought unseen; gives the models that there is something new about."""
        found = list(self._ports.shelves.adopt(self._world.attempts.keys()))
        for record in found:
            self._replace(record)
        return {record.key for record in found}

    def act(self, key: ModelKey, decision: Decision, now: float) -> None:
        """Perform a decision; a fetch that nobody wants any more ends first."""
        attempt = self._world.attempts.get(key)
        wish = self._world.seen[key].declaration if key in self._world.seen else None
        if attempt is not None and _is_stale(attempt, wish, decision, now):
            self._stop(key)
        if decision.action is not Action.KEEP:
            self._ports.log(f"{key}: {decision.action.value}: {decision.why}")
        self._perform(key, decision, attempt, now)

    def _perform(self, key: ModelKey, decision: Decision, attempt: Attempt | None, now: float) -> None:
        record = self._world.records.get(key)
        if decision.action is Action.FETCH:
            self._fetch(self._world.seen[key].declaration, attempt)
        elif decision.action is Action.REUSE:
            self._reuse(self._world.seen[key].declaration, now)
        elif record is not None and decision.action is Action.RELEASE:
            self._ports.shelves.unlink(record)
            self._keep(record.model_copy(update={"released": now}))
        elif record is not None and decision.action is Action.FREE:
            self._free(record, now)
        elif record is not None and decision.action is Action.FORGET:
            self._forget(self._without_old(record, float("inf")))
        elif record is not None:
            self._tidy(record, now)

    def _free(self, record: Record, now: float) -> None:
        """Give everything of a record back; what somebody holds is tried again later."""
        self._ports.shelves.unlink(record)
        left = self._without_old(record, float("inf"))
        shared = self._world.is_shared(record.snapshot, record.key)
        if not left.superseded and (shared or self._ports.shelves.drop(record.snapshot)):
            self._forget(record)
        else:
            self._keep(left.model_copy(update={"released": now}))

    def _forget(self, record: Record) -> None:
        self._ports.shelves.forget(record)
        del self._world.records[record.key]

    def _tidy(self, record: Record, now: float) -> None:
        """Keep a record as its declaration and the time want it."""
        seen = self._world.seen.get(record.key)
        reserved = seen.declaration.reserved if seen else record.reserved
        tidied = self._without_old(record, now).model_copy(update={"reserved": reserved})
        if tidied != record:
            self._keep(tidied)

    def _without_old(self, record: Record, now: float) -> Record:
        """Remove older content whose time is over; what somebody holds waits once more."""
        left = []
        for old in record.superseded:
            if now - old.since < self._world.keeping.superseded:
                left.append(old)
            elif not self._world.is_shared(old.snapshot, record.key) and not self._ports.shelves.drop(old.snapshot):
                left.append(old.model_copy(update={"since": self._ports.clock()}))
        return record.model_copy(update={"superseded": tuple(left)})

    def _fetch(self, wish: Declaration, attempt: Attempt | None) -> None:
        again = attempt is not None and attempt.declared == wish.digest
        begun = Attempt(wish.digest, failures=attempt.failures if again and attempt else 0)
        self._world.attempts[wish.key] = begun
        try:
            environment = self._environment(wish)
        except ApiFault as error:
            words = f"secret {wish.secret} cannot be read: {error}"
            self._world.attempts[wish.key] = self._failed(begun, Failure("SecretUnreadable", words, retryable=True))
            return
        link = wish.link(self._world.place.root)
        mine = {"kind": wish.key.kind, "namespace": wish.key.namespace, "name": wish.key.name}
        self._ports.shelves.begin(Begun(**mine, declared=wish.digest, address=wish.address, link=link))
        self._ports.fetcher.start(FetchTask(wish.key, wish.digest, wish.address, link, environment))

    def _environment(self, wish: Declaration) -> dict[str, str]:
        if not wish.secret:
            return environment_for(wish.scheme, wish.parameters, None)
        place = wish.key.namespace or self._home
        secret = self._ports.api.read_secret(place, wish.secret)
        if lacking := missing_key(wish.scheme, wish.parameters, secret):
            raise MissingError(f"{place}/{wish.secret} has no key '{lacking}'")
        return environment_for(wish.scheme, wish.parameters, secret)

    def _reuse(self, wish: Declaration, now: float) -> None:
        twin = self._world.situation(wish.key, now).twin
        if twin is None:
            return
        link = wish.link(self._world.place.root)
        mine = {"kind": wish.key.kind, "namespace": wish.key.namespace, "name": wish.key.name}
        update: dict[str, Any] = {
            **mine,
            "declared": wish.digest,
            "link": link,
            "reserved": wish.reserved,
            "released": None,
        }
        if not wish.detect:
            update["described"] = {}
        record = twin.model_copy(update=update)
        self._ports.shelves.link(record)
        self._replace(record)

    def _arrived(self, key: ModelKey, news: Arrived) -> None:
        """Remember what has come. The fetch has switched the link already."""
        seen = self._world.seen.get(key)
        attempt = self._world.attempts.pop(key)
        if seen is None:
            return
        wish = seen.declaration
        record = Record(
            kind=key.kind,
            namespace=key.namespace,
            name=key.name,
            declared=attempt.declared,
            address=news.address,
            link=news.link,
            snapshot=news.snapshot,
            content=news.content,
            bytes=news.bytes,
            verified=news.verified,
            reserved=wish.reserved,
            described=dict(news.described) if wish.detect else {},
        )
        self._replace(record)

    def _replace(self, record: Record) -> None:
        """Keep a record in place of the model's last one, whose content waits to be removed."""
        last = self._world.records.get(record.key)
        if last is not None and last.link != record.link:
            self._ports.shelves.unlink(last)
        old = last.superseded if last is not None else ()
        if last is not None and last.snapshot != record.snapshot:
            old = (*old, Superseded(snapshot=last.snapshot, since=self._ports.clock()))
        left = tuple(row for row in old if row.snapshot != record.snapshot)
        self._keep(record.model_copy(update={"superseded": left}))

    def _keep(self, record: Record) -> None:
        self._ports.shelves.keep(record)
        self._world.records[record.key] = record

    def _failed(self, attempt: Attempt, failure: Failure) -> Attempt:
        failures = attempt.failures + 1
        pause = pause_after(failures, self._patience, self._ports.chance(), retryable=failure.retryable)
        at = self._ports.clock() + pause
        return Attempt(
            attempt.declared, Stage.FAILED, failures, failure.reason, failure.message, at, self._ports.text(at)
        )

    def _stop(self, key: ModelKey) -> None:
        self._ports.fetcher.cancel(key)
        self._world.attempts.pop(key, None)


def _on(attempt: Attempt, stage: Stage, progress: NodeProgress | None) -> Attempt:
    return Attempt(attempt.declared, stage, attempt.failures, progress=progress)


def _is_stale(attempt: Attempt, wish: Declaration | None, decision: Decision, now: float) -> bool:
    """Say whether a fetch is for nothing: not wanted here, another content is, or it may not go where it would."""
    if wish is None or decision.entry is None or attempt.declared != wish.digest:
        return True
    if attempt.stage is Stage.FAILED:
        return decision.action is Action.KEEP and now >= attempt.next_try
    return decision.entry.reason != attempt.reason and decision.entry.phase in (
        NodePhase.FAILED,
        NodePhase.UPDATE_FAILED,
    )
