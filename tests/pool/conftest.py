"""A pool as its arguments, and the cloud it is registered with."""

import copy

import pytest
from fakes.pulumi_monitor import Cloud, run

from pulumi_plinth.pool.component import GpuNodePool

OPTIONS = "oci:ContainerEngine/getNodePoolOption:getNodePoolOption"
IMAGE = "Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.32.1-905"

ARGS = {
    "shape": "VM.GPU.A10.1",
    "cluster_id": "ocid1.cluster.c",
    "compartment_id": "ocid1.compartment.x",
    "placements": [{"availability_domain": "Uocm:PHX-AD-1"}],
    "subnet_id": "ocid1.subnet.s",
    "kubernetes_version": "v1.32.1",
}
METAL = ARGS | {"shape": "BM.GPU.H100.8"}
SELF = METAL | {"kind": "cluster-network", "control_plane": {"endpoint": "10.0.0.5", "certificate": "Q0E="}}
RACK = SELF | {"kind": "gpu-memory-cluster", "shape": "BM.GPU.GB200.4", "image": {"id": "ocid1.image.arm"}}


def changed(base, **fields):
    """Arguments with other fields; None takes one away."""
    made = copy.deepcopy(base) | fields
    return {key: value for key, value in made.items() if value is not None}


def images(names=(IMAGE,)):
    """OKE's answer about images: each has its name as id."""

    def answer(_args):
        sources = [{"imageId": name, "sourceName": name, "sourceType": "IMAGE"} for name in names]
        return {"sources": sources, "images": [], "kubernetesVersions": [], "shapes": [], "id": "o"} | {
            "nodePoolOptionId": "o"
        }

    return answer


def cloud(*, preview=False, names=(IMAGE,)):
    """A cloud that has images."""
    return Cloud(preview=preview, functions={OPTIONS: images(names)})


def build(args=ARGS, name="gpu", opts=None, *, preview=False, names=(IMAGE,)):
    """Register one pool."""
    return run(lambda: GpuNodePool(name, args, opts), cloud(preview=preview, names=names))


@pytest.fixture
def make():
    """A function that registers one pool."""
    return build
