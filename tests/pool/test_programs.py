"""Whole programs with pools, run by the embedded engine against a stand-in for Oracle's provider."""

import json
import textwrap

import pytest
from fakes.oci_provider import OUT_OF_CAPACITY, Cloud, put_on_path
from pool.conftest import ARGS, IMAGE, METAL, SELF, changed

from pulumi_plinth import embedded
from pulumi_plinth.embedded import crypto

pytestmark = pytest.mark.processes

ALIASED = 'GpuNodePool("new", args, pulumi.ResourceOptions(aliases=[pulumi.Alias(name="old")]))'
NEWER = "Oracle-Linux-8.10-Gen2-GPU-2026.01.31-0-OKE-1.32.1-1200"


class Program:
    """A project whose program makes pools, and the cloud it is run against."""

    def __init__(self, root):
        self.root, self.events = root, []
        (root / "Pulumi.yaml").write_text("name: box\nruntime: python\nbackend:\n  url: file://.\n")
        (root / "Pulumi.dev.yaml").write_text("config: {}\n")
        self.cloud(images=[IMAGE])

    def cloud(self, **fields):
        """The cloud as it is now; with fields, changed first."""
        cloud = Cloud(self.root)
        if fields:
            cloud.change(**fields)
        return cloud

    def pools(self, **pools):
        """Make these pools: name -> arguments."""
        text = f"""
            import json, pulumi
            from pulumi_plinth import GpuNodePool
            for name, args in json.loads({json.dumps(json.dumps(pools))}).items():
                pool = GpuNodePool(name, args)
                pulumi.export(name, pool.pool_id)
                pulumi.export(name + "-image", pool.image_id)
        """
        (self.root / "__main__.py").write_text(textwrap.dedent(text))

    def run(self, kind, **options):
        """Run an operation."""
        self.events = []
        chosen = embedded.Options(**({"passphrase": "correct horse", "preview": False} | options))
        return getattr(embedded, kind)(embedded.Project.load(self.root), "dev", self.events.append, chosen)

    def up(self, **pools):
        """Make these pools and run up; without any, the program stays as it is."""
        if pools:
            self.pools(**pools)
        return self.run("up")

    def pool(self):
        """Inputs of the only pool in the cloud."""
        (found,) = self.cloud().of(":NodePool").values()
        return found["inputs"]

    def resources(self):
        """What the state holds."""
        state = json.loads((self.root / ".pulumi/stacks/box/dev.json").read_text())
        return state["checkpoint"]["latest"]["resources"]

    def changed_keys(self):
        """What the last run says it changed, by name of the resource."""
        return {e.name: e.keys for e in self.events if isinstance(e, embedded.StepFinished) and e.op != "same"}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A project, and the stand-in on PATH."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)
    environment = {"PATH": "/usr/bin:/bin"}
    put_on_path(tmp_path, environment)
    monkeypatch.setenv("PATH", environment["PATH"])
    return Program(tmp_path)


def test_up_again_up_resize_and_destroy(program):
    """A second up changes nothing, a new size is an update of that field alone, destroy leaves nothing."""
    program.pools(gpu=ARGS)
    assert program.run("preview").outputs == {"gpu": None, "gpu-image": IMAGE}
    result = program.up()
    assert result.changes == {"create": 3}
    assert result.outputs["gpu"] == next(iter(program.cloud().of(":NodePool")))
    assert not program.up().has_changes
    program.up(gpu=changed(ARGS, size=3))
    assert program.changed_keys()["gpu-nodes"] == ("nodeConfigDetails.size",)
    assert program.pool()["nodeConfigDetails"]["size"] == 3
    assert program.run("destroy").changes["delete"] == 3
    assert program.cloud().data["resources"] == {}


def test_a_newer_image_in_the_catalogue_changes_nothing(program):
    """The selected image stays until the pool is made anew; a pinned one is an update."""
    program.up(gpu=ARGS)
    program.cloud(images=[IMAGE, NEWER])
    result = program.up()
    assert not result.has_changes
    assert result.outputs["gpu-image"] == program.pool()["nodeSourceDetails"]["imageId"] == IMAGE
    program.up(gpu=changed(ARGS, image={"id": "ocid1.image.pinned"}))
    assert program.changed_keys()["gpu-nodes"] == ("nodeSourceDetails.imageId",)
    assert program.pool()["nodeSourceDetails"]["imageId"] == "ocid1.image.pinned"


def test_no_image_that_fits_ends_the_run_with_its_fault(program):
    """Before the pool is made, with what was sought and how to pin one."""
    program.cloud(images=["Oracle-Linux-8.10-2025.05.19-0-OKE-1.32.1-905"])
    with pytest.raises(embedded.EmbeddedError):
        program.up(gpu=ARGS)
    said = [event.message for event in program.events if isinstance(event, embedded.Diagnostic)]
    assert any("gpu.image: has none of the 1 images that OKE offers" in message for message in said)
    assert not program.cloud().of(":NodePool")


def test_what_the_autoscaler_did_is_left_alone(program):
    """A size that somebody else changed is no difference where the autoscaler owns it, also beside other changes."""
    args = changed(ARGS, autoscale={"max": 4})
    program.up(gpu=args)
    assert program.pool()["nodeConfigDetails"]["size"] == 0
    cloud = program.cloud()
    (found,) = cloud.of(":NodePool").values()
    found["inputs"]["nodeConfigDetails"]["size"] = found["outputs"]["nodeConfigDetails"]["size"] = 3
    cloud.save()
    program.run("refresh")
    assert not program.up().has_changes
    program.up(gpu=changed(args, labels={"team": "a"}))
    assert program.pool()["nodeConfigDetails"]["size"] == 3


def test_out_of_capacity_fails_and_is_resumed(program):
    """The error says so, nothing is kept of the pool, and the next up makes it."""
    program.cloud(hosts={"VM.GPU.A10.1": 0})
    with pytest.raises(embedded.DeploymentFailed, match=OUT_OF_CAPACITY):
        program.up(gpu=ARGS)
    assert not program.cloud().of(":NodePool")
    program.cloud(hosts={"VM.GPU.A10.1": 1})
    assert program.up().changes["create"] == 1
    assert not program.up().has_changes


def test_a_pool_without_nodes_is_kept_and_mended(program):
    """Made in part: it is in the state, and the next up updates it instead of making a second one."""
    program.cloud(faults=[{"type": ":NodePool", "call": "Create", "kind": "partial"}])
    with pytest.raises(embedded.DeploymentFailed, match="its nodes were not"):
        program.up(gpu=ARGS)
    program.up()
    assert program.cloud().calls("Create", "Update") == [("Create", "NodePool"), ("Update", "NodePool")]
    assert not program.up().has_changes


@pytest.mark.parametrize("kind", ["conflict", "throttling", "invisible"])
def test_errors_of_the_service_are_told_and_another_up_goes_on(program, kind):
    """Whatever the service says stands in the failure; what was made before stays made."""
    program.cloud(faults=[{"type": ":NodePool", "call": "Create", "kind": kind}])
    with pytest.raises(embedded.DeploymentFailed, match=r"409|429|404"):
        program.up(gpu=METAL | {"rdma": True})
    assert len(program.cloud().of(":ComputeCluster")) == 1
    assert program.up().changes["create"] == 1
    assert len(program.cloud().of(":ComputeCluster")) == 1


@pytest.mark.parametrize(("replacement", "works"), [("delete-first", True), ("surge", False)])
def test_scarce_gpus_are_given_back_before_they_are_asked_for(program, replacement, works):
    """A pool that takes all there is can be replaced when it goes first, and cannot when the new one comes first."""
    args = changed(ARGS, size=2, replacement=replacement)
    program.up(gpu=args)
    program.cloud(hosts={"VM.GPU.A10.1": 2})
    program.pools(gpu=args | {"compartment_id": "ocid1.compartment.other"})
    if works:
        program.up()
        assert program.cloud().calls("Create", "Delete")[-2:] == [("Delete", "NodePool"), ("Create", "NodePool")]
        assert program.pool()["compartmentId"] == "ocid1.compartment.other"
        return
    with pytest.raises(embedded.DeploymentFailed, match=OUT_OF_CAPACITY):
        program.up()
    assert program.pool()["compartmentId"] == ARGS["compartment_id"]


UPDATES = [
    {"size": 4},
    {"labels": {"team": "a"}},
    {"eviction": {"grace": "5m"}},
    {"shape": "VM.GPU.A10.2"},
    {"replacement": "surge"},
    {"max_pods": 20},
    {"placements": [{"availability_domain": "AD-2"}]},
    {"taints": [{"key": "team"}]},
    {"boot_volume": "200Gi"},
    {"autoscale": {"max": 3}},
]


def test_what_oke_can_update_is_never_replaced(program):
    """Each change is one update of the pool and no deletion; then there is nothing to do."""
    program.up(gpu=ARGS)
    for number, fields in enumerate(UPDATES, 1):
        program.up(gpu=changed(ARGS, **fields))
        assert program.cloud().calls("Update", "Delete") == [("Update", "NodePool")] * number, fields
    assert not program.up().has_changes


def test_a_cluster_network_follows_a_new_pattern_in_order(program):
    """The new configuration is there before the network changes to it, and the old one goes last; so does destroy."""
    program.up(gpu=SELF)
    program.up(gpu=SELF | {"image": {"id": "ocid1.image.new"}})
    assert program.cloud().calls("Create", "Update", "Delete")[2:] == [
        ("Create", "InstanceConfiguration"),
        ("Update", "ClusterNetwork"),
        ("Delete", "InstanceConfiguration"),
    ]
    program.run("destroy")
    assert program.cloud().calls("Delete")[-2:] == [("Delete", "ClusterNetwork"), ("Delete", "InstanceConfiguration")]
    assert program.cloud().data["resources"] == {}


def test_rdma_is_taken_down_after_its_pool(program):
    """What is in use cannot go: the order of destroy is that of the dependencies."""
    program.up(gpu=METAL | {"rdma": True}, other=ARGS)
    program.run("destroy")
    deleted = program.cloud().calls("Delete")
    assert deleted.index(("Delete", "ComputeCluster")) > deleted.index(("Delete", "NodePool"))
    assert program.cloud().data["resources"] == {}


def test_a_renamed_pool_with_an_alias_is_the_same_pool(program):
    """The alias of the component holds for what it made: nothing is replaced, its own label apart."""
    args = changed(ARGS, pool="a10")
    program.up(old=args)
    text = (program.root / "__main__.py").read_text().replace("GpuNodePool(name, args)", ALIASED)
    (program.root / "__main__.py").write_text(text)
    result = program.up()
    assert set(result.changes) <= {"same", "update"}
    assert program.cloud().calls("Create", "Delete") == [("Create", "NodePool")]
    assert any(item["urn"].endswith("::new-nodes") for item in program.resources())
