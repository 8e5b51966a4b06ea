"""StoreSpec: a place that holds weights, one class for each kind. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from pulumi_plinth.errors import tag
from pulumi_plinth.spec import Spec
from pulumi_plinth.store.bucket_spec import BucketStoreSpec
from pulumi_plinth.store.volume_spec import FssStoreSpec, LustreStoreSpec, PvcStoreSpec, S3StoreSpec

KINDS = ("folder", "bucket", "s3", "pvc", "fss", "lustre")


class FolderStoreSpec(Spec):
    """A folder on this host. It is never made or deleted: the weights in it are the user's."""

    kind: Literal["folder"] = Field(default="folder", description="A folder on this host, which is the default.")
    path: str = Field(
        min_length=1,
        description="The folder; a relative one starts at the project's root. Required: no place suits all.",
    )


def _kind_of(value: Any) -> str | None:
    kind = value.get("kind", "folder") if isinstance(value, dict) else getattr(value, "kind", "folder")
    return tag(kind) if kind in KINDS else None


StoreSpec = Annotated[
    Annotated[FolderStoreSpec, Tag(tag("folder"))]
    | Annotated[BucketStoreSpec, Tag(tag("bucket"))]
    | Annotated[S3StoreSpec, Tag(tag("s3"))]
    | Annotated[PvcStoreSpec, Tag(tag("pvc"))]
    | Annotated[FssStoreSpec, Tag(tag("fss"))]
    | Annotated[LustreStoreSpec, Tag(tag("lustre"))],
    Discriminator(
        _kind_of,
        custom_error_type="unknown_kind",
        custom_error_message=f"is not known here; write {', '.join(KINDS[:-1])} or {KINDS[-1]}",
    ),
]
"""A store of weights. Its name is its key under `stores`."""
