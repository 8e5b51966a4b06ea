"""Effects of a store that pods mount: the file system if it is made, a volume and a claim for it."""

from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from pulumi_plinth.oci_args import tags_of
from pulumi_plinth.store.build import Build
from pulumi_plinth.store.volume_spec import AccessMode, FssStoreSpec, LustreStoreSpec, PvcStoreSpec

FSS_DRIVER, LUSTRE_DRIVER = "fss.csi.oraclecloud.com", "lustre.csi.oraclecloud.com"
NOMINAL_SIZE = "50Gi"
"""Kubernetes wants a size; File Storage grows as it is written to and looks at none."""


def make_volume(build: Build, spec: PvcStoreSpec | FssStoreSpec | LustreStoreSpec) -> None:
    """Make what the spec says is not there."""
    claim, namespace = build.plan.args["claim"], build.plan.args["namespace"]
    if isinstance(spec, PvcStoreSpec):
        if spec.size is not None:
            wanted = _claimed(str(spec.size), spec.access, storage_class_name=spec.storage_class)
            _claim(build, {"name": claim, "namespace": namespace}, wanted, build.main(protect=spec.protect))
        return
    if isinstance(spec, FssStoreSpec):
        driver, handle, size = FSS_DRIVER, _fss_handle(build, spec), NOMINAL_SIZE
    else:
        driver, handle, size = LUSTRE_DRIVER, _lustre_handle(build, spec), f"{spec.capacity_tb or 1}T"
    volume = kubernetes.core.v1.PersistentVolume(
        build.child("volume"),
        metadata={"name": f"{namespace}-{claim}"},
        spec={
            "access_modes": ["ReadWriteMany"],
            "capacity": {"storage": size},
            "persistent_volume_reclaim_policy": "Retain",
            "storage_class_name": "",
            "csi": {"driver": driver, "volume_handle": handle},
        },
        opts=build.inside(),
    )
    wanted = _claimed(size, "ReadWriteMany", storage_class_name="", volume_name=volume.metadata["name"])
    _claim(build, {"name": claim, "namespace": namespace}, wanted, build.inside())


def _claimed(size: str, access: AccessMode, **more: Any) -> dict[str, Any]:
    return {"access_modes": [access], "resources": {"requests": {"storage": size}}, **more}


def _claim(build: Build, metadata: Any, wanted: Any, options: pulumi.ResourceOptions) -> None:
    kubernetes.core.v1.PersistentVolumeClaim(build.child("claim"), metadata=metadata, spec=wanted, opts=options)


def _fss_handle(build: Build, spec: FssStoreSpec) -> pulumi.Output[str]:
    if spec.existing:
        return pulumi.Output.concat(
            build.args["file_system_id"], ":", build.args["mount_target"], ":", spec.export_path
        )
    import pulumi_oci as oci

    assert build.oci is not None  # noqa: S101 store_faults was asked
    common: dict[str, Any] = {
        "availability_domain": build.args["availability_domain"],
        "compartment_id": build.args["oci"]["compartment_id"],
        "display_name": build.name,
        **tags_of(build.oci),
    }
    system = oci.filestorage.FileSystem(
        build.child("file-system"),
        kms_key_id=build.args.get("key_id"),
        **common,
        opts=build.main(protect=spec.protect),
    )
    target = oci.filestorage.MountTarget(
        build.child("mount-target"), subnet_id=build.args["subnet_id"], **common, opts=build.inside()
    )
    export = oci.filestorage.Export(
        build.child("export"),
        export_set_id=target.export_set_id,
        file_system_id=system.id,
        path=spec.export_path,
        export_options=[
            {"source": spec.clients or "", "access": "READ_WRITE", "identity_squash": "NONE",
             "require_privileged_source_port": True, "is_anonymous_access_allowed": False}
        ],
        opts=build.inside(),
    )  # fmt: skip
    return pulumi.Output.concat(system.id, ":", target.ip_address, ":", export.path)


def _lustre_handle(build: Build, spec: LustreStoreSpec) -> pulumi.Output[str]:
    if spec.existing:
        return pulumi.Output.concat(build.args["address"], ":/", spec.file_system)
    import pulumi_oci as oci

    assert build.oci is not None  # noqa: S101 store_faults was asked
    assert spec.capacity_tb is not None  # noqa: S101 the spec demands it of what is made
    system = oci.lustre.FileStorageLustreFileSystem(
        build.child("file-system"),
        availability_domain=build.args["availability_domain"],
        compartment_id=build.args["oci"]["compartment_id"],
        subnet_id=build.args["subnet_id"],
        capacity_in_gbs=spec.capacity_tb * 1000,
        file_system_name=spec.file_system,
        display_name=build.name,
        performance_tier=f"MBPS_PER_TB_{spec.throughput}",
        root_squash_configuration={"identity_squash": "NONE"},
        kms_key_id=build.args.get("key_id"),
        **tags_of(build.oci),
        opts=build.main(protect=spec.protect),
    )
    return pulumi.Output.concat(system.management_service_address, "@", system.lnet, ":/", spec.file_system)
