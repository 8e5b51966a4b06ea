"""LocalServer: a server on this host as a Pulumi resource. A thin call into `local.py`; nothing is decided here.

The provider's class is importable and stateless, so Pulumi stores it by reference. Editing it shows no difference in a
stack: raise BEHAVIOUR when existing servers must be started anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.rundir import RunDir
from pulumi_plinth.deployment import local
from pulumi_plinth.deployment.plan import DeploymentPlan

BEHAVIOUR = "1"
KEY_BYTES = 32


class LocalServerProvider(ResourceProvider):
    """Performs LocalServer. Inputs: launch (canonical JSON), runDir, behaviour, store."""

    def diff(self, _id: str, _olds: Any, _news: Any) -> DiffResult:
        """Compare launches, and look whether the server lives: a dead one is a difference that `up` repairs."""
        moved = _olds.get("runDir") != _news.get("runDir")
        same = all(_olds.get(key) == _news.get(key) for key in ("launch", "behaviour"))
        alive = same and local.is_running(
            RunDir(Path(_news["runDir"])), LaunchConfig.model_validate_json(_news["launch"]).digest()
        )
        if same and not moved and not alive:
            _say(_news["launch"])("is not running, will be started")
        return DiffResult(changes=moved or not alive, replaces=["runDir"] if moved else [], delete_before_replace=True)

    def create(self, props: Any) -> CreateResult:
        """Start the server and return when it is ready."""
        return CreateResult(props["runDir"], _started(props, None))

    def update(self, _id: str, _olds: Any, _news: Any) -> UpdateResult:
        """Stop what runs, start the new launch; the key stays."""
        return UpdateResult(_started(_news, _olds.get("key")))

    def read(self, id_: str, props: Any) -> ReadResult:
        """Say what is there: a missing run directory means that the server was deleted by hand."""
        run_dir = RunDir(Path(id_))
        if not run_dir.path.is_dir():
            return ReadResult("", {})
        return ReadResult(id_, {**props, "pid": local.holder(run_dir) or 0})

    def delete(self, _id: str, _props: Any) -> None:
        """Stop the server and remove its run directory."""
        local.stop(RunDir(Path(_id)), _say(_props["launch"]))


class LocalServer(Resource, module="local", name="LocalServer"):
    """One agent with its engine on this host."""

    endpoint: pulumi.Output[str]
    management: pulumi.Output[str]
    pid: pulumi.Output[int]
    key: pulumi.Output[str]

    def __init__(self, name: str, plan: DeploymentPlan, store: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        outputs = {"endpoint": plan.launch.endpoint, "management": plan.launch.management_url}
        inputs = {
            "launch": plan.launch.canonical_json(),
            "runDir": str(plan.run_dir.path),
            "behaviour": BEHAVIOUR,
            "store": store,
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["key"])
        super().__init__(
            LocalServerProvider(),
            name,
            {**inputs, **outputs, "pid": None, "key": None},
            pulumi.ResourceOptions.merge(opts, secret),
        )


def _started(props: Any, key: str | None) -> dict[str, Any]:
    launch = LaunchConfig.model_validate_json(props["launch"])
    key = (key or secrets.token_urlsafe(KEY_BYTES)) if launch.api.keys_file else ""
    server = local.start(launch, RunDir(Path(props["runDir"])), key or None, _say(props["launch"]))
    return {**props, "pid": server.pid, "key": key}


def _say(launch: str) -> Callable[[str], None]:
    name = LaunchConfig.model_validate_json(launch).deployment
    return lambda text: print(f"{name}: {text}", flush=True)
