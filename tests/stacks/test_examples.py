"""Every example stack that needs no host of its own: planned, registered, and compared with what was registered before.

A resource that is found under another URN is made anew in its owner's cloud. So what the examples register is kept in
`registrations/`; a URN, parent or name that changes without an alias fails here. `PLINTH_RECORD=1` writes it anew.
"""

import json
import os

import pytest
from fakes.pulumi_monitor import UNKNOWN, run
from support.components import cloud
from support.provider_types import argument_faults

from pulumi_plinth.platform import Platform
from pulumi_plinth.project import Workspace

pytestmark = pytest.mark.processes

RECORD = os.environ.get("PLINTH_RECORD") == "1"
HERE = "tests/stacks/registrations"
EXAMPLES = (
    "kaito-llama2-13b", "kaito-llama2-70b", "kaito-llama2-7b", "kubernetes-example", "kubernetes-group", "oci-a10",
    "oci-assistants", "oci-existing", "oci-h100", "oci-mixed", "oci-search",
)  # fmt: skip

FOREIGN = tuple(f"kubernetes:{group}/" for group in ("keda.sh", "leaderworkerset.x-k8s.io", "monitoring.coreos.com"))
"""Groups of others' custom resources, which the provider takes as they are."""


@pytest.fixture(scope="module")
def plans(project_root):
    """Plans of all examples, by stack."""
    return {stack: Workspace(project_root, stack).plan() for stack in EXAMPLES}


@pytest.fixture
def register(plans):
    """Register an example in a preview, in which nothing that a cloud makes is known."""
    return lambda stack: run(lambda: Platform("plinth", plans[stack]) and None, cloud(preview=True))


def test_every_example_is_one_of_these(project_root):
    """A new stack file is a new example; the two that are left out have tests of their own."""
    found = {path.name.split(".")[1] for path in (project_root / "stacks").glob("Pulumi.*.yaml")}
    assert found == {*EXAMPLES, "gpu-example", "local"}


@pytest.mark.parametrize("stack", EXAMPLES)
def test_behaviour_23_what_is_registered_has_the_names_it_had(project_root, register, stack):
    """URN, parent and type of each resource are found again, under themselves or as an alias."""
    monitor = register(stack)
    now = {item.urn: [item.type, item.parent] for item in monitor.all()}
    path = project_root / HERE / f"{stack}.json"
    if RECORD:
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    before = json.loads(path.read_text())
    aliases = {alias for item in monitor.all() for alias in item.aliases}
    assert {urn: kept for urn, kept in before.items() if now.get(urn) != kept and urn not in aliases} == {}
    assert set(now) - set(before) == set(), "a new resource: record it with PLINTH_RECORD=1"


@pytest.mark.parametrize("stack", EXAMPLES)
def test_every_property_is_one_that_the_provider_takes(register, stack):
    """Type tokens and property names are those of the providers' own argument types."""
    items = [item for item in register(stack).all() if not item.type.startswith(FOREIGN)]
    assert [fault for item in items for fault in argument_faults(item.type, item.inputs)] == []


@pytest.mark.parametrize("stack", EXAMPLES)
def test_a_preview_knows_what_it_can_and_claims_nothing_else(register, stack):
    """Ids that a cloud will make are unknown, never empty."""
    monitor = register(stack)
    made = [item for item in monitor.all(":NodePool") if item.type.startswith("oci:")]
    assert all(item.inputs["clusterId"] in (UNKNOWN, *_written(stack)) for item in made)
    assert monitor.outputs_of("plinth").keys() == {"endpoints", "management", "keys", "totals"}


def _written(stack):
    """Ids of clusters that stand in a stack file."""
    return {
        "oci-mixed": ("ocid1.cluster.oc1.iad.example",),
        "oci-assistants": ("ocid1.cluster.oc1.eu-frankfurt-1.example",),
    }.get(stack, ())


def test_a_plan_says_what_is_made_what_it_costs_and_who_may_read(plans):
    """The keys that scripts were promised, for two nodes with RDMA, as JSON and nothing that JSON cannot say."""
    found = json.loads(json.dumps(plans["oci-h100"].to_json()))
    (pool,), (store,), (server,) = found["pools"], found["stores"], found["deployments"]
    assert (pool["shape"], pool["nodes"]) == ("BM.GPU.H100.8", {"min": 2, "max": 2})
    assert pool["price"]["per_hour"] == [160.0, 160.0]
    assert (pool["boot_gib"], server["disk_gib"]) == (50, 801)  # the weights are on the nodes' NVMe drives
    assert any("request.principal.service_account='reasoning'" in text for text in store["statements"])
    assert all("<cluster>" in text for text in store["statements"] if "any-user" in text)
    assert server["shape"]["name"] == pool["shape"]
    assert (found["cluster"]["name"], found["cluster"]["statements"]) == ("plinth-oci-h100", [])
    assert found["totals"]["per_month"] == [116800.0, 116800.0]
    assert found["totals"]["nodes"] == {"BM.GPU.H100.8": [2, 2]}
