"""Stores that are file systems: a claim in the cluster, OCI File Storage, OCI Lustre. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pulumi_plinth.oci_spec import Ocid, SafeName
from pulumi_plinth.quantities import ByteSize, Flag, Label, Text
from pulumi_plinth.spec import Spec
from pulumi_plinth.store.bucket_spec import Prefix

AccessMode = Literal["ReadWriteMany", "ReadOnlyMany", "ReadWriteOnce"]
ExportPath = Annotated[str, Field(pattern=r"^/[A-Za-z0-9][A-Za-z0-9_./-]*$", max_length=255)]
Cidr = Annotated[
    str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$", json_schema_extra={"examples": ["10.0.8.0/21"]})
]
LUSTRE_STEP_TB = 5
"""OCI sells Lustre in steps of so many terabytes."""


class ClaimSpec(Spec):
    """What all stores share that pods mount: the claim's name and place."""

    claim: Label | None = Field(default=None, description="PersistentVolumeClaim. Default: the store's name.")
    namespace: Label | None = Field(
        default=None,
        description="Namespace of the claim; pods mount it only there. Default: that of `kubernetes`, else `default`.",
    )
    prefix: Prefix | None = Field(default=None, description="Folder in the volume for all models. Default: none.")
    protect: Flag = Field(
        default=True, description="Pulumi refuses to delete what is made. Default: true; write false and deploy first."
    )


class PvcStoreSpec(ClaimSpec):
    """A PersistentVolumeClaim, of any storage class. It is made only if a size is written."""

    kind: Literal["pvc"] = Field(description="A claim in the cluster.")
    size: Annotated[ByteSize, Field(gt=0)] | None = Field(
        default=None, description="Make the claim, so large. Default: none, it is there already."
    )
    storage_class: Text | None = Field(default=None, description="Class of a made claim. Default: the cluster's own.")
    access: AccessMode = Field(
        default="ReadWriteMany", description="How a made claim is shared. Default: ReadWriteMany, many nodes read it."
    )

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        extra = {"storage_class": "storageClass", "access": "access"}
        wrong = [alias for field, alias in extra.items() if field in self.model_fields_set]
        if self.size is None and wrong:
            raise ValueError(f"says {' and '.join(wrong)} without a size; add `size:` to make the claim, or remove it")
        return self


class FssStoreSpec(ClaimSpec):
    """OCI File Storage, mounted by its CSI driver: a file system that is made, or one that is there."""

    kind: Literal["fss"] = Field(description="OCI File Storage.")
    file_system_id: Ocid | None = Field(default=None, description="A file system that is there. Default: one is made.")
    mount_target: Text | None = Field(
        default=None, description="Address of the mount target of a file system that is there. Default: one is made."
    )
    export_path: ExportPath = Field(default="/models", description="Path of the export. Default: /models.")
    availability_domain: Text | None = Field(
        default=None,
        description="Availability domain of what is made. Required to make it: reads inside one are fastest.",
    )
    subnet_id: Ocid | None = Field(default=None, description="Subnet of the mount target. Required to make it.")
    clients: Cidr | None = Field(
        default=None, description="Addresses that may mount. Required to make it: an export without it is open to all."
    )
    key_id: Ocid | None = Field(default=None, description="Customer key of what is made. Default: Oracle's own.")

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        _either(self, there=("file_system_id", "mount_target"), made=("availability_domain", "subnet_id", "clients"))
        if self.file_system_id and self.key_id:
            raise ValueError("has a keyId for a file system that is there; remove it")
        return self

    @property
    def existing(self) -> bool:
        """Whether the file system is there already."""
        return self.file_system_id is not None


class LustreStoreSpec(ClaimSpec):
    """OCI Lustre, for the widest reads: a file system that is made, or one that is there."""

    kind: Literal["lustre"] = Field(description="OCI File Storage with Lustre.")
    address: Text | None = Field(
        default=None, description="Management address with network, such as 10.0.2.6@tcp, of one that is there."
    )
    file_system: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,8}$")] = Field(
        default="models", description="Name of the file system, at most 8 letters and digits. Default: models."
    )
    capacity_tb: Annotated[int, Field(ge=LUSTRE_STEP_TB, multiple_of=LUSTRE_STEP_TB)] | None = Field(
        default=None, description="Terabytes, in steps of 5. Required to make it: it is what is paid for."
    )
    throughput: Literal[125, 250, 500, 1000] = Field(
        default=125, description="Megabytes a second for each terabyte of what is made. Default: 125, the cheapest."
    )
    availability_domain: Text | None = Field(
        default=None, description="Availability domain of what is made. Required to make it."
    )
    subnet_id: Ocid | None = Field(default=None, description="Subnet of what is made. Required to make it.")
    key_id: Ocid | None = Field(default=None, description="Customer key of what is made. Default: Oracle's own.")

    @model_validator(mode="after")
    def _made_or_there(self) -> Self:
        _either(self, there=("address",), made=("capacity_tb", "availability_domain", "subnet_id"))
        return self

    @property
    def existing(self) -> bool:
        """Whether the file system is there already."""
        return self.address is not None


class S3StoreSpec(Spec):
    """A bucket behind Amazon's interface, wherever it is. It is never made or changed."""

    kind: Literal["s3"] = Field(description="An S3-compatible bucket.")
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = Field(
        description="Name of the bucket. Required."
    )
    endpoint: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")] | None = Field(
        default=None, description="Address of the service. Default: Amazon's own, by region."
    )
    region: SafeName | None = Field(default=None, description="Region. Default: what the client is configured with.")
    prefix: Prefix | None = Field(default=None, description="Folder in the bucket for all models. Default: none.")
    secret: Label | None = Field(
        default=None,
        description="Kubernetes secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Default: none, the pods' own "
        "identity is used.",
    )


def _either(spec: Spec, there: tuple[str, ...], made: tuple[str, ...]) -> None:
    """Demand all fields of one side and none of the other."""
    fields = type(spec).model_fields
    alias = {field: str(fields[field].alias or field) for field in (*there, *made)}
    has_there = [alias[field] for field in there if getattr(spec, field) is not None]
    has_made = [alias[field] for field in made if getattr(spec, field) is not None]
    if has_there and has_made:
        raise ValueError(f"says {', '.join(has_there)} of one that is there and {', '.join(has_made)} of one to make; "
                         "keep one side")  # fmt: skip
    side = there if has_there else made
    if missing := [alias[field] for field in side if getattr(spec, field) is None]:
        raise ValueError(f"lacks {', '.join(missing)}; add what is missing")
