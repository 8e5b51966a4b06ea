"""A stack's Kubernetes objects as files for GitOps: equal plans give equal bytes. What is foreign in a folder stays.

Names sort in the order in which `kubectl apply -R` may apply them. The list for kustomize is called `Kustomization`:
that name has no ending, so that kubectl passes it over where it reads the folder itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pulumi_plinth.deployment.kubernetes.declared import object_key
from pulumi_plinth.deployment.kubernetes.manifests import common_manifests, manifests
from pulumi_plinth.errors import PlinthError
from pulumi_plinth.planner import StackPlan

HEADER = "# Made by `plinth render`; it overwrites and removes files that begin so.\n"
LIST = "Kustomization"
ORDER = {
    "CustomResourceDefinition": 0, "Namespace": 0, "ServiceAccount": 10, "ClusterRole": 12, "Role": 12,
    "ClusterRoleBinding": 14, "RoleBinding": 14, "ValidatingAdmissionPolicy": 16,
    "ValidatingAdmissionPolicyBinding": 18, "ConfigMap": 20, "NetworkPolicy": 30, "Service": 40, "DaemonSet": 50,
    "Deployment": 50, "StatefulSet": 50, "LeaderWorkerSet": 50, "PodDisruptionBudget": 60,
    "HorizontalPodAutoscaler": 70, "ScaledObject": 70, "PodMonitor": 80, "BaseModel": 90, "ClusterBaseModel": 90,
}  # fmt: skip
"""Number in a file's name, by kind."""

MODELS = "plinth-models"
"""Folder of declared models and of the agents that bring them."""

SHOWN = 5
"""Foreign files that a refusal names."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # either is a class
    """Writes every value out: anchors are nothing that people or diffs read well."""

    def ignore_aliases(self, data: Any) -> bool:
        """Say so."""
        del data
        return True


def files_of(plan: StackPlan) -> dict[str, str]:
    """Return path -> text of every object of a stack, paths sorted and relative."""
    found = {}
    for item in common_manifests(plan.cluster) if plan.cluster else ():
        found[_file_name(item)] = _text(item)
    for item in plan.declared.objects:
        found[f"{MODELS}/{ORDER[item['kind']]:02d}-{object_key(item)}.yaml"] = _text(item)
    for server in plan.servers:
        for item in manifests(server):
            found[f"{server.name}/{_file_name(item)}"] = _text(item)
    paths = sorted(found)
    listing = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": LIST, "resources": paths}
    return {**{path: found[path] for path in paths}, LIST: _text(listing)}


def write_files(folder: Path, files: Mapping[str, str], *, force: bool) -> tuple[int, int]:
    """Bring a folder in line and return how many files were written and removed.

    Raises PlinthError, before anything is touched, where foreign files lie there; with `force` they are left alone.
    """
    there = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    foreign = [name for name, path in there.items() if not _is_ours(path)]
    if clash := [name for name in foreign if name in files]:
        raise PlinthError(f"{folder} has {clash[0]}, which `plinth render` did not make and will not overwrite")
    if foreign and not force:
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        named = f"{', '.join(foreign[:SHOWN])}{more}"
        raise PlinthError(f"{folder} has files of somebody else ({named}); take another folder, or say --force")
    try:
        return _brought_in_line(folder, files, {name: path for name, path in there.items() if name not in foreign})
    except OSError as error:
        raise PlinthError(f"{error.filename or folder} cannot be written: {error.strerror}") from error


def _brought_in_line(folder: Path, files: Mapping[str, str], ours: Mapping[str, Path]) -> tuple[int, int]:
    written = 0
    for name, text in files.items():
        path = folder / name
        if name in ours and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written += 1
    gone = [path for name, path in ours.items() if name not in files]
    for path in gone:
        path.unlink()
        if path.parent != folder and not any(path.parent.iterdir()):
            path.parent.rmdir()
    return written, len(gone)


def _is_ours(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(HEADER)) == HEADER.encode()


def secret_lines(plan: StackPlan) -> Iterator[str]:
    """Yield what people must see to: each Secret once, with its purpose and the command that makes it."""
    needs = {(need.namespace, need.name): need for server in plan.servers for need in server.secrets()}
    for need in (needs[key] for key in sorted(needs)):
        yield f"secret {need.name} in {need.namespace}: {need.purpose}"
        yield f"  {need.command}"


def _file_name(item: Mapping[str, Any]) -> str:
    return f"{ORDER[item['kind']]:02d}-{item['kind'].lower()}-{item['metadata']['name']}.yaml"


def _text(item: Mapping[str, Any]) -> str:
    return HEADER + yaml.dump(item, Dumper=_Dumper, sort_keys=True, width=120, allow_unicode=True)
