"""Pulumi components that turn a typed stack file into running model servers.

The names are loaded on first use: reading a stack file must not cost the import of Pulumi.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # type checkers do not look into __getattr__
    from pulumi_plinth.cluster.addons import ClusterAddons
    from pulumi_plinth.cluster.component import GpuCluster
    from pulumi_plinth.cluster.identity import WorkloadIdentity
    from pulumi_plinth.cluster.repository import ImageRepository
    from pulumi_plinth.cluster.vault_secret import VaultSecret
    from pulumi_plinth.deployment.component import ModelDeployment
    from pulumi_plinth.errors import SpecError
    from pulumi_plinth.observe import observe as observe_stack
    from pulumi_plinth.planner import plan_stack
    from pulumi_plinth.platform import Platform
    from pulumi_plinth.pool.component import GpuNodePool
    from pulumi_plinth.stack import StackSpec
    from pulumi_plinth.store.component import ModelStore

# Where each name lives: a module, and behind a colon what it is called there. No name is that of a module of the
# package: Python would put the module in its place as soon as somebody imports it.
_HOME = {
    "ClusterAddons": "cluster.addons",
    "GpuCluster": "cluster.component",
    "GpuNodePool": "pool.component",
    "ImageRepository": "cluster.repository",
    "ModelDeployment": "deployment.component",
    "ModelStore": "store.component",
    "Platform": "platform",
    "SpecError": "errors",
    "StackSpec": "stack",
    "VaultSecret": "cluster.vault_secret",
    "WorkloadIdentity": "cluster.identity",
    "observe_stack": "observe:observe",
    "plan_stack": "planner",
}

__all__ = [
    "ClusterAddons",
    "GpuCluster",
    "GpuNodePool",
    "ImageRepository",
    "ModelDeployment",
    "ModelStore",
    "Platform",
    "SpecError",
    "StackSpec",
    "VaultSecret",
    "WorkloadIdentity",
    "observe_stack",
    "plan_stack",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute or name)


def __dir__() -> list[str]:
    return __all__
