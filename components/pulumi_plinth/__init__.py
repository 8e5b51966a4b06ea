"""Pulumi components that turn a typed stack file into running model servers.

The names are loaded on first use: reading a stack file must not cost the import of Pulumi.
"""

from __future__ import annotations

import importlib
from typing import Any

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
    "observe": "observe",
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
    "observe",
    "plan_stack",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
