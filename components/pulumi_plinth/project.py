"""The project on disk as the command line sees it: its root, its stack files, this machine's own folder."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pulumi_plinth import naming
from pulumi_plinth.errors import DeployError, Fault, PlinthError, SpecError
from pulumi_plinth.observe import observe
from pulumi_plinth.planner import StackPlan, plan_stack
from pulumi_plinth.stack import CONFIG_KEY, StackSpec

PASSPHRASE_VARIABLES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")
PASSPHRASE_BYTES = 32

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Ten times as fast where libyaml is there, as in every wheel; stack files of 200 deployments have 60 kB."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a Pulumi.yaml, and one of its stacks."""

    root: Path
    stack: str

    @classmethod
    def find(cls, start: Path, stack: str) -> Workspace:
        """Look for Pulumi.yaml from `start` upwards, as Pulumi does."""
        for folder in (start, *start.parents):
            if (folder / "Pulumi.yaml").is_file():
                return cls(folder, stack)
        raise PlinthError(f"no Pulumi.yaml in {start} or above; go to the project's folder or name it with --cwd")

    @property
    def stack_file(self) -> Path:
        """Where the stack's configuration is written."""
        settings = _yaml(self.root / "Pulumi.yaml")
        return self.root / str(settings.get("stackConfigDir", ".")) / f"Pulumi.{self.stack}.yaml"

    def spec(self) -> StackSpec:
        """Read the stack file. Raises SpecError with every fault."""
        if not self.stack_file.is_file():
            others = sorted(path.name.split(".")[1] for path in self.stack_file.parent.glob("Pulumi.*.yaml"))
            raise PlinthError(f"there is no stack '{self.stack}' ({self.stack_file}); there are: {', '.join(others)}")
        config = _yaml(self.stack_file).get("config") or {}
        if CONFIG_KEY not in config:
            fault = Fault(
                f"{self.stack_file.name}: config", None, f"has no '{CONFIG_KEY}'", "declare the stack under it"
            )
            raise SpecError([fault])
        return StackSpec.parse(config[CONFIG_KEY])

    def plan(self) -> StackPlan:
        """Read, look and decide. Raises SpecError with every fault."""
        spec = self.spec()
        return plan_stack(spec, observe(spec, self.root, self.stack))

    def use_own_passphrase(self) -> None:
        """Give this machine's passphrase to Pulumi when the user set none; it is generated once."""
        if any(name in os.environ for name in PASSPHRASE_VARIABLES):
            return
        path = self.root / naming.STATE_FOLDER / "passphrase"
        if not path.exists():
            if any((path.parent / ".pulumi" / "stacks").glob("*/*.json")):
                hint = "set PULUMI_CONFIG_PASSPHRASE to the one these stacks were made with"
                raise DeployError(f"{path} is gone, but there are stacks that need it; {hint}")
            path.parent.mkdir(exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(PASSPHRASE_BYTES))
        os.environ["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(path)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), LOADER)  # noqa: S506 it is the safe one
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlinthError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise PlinthError(f"{path} is not a mapping; write `key: value` lines")
    return content
