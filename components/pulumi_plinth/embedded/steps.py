"""Decisions of a deployment: which step a registration needs, which names it had, in which order to delete.

Pure functions over states and provider answers; the calls and their effects live in the other modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pulumi_plinth.embedded.state import STACK_TYPE, Resource
from pulumi_plinth.embedded.values import PropertyMap, Secret, reveal

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PATH = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+|\*)\]|([^.\[\]]+)')


@dataclass(frozen=True)
class Goal:
    """What a program asks for: the resource as it shall be, with its inputs as given, and how to replace it."""

    resource: Resource
    delete_before_replace: bool | None = None
    """None leaves it to the provider."""
    import_id: str = ""
    """A resource of this id exists already and is taken over."""


@dataclass(frozen=True)
class Diff:
    """A provider's answer to Diff. `changes` None means that it did not say."""

    changes: bool | None = None
    replaces: tuple[str, ...] = ()
    delete_before_replace: bool = False
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What to do for one registration. `op`: create, same, update or replace."""

    op: str
    keys: tuple[str, ...] = ()
    delete_first: bool = False


def decide(goal: Goal, old: Resource | None, diff: Diff) -> Step:
    """Choose the step; `goal.resource.inputs` are the checked inputs."""
    if old is None:
        return Step("create")
    if old.pending_replacement:
        return Step("replace")
    changed = changed_keys(old.inputs, goal.resource.inputs)
    keys = diff.keys or changed
    forced = tuple(key for key in keys if _matches(key, goal.resource.replace_on_changes))
    if diff.replaces or forced:
        first = goal.delete_before_replace
        return Step("replace", keys or diff.replaces, diff.delete_before_replace if first is None else first)
    if bool(changed) if diff.changes is None else diff.changes:
        return Step("update", keys)
    return Step("update" if old.init_errors else "same")


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """Top-level properties that differ, secret marks aside."""
    return tuple(k for k in sorted(old.keys() | new.keys()) if reveal(old.get(k)) != reveal(new.get(k)))


def _matches(key: str, paths: Sequence[str]) -> bool:
    parsed = parse_path(key)
    for path in paths:
        wanted = parse_path(path)
        pairs = list(zip(parsed, wanted, strict=False))
        if all(want in (have, "*") for have, want in pairs) and (len(wanted) <= len(parsed) or len(parsed) == 1):
            return True
    return False


def urn_of(stack: str, project: str, parent: str, kind: str, name: str) -> str:
    """Return the URN of a resource: its type is qualified by its parents' types, the stack's aside."""
    chain = parent.split("::")[2] if parent else ""
    qualified = f"{chain}${kind}" if chain and chain != STACK_TYPE else kind
    return f"urn:pulumi:{stack}::{project}::{qualified}::{name}"


def child_alias(urn: str, parent: str, old_parent: str) -> str:
    """Return the URN a child had under `old_parent`; its name follows the parent's where it began with it."""
    stack, project, types, name = urn.removeprefix("urn:pulumi:").split("::", 3)
    was, is_now = old_parent.split("::", 3)[3], parent.split("::", 3)[3]
    if name.startswith(is_now):
        name = was + name.removeprefix(is_now)
    return urn_of(stack, project, old_parent, types.rpartition("$")[2], name)


def parse_path(path: str) -> tuple[str, ...]:
    """Split a property path: `a.b[0]["c.d"].*`."""
    return tuple(quoted or index or plain for quoted, index, plain in _PATH.findall(path))


def keep_ignored(new: PropertyMap, old: PropertyMap, paths: Iterable[str]) -> PropertyMap:
    """Put the old values back at ignored paths, so that no difference shows there."""
    result: Any = new
    for path in paths:
        result = _keep(result, old, parse_path(path))
    return dict(result)


def _keep(new: Any, old: Any, path: tuple[str, ...]) -> Any:
    if isinstance(new, Secret) or isinstance(old, Secret):
        bare_new, bare_old = (value.value if isinstance(value, Secret) else value for value in (new, old))
        return Secret(_keep(bare_new, bare_old, path))
    if not path:
        return old
    head, rest = path[0], path[1:]
    if isinstance(new, dict) and isinstance(old, dict):
        merged = dict(new)
        for key in sorted(new.keys() | old.keys()) if head == "*" else [head]:
            if key in old and (key in new or not rest):
                merged[key] = _keep(new.get(key), old[key], rest)
            elif key in new and key not in old and not rest:
                del merged[key]
        return merged
    if isinstance(new, list) and isinstance(old, list):
        wanted = range(len(new)) if head == "*" else [int(head)] if head.isdigit() else []
        return [_keep(v, old[i], rest) if i in wanted and i < len(old) else v for i, v in enumerate(new)]
    return new


def seconds(duration: str) -> float:
    """Read a Go duration (`1h10m`, `30s`); an empty one is 0, which means the provider's own default."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration))


def to_delete(old: Iterable[Resource], kept: set[str]) -> list[Resource]:
    """Resources to delete: replaced ones, and those which the program no longer asks for."""
    return [resource for resource in old if resource.delete or resource.urn not in kept]


def layers(condemned: Sequence[Resource]) -> list[list[Resource]]:
    """Order deletions: each layer may go at the same time, dependents before what they depend on."""
    rest, rounds = list(condemned), []
    while rest:
        waiting = {resource.urn for resource in rest}
        ready = [r for r in rest if not (r.references() - {r.urn}) & waiting]
        ready = ready or rest  # a cycle cannot come from a program; never hang on a damaged state
        rounds.append(ready)
        done = set(map(id, ready))
        rest = [r for r in rest if id(r) not in done]
    return rounds[::-1]


def dependents(root: Resource, resources: Sequence[Resource]) -> list[Resource]:
    """Resources that refer to `root`, directly or through others, in the state's order."""
    reached, found = {root.urn}, []
    for resource in resources:
        if resource.urn not in reached and resource.references() & reached:
            reached.add(resource.urn)
            found.append(resource)
    return found


def unknown_after(dependent: Resource, replaced: set[str], unknown: str) -> PropertyMap | None:
    """Return the dependent's inputs with those parts unknown that come from replaced resources.

    None when no input does, though it depends on them: then it must be replaced without asking its provider.
    """
    keys = {key for key, urns in dependent.property_dependencies.items() if replaced & set(urns)}
    if not keys:
        return None
    return {key: unknown if key in keys else value for key, value in dependent.inputs.items()}


def merged(goal: Resource, old: Resource) -> Resource:
    """Return the goal with what only the state knows."""
    return replace(goal, id=old.id, created=old.created, modified=old.modified)
