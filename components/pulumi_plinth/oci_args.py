"""OciArgs: what all OCI components take, and the few effects they share: tags, the home region's provider."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, TypeVar, cast

import pulumi

from pulumi_plinth import naming
from pulumi_plinth.oci_policy import NAMESPACE
from pulumi_plinth.oci_spec import PENDING, OciSpec

Args = TypeVar("Args", bound=Mapping[str, Any])

SETS = frozenset({
    "allowed", "clients", "fault_domains", "ignore_tags", "nsg_ids", "placements", "pod_nsg_ids", "pod_subnet_ids",
    "read_buckets", "read_secrets", "readers", "retention", "taints", "write_buckets", "writers",
})  # fmt: skip
"""Arguments that OCI keeps as sets: another order of theirs is no change."""


class OciArgs(TypedDict):
    """What everything made on OCI shares."""

    compartment_id: pulumi.Input[str]
    """Compartment in which everything is made."""
    region: str
    """Region of everything but IAM."""
    home_region: NotRequired[str]
    """The tenancy's home region, where IAM lives; `region` unless given."""
    tenancy_id: NotRequired[pulumi.Input[str]]
    """The tenancy."""
    namespace: NotRequired[pulumi.Input[str]]
    """Object Storage namespace; asked of OCI unless given."""
    auth: NotRequired[str]
    """How a provider of our own logs in."""
    profile: NotRequired[str]
    """Profile of the OCI configuration file."""
    tags: NotRequired[dict[str, str]]
    """Free-form tags."""
    defined_tags: NotRequired[dict[str, str]]
    """Defined tags, by Namespace.Key."""
    ignore_tags: NotRequired[list[str]]
    """Defined tags that others set: never a difference."""


def plain(value: Any) -> Any:
    """Replace what is known only later by a stand-in, so that the rest can be checked before anything is registered.

    A namespace is left out instead: it is part of addresses, which then say that it is open.
    """
    if isinstance(value, pulumi.Output):
        return PENDING
    if isinstance(value, dict):
        later = {key for key, item in value.items() if key == NAMESPACE and isinstance(item, pulumi.Output)}
        return {key: plain(item) for key, item in value.items() if key not in later}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # every number that comes from another language is a float
    return value


def in_order(args: Args) -> Args:
    """Write sets in one order, at any depth; one with values that are known only later stays as it is."""
    return cast("Args", _in_order(dict(args)))


def _in_order(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _in_order(item, name) for name, item in value.items()}
    if not isinstance(value, (list, tuple)):
        return value
    items = [_in_order(item) for item in value]
    return sorted(items, key=_rank) if key in SETS and not any(map(_is_open, items)) else items


def _rank(item: Any) -> Any:
    return repr(sorted(item.items()) if isinstance(item, dict) else item)


def _is_open(value: Any) -> bool:
    return isinstance(value, pulumi.Output) or (isinstance(value, dict) and any(map(_is_open, value.values())))


def tags_of(oci: OciSpec) -> dict[str, Any]:
    """Return the tag arguments of a resource; None where there is nothing to say, which leaves tag defaults alone."""
    return {"freeform_tags": dict(sorted(oci.tags.items())) or None,
            "defined_tags": dict(sorted(oci.defined_tags.items())) or None}  # fmt: skip


def ignored_tags(oci: OciSpec) -> list[str]:
    """Return the properties in which tags that others set are no difference."""
    return [f'definedTags["{key}"]' for key in sorted(oci.ignore_tags)]


def settled(values: Mapping[str, pulumi.Input[str]]) -> pulumi.Output[dict[str, str]]:
    """Wait for all values: unknown while one of them is."""
    return pulumi.Output.from_input(cast("dict[str, str]", dict(values)))


def in_home_region(parent: pulumi.Resource, name: str, oci: OciSpec, given: OciArgs) -> pulumi.ResourceOptions:
    """Return options for a child that is written in the home region: by a provider of its own if that is elsewhere.

    `given` is what `oci` was checked from: its tenancy may be known only later.
    """
    if oci.home == oci.region:
        return pulumi.ResourceOptions(parent=parent)
    import pulumi_oci

    home = pulumi_oci.Provider(
        naming.child(name, "home-region"),
        region=oci.home,
        tenancy_ocid=given.get("tenancy_id"),
        auth=oci.auth,
        config_file_profile=oci.profile,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return pulumi.ResourceOptions(parent=parent, provider=home)
