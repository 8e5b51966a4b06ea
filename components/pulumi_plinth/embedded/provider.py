"""Resource plugins: finding, starting and speaking to them. One call here is one call of the provider protocol."""

from __future__ import annotations

import os
import queue
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from pulumi_plinth.embedded.errors import EmbeddedError, PluginMissing, ProviderError, Unsupported
from pulumi_plinth.embedded.process import Child, Guard, OnLine
from pulumi_plinth.embedded.state import PROVIDER_PREFIX, Resource
from pulumi_plinth.embedded.steps import Diff
from pulumi_plinth.embedded.values import (
    UNKNOWN,
    PropertyMap,
    compact,
    from_struct,
    has_unknown,
    keep_secret_marks,
    reveal,
    to_struct,
    without_references,
)

DYNAMIC = "pulumi-python"
"""The package of dynamic providers: its plugin is a module of the Pulumi SDK."""
CHANNEL = [("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.max_send_message_length", -1)]
_START_SECONDS = 60
_DIFF_KINDS = provider_pb2.PropertyDiff


def find_plugin(package: str, version: str = "", path: str | None = None) -> list[str]:
    """Return the command that starts a plugin; raises PluginMissing."""
    if package == DYNAMIC:
        return [sys.executable, "-u", "-m", "pulumi.dynamic"]
    if package == "pulumi":
        raise Unsupported("the built-in provider (StackReference, Stash)", "stack")
    found = shutil.which(f"pulumi-resource-{package}", path=path)
    if not found:
        raise PluginMissing(package, version)
    return [found]


@dataclass(frozen=True)
class Host:
    """What a plugin needs from the run that starts it."""

    guard: Guard
    root: Path
    engine_address: str
    project: str
    on_line: OnLine

    def start(self, package: str, version: str) -> Plugin:
        """Start a plugin and greet it; raises EmbeddedError when it does not come up."""
        command = [*find_plugin(package, version), self.engine_address]
        # Dynamic providers are imported by name, from the project too.
        paths = [str(self.root), os.environ.get("PYTHONPATH", "")] if package == DYNAMIC else []
        env = os.environ | {"PULUMI_PROJECT": self.project}
        env |= {"PYTHONPATH": os.pathsep.join(filter(None, paths))} if paths else {}
        child = Child(self.guard, command, self.root, env)
        first = child.relay(self.on_line, first_line=True)
        try:
            port = int(first.get(timeout=_START_SECONDS))
        except (queue.Empty, ValueError) as error:
            code = child.exit_code()
            child.stop()
            raise EmbeddedError(
                f"plugin pulumi-resource-{package} printed no port (exit {code}); its last lines say why"
            ) from error
        return Plugin(package, child, port, Path(command[0]).parent)


class Plugin:
    """A running plugin process."""

    def __init__(self, package: str, child: Child, port: int, folder: Path) -> None:
        self.package, self._child, self._folder = package, child, folder
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL)
        self.stub = provider_pb2_grpc.ResourceProviderStub(self._channel)

    def call(self, urn: str, method: Callable[..., Any], request: Any) -> Any:
        """Make one call; raises ProviderError, which knows whether the outcome is known."""
        try:
            return method(request)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
            if code == grpc.StatusCode.UNAVAILABLE:
                status = self._child.wait(1.0)
                message = f"plugin {self.package} ended during the call (exit {status}); the outcome is unknown"
                raise ProviderError(urn, message, unfinished=True) from error
            partial = _init_failed(error)
            message = "; ".join(partial.reasons) if partial else _without_traceback(details)
            raise ProviderError(
                urn, message or str(code), unfinished=code == grpc.StatusCode.CANCELLED, partial=partial
            ) from error

    def optional(self, urn: str, method: Callable[..., Any], request: Any) -> Any:
        """Make a call that a provider need not implement: None then."""
        try:
            return method(request)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return None
            failed = error

        def fail(_request: Any) -> Any:
            raise failed

        return self.call(urn, fail, request)

    def greet(self, engine_address: str) -> Any:
        """Handshake and version, in the Pulumi CLI's order; returns the handshake's answer, if any."""
        answer = self.optional(
            "",
            self.stub.Handshake,
            provider_pb2.ProviderHandshakeRequest(
                engine_address=engine_address,
                root_directory=str(self._folder),
                program_directory=str(self._folder),
                configure_with_urn=True,
                invoke_with_preview=True,
            ),
        )
        self.optional("", self.stub.GetPluginInfo, empty_pb2.Empty())
        return answer

    def kill(self) -> None:
        """End the process in the middle of its calls."""
        self._child.kill()

    def cancel(self) -> None:
        """Ask the provider to give up running calls."""
        try:
            self.stub.Cancel(empty_pb2.Empty(), timeout=1)
        except grpc.RpcError:
            return

    def close(self) -> None:
        """End the process and its group."""
        self.cancel()
        self._channel.close()
        self._child.stop()


@dataclass(frozen=True)
class Partial:
    """A resource that exists but did not become healthy."""

    id: str
    properties: PropertyMap
    inputs: PropertyMap
    reasons: tuple[str, ...]


def _init_failed(error: Any) -> Partial | None:
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        status = status_pb2.Status.FromString(value)
        for detail in status.details:
            failed = provider_pb2.ErrorResourceInitFailed()
            if detail.Is(failed.DESCRIPTOR) and detail.Unpack(failed):
                return Partial(
                    failed.id, from_struct(failed.properties), from_struct(failed.inputs), tuple(failed.reasons)
                )
    return None


def _without_traceback(details: str) -> str:
    """Reduce a Python traceback to the exception: people want to know what failed, not through which frames."""
    lines = details.rstrip().splitlines()
    if not lines or not lines[0].startswith("Traceback"):
        return details
    frames = [index for index, line in enumerate(lines) if line.startswith("  ")]
    return "\n".join(lines[frames[-1] + 1 :]) or details


class Provider:
    """One configured provider: a plugin process and the abilities it told."""

    def __init__(self, plugin: Plugin, engine_address: str, *, dry_run: bool) -> None:
        self.plugin, self._dry_run = plugin, dry_run
        answer = plugin.greet(engine_address)
        self.secrets = bool(answer and answer.accept_secrets)
        self._references = bool(answer and answer.accept_resources)
        self.supports_preview = False
        self.configured = False

    def _struct(self, values: Mapping[str, Any]) -> Any:
        return to_struct(values if self._references else without_references(values), secrets=self.secrets)

    def _marked(self, struct: Any, like: Mapping[str, Any]) -> PropertyMap:
        values = from_struct(struct)
        return values if self.secrets else keep_secret_marks(values, like)

    def check_config(self, goal: Resource, olds: PropertyMap) -> PropertyMap:
        """CheckConfig: the provider resource's inputs, validated."""
        request = provider_pb2.CheckRequest(
            urn=goal.urn,
            olds=to_struct(olds, secrets=False),
            news=to_struct(goal.inputs, secrets=False),
            name=goal.name,
            type=goal.type,
        )
        answer = self.plugin.optional(goal.urn, self.plugin.stub.CheckConfig, request)
        if answer is None:
            return goal.inputs
        _raise_failures(goal.urn, answer.failures)
        return keep_secret_marks(from_struct(answer.inputs), goal.inputs)

    def diff_config(self, old: Resource, inputs: PropertyMap) -> Diff:
        """DiffConfig: whether a provider change replaces what it manages."""
        request = provider_pb2.DiffRequest(
            urn=old.urn,
            olds=to_struct(old.outputs, secrets=False),
            news=to_struct(inputs, secrets=False),
            old_inputs=to_struct(old.inputs, secrets=False),
            name=old.name,
            type=old.type,
        )
        answer = self.plugin.optional(old.urn, self.plugin.stub.DiffConfig, request)
        return Diff() if answer is None else _diff(answer)

    def configure(self, resource: Resource) -> None:
        """Configure; a provider whose configuration is not known yet stays unconfigured in a preview."""
        if has_unknown(resource.inputs):
            return
        package = resource.type.removeprefix(PROVIDER_PREFIX)
        plain = {k: v for k, v in reveal(resource.inputs).items() if k not in ("version", "pluginDownloadURL")}
        texts = {f"{package}:config:{k}": v if isinstance(v, str) else compact(v) for k, v in plain.items()}
        request = provider_pb2.ConfigureRequest(
            variables=texts,
            args=to_struct(resource.inputs, secrets=True),
            acceptSecrets=True,
            acceptResources=True,
            sends_old_inputs=True,
            sends_old_inputs_to_delete=True,
            id=resource.id or UNKNOWN,
            urn=resource.urn,
            name=resource.name,
            type=resource.type,
        )
        answer = self.plugin.call(resource.urn, self.plugin.stub.Configure, request)
        self.secrets, self._references = (
            self.secrets or answer.acceptSecrets,
            self._references or answer.acceptResources,
        )
        self.supports_preview, self.configured = answer.supportsPreview, True

    def check(self, goal: Resource, olds: PropertyMap, seed: bytes) -> PropertyMap:
        """Check: validated inputs with defaults; raises ProviderError naming each bad property."""
        if not self.configured:
            return goal.inputs
        request = provider_pb2.CheckRequest(
            urn=goal.urn,
            olds=self._struct(olds),
            news=self._struct(goal.inputs),
            randomSeed=seed,
            name=goal.name,
            type=goal.type,
        )
        answer = self.plugin.call(goal.urn, self.plugin.stub.Check, request)
        _raise_failures(goal.urn, answer.failures)
        return self._marked(answer.inputs, goal.inputs)

    def diff(self, old: Resource, inputs: PropertyMap, ignore: tuple[str, ...]) -> Diff:
        """Diff: what a change of inputs means."""
        if not self.configured:
            return Diff()
        request = provider_pb2.DiffRequest(
            id=old.id,
            urn=old.urn,
            olds=self._struct(old.outputs),
            news=self._struct(inputs),
            ignoreChanges=ignore,
            old_inputs=self._struct(old.inputs),
            name=old.name,
            type=old.type,
        )
        return _diff(self.plugin.call(old.urn, self.plugin.stub.Diff, request))

    def create(self, goal: Resource) -> tuple[str, PropertyMap]:
        """Create: id and outputs. In a preview only what the provider can foresee."""
        if self._dry_run and not (self.supports_preview and self.configured):
            return "", {}
        request = provider_pb2.CreateRequest(
            urn=goal.urn,
            properties=self._struct(goal.inputs),
            timeout=goal.custom_timeouts.get("create", 0),
            preview=self._dry_run,
            name=goal.name,
            type=goal.type,
        )
        answer = self.plugin.call(goal.urn, self.plugin.stub.Create, request)
        if not answer.id and not self._dry_run:
            raise ProviderError(goal.urn, "the provider returned no id for what it created", unfinished=True)
        return answer.id, self._marked(answer.properties, goal.inputs)

    def update(self, old: Resource, goal: Resource) -> PropertyMap:
        """Update in place: outputs."""
        if self._dry_run and not (self.supports_preview and self.configured):
            return {}
        request = provider_pb2.UpdateRequest(
            id=old.id,
            urn=goal.urn,
            olds=self._struct(old.outputs),
            news=self._struct(goal.inputs),
            timeout=goal.custom_timeouts.get("update", 0),
            ignoreChanges=goal.ignore_changes,
            preview=self._dry_run,
            old_inputs=self._struct(old.inputs),
            name=goal.name,
            type=goal.type,
        )
        return self._marked(self.plugin.call(goal.urn, self.plugin.stub.Update, request).properties, goal.inputs)

    def delete(self, old: Resource) -> None:
        """Delete."""
        request = provider_pb2.DeleteRequest(
            id=old.id,
            urn=old.urn,
            properties=self._struct(old.outputs),
            timeout=old.custom_timeouts.get("delete", 0),
            old_inputs=self._struct(old.inputs),
            name=old.name,
            type=old.type,
        )
        self.plugin.call(old.urn, self.plugin.stub.Delete, request)

    def read(self, old: Resource) -> tuple[str, PropertyMap, PropertyMap]:
        """Read: id (empty: it is gone), inputs and outputs."""
        request = provider_pb2.ReadRequest(
            id=old.id,
            urn=old.urn,
            properties=self._struct(old.outputs),
            inputs=self._struct(old.inputs),
            name=old.name,
            type=old.type,
        )
        answer = self.plugin.call(old.urn, self.plugin.stub.Read, request)
        inputs = self._marked(answer.inputs, old.inputs) if answer.HasField("inputs") else old.inputs
        return answer.id, inputs, self._marked(answer.properties, old.inputs | old.outputs)

    def invoke(self, token: str, args: PropertyMap) -> Any:
        """Invoke a function: the raw response."""
        request = provider_pb2.InvokeRequest(tok=token, args=self._struct(args), preview=self._dry_run)
        return self.plugin.call(token, self.plugin.stub.Invoke, request)


def _raise_failures(urn: str, failures: Any) -> None:
    if failures:
        raise ProviderError(urn, "; ".join(f"{f.property}: {f.reason}" if f.property else f.reason for f in failures))


def _diff(answer: Any) -> Diff:
    detailed = answer.detailedDiff
    replacing = (_DIFF_KINDS.ADD_REPLACE, _DIFF_KINDS.DELETE_REPLACE, _DIFF_KINDS.UPDATE_REPLACE)
    replaces = tuple(answer.replaces) or tuple(k for k, d in detailed.items() if d.kind in replacing)
    known = {provider_pb2.DiffResponse.DIFF_SOME: True, provider_pb2.DiffResponse.DIFF_NONE: False}
    keys = tuple(sorted(detailed)) or tuple(answer.diffs)
    return Diff(known.get(answer.changes), replaces, answer.deleteBeforeReplace, keys)
