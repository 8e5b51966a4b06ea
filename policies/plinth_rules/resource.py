"""What rules are made of: a resource in plain values, a rule, and how to look into nested properties."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class _Later:
    """A value that is known only when something is made. It is judged then."""

    def __repr__(self) -> str:
        return "(known later)"


LATER = _Later()


@dataclass(frozen=True)
class Resource:
    """A resource as registered: raw type token, inputs by the provider's names."""

    type: str
    name: str
    props: Mapping[str, Any]
    protect: bool = False
    urn: str = ""
    parent: str = ""
    """URN of the parent, in rules about whole stacks."""


Judge = Callable[[list[Resource], Mapping[str, Any]], Iterable[str]]


@dataclass(frozen=True)
class Rule:
    """One rule. `judge` yields what is wrong, each with what to write instead; `schema` describes its settings."""

    name: str
    description: str
    judge: Judge
    schema: dict[str, dict[str, Any]] = field(default_factory=dict)
    whole_stack: bool = False


def each(check: Callable[[Resource, Mapping[str, Any]], Iterable[str]]) -> Judge:
    """Make a judge of a function that looks at one resource."""
    return lambda found, config: (text for resource in found for text in check(resource, config))


def at(value: Any, *path: str | int) -> Any:
    """Look into nested properties: None where nothing stands, LATER where it is known later."""
    for key in path:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
            value = value[key]
        else:
            return value if value is LATER else None
    return value


def items(value: Any) -> list[Any]:
    """Return a list's known entries; nothing for everything else."""
    return [item for item in value if item is not LATER] if isinstance(value, list) else []


def objects(value: Any) -> list[Mapping[str, Any]]:
    """Return a list's known entries that are objects."""
    return [item for item in items(value) if isinstance(item, Mapping)]


def texts(value: Any) -> Iterator[str]:
    """Yield every text in nested properties."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def pod_of(resource: Resource) -> Mapping[str, Any] | None:
    """Return the pod spec of a Kubernetes workload, of whatever kind; None for other resources."""
    if not resource.type.startswith("kubernetes:"):
        return None
    kind = resource.type.rpartition(":")[2]
    spec = resource.props.get("spec")
    paths: dict[str, tuple[str, ...]] = {
        "Pod": (),
        "CronJob": ("jobTemplate", "spec", "template", "spec"),
        "LeaderWorkerSet": ("leaderWorkerTemplate", "workerTemplate", "spec"),
    }
    pod = at(spec, *paths.get(kind, ("template", "spec")))
    return pod if isinstance(pod, Mapping) and "containers" in pod else None
