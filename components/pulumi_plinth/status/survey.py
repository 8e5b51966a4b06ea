"""The stack's cluster, opened and read: one report, whatever the cluster does. Which cluster, is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pulumi_plinth.stack import StackSpec
from pulumi_plinth.status.objects import DownError
from pulumi_plinth.status.reading import read
from pulumi_plinth.status.report import Report, Seen, report
from pulumi_plinth.status.wanted import wanted


@dataclass(frozen=True, slots=True)
class Access:
    """What the command line says of the cluster, which wins over the stack file."""

    kubeconfig: Path | None = None
    context: str | None = None


def survey(spec: StackSpec, root: Path, endpoints: Mapping[str, str], said: Access) -> Report:
    """Read what the stack has on its cluster; an empty report if it has nothing there."""
    sought = wanted(spec, endpoints)
    if spec.kubernetes is None or not (sought.servers or sought.models):
        return Report()
    access = replace(said, context=said.context or spec.kubernetes.context)
    if access.kubeconfig is None and spec.kubernetes.kubeconfig:
        access = replace(access, kubeconfig=root / Path(spec.kubernetes.kubeconfig).expanduser())
    if spec.cluster is not None and spec.oci is not None and access == Access():
        return report(sought, Seen({}, notes=(_own_cluster(spec.cluster.id or "ID"),)))
    from pulumi_plinth.status.kube import Cluster  # its library takes a while

    try:
        cluster = Cluster.open(access.kubeconfig, access.context)
    except DownError as error:
        return report(sought, Seen({}, notes=(str(error),)))
    with closing(cluster):
        return report(sought, read(cluster, sought))


def _own_cluster(identifier: str) -> str:
    """Say how to look at a cluster that the deployment reaches by a kubeconfig of its own, which lies in no file."""
    command = f"oci ce cluster create-kubeconfig --cluster-id {identifier} --file FILE"
    return f"the stack's own cluster is reached without a file; run `{command}`, then `plinth status --kubeconfig FILE`"


def age(time: str) -> float | None:
    """Return the seconds since a time as Kubernetes writes it; None for what is no time."""
    try:
        since = datetime.fromisoformat(time)
    except ValueError:
        return None
    return max(0.0, round((datetime.now(UTC) - since).total_seconds(), 1)) if since.tzinfo else None
