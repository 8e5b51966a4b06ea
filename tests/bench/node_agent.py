"""What one change of one model on many nodes costs a real API server: `nice python tests/bench/node_agent.py [NODES]`.

Every node is a whole agent on the real API server; only its disk and its fetches are in memory, and the bench tells it
what a watch would. Writes are counted by the API server itself; those that met another's write at the same instant
(409) and came again are counted apart. Exits 1 when a promise is broken.
"""

import json
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cluster.cluster import Cluster  # noqa: E402 the path comes first
from cluster.models import BASE_MODEL, install_crds, writes  # noqa: E402
from fakes.node_disk import MemoryDisk, SlowFetcher  # noqa: E402

from plinth_runtime.contract.model_names import ModelKey, ModelKind  # noqa: E402
from plinth_runtime.node.agent import Agent, KindListed, ModelSeen, NodeSeen  # noqa: E402
from plinth_runtime.node.kube import KubeApi  # noqa: E402
from plinth_runtime.node.seen import Place, read_seen  # noqa: E402
from plinth_runtime.node.service import rfc3339  # noqa: E402
from plinth_runtime.node.settings import Ports, Settings  # noqa: E402

KEY = ModelKey(ModelKind.BASE_MODEL, "default", "llama")
WRITES_PER_CHANGE = 2
WRITES_IN_ALL = 12
"""Beside: the state of the whole model and the fields that are filled in, by the few nodes that come first together."""
THREADS = 4
CHANGES = ("Pending", "Ready")
PATIENCE = 300


class Node:
    """One node: an agent that is told by hand what a watch would tell it."""

    def __init__(self, api, name):
        self.name, self._inbox, self._offset = name, [], 0.0
        disk = MemoryDisk()
        self._fetcher = SlowFetcher(disk, self._clock, self._inbox.append, seconds=1.0)
        ports = Ports(api, disk, self._fetcher, self._clock, rfc3339, lambda: 0.5, lambda _: None)
        self.agent = Agent(Settings(Place(name, "/mnt/models")), ports)
        self.agent.handle(NodeSeen({}, "1"))
        for kind in ModelKind:
            self.agent.handle(KindListed(kind, frozenset()))

    def _clock(self):
        return time.time() + self._offset

    def hear(self, document):
        """Take note of the declaration: the first change, Pending."""
        self.agent.handle(ModelSeen(read_seen(KEY.kind, document, Place(self.name, "/mnt/models"))))
        self._say()

    def arrive(self):
        """The fetch ends: the second change, Ready."""
        self._offset += 5.0
        self._inbox.clear()
        self._fetcher.advance()
        for news in self._inbox:
            self.agent.handle(news)
        self._say()

    def _say(self):
        """Turn until everything is said; what a watch would bring afterwards is not waited for."""
        end = time.monotonic() + PATIENCE
        pause = self.agent.turn() - self._clock()
        while self._unsaid() and time.monotonic() < end:
            time.sleep(min(1.0, max(0.0, pause)))
            pause = self.agent.turn() - self._clock()

    def _unsaid(self):
        now = self._clock()
        publisher = self.agent.publisher
        return now < publisher.not_before or publisher.due(KEY, self.agent.entries.get(KEY), now) is not None


def change(nodes, act):
    """Let every node act; gives seconds."""
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(act, nodes))
    return time.monotonic() - began


def main(count):
    """Run and report."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the cluster ends with this program, also when it is ended
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="plinth-bench-")))
    cluster.up()
    try:
        return measure(cluster, count)
    finally:
        cluster.down()


def measure(cluster, count):
    """Measure both changes."""
    kubectl = cluster.kubectl
    install_crds(kubectl)
    names = [f"node-{index:04}" for index in range(count)]
    rows = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in names]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": rows})
    kubectl("create", "-f", "-", text=text, seconds=300)
    metadata = {"name": KEY.name, "namespace": KEY.namespace}
    model = {**BASE_MODEL, "metadata": metadata, "spec": {"storage": {"storageUri": "hf://acme/llama"}}}
    kubectl("create", "-f", "-", text=json.dumps(model))
    api = KubeApi.open(cluster.kubeconfig)
    document = api.get_model(KEY)
    nodes = [Node(api, name) for name in names]
    good = True
    for name, act in zip(CHANGES, (lambda node: node.hear(document), Node.arrive), strict=True):
        before = writes(kubectl)
        seconds = change(nodes, act)
        after = writes(kubectl)
        each = {kind: (after[kind] - before[kind]) / count for kind in after}
        conflicts = each.pop("conflicts")
        good = good and sum(each.values()) <= WRITES_PER_CHANGE + WRITES_IN_ALL / count
        print(
            f"{name}: {sum(each.values()):.3f} writes per node ({each['models']:.3f} to the model, "
            f"{each['nodes']:.3f} to the node), {conflicts:.3f} conflicts per node, {seconds:.1f} s for {count} nodes"
        )
    found = api.get_model(KEY)
    size, ready, state = len(json.dumps(found)), len(found["status"]["nodesReady"]), found["status"]["state"]
    print(f"state {state}, {ready} nodes ready, the object has {size} bytes, {size / count:.0f} a node")
    return 0 if good and ready == count and state == "Ready" else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
