"""Who carries out a deployment: the Pulumi CLI where there is one, else the embedded engine. One interface for both."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pulumi_plinth import embedded
from pulumi_plinth.errors import DeployError, without_traceback
from pulumi_plinth.project import Workspace

QUICK_SECONDS = 60.0

OnEvent = Callable[[embedded.Event], None]


class Deployer(Protocol):
    """The operations of a stack. Each raises DeployError with what happened and what to do."""

    def preview(self) -> bool | None:
        """Show what `up` would do; whether anything would change, None if that cannot be told."""

    def up(self) -> None:
        """Make the stack as declared."""

    def refresh(self) -> None:
        """Bring the state in line with the world."""

    def destroy(self) -> None:
        """Delete everything the stack made."""

    def outputs(self, *, show_secrets: bool) -> dict[str, Any]:
        """Return the stack's outputs; empty when it was never deployed."""

    def export(self) -> dict[str, Any]:
        """Return the state as `pulumi stack import` takes it."""


def choose(name: str, workspace: Workspace, on_event: OnEvent) -> Deployer:
    """Resolve `auto`, `pulumi` or `embedded`."""
    workspace.use_own_passphrase()
    found = shutil.which("pulumi")
    if name == "pulumi" and not found:
        raise DeployError("the Pulumi CLI is not on PATH; install it or use --deployer embedded")
    if found and name != "embedded":
        return PulumiDeployer(workspace, found)
    return EmbeddedDeployer(workspace, on_event)


@dataclass(frozen=True, slots=True)
class EmbeddedDeployer:
    """The engine inside this package."""

    workspace: Workspace
    on_event: OnEvent

    def preview(self) -> bool | None:
        """Run the program without performing anything."""
        result = self._run(embedded.preview)
        return bool(result.has_changes or dict(result.outputs) != self.outputs(show_secrets=True))

    def up(self) -> None:
        """Perform; the preview was shown before."""
        self._run(embedded.up, embedded.Options(preview=False))

    def refresh(self) -> None:
        """Read every resource."""
        self._run(embedded.refresh)

    def destroy(self) -> None:
        """Delete in reverse order of dependencies."""
        if self._has_stack():
            self._run(embedded.destroy)

    def outputs(self, *, show_secrets: bool) -> dict[str, Any]:
        """Read from the state."""
        return (
            dict(embedded.outputs(self._project(), self.workspace.stack, show_secrets=show_secrets))
            if self._has_stack()
            else {}
        )

    def export(self) -> dict[str, Any]:
        """Read from the state; secrets stay encrypted."""
        return embedded.export(self._project(), self.workspace.stack)

    def _project(self) -> embedded.Project:
        return embedded.Project.load(self.workspace.root)

    def _has_stack(self) -> bool:
        return embedded.exists(self._project(), self.workspace.stack)

    def _run(
        self, operation: Callable[..., embedded.Result], options: embedded.Options | None = None
    ) -> embedded.Result:
        try:
            result = operation(self._project(), self.workspace.stack, self.on_event, options or embedded.Options())
        except embedded.EmbeddedError as error:
            raise DeployError(without_traceback(str(error))) from error
        self.on_event(embedded.Diagnostic("info", _summary(result)))
        return result


@dataclass(frozen=True, slots=True)
class PulumiDeployer:
    """The Pulumi CLI, with its own output on the terminal."""

    workspace: Workspace
    executable: str

    def preview(self) -> bool | None:
        """`pulumi preview`."""
        self._call("preview")
        return None

    def up(self) -> None:
        """`pulumi up`; the preview was shown before."""
        self._call("up", "--yes", "--skip-preview")

    def refresh(self) -> None:
        """`pulumi refresh`."""
        self._call("refresh", "--yes")

    def destroy(self) -> None:
        """`pulumi destroy`."""
        self._call("destroy", "--yes")

    def outputs(self, *, show_secrets: bool) -> dict[str, Any]:
        """`pulumi stack output`."""
        reveal = ["--show-secrets"] if show_secrets else []
        answer = self._ask("stack", "output", "--json", *reveal)
        return dict(json.loads(answer)) if answer else {}

    def export(self) -> dict[str, Any]:
        """`pulumi stack export`."""
        return dict(json.loads(self._ask("stack", "export") or "{}"))

    def _call(self, *arguments: str) -> None:
        select = [self.executable, "stack", "select", "--create", self.workspace.stack, "--non-interactive"]
        subprocess.run(select, cwd=self.workspace.root, check=False, capture_output=True, timeout=QUICK_SECONDS)
        command = [self.executable, *arguments, "--stack", self.workspace.stack, "--non-interactive"]
        if code := subprocess.run(command, cwd=self.workspace.root, check=False).returncode:
            raise DeployError(f"`pulumi {arguments[0]}` ended with exit code {code}; its messages are above")

    def _ask(self, *arguments: str) -> str:
        command = [self.executable, *arguments, "--stack", self.workspace.stack, "--non-interactive"]
        run = subprocess.run(
            command, cwd=self.workspace.root, check=False, capture_output=True, text=True, timeout=QUICK_SECONDS
        )
        return run.stdout if run.returncode == 0 else ""


def _summary(result: embedded.Result) -> str:
    counts = [f"{count} {operation}" for operation, count in sorted(result.changes.items()) if count]
    return f"resources: {', '.join(counts) or 'none'}; {result.duration:.1f} s"
