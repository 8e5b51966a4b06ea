"""Generated fleets: nodes with GPUs of several kinds and states, and a stack whose deployments want to stand on them.

The same seed gives the same fleet. Nodes may be cordoned, in use, not ready, tainted so that nobody bears it, without
the label of their pool, or short of cores; deployments may ask for more than there is.
"""

import random

from cluster import fakes
from support.pods import IMAGE, planned

from pulumi_plinth.check.manifest import template_of
from pulumi_plinth.deployment.kubernetes.manifests import common_manifests, manifests

FLEET, POOL, ZONE = "plinth.test/fleet", "plinth.test/pool", "plinth.test/zone"
DEDICATED = {"key": "plinth.test/dedicated", "value": "team", "effect": "NoSchedule"}
STATES = ("free", "free", "free", "free", "used", "used", "cordoned", "not ready", "unlabelled", "few cores")
FILLER = "filler"
"""The service account of the pods that use nodes."""


class Fleet:
    """One fleet: `nodes`, `fillers` that use them, `plan` of the stack, and its objects by deployment."""

    def __init__(self, seed, namespace):
        self._chance = random.Random(seed)  # noqa: S311 no secret
        self.name, self._filling = f"fleet-{seed}", namespace
        self.nodes, self.fillers, self._pools = [], [], {}
        for number in range(self._chance.randint(1, 3)):
            self._add_pool(f"p{number}")
        deployments = {f"d{number}": self._deployment() for number in range(self._chance.randint(1, 3))}
        document = {
            "kubernetes": {"image": IMAGE, "namespace": self.name},
            "models": {"qwen": {"storage": {"uri": "hf://Qwen/Qwen3-8B"}, "preset": {"name": "qwen3-8b"}}},
            "pools": {name: pool for name, (pool, _) in self._pools.items()},
            "deployments": deployments,
        }
        self.servers = planned(document).servers
        self.common = common_manifests(planned(document).cluster)

    def _add_pool(self, name):
        chance, labels = self._chance, {FLEET: self.name, POOL: name}
        gpus, dedicated = chance.choice([1, 2, 4, 8]), chance.random() < 0.4
        pool = {"kind": "existing", "gpus": gpus, "gpuMemory": "80Gi", "labels": labels}
        if dedicated and chance.random() < 0.7:
            pool["taints"] = [DEDICATED]
        self._pools[name] = pool, gpus
        for number in range(chance.randint(1, 4)):
            self._add_node(f"{self.name}-{name}-{number}", gpus, labels, dedicated)

    def _add_node(self, name, gpus, labels, dedicated):
        state = self._chance.choice(STATES)
        own = {FLEET: self.name} if state == "unlabelled" else {**labels, ZONE: self._chance.choice("ab")}
        node = fakes.gpu_node(name, gpus=gpus, cpus=7 if state == "few cores" else 96, labels=own)
        node["spec"] = {
            "taints": [*self._chance.choice([[], [fakes.TAINT]]), *([DEDICATED] if dedicated else [])],
            "unschedulable": state == "cordoned",
        }
        if state == "not ready":
            del node["metadata"]["annotations"]  # nobody plays its kubelet any more
            node["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}]
        if state == "used":
            self.fillers.append(self._filler(name, self._chance.randint(1, gpus)))
        self.nodes.append(node)

    def _filler(self, node, gpus):
        requests = {"cpu": "1", "memory": "1Gi", fakes.GPU: str(gpus)}
        container = {"name": "main", "image": "plinth.local/none:1"}
        container["resources"] = {"requests": requests, "limits": {fakes.GPU: str(gpus)}}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"on-{node}", "namespace": self._filling},
            "spec": {"nodeName": node, "serviceAccountName": FILLER, "containers": [container]},
        }

    def _deployment(self):
        chance = self._chance
        name, (_, gpus) = chance.choice(sorted(self._pools.items()))
        group = chance.random() < 0.15
        tensor = gpus if group else chance.choice([size for size in (1, 2, 4, 8) if size <= gpus])
        pod = {"nodeSelector": {ZONE: chance.choice("ab")}} if chance.random() < 0.25 else {}
        if chance.random() < 0.15:
            pod["tolerations"] = [{"key": DEDICATED["key"]}]
        return {
            "model": "qwen",
            "target": "kubernetes",
            "pool": name,
            "maxModelLen": 4096,
            "parallel": {"tensor": tensor, "pipeline": 1 + group, "data": 1},
            "replicas": {"min": chance.randint(1, 5)},
            "workload": "stateful-set" if group else chance.choice(["deployment", "stateful-set"]),
            "pod": pod,
        }


def workloads(server):
    """(what makes pods, template of the pods, how many) of a server."""
    for item in manifests(server):
        if template := template_of(item):
            yield item, template, item["spec"]["replicas"]
