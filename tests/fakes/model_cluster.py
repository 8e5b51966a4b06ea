"""A cluster in this process, as far as a node's agent asks it: lists, watches, server-side apply with owners, faults.

It implements the agent's own interface. Objects are kept flat, path by path, so that owners can be kept the same way:
an item of a list map or set is a step of the path, as in the API server's own bookkeeping.
"""

import copy
from collections import Counter, defaultdict

from plinth_runtime.node.api import (
    ConflictError,
    DownError,
    Event,
    EventType,
    ExpiredError,
    MissingError,
    ThrottledError,
)

MAPS = {"nodes": "name", "conditions": "type"}
SETS = ("nodesReady", "nodesFailed")
FAULTS = (
    lambda: DownError("503: etcd leader changed"),
    lambda: ThrottledError("too many requests", 1.0),
    lambda: ConflictError("the object has been modified"),
    lambda: DownError("ReadTimeout"),
)
"""What a request may get instead of an answer."""


def flatten(value, path=()):
    """Give every leaf of a document with its path; items of list maps and sets are steps."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from flatten(item, (*path, key))
    elif isinstance(value, list) and path[-1:] and path[-1] in MAPS:
        for item in value:
            yield from flatten(item, (*path, ("key", item[MAPS[path[-1]]])))
    elif isinstance(value, list) and path[-1:] and path[-1] in SETS:
        for item in value:
            yield (*path, ("value", item)), item
    else:
        yield path, value


def nest(leaves):
    """Build the document of a set of leaves."""
    root, items = {}, {}
    for path, value in leaves.items():
        place = root
        for index, step in enumerate(path):
            if isinstance(step, tuple) and step[0] == "value":
                place.append(value)
            elif isinstance(step, tuple):
                at = path[: index + 1]
                if at not in items:
                    items[at] = {MAPS[path[index - 1]]: step[1]}
                    place.append(items[at])
                place = items[at]
            elif index == len(path) - 1:
                place[step] = value
            else:
                place = place.setdefault(step, [] if isinstance(path[index + 1], tuple) else {})
    return root


class Thing:
    """One object: what people declared, its leaves of spec and status, and who owns which."""

    def __init__(self, metadata, spec, manager):
        self.metadata = metadata
        self.leaves = {}
        self.owners = defaultdict(set)
        self.owned = defaultdict(set)
        self.apply(manager, "spec", spec, force=True)

    def apply(self, manager, part, value, *, force):
        """Server-side apply below one part. Gives whether anything changed."""
        wanted = {(part, *path): leaf for path, leaf in flatten(value)}
        mine = (manager, part)
        for path, leaf in wanted.items():
            if (others := self.owners[path] - {mine}) and self.leaves.get(path) != leaf:
                self._take_over(path, others, force=force)
        lost = self.owned[mine] - set(wanted)
        changed = bool(lost) or self.owned[mine] != set(wanted)
        changed |= any(self.leaves.get(path, self) != leaf for path, leaf in wanted.items())
        for path in lost:
            self.owners[path].discard(mine)
            if not self.owners[path]:
                self.leaves.pop(path, None)
        self.leaves.update(wanted)
        self.owned[mine] = set(wanted)
        for path in wanted:
            self.owners[path].add(mine)
        return changed

    def _take_over(self, path, others, *, force):
        if not force:
            names = ", ".join(sorted(name for name, _ in others))
            raise ConflictError(f'Apply failed with 1 conflict: conflict with "{names}": {path}')
        for other in others:
            self.owned[other].discard(path)
        self.owners[path] = set()

    def document(self, kind):
        """The object as it is read, with the owners of the fields right below `spec`."""
        nested = nest(self.leaves)
        rows = [
            {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {f"f:{path[1]}": {} for path in paths}}}
            for (manager, part), paths in self.owned.items()
            if part == "spec" and paths
        ]
        metadata = {**copy.deepcopy(self.metadata), "managedFields": rows}
        head = {"apiVersion": "ome.io/v1beta1", "kind": kind.kind, "metadata": metadata}
        return {**head, "spec": nested.get("spec", {}), "status": nested.get("status", {})}


class ModelCluster:
    """The cluster. `writes` counts what was taken, by manager; `faults` is what the next requests get instead."""

    def __init__(self):
        self.version = 100
        self.oldest = 0
        self.things = {}
        self.nodes = {}
        self.secrets = {}
        self.events = []
        self.writes = Counter()
        self.faults = []
        self.down = False
        self.on_request = lambda _verb: None

    # What people and the cluster do.

    def declare(self, key, spec, **metadata):
        """Create a declaration, or change what its author says in it."""
        thing = self.things.get(key)
        if thing is None:
            made = {"name": key.name, "uid": f"uid-{self.version}", "generation": 1, **metadata}
            made |= {"namespace": key.namespace} if key.namespace else {}
            self.things[key] = Thing(made, spec, "author")
            self.changed(key, EventType.ADDED)
        elif thing.apply("author", "spec", spec, force=True):
            thing.metadata["generation"] += 1
            self.changed(key, EventType.MODIFIED)

    def remove(self, key):
        """Delete a declaration."""
        document = self._stamped(key)
        del self.things[key]
        self.events.append((self.version, key.kind, Event(EventType.DELETED, document)))

    def add_node(self, name, **labels):
        """Register a node, or give it other labels."""
        self.version += 1
        before = self.nodes.get(name, {"labels": {}, "owned": set()})
        own = {label: before["labels"][label] for label in before["owned"]}
        self.nodes[name] = {"labels": {**labels, **own}, "owned": before["owned"], "version": self.version}

    def remove_node(self, name):
        """A node goes, without a word."""
        del self.nodes[name]

    def compact(self):
        """Forget old versions: whoever watches from one must list again."""
        self.oldest = self.version
        self.events.clear()

    def status(self, key):
        """What a declaration's status says."""
        return self.things[key].document(key.kind)["status"]

    def changed(self, key, kind):
        """Give an object its next version and tell those who watch."""
        document = self._stamped(key)
        self.events.append((self.version, key.kind, Event(kind, document)))

    # The agent's interface.

    def list_models(self, kind, take):
        """List one kind."""
        self._request("list")
        version = str(self.version)
        for key in sorted(self.things):
            if key.kind is kind:
                take(self.things[key].document(kind))
        return version

    def watch_models(self, kind, version):
        """Give what has happened since; the watch ends there, as a broken one does."""
        self._request("watch")
        if int(version) < self.oldest:
            raise ExpiredError("too old resource version")
        yield from [event for at, of, event in self.events if of is kind and at > int(version)]

    def list_node(self, name, take):
        """List one node."""
        self._request("list")
        version = str(self.version)
        if name in self.nodes:
            take(self._node(name))
        return version

    def watch_node(self, name, version):
        """Give the node if it changed."""
        self._request("watch")
        if name in self.nodes and self.nodes[name]["version"] > int(version):
            yield Event(EventType.MODIFIED, self._node(name))

    def get_model(self, key):
        """Read one."""
        self._request("get")
        return self._thing(key).document(key.kind)

    def node_exists(self, name):
        """Look for a node."""
        self._request("get")
        return name in self.nodes

    def apply_status(self, key, write):
        """Apply below status, with force."""
        return self._apply(key, "status", write, force=True)

    def apply_spec(self, key, write):
        """Apply below spec, without force."""
        return self._apply(key, "spec", write, force=False)

    def apply_labels(self, name, write):
        """Apply a node's labels, whole."""
        self._request("patch")
        if name not in self.nodes:
            raise MissingError(f'nodes "{name}" not found')
        node, wanted = self.nodes[name], write.body["metadata"]["labels"]
        kept = {label: value for label, value in node["labels"].items() if label not in node["owned"]}
        self.version += 1
        self.nodes[name] = {"labels": {**kept, **wanted}, "owned": set(wanted), "version": self.version}
        self.writes[f"{write.manager} {name}"] += 1
        return self._node(name)

    def read_secret(self, namespace, name):
        """Read a secret."""
        self._request("get")
        if (namespace, name) not in self.secrets:
            raise MissingError(f'secrets "{name}" not found')
        return self.secrets[namespace, name]

    def _apply(self, key, part, write, *, force):
        self._request("patch")
        thing = self._thing(key)
        if write.version is not None and write.version != thing.metadata["resourceVersion"]:
            raise ConflictError("the object has been modified")
        done = thing.apply(write.manager, part, write.body.get(part, {}), force=force)
        self.writes[write.manager] += 1
        if done:
            thing.metadata["generation"] += part == "spec"
            self.changed(key, EventType.MODIFIED)
        return thing.document(key.kind)

    def _thing(self, key):
        if key not in self.things:
            raise MissingError(f"{key} not found")
        return self.things[key]

    def _node(self, name):
        node = self.nodes[name]
        metadata = {"name": name, "labels": dict(node["labels"]), "resourceVersion": str(node["version"])}
        return {"metadata": metadata}

    def _stamped(self, key):
        self.version += 1
        self.things[key].metadata["resourceVersion"] = str(self.version)
        return self.things[key].document(key.kind)

    def _request(self, verb):
        self.on_request(verb)
        if self.down:
            raise DownError("connection refused")
        if self.faults:
            fault = self.faults.pop(0)
            if fault is not None:
                raise fault
