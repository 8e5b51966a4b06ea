"""What stores register that pods mount, and those that are only named."""

import pytest
from fakes.pulumi_monitor import UNKNOWN, unknown
from support.provider_types import argument_faults

from pulumi_plinth.errors import SpecError

from .conftest import OCI

SUBNET = "ocid1.subnet.oc1..a"
MADE_FSS = {
    "kind": "fss",
    "oci": OCI,
    "availability_domain": "Uocm:PHX-AD-1",
    "subnet_id": SUBNET,
    "clients": "10.0.8.0/21",
    "claim": "models",
    "namespace": "serving",
}
MADE_LUSTRE = {
    "kind": "lustre",
    "oci": OCI,
    "availability_domain": "Uocm:PHX-AD-1",
    "subnet_id": SUBNET,
    "capacity_tb": 35,
    "throughput": 500,
}
THERE_FSS = {"kind": "fss", "file_system_id": "ocid1.filesystem.oc1..f", "mount_target": "10.0.4.4"}
THERE_LUSTRE = {"kind": "lustre", "address": "10.0.2.6@tcp", "file_system": "shared"}


@pytest.mark.parametrize(
    ("args", "kinds", "location"),
    [
        ({"path": "models"}, [], "models"),
        ({"kind": "s3", "bucket": "team-models", "region": "eu-west-1"}, [], "s3://team-models@eu-west-1/"),
        ({"kind": "s3", "bucket": "team-models", "prefix": "a/b"}, [], "s3://team-models/a/b/"),
        ({"kind": "pvc", "claim": "models", "namespace": "serving"}, [], "pvc://serving:models/"),
        ({"kind": "pvc", "size": "2Ti"}, ["PersistentVolumeClaim"], "pvc://default:weights/"),
        (THERE_FSS, ["PersistentVolume", "PersistentVolumeClaim"], "pvc://default:weights/"),
        (
            MADE_FSS,
            ["FileSystem", "MountTarget", "Export", "PersistentVolume", "PersistentVolumeClaim"],
            "pvc://serving:models/",
        ),
        (THERE_LUSTRE, ["PersistentVolume", "PersistentVolumeClaim"], "pvc://default:weights/"),
        (
            MADE_LUSTRE,
            ["FileStorageLustreFileSystem", "PersistentVolume", "PersistentVolumeClaim"],
            "pvc://default:weights/",
        ),
    ],
)
def test_only_what_is_not_there_is_made(make, args, kinds, location):
    """Each kind has an address; what it registers is what its arguments say is missing."""
    seen = {}
    monitor = make(args | {"models": {"tiny": "org/tiny"}}, seen=seen)
    assert sorted(item.type.rsplit(":", 1)[1] for item in monitor.all()) == sorted(["ModelStore", *kinds])
    assert seen["location"] == location
    if args.get("kind"):
        assert seen["uris"] == {"tiny": f"{location}org/tiny"}
    assert seen["statements"] == []
    assert [fault for item in monitor.all() for fault in argument_faults(item.type, item.inputs)] == []


@pytest.mark.parametrize(
    ("args", "driver", "handle", "size"),
    [
        (THERE_FSS, "fss.csi.oraclecloud.com", "ocid1.filesystem.oc1..f:10.0.4.4:/models", "50Gi"),
        (MADE_FSS, "fss.csi.oraclecloud.com", "weights-file-system-id:10.0.4.7:/models", "50Gi"),
        (THERE_LUSTRE, "lustre.csi.oraclecloud.com", "10.0.2.6@tcp:/shared", "1T"),
        (MADE_LUSTRE, "lustre.csi.oraclecloud.com", "10.0.4.9@tcp:/models", "35T"),
    ],
)
def test_a_file_system_is_mounted_by_a_volume_that_is_never_wiped(make, args, driver, handle, size):
    """The volume names the file system as its driver reads it; the claim is bound to that volume alone."""
    monitor = make(args)
    volume = monitor.one(":PersistentVolume").inputs["spec"]
    assert volume["csi"] == {"driver": driver, "volumeHandle": handle}
    assert volume["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["capacity"] == {"storage": size}
    claim = monitor.one(":PersistentVolumeClaim").inputs["spec"]
    assert claim["storageClassName"] == ""
    assert claim["volumeName"] == monitor.one(":PersistentVolume").inputs["metadata"]["name"]
    assert claim["resources"]["requests"]["storage"] == size


def test_what_holds_weights_is_protected(make):
    """File systems and claims that are made are protected, unless the one flag says otherwise."""
    for args, kind in (
        (MADE_FSS, "FileSystem"),
        (MADE_LUSTRE, "LustreFileSystem"),
        ({"kind": "pvc", "size": "1Ti"}, "Claim"),
    ):
        assert make(args).one(kind).protect
        assert not make(args | {"protect": False}).one(kind).protect


def test_exports_are_open_to_named_addresses_only(make):
    """Nobody else may mount, nobody without a privileged port."""
    (option,) = make(MADE_FSS).one("Export").inputs["exportOptions"]
    assert option["source"] == "10.0.8.0/21"
    assert option["requirePrivilegedSourcePort"] is True
    assert option["isAnonymousAccessAllowed"] is False


def test_nothing_is_known_at_preview(make):
    """Ids of what is made beside the store may be unknown."""
    monitor = make(lambda: MADE_FSS | {"subnet_id": unknown(), "availability_domain": unknown()}, preview=True)
    assert monitor.one("MountTarget").inputs["subnetId"] is UNKNOWN
    assert monitor.one(":PersistentVolume").inputs["spec"]["csi"]["volumeHandle"] is UNKNOWN


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"kind": "fss"}, 'weights: {"kind": "…"} lacks availabilityDomain, subnetId, clients'),
        (MADE_FSS | {"clients": None}, "lacks clients"),
        (MADE_FSS | THERE_FSS, "says fileSystemId, mountTarget of one that is there and availabilityDomain"),
        (THERE_FSS | {"key_id": "ocid1.key.oc1..k"}, "has a keyId for a file system that is there"),
        (MADE_FSS | {"oci": None}, 'weights.kind: "fss" is on OCI'),
        (MADE_LUSTRE | {"capacity_tb": 7}, "weights.capacity_tb: 7"),
        (MADE_LUSTRE | {"file_system": "too-long-a-name"}, "weights.file_system"),
        (THERE_LUSTRE | {"capacity_tb": 5}, "says address of one that is there and capacityTb of one to make"),
        ({"kind": "pvc", "storage_class": "fast"}, "says storageClass without a size"),
        ({"kind": "s3", "bucket": "Team"}, "weights.bucket"),
        ({"kind": "s3", "bucket": "team", "endpoint": "minio"}, "weights.endpoint"),
        ({}, "weights.path: is missing; add 'path:'"),
    ],
)
def test_what_is_wrong_is_told(make, args, expected):
    """The path, the value and what to write, before anything is registered."""
    with pytest.raises(SpecError) as caught:
        make({key: value for key, value in args.items() if value is not None})
    assert any(expected in str(fault) for fault in caught.value.faults), caught.value
