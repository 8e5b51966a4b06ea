"""The table of shapes: complete where it speaks, silent where nobody knows."""

import pytest

from pulumi_plinth.fit.shapes import load_shapes, plain_shape, select, shape_of_labels, suggestion
from pulumi_plinth.quantities import GIB

ORACLE = {
    "VM.GPU3.1", "VM.GPU3.2", "VM.GPU3.4", "VM.GPU.A10.1", "VM.GPU.A10.2", "BM.GPU.A10.4", "VM.GPU.L40S.1",
    "VM.GPU.L40S.2", "BM.GPU.L40S.4", "BM.GPU3.8", "BM.GPU4.8", "BM.GPU.A100-v2.8", "BM.GPU.H100.8", "BM.GPU.H200.8",
    "BM.GPU.B200.8", "BM.GPU.B300.8", "BM.GPU.GB200.4", "BM.GPU.GB200-v2.4", "BM.GPU.GB200-v3.4", "BM.GPU.GB300.4",
    "BM.GPU.RTXPRO.8", "BM.GPU.MI300X.8", "BM.GPU.MI355X.8", "BM.GPU.MI355X-v0.8", "BM.GPU.MI355X-v1.8",
    "VM.GPU.A100.40G.1", "VM.GPU.A100.80G.8",
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes():
    """The table."""
    return load_shapes()


def test_every_oracle_shape_that_is_established_is_there(shapes):
    """What the project relies on for its first target."""
    assert set(shapes) >= ORACLE


def test_each_row_has_gpus_memory_and_a_source(shapes):
    """And whoever states a price says where it is from and when."""
    for shape in shapes.values():
        assert shape.gpus > 0, shape.name
        assert shape.gpu_memory_gib >= 16, shape.name
        assert shape.source, shape.name
        assert shape.usable_bytes <= shape.documented_bytes, shape.name
        assert (shape.usd_per_gpu_hour is None) == (not shape.price_source) == (not shape.price_date), shape.name


def test_an_empty_cell_is_not_a_number(shapes):
    """Nobody established the disks of a B200 node."""
    assert shapes["BM.GPU.B200.8"].nvme_gb is None
    assert shapes["BM.GPU.H100.8"].nvme_gb == 61_440
    assert shapes["BM.GPU.H100.8"].rdma is True
    assert shapes["BM.GPU.H100.8"].usd_per_node_hour == 80
    assert shapes["a3-highgpu-8g"].usd_per_node_hour is None


def test_selection_ignores_case_and_blanks(shapes):
    """People write h100 and H100-NVL."""
    assert {shape.name for shape in select(shapes.values(), "OCI", "h100")} == {"BM.GPU.H100.8"}
    assert "Standard_NC40ads_H100_v5" in {shape.name for shape in select(shapes.values(), None, "h100nvl")}


def test_an_unknown_shape_gets_the_nearest_name(shapes):
    """One letter off."""
    assert "BM.GPU.H100.8" in suggestion("BM.GPU.H10.8", shapes)


def test_what_is_stated_is_what_the_engine_sees():
    """Nothing is taken off."""
    assert plain_shape(4, 22.5).usable_bytes == 22.5 * GIB


def test_a_node_is_known_by_its_labels():
    """As GPU Feature Discovery writes them; MiB."""
    labels = {
        "nvidia.com/gpu.count": "8", "nvidia.com/gpu.memory": "81559", "nvidia.com/gpu.product": "NVIDIA-H100",
        "node.kubernetes.io/instance-type": "BM.GPU.H100.8", "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
    }  # fmt: skip
    shape = shape_of_labels(labels)
    assert (shape.name, shape.gpus, shape.usable_bytes) == ("BM.GPU.H100.8", 8, 81_559 << 20)
    assert shape.capability == (9, 0)
    assert shape_of_labels({"nvidia.com/gpu.count": "0", "nvidia.com/gpu.memory": "81559"}) is None
    assert shape_of_labels({}) is None
