"""The components as a package for YAML, TypeScript and other languages: what is hosted, and how faults are told.

No postponed annotations here: schemas for other languages are read from them.
"""

import json
import os
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pulumi
from pulumi.errors import InputPropertiesError, InputPropertyErrorDetails
from pulumi.output import Unknown
from pulumi.provider import ConstructResult
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError

from pulumi_plinth import naming, platform
from pulumi_plinth.cluster.addons import ClusterAddons
from pulumi_plinth.cluster.component import GpuCluster
from pulumi_plinth.cluster.identity import WorkloadIdentity
from pulumi_plinth.cluster.repository import ImageRepository
from pulumi_plinth.cluster.vault_secret import VaultSecret
from pulumi_plinth.errors import Fault, SpecError
from pulumi_plinth.observe import observe
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.pool.component import GpuNodePool
from pulumi_plinth.pool.parts import (
    AutoscaleSpec,
    ControlPlaneSpec,
    CyclingSpec,
    EvictionSpec,
    FlexSpec,
    ImageSpec,
    PlacementSpec,
    TaintSpec,
)
from pulumi_plinth.pool.spec import PoolSpec
from pulumi_plinth.spec import Spec
from pulumi_plinth.stack import CONFIG_KEY, StackSpec
from pulumi_plinth.store.component import ModelStore


class PlatformArgs(TypedDict):
    """A whole stack."""

    stack: dict[str, Any]
    """What a stack file says under `plinth:stack`: stores, models, pools, deployments. Plain values only."""
    root: NotRequired[str]
    """Folder that relative paths in it start at; the program's own unless given."""


class Platform(platform.Platform):
    """A whole stack: stores, pools, and the deployments that serve models from and on them."""

    def __init__(self, name: str, args: PlatformArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        given = args["stack"]
        if later := sorted(_later(given, CONFIG_KEY)):
            problem, remedy = "is known only when something else is made", "give it as a plain value"
            raise SpecError([Fault(path, None, problem, remedy) for path in later])
        spec = StackSpec.parse(_whole(given))
        root = Path(args.get("root") or os.getcwd()).resolve()  # noqa: PTH109 a program's folder, not a path
        super().__init__(name, plan_stack(spec, observe(spec, root, pulumi.get_stack())), opts)


COMPONENTS: tuple[type[pulumi.ComponentResource], ...] = (
    ClusterAddons,
    GpuCluster,
    GpuNodePool,
    ImageRepository,
    ModelStore,
    Platform,
    VaultSecret,
    WorkloadIdentity,
)
"""All that take arguments which other languages can write."""


PARTS: tuple[type[Spec], ...] = (
    AutoscaleSpec, ControlPlaneSpec, CyclingSpec, EvictionSpec, FlexSpec, ImageSpec, PlacementSpec, TaintSpec,
)  # fmt: skip
"""Parts of a pool, as people write them."""


class PlinthProvider(ComponentProvider):
    """Hosts the components; a refused argument comes back at its property, all of them at once."""

    def __init__(self) -> None:
        super().__init__(list(COMPONENTS), naming.PACKAGE, None, version("pulumi-plinth"))
        self.schema = json.dumps(_described(json.loads(self.schema or "{}")))

    def construct(
        self, name: str, resource_type: str, inputs: pulumi.Inputs, options: pulumi.ResourceOptions | None = None
    ) -> ConstructResult:
        """Make a component. Raises InputPropertiesError for arguments that it refuses."""
        try:
            return super().construct(name, resource_type, _lifted(inputs), options)
        except ComponentInitError as error:
            if isinstance(error.inner, SpecError):
                raise InputPropertiesError(f"{resource_type} '{name}'", _details(name, error.inner)) from error
            raise


def _lifted(value: Any) -> Any:
    """Make outputs of the marks that stand for unknown values inside of objects and lists."""
    if isinstance(value, Unknown):
        return pulumi.Output.from_input(None).apply(lambda _: value)
    if isinstance(value, dict):
        return {key: _lifted(item) for key, item in value.items()}
    return [_lifted(item) for item in value] if isinstance(value, list) else value


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    """Give properties of pools the descriptions that their specs have; nothing is said twice in the sources."""
    token = f"{naming.PACKAGE}:index"
    inputs = schema["resources"][f"{token}:{GpuNodePool.__name__}"]["inputProperties"]
    places: dict[type[Spec], dict[str, Any]] = {PoolSpec: inputs}
    for spec in PARTS:
        places[spec] = schema["types"][f"{token}:Pool{spec.__name__.removesuffix('Spec')}Args"]["properties"]
    for spec, properties in places.items():
        known = {item.alias: item.description for item in spec.model_fields.values()}
        for name in properties.keys() & known.keys():
            properties[name].setdefault("description", known[name])
    return schema


def _details(name: str, refused: SpecError) -> list[InputPropertyErrorDetails]:
    return [
        {"property_path": _property(fault.path.removeprefix(f"{name}.")), "reason": fault.reason}
        for fault in refused.faults
    ]


def _property(path: str) -> str:
    """Name the property: a stack's own faults are told from where they stand in a stack file."""
    return f"stack{path.removeprefix(CONFIG_KEY)}" if path.startswith(CONFIG_KEY) else path


def _later(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, pulumi.Output):
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _later(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _later(item, f"{path}[{index}]")


def _whole(value: Any) -> Any:
    """Write whole numbers as such: what comes from another language is always a float."""
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
