"""`plinth import`: what is there is taken over under the names that the platform gives."""

import json

import pytest
from click.testing import CliRunner
from fakes.pulumi_monitor import run
from support.components import cloud

from pulumi_plinth.cli import main
from pulumi_plinth.errors import SpecError
from pulumi_plinth.import_file import import_file
from pulumi_plinth.platform import Platform
from pulumi_plinth.project import Workspace

NODE_POOL = "ocid1.nodepool.oc1.phx.aaaa"
BUCKET = "n/axnamespace/b/team-weights"


@pytest.fixture
def planned(project_root):
    """Plan a shipped stack."""
    return lambda name: Workspace(project_root, name).plan()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stack", "ids"),
    [
        ("oci-a10", {"pools.a10": NODE_POOL, "stores.weights": BUCKET}),
        ("oci-h100", {"pools.h100": NODE_POOL}),
        ("oci-mixed", {"pools.steady": NODE_POOL, "pools.spare": NODE_POOL}),
    ],
)
def test_every_entry_is_what_the_platform_registers(planned, stack, ids):
    """Type, name and parent of each entry are those of a registration, or Pulumi would make a second one."""
    plan = planned(stack)
    made = {item.name: item for item in run(lambda: Platform("plinth", plan) and None, cloud()).all()}
    entries = import_file(plan, ids)["resources"]
    assert sorted(entry["id"] for entry in entries if "id" in entry) == sorted(ids.values())
    for entry in entries:
        registered = made[entry["name"]]
        assert registered.type == entry["type"]
        assert registered.parent == entry.get("parent", "")
        assert entry.get("component", False) == entry["type"].startswith("plinth:")


@pytest.mark.parametrize(
    ("stack", "ids", "said"),
    [
        ("oci-a10", {"pools.a1O": NODE_POOL}, "did you mean 'pools.a10'?"),
        ("oci-a10", {"models.qwen": NODE_POOL}, "is not declared"),
        ("oci-a10", {"pools.a10": "ocid1.cluster.oc1.phx.aaaa"}, "begins ocid1.nodepool."),
        ("oci-a10", {"stores.weights": "ocid1.bucket.oc1"}, "n/<namespace>/b/<bucket>"),
        ("oci-existing", {"pools.shared": NODE_POOL}, "there is nothing to take over"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(planned, stack, ids, said):
    """Names that are not declared, ids of something else, pools that nothing is made of."""
    with pytest.raises(SpecError) as caught:
        import_file(planned(stack), ids)
    assert said in str(caught.value)


def test_the_command_prints_the_file(project_root):
    """JSON on standard output; what is not PATH=ID is told."""
    arguments = ["import", "--cwd", str(project_root), "--stack", "oci-a10"]
    result = CliRunner().invoke(main, [*arguments, f"pools.a10={NODE_POOL}"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["resources"][-1]["id"] == NODE_POOL
    wrong = CliRunner().invoke(main, [*arguments, "pools.a10"])
    assert wrong.exit_code == 1
    assert "is not PATH=ID" in wrong.stderr
