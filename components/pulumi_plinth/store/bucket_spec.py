"""BucketStoreSpec: an OCI Object Storage bucket that is made, or one that is there already. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pulumi_plinth.oci_policy import IdentitySpec
from pulumi_plinth.oci_spec import Ocid, Region, SafeName
from pulumi_plinth.quantities import Flag
from pulumi_plinth.spec import Spec

Days = Annotated[int, Field(ge=1, le=3650)]
BucketName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,255}$")]
MAX_RULES = 100


def _folder(text: str) -> str:
    parts = text.split("/")
    if not all(parts) or {".", ".."} & set(parts):
        raise ValueError("is not a prefix; write names with '/' between them, such as 'teams/search'")
    return text


Prefix = Annotated[str, Field(max_length=512, pattern=r"^[^\\\x00-\x1f\x7f<>]+$"), AfterValidator(_folder)]


class KeySpec(Spec):
    """The customer's key that a bucket is encrypted with. Nothing is made unless `create` says so."""

    id: Ocid | None = Field(default=None, description="A key that is there. Default: none.")
    create: Flag = Field(default=False, description="Make a key. Default: false, keys outlive what they encrypt.")
    vault_id: Ocid | None = Field(
        default=None, description="Vault in which the key is made. Default: with `create`, a vault is made too."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.id) == self.create:
            raise ValueError("needs exactly one of id and create; write `id: ocid1.key…` or `create: true`")
        if self.vault_id and not self.create:
            raise ValueError("has a vaultId without create; the id of a key is enough, remove vaultId")
        return self


class RetentionSpec(Spec):
    """How long objects cannot be changed or deleted by anybody."""

    name: SafeName = Field(description="Name of the rule. Required.")
    days: Days | None = Field(default=None, description="Days since an object's last change. Default: without end.")
    locked_from: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")] | None = Field(
        default=None,
        description="Time (UTC, RFC 3339) from which nobody can shorten the rule, at least 14 days ahead. Default: "
        "never locked, because a lock can never be undone.",
    )


class ReplicationSpec(Spec):
    """A copy of every new object in another region."""

    region: Region = Field(description="Region of the copy. Required.")
    bucket: BucketName = Field(description="Bucket of the copy; it must be there and becomes read-only. Required.")
    keep_deleted: Flag = Field(
        default=True, description="Objects deleted here stay there. Default: true, so that a mistake is not copied."
    )


class PrivateEndpointSpec(Spec):
    """An address of Object Storage inside a network, which reaches this bucket alone."""

    subnet_id: Ocid = Field(description="Subnet of the address. Required.")
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,14}$")] = Field(
        description="First part of its host name, at most 15 characters. Required: it must be unique in the region."
    )
    nsg_ids: tuple[Ocid, ...] = Field(default=(), description="Network security groups of the address. Default: none.")


class BucketStoreSpec(Spec):
    """A bucket of OCI Object Storage: private, versioned and protected unless something else is written."""

    kind: Literal["bucket"] = Field(description="An OCI bucket.")
    bucket: BucketName | None = Field(
        default=None, description="Name of the bucket. Default: made of the project, the stack and the store."
    )
    existing: Flag = Field(
        default=False,
        description="The bucket is there: it is neither made nor changed nor deleted. Default: false, it is made.",
    )
    prefix: Prefix | None = Field(default=None, description="Folder in the bucket for all models. Default: none.")
    versioning: Literal["enabled", "suspended", "disabled"] = Field(
        default="enabled", description="Whether replaced objects are kept. Default: enabled, weights can be got back."
    )
    keep_old_versions_days: Days = Field(
        default=30,
        description="Days until a replaced object is gone. Default: 30; versions cost like objects.",
    )
    abort_uploads_days: Days = Field(
        default=7, description="Days until an unfinished upload is gone. Default: 7; its parts cost and are never seen."
    )
    key: KeySpec | None = Field(default=None, description="Customer key. Default: none, Oracle's own keys encrypt.")
    retention: Annotated[tuple[RetentionSpec, ...], Field(max_length=MAX_RULES)] = Field(
        default=(), description="Retention rules; OCI refuses them together with versioning. Default: none."
    )
    replication: ReplicationSpec | None = Field(default=None, description="Copy in another region. Default: none.")
    private_endpoint: PrivateEndpointSpec | None = Field(
        default=None, description="Address inside a network. Default: none, the service gateway is enough for pods."
    )
    readers: tuple[IdentitySpec, ...] = Field(
        default=(), description="Pods that may read. Default: none beyond the stack's own servers."
    )
    writers: tuple[IdentitySpec, ...] = Field(
        default=(), description="Pods that may read and publish, never delete. Default: none."
    )
    policies: Literal["create", "show"] = Field(
        default="create",
        description="Whether policy statements are written or only shown in the plan and outputs, for tenancies where "
        "others own IAM. Default: create, without them nothing can read.",
    )
    protect: Flag = Field(
        default=True,
        description="Pulumi refuses to delete the bucket and its key. Default: true; to remove a store, first write "
        "false and deploy.",
    )
    retain: Flag = Field(
        default=False,
        description="Removing the store from the stack leaves the bucket in OCI. Default: false, nothing is forgotten.",
    )

    @model_validator(mode="after")
    def _retention_fits(self) -> Self:
        if self.retention and self.versioning == "enabled":
            raise ValueError(
                "has retention rules and versioning, which OCI refuses together; write `versioning: disabled` "
                "(`suspended` where it was enabled before) or remove retention"
            )
        names = [rule.name for rule in self.retention]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"has the retention rule {', '.join(twice)} more than once; give each its own name")
        return self

    @model_validator(mode="after")
    def _existing_is_left_alone(self) -> Self:
        if not self.existing:
            return self
        if self.bucket is None:
            raise ValueError("is existing without a name; add `bucket:`")
        made = ("versioning", "keep_old_versions_days", "abort_uploads_days", "key", "retention", "replication",
                "protect", "retain")  # fmt: skip
        if wrong := [type(self).model_fields[field].alias or field for field in made if field in self.model_fields_set]:
            raise ValueError(
                f"is existing, which is never changed, and says {', '.join(wrong)}; remove them or `existing:`"
            )
        return self
