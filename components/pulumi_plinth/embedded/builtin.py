"""The provider that Pulumi itself is, package `pulumi`: it reads other stacks' outputs. No process, no plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pulumi_plinth.embedded.errors import ProviderError, StateError, Unsupported
from pulumi_plinth.embedded.state import Resource
from pulumi_plinth.embedded.steps import Diff
from pulumi_plinth.embedded.values import PropertyMap, has_secret

PACKAGE = "pulumi"
STACK_REFERENCE = "pulumi:pulumi:StackReference"
ORGANIZATION = "organization"
"""What the file backend calls the one organization it has."""

OutputsOf = Callable[[str, str], PropertyMap]
"""(project, stack) -> its outputs, secrets marked; raises StateError."""


class Builtin:
    """Speaks as a Provider does, as far as resources are only read."""

    def __init__(self, project: str, outputs_of: OutputsOf) -> None:
        self._project, self._outputs_of = project, outputs_of

    def check_config(self, goal: Resource, olds: PropertyMap) -> PropertyMap:  # noqa: ARG002
        """Nothing can be configured."""
        return goal.inputs

    def diff_config(self, old: Resource, inputs: PropertyMap) -> Diff:  # noqa: ARG002
        """Nothing can change."""
        return Diff()

    def configure(self, resource: Resource) -> None:
        """Nothing is configured."""

    def read(self, wanted: Resource) -> tuple[str, PropertyMap, PropertyMap]:
        """Read another stack: id, inputs and outputs as the Pulumi CLI keeps them."""
        if wanted.type != STACK_REFERENCE:
            raise Unsupported("reading this type", wanted.type)
        name = str(wanted.inputs.get("name", wanted.id))
        try:
            outputs = self._outputs_of(*self._parse(name, wanted.urn))
        except StateError as error:
            raise ProviderError(wanted.urn, str(error)) from error
        secret = sorted(key for key, value in outputs.items() if has_secret(value))
        return wanted.id, wanted.inputs, {"name": name, "outputs": outputs, "secretOutputNames": secret}

    def _parse(self, name: str, urn: str) -> tuple[str, str]:
        """Return project and stack of `organization/project/stack`, `project/stack` or `stack`."""
        parts = name.split("/")
        if len(parts) == 3 and parts[0] == ORGANIZATION:  # noqa: PLR2004 organization, project, stack
            parts = parts[1:]
        if not all(parts) or len(parts) > 2:  # noqa: PLR2004 project, stack
            raise ProviderError(urn, f"'{name}' names no stack; write {ORGANIZATION}/<project>/<stack>")
        return (parts[0], parts[1]) if len(parts) > 1 else (self._project, parts[0])

    def invoke(self, token: str, args: PropertyMap) -> Any:  # noqa: ARG002
        """Refuse functions of Pulumi itself."""
        raise Unsupported("this function", token)
