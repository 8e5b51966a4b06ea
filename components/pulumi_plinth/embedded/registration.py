"""From a registration to a step: goal, provider, Check, Diff, decision. The order of calls is the Pulumi CLI's."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pulumi_plinth.embedded.deployment import PROTECTED, Deployment
from pulumi_plinth.embedded.errors import ProviderError
from pulumi_plinth.embedded.journal import Entry
from pulumi_plinth.embedded.provider import Provider
from pulumi_plinth.embedded.providers import AnyProvider, Providers
from pulumi_plinth.embedded.requests import Request
from pulumi_plinth.embedded.state import STACK_TYPE, Resource
from pulumi_plinth.embedded.steps import (
    Diff,
    Goal,
    Step,
    changed_keys,
    child_alias,
    decide,
    dependents,
    keep_ignored,
    merged,
    unknown_after,
)
from pulumi_plinth.embedded.values import UNKNOWN, PropertyMap, reveal


class Registrar:
    """Brings one registered resource after the other into the state."""

    def __init__(self, deployment: Deployment, providers: Providers) -> None:
        self._deployment, self._providers = deployment, providers
        # One registration is planned at a time, as in the Pulumi CLI; performing them is parallel.
        self._planning = threading.RLock()
        self._olds = {e.resource.urn: e for e in deployment.journal.old if not e.resource.delete}
        self.done: dict[str, Entry] = {}
        self._claimed: set[str] = set()
        self._renamed: dict[str, str] = {}

    def register(self, request: Request) -> Entry:
        """Perform what a registration asks for; raises ProviderError, Unsupported or Stopped."""
        deployment = self._deployment
        with deployment.working():
            deployment.mask(request.resource.inputs)
            with self._planning:
                self._claim(request.resource.urn)
                goal = self._inherit(request)
                perform = self._plan(goal)
            entry = perform()
            self.done[entry.resource.urn] = entry
            return entry

    def read(self, request: Request) -> Entry:
        """Read a resource that others own into the state; raises ProviderError, Unsupported or Stopped."""
        deployment = self._deployment
        with deployment.working():
            with self._planning:
                self._claim(request.resource.urn)
                goal = self._inherit(request).resource
                entry = self._old(goal)
                provider = self._providers.reader(goal)
            entry = deployment.read(goal, lambda: _existing(provider, goal), entry)
            self.done[entry.resource.urn] = entry
            return entry

    def outputs(self, urn: str, outputs: PropertyMap) -> None:
        """Keep a component's outputs; those of the stack are the stack outputs."""
        self._deployment.mask(outputs)
        entry = self.done.get(urn)
        if entry is None:
            raise ProviderError(urn, "outputs were registered before the resource")
        if entry.resource.type == STACK_TYPE:
            self._deployment.outputs = outputs
        if not self._deployment.run.dry_run:
            self._deployment.journal.amend(entry, replace(entry.resource, outputs=outputs))

    def provider_of(self, request: Request) -> str:
        """Return the reference of a request's provider; the package's default is registered when first needed."""
        if request.resource.provider:
            return request.resource.provider
        with self._planning:
            goal = self._providers.default(request.package, request.version, request.url)
            if goal.urn not in self._claimed:
                self._claim(goal.urn)
                self.done[goal.urn] = self._plan_provider(Goal(goal), self._olds.get(goal.urn))()
            return self.done[goal.urn].resource.reference

    def _claim(self, urn: str) -> None:
        if urn in self._claimed:
            raise ProviderError(urn, "two resources have this name and type; give each its own name")
        self._claimed.add(urn)

    def _inherit(self, request: Request) -> Goal:
        """Fill what comes from the parent or the package, and the names the resource had before."""
        wanted = request.resource
        parent = self.done.get(wanted.parent)
        if wanted.parent and parent is None:
            raise ProviderError(wanted.urn, f"its parent {wanted.parent} is not registered")
        above = parent.resource if parent else Resource("", custom=False)
        aliases = list(wanted.aliases)
        if wanted.parent in self._renamed:
            aliases.append(child_alias(wanted.urn, wanted.parent, self._renamed[wanted.parent]))
        goal = replace(
            wanted,
            aliases=tuple(dict.fromkeys(alias for alias in aliases if alias != wanted.urn)),
            protect=above.protect if request.protect is None else request.protect,
            retain_on_delete=above.retain_on_delete if request.retain is None else request.retain,
            deleted_with=wanted.deleted_with or above.deleted_with,
        )
        if goal.custom and not goal.is_provider:
            goal = replace(goal, provider=self.provider_of(request))
        return Goal(goal, request.delete_before_replace, request.import_id)

    def _old(self, goal: Resource) -> Entry | None:
        for urn in (goal.urn, *goal.aliases):
            entry = self._olds.get(urn)
            if entry and (urn == goal.urn or urn not in self._claimed):
                if urn != goal.urn:
                    self._claimed.add(urn)
                    self._renamed[goal.urn] = urn
                    self._deployment.journal.rename(urn, goal.urn)
                return entry
        return None

    def _plan(self, goal: Goal) -> Callable[[], Entry]:
        entry = self._old(goal.resource)
        if goal.resource.is_provider:
            return self._plan_provider(goal, entry)
        return self._plan_custom(goal, entry) if goal.resource.custom else self._plan_component(goal.resource, entry)

    def _plan_component(self, goal: Resource, entry: Entry | None) -> Callable[[], Entry]:
        if entry is None:
            return lambda: self._deployment.create(goal, lambda _: ("", {}), ("create", ()))
        keys = changed_keys(entry.resource.inputs, goal.inputs)
        goal = merged(goal, entry.resource)
        if keys:
            return lambda: self._deployment.update(goal, dict, entry, keys)
        return lambda: self._deployment.same(goal, entry)

    def _plan_provider(self, goal: Goal, entry: Entry | None) -> Callable[[], Entry]:
        wanted, old = goal.resource, entry.resource if entry else None
        provider = self._providers.start(wanted)
        wanted = replace(wanted, inputs=provider.check_config(wanted, old.inputs if old else {}))
        diff = provider.diff_config(replace(old, urn=wanted.urn), wanted.inputs) if old else Diff()
        step = decide(replace(goal, resource=wanted), old, diff)
        new_id = UNKNOWN if self._deployment.run.dry_run else str(uuid.uuid4())
        wanted = replace(wanted, id=old.id if old and step.op in ("same", "update") else new_id)
        self._providers.configure(provider, wanted)
        outputs = wanted.inputs
        if step.op == "same" and entry:
            return lambda: self._deployment.same(merged(wanted, entry.resource), entry)
        if step.op == "update" and entry:
            return lambda: self._deployment.update(merged(wanted, entry.resource), lambda: outputs, entry, step.keys)
        kind = (step.op, step.keys)
        return lambda: self._deployment.create(wanted, lambda g: (g.id, outputs), kind, replaced=entry)

    def _plan_custom(self, goal: Goal, entry: Entry | None) -> Callable[[], Entry]:
        wanted, provider = goal.resource, self._providers.get(goal.resource)
        known = entry.resource if entry else None
        if goal.import_id and (known is None or known.id != goal.import_id):
            return self._plan_import(goal, provider, entry)
        live = None if known is None or known.pending_replacement or known.external else replace(known, urn=wanted.urn)
        seed = os.urandom(32)
        inputs = keep_ignored(wanted.inputs, live.inputs, wanted.ignore_changes) if live else wanted.inputs
        checked = provider.check(replace(wanted, inputs=inputs), live.inputs if live else {}, seed)
        diff = self._diff(provider, live, replace(wanted, inputs=checked)) if live else Diff()
        step = decide(replace(goal, resource=replace(wanted, inputs=checked)), known, diff)
        if step.op == "replace" and live:
            if live.protect:
                raise ProviderError(wanted.urn, PROTECTED.format(verb="replaced"))
            # A replacement is a new resource: it does not see the old one's inputs, nor what was ignored of them.
            checked = provider.check(wanted, {}, seed)
        desired = replace(wanted, inputs=checked)
        self._deployment.mask(checked)
        if entry and step.delete_first:
            self._delete_first(entry)
        return self._performer(desired, provider, step, entry)

    def _plan_import(self, goal: Goal, provider: Provider, entry: Entry | None) -> Callable[[], Entry]:
        """Take over what exists, if it is what the program says."""
        wanted = goal.resource
        if entry and not entry.resource.external:
            problem = f"the stack has it with the id '{entry.resource.id}' already; remove the option import"
            raise ProviderError(wanted.urn, problem)
        found, inputs, outputs = provider.read(replace(wanted, id=goal.import_id, inputs={}, outputs={}))
        if not found:
            raise ProviderError(wanted.urn, f"nothing of this type with the id '{goal.import_id}' exists to import")
        live = replace(wanted, id=found, inputs=inputs, outputs=outputs)
        kept = keep_ignored(wanted.inputs, inputs, wanted.ignore_changes)
        taken = replace(live, inputs=provider.check(replace(wanted, inputs=kept), inputs, os.urandom(32)))
        step = decide(replace(goal, resource=taken), live, self._diff(provider, live, taken))
        if step.op != "same":
            problem = f"inputs to import do not match the existing resource ({', '.join(step.keys)}); write what it has"
            raise ProviderError(wanted.urn, problem)
        return lambda: self._deployment.take_over(taken, entry)

    def _performer(self, desired: Resource, provider: Provider, step: Step, entry: Entry | None) -> Callable[[], Entry]:
        deployment = self._deployment
        if entry and step.op == "same":
            return lambda: deployment.same(merged(desired, entry.resource), entry)
        if entry and step.op == "update":
            old, goal = replace(entry.resource, urn=desired.urn), merged(desired, entry.resource)
            return lambda: deployment.update(goal, lambda: provider.update(old, goal), entry, step.keys)
        gone = entry if entry and (entry.resource.pending_replacement or entry.resource.external) else None
        replaced = None if gone else entry
        return lambda: deployment.create(desired, provider.create, (step.op, step.keys), gone, replaced)

    def _diff(self, provider: Provider, old: Resource, wanted: Resource) -> Diff:
        diff = provider.diff(old, wanted.inputs, wanted.ignore_changes)
        if old.provider == wanted.provider:
            return diff
        before, after = self._providers.resource(old.provider), self._providers.resource(wanted.provider)
        both_default = all(r and not r.parent and r.name.startswith("default") for r in (before, after))
        if before and after and not both_default and before.urn != after.urn:
            moved = provider.diff_config(before, after.inputs)
            return replace(diff, replaces=diff.replaces or (moved.replaces and ("provider",)))
        if before and after and before.urn == after.urn and before.id != after.id:
            return replace(diff, changes=True, replaces=diff.replaces or ("provider",))
        return diff

    def _delete_first(self, entry: Entry) -> None:
        """Delete a resource before its replacement is made, and before it what cannot do without it."""
        old = [e for e in self._deployment.journal.old if not e.resource.delete]
        replaced, chosen = {entry.resource.urn}, [entry]
        for dependent in dependents(entry.resource, [e.resource for e in old]):
            if dependent.custom and not dependent.pending_replacement and self._must_follow(dependent, replaced):
                replaced.add(dependent.urn)
                chosen.append(next(e for e in old if e.resource is dependent))
        for each in reversed(chosen):
            doomed = each.resource
            kept = doomed.retain_on_delete or doomed.deleted_with in replaced
            call = None if kept else self._providers.get(doomed).delete
            self._deployment.delete(each, call, replacing=True)

    def _must_follow(self, dependent: Resource, replaced: set[str]) -> bool:
        if not dependent.references() & replaced:
            return False
        inputs = unknown_after(dependent, replaced, UNKNOWN)
        if inputs is None:
            return dependent.deleted_with not in replaced and bool(replaced & set(dependent.dependencies))
        provider = self._providers.get(dependent)
        return bool(provider.diff(dependent, inputs, dependent.ignore_changes).replaces)


def _existing(provider: AnyProvider, goal: Resource) -> PropertyMap:
    if goal.id == UNKNOWN:
        return {}
    found, _, outputs = provider.read(goal)
    if not found:
        raise ProviderError(goal.urn, f"no resource of this type has the id '{goal.id}'; look at the id")
    return outputs


def answer_outputs(resource: Resource, *, secrets: bool) -> dict[str, Any]:
    """Return what the program hears of a resource: its outputs; components know their own."""
    outputs = resource.outputs if resource.custom else {}
    return outputs if secrets else reveal(outputs)
