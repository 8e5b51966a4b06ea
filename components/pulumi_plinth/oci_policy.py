"""Policy statements, one function for each thing that may be granted. Pure.

What only the cloud knows stands as `<cluster>` and the like: a plan prints it so, `fill` puts the value there. A value
that could end a quoted name is refused, so that no id can widen what is granted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from pulumi_plinth.oci_spec import Ocid
from pulumi_plinth.quantities import Label
from pulumi_plinth.spec import Spec

COMPARTMENT, CLUSTER, BUCKET, KEY, NAMESPACE = "compartment", "cluster", "bucket", "key", "namespace"
"""What statements and addresses leave open."""

READ_OBJECTS = "read objects"
WRITE_OBJECTS = "{OBJECT_INSPECT, OBJECT_READ, OBJECT_CREATE, OBJECT_OVERWRITE}"
"""Publishers write and replace; they delete nothing, neither objects nor versions."""

READ_SECRET = "read secret-bundles"  # noqa: S105 a verb of policies
_VALUE = re.compile(r"[A-Za-z0-9._-]+")
_OPEN = re.compile(r"<([a-z]+)>")

ServiceAccountName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]


class IdentitySpec(Spec):
    """Pods that are trusted: all that run in a namespace under a service account of one cluster."""

    namespace: Label = Field(description="Kubernetes namespace. Required.")
    service_account: ServiceAccountName = Field(description="Service account of the pods. Required.")
    cluster_id: Ocid | None = Field(default=None, description="Their cluster. Default: the stack's cluster.")


@dataclass(frozen=True, slots=True)
class Grant:
    """A verb on resources, and the conditions that name exactly one of them."""

    verb: str
    conditions: tuple[tuple[str, str], ...]


def workload(grant: Grant, identity: IdentitySpec) -> str:
    """Let pods of one service account do one thing: workload identity, which needs an enhanced cluster."""
    who = (
        ("request.principal.type", "workload"),
        ("request.principal.namespace", identity.namespace),
        ("request.principal.service_account", identity.service_account),
        ("request.principal.cluster_id", identity.cluster_id or f"<{CLUSTER}>"),
    )
    return _statement("any-user", grant.verb, (*who, *grant.conditions))


def read_bucket(identity: IdentitySpec, bucket: str = f"<{BUCKET}>") -> str:
    """Let servers list and read the objects of one bucket."""
    return workload(Grant(READ_OBJECTS, (("target.bucket.name", bucket),)), identity)


def write_bucket(identity: IdentitySpec, bucket: str = f"<{BUCKET}>") -> str:
    """Let publishers list, read, create and replace the objects of one bucket."""
    return workload(Grant(WRITE_OBJECTS, (("target.bucket.name", bucket),)), identity)


def read_secret(identity: IdentitySpec, secret_id: str) -> str:
    """Let pods read one secret of a vault."""
    return workload(Grant(READ_SECRET, (("target.secret.id", secret_id),)), identity)


AUTOSCALER_VERBS = (
    "manage cluster-node-pools", "manage instance-family", "use subnets", "read virtual-network-family", "use vnics",
    "inspect compartments",
)  # fmt: skip
"""What OKE's autoscaler needs, as its documentation lists it; OCI narrows none of it to single pools."""


def autoscale() -> tuple[str, ...]:
    """Let OKE's cluster autoscaler change the sizes of pools in the compartment."""
    identity = IdentitySpec(namespace="kube-system", service_account="cluster-autoscaler")
    return tuple(workload(Grant(verb, ()), identity) for verb in AUTOSCALER_VERBS)


def lifecycle(region: str, bucket: str = f"<{BUCKET}>") -> str:
    """Let Object Storage itself delete old versions and unfinished uploads of one bucket."""
    return _statement(f"service objectstorage-{region}", "manage object-family", (("target.bucket.name", bucket),))


def use_key(region: str, key: str = f"<{KEY}>") -> str:
    """Let Object Storage encrypt with one customer key."""
    return _statement(f"service objectstorage-{region}", "use keys", (("target.key.id", key),))


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values where `<name>` stands; what is not given stays. Raises ValueError for what is no plain name."""
    for name, value in values.items():
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{name} is {value!r}, which is not an id or a plain name; nothing is granted to it")
    return _OPEN.sub(lambda found: values.get(found[1], found[0]), text)


def still_open(text: str) -> frozenset[str]:
    """Return the names that a text leaves open."""
    return frozenset(_OPEN.findall(text))


def _statement(who: str, verb: str, conditions: tuple[tuple[str, str], ...]) -> str:
    where = ", ".join(f"{name}='{value}'" for name, value in conditions)
    return f"Allow {who} to {verb} in compartment id <{COMPARTMENT}> where all {{{where}}}"
