"""Deleting and refreshing what the state holds, layer by layer, without a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pulumi_plinth.embedded.deployment import Deployment
from pulumi_plinth.embedded.journal import Entry
from pulumi_plinth.embedded.providers import Providers
from pulumi_plinth.embedded.state import Resource
from pulumi_plinth.embedded.steps import changed_keys, layers, to_delete
from pulumi_plinth.embedded.values import mark_keys


def remove(deployment: Deployment, providers: Providers, kept: set[str]) -> None:
    """Delete what was replaced or is no longer asked for; a failing layer keeps those beneath it."""
    entries = {id(entry.resource): entry for entry in deployment.journal.old}
    condemned = to_delete([entry.resource for entry in entries.values()], kept)
    gone = {resource.urn for resource in condemned if not resource.delete}
    for layer in layers(condemned):
        if deployment.stopped:
            return
        for protected in (False, True):  # what is refused comes last: a refusal stops what has not begun
            part = [entries[id(resource)] for resource in layer if resource.protect == protected]
            deployment.in_parallel([_deletion(deployment, providers, entry, gone) for entry in part])


def _deletion(deployment: Deployment, providers: Providers, entry: Entry, gone: set[str]) -> Callable[[], None]:
    def run() -> None:
        old = entry.resource
        forget = old.is_provider or not old.custom or old.external or old.retain_on_delete or old.pending_replacement
        if forget or old.deleted_with in gone or old.protect or deployment.run.dry_run:
            deployment.delete(entry, None)
        else:
            deployment.delete(entry, providers.get(old).delete)

    return run


def refresh(deployment: Deployment, providers: Providers) -> None:
    """Read every resource and keep what it is now; forget those that are gone."""
    entries = list(deployment.journal.old)
    live = [e for e in entries if e.resource.custom and not e.resource.is_provider and _owned(e.resource)]
    deployment.in_parallel([_reading(deployment, providers, entry) for entry in live])
    left = {id(entry) for entry in deployment.journal.old}
    deployment.journal.forget({entry.resource.urn for entry in live if id(entry) not in left})


def _owned(resource: Resource) -> bool:
    return not (resource.delete or resource.pending_replacement or resource.external)


def _reading(deployment: Deployment, providers: Providers, entry: Entry) -> Callable[[], None]:
    old = entry.resource

    def read() -> Resource | None:
        found, inputs, outputs = providers.get(old).read(old)
        outputs = mark_keys(outputs, old.additional_secret_outputs)
        return replace(old, id=found, inputs=inputs, outputs=outputs, init_errors=()) if found else None

    def diff(new: Resource) -> tuple[str, ...]:
        answer = providers.get(old).diff(new, old.inputs, old.ignore_changes)
        return answer.keys or changed_keys(old.outputs, new.outputs)

    return lambda: deployment.refreshed(entry, read, diff)
