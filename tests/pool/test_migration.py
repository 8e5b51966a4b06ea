"""docs/components/migration.md, done: a plain node pool becomes a GpuNodePool, and keeps its nodes."""

import re
from pathlib import Path

import pytest
from pool.test_programs import Program, program  # noqa: F401 a fixture

pytestmark = pytest.mark.processes

PAGE = Path(__file__).resolve().parents[2] / "docs/components/migration.md"
PLAIN = """
import pulumi_oci as oci
oci.containerengine.NodePool(
    "gpu",
    cluster_id="ocid1.cluster.oc1.us-chicago-1.example",
    compartment_id="ocid1.compartment.oc1..example",
    name="gpu",
    kubernetes_version="v1.34.1",
    node_shape="VM.GPU.A10.1",
    node_source_details={"source_type": "IMAGE", "image_id": "ocid1.image.oc1.us-chicago-1.example"},
    node_config_details={
        "size": 1,
        "placement_configs": [
            {"availability_domain": "Uocm:US-CHICAGO-1-AD-1", "subnet_id": "ocid1.subnet.oc1.us-chicago-1.example"}
        ],
    },
)
"""


def test_a_pool_of_the_same_program_is_taken_over_by_an_alias(program: Program):  # noqa: F811
    """The page's own program: an update of the pool that is there, and nothing made, replaced or deleted beside it."""
    (taken,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (program.root / "__main__.py").write_text(PLAIN)
    program.run("up")
    (before,) = program.cloud().of(":NodePool")
    (program.root / "__main__.py").write_text(taken)
    result = program.run("up")
    assert set(result.changes) <= {"create", "update", "same"}
    assert result.changes["create"] == 1, "the component itself"
    (after,) = program.cloud().of(":NodePool")
    assert after == before
    assert not program.run("up").has_changes


def test_a_component_that_is_renamed_needs_only_its_own_alias(program: Program):  # noqa: F811
    """Its pool follows: the engine works the alias of the child out."""
    taken = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    plain = taken.replace("transformations=[taken_over]", "")
    (program.root / "__main__.py").write_text(plain)
    program.run("up")
    (before,) = program.cloud().of(":NodePool")
    renamed = plain.replace('"a10",', '"b10",').replace("ResourceOptions()", 'ResourceOptions(aliases=[pulumi.Alias(name="a10")])')  # fmt: skip # noqa: E501
    (program.root / "__main__.py").write_text(renamed)
    assert not {"create", "delete", "replace"} & set(program.run("up").changes)
    (after,) = program.cloud().of(":NodePool")
    assert after == before
