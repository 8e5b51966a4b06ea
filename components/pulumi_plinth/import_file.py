"""What Pulumi needs to take over pools and buckets that are there: an import file for `pulumi import --file`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth import naming
from pulumi_plinth.errors import Fault, SpecError, unknown_name
from pulumi_plinth.planner import StackPlan
from pulumi_plinth.pool.plan import PoolPlan
from pulumi_plinth.stack import CONFIG_KEY

PLATFORM_NAME = "plinth"
"""What the program calls its platform."""

POOL_TYPES = {
    "managed": ("oci:ContainerEngine/nodePool:NodePool", "nodepool"),
    "cluster-network": ("oci:Core/clusterNetwork:ClusterNetwork", "clusternetwork"),
    "gpu-memory-cluster": ("oci:Core/computeGpuMemoryCluster:ComputeGpuMemoryCluster", "computegpumemorycluster"),
}
"""For each kind of pool: the type of the resource that it is, and the word in the resource's id."""

BUCKET_TYPE = "oci:ObjectStorage/bucket:Bucket"
BUCKET_ID = re.compile(r"n/[^/]+/b/[^/]+")


@dataclass(frozen=True, slots=True)
class Taken:
    """One resource that is there: its component's token and name, its own suffix, type and id."""

    token: str
    component: str
    suffix: str
    type: str
    id: str

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the component as a placeholder, and the resource inside it."""
        yield {"type": self.token, "name": self.component, "component": True, "parent": PLATFORM_NAME}
        name = naming.child(self.component, self.suffix)
        yield {"type": self.type, "name": name, "id": self.id, "parent": self.component}


def import_file(plan: StackPlan, ids: Mapping[str, str]) -> dict[str, Any]:
    """Write the file for ids by path: `pools.a10`, `stores.weights`. Raises SpecError with every fault."""
    faults: list[Fault] = []
    taken = [found for path, key in sorted(ids.items()) if (found := _taken(plan, path, key, faults))]
    if faults:
        raise SpecError(faults)
    platform = {"type": naming.PLATFORM, "name": PLATFORM_NAME, "component": True}
    return {"nameTable": {}, "resources": [platform, *(entry for item in taken for entry in item.entries())]}


def _taken(plan: StackPlan, path: str, key: str, faults: list[Fault]) -> Taken | None:
    part, _, name = path.partition(".")
    pools = {pool.name: pool for pool in plan.pools}
    buckets = {store.name for store in plan.stores if store.bucket}
    where = f"{CONFIG_KEY}.{path}"
    if part == "pools" and name in pools:
        return _pool(where, pools[name], key, faults)
    if part == "stores" and name in buckets:
        if not BUCKET_ID.fullmatch(key):
            remedy = "write n/<namespace>/b/<bucket>, which is what OCI imports buckets by"
            faults.append(Fault(where, key, "is no id of a bucket", remedy))
        component = naming.child(PLATFORM_NAME, f"store-{name}")
        return Taken(naming.MODEL_STORE, component, "bucket", BUCKET_TYPE, key)
    known = [*(f"pools.{pool}" for pool in pools), *(f"stores.{bucket}" for bucket in buckets)]
    faults.append(unknown_name(where, path, known))
    return None


def _pool(where: str, plan: PoolPlan, key: str, faults: list[Fault]) -> Taken | None:
    if plan.spec.kind == "existing":
        problem = "is of nodes that exist: nothing is made of it, so there is nothing to take over"
        faults.append(Fault(where, key, problem, "write `kind: managed` and the pool as it is"))
        return None
    kind, word = POOL_TYPES[plan.spec.kind]
    if not key.startswith(f"ocid1.{word}."):
        faults.append(Fault(where, key, f"is no id of a {plan.spec.kind} pool", f"write one that begins ocid1.{word}."))
    component = naming.child(PLATFORM_NAME, f"pool-{plan.name}")
    return Taken(naming.GPU_NODE_POOL, component, "nodes", kind, key)
