"""A monitor that keeps everything a program registers: inputs as sent, and every option that Pulumi's mocks hide.

`run(program)` runs a program against it. With `preview=True` nothing that a cloud makes is known.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import mocks, rpc

STACK, PROJECT = "test", "plinth"
STACK_TYPE = "pulumi:pulumi:Stack"
LOOP = asyncio.new_event_loop()
"""The one loop of all programs."""


@dataclass(frozen=True)
class Registration:
    """One RegisterResource request. `inputs` are plain values; what is secret is `Secret(value)`, unknown `UNKNOWN`."""

    urn: str
    request: Any
    inputs: dict[str, Any]

    @property
    def name(self) -> str:
        """The logical name."""
        return self.request.name

    @property
    def type(self) -> str:
        """The type token."""
        return self.request.type

    @property
    def parent(self) -> str:
        """The parent's name; empty for a root."""
        types = self.request.parent.rsplit("::", 2)[-2] if self.request.parent else STACK_TYPE
        return "" if types == STACK_TYPE else name_of(self.request.parent)

    @property
    def protect(self) -> bool:
        """Whether it is protected by its own options."""
        return self.request.protect

    @property
    def provider(self) -> str:
        """The reference of its explicit provider; empty when the default one would be used."""
        return self.request.provider

    @property
    def ignore_changes(self) -> list[str]:
        """Paths whose changes are ignored."""
        return list(self.request.ignoreChanges)

    @property
    def delete_before_replace(self) -> bool | None:
        """How it is replaced; None leaves it to the provider."""
        return self.request.deleteBeforeReplace if self.request.deleteBeforeReplaceDefined else None

    @property
    def retain_on_delete(self) -> bool:
        """Whether it outlives its stack."""
        return self.request.retainOnDelete

    @property
    def timeouts(self) -> dict[str, str]:
        """Time limits by operation, those that are set."""
        limits = self.request.customTimeouts
        return {kind: text for kind in ("create", "update", "delete") if (text := getattr(limits, kind))}

    @property
    def dependencies(self) -> list[str]:
        """Names of what it depends on."""
        return sorted(name_of(urn) for urn in self.request.dependencies)

    @property
    def aliases(self) -> list[str]:
        """URNs and names it had before."""
        found = []
        for alias in self.request.aliases:
            spec = alias.spec
            found.append(alias.urn or (spec.parentUrn and f"{spec.parentUrn} {spec.name}") or spec.name or "no parent")
        return found

    @property
    def secret_outputs(self) -> list[str]:
        """Outputs that are declared secret."""
        return list(self.request.additionalSecretOutputs)

    def normal(self) -> bytes:
        """The request as bytes that two equal registrations share, wherever in the source they stand."""
        copy = type(self.request)()
        copy.CopyFrom(self.request)
        copy.ClearField("sourcePosition")
        copy.ClearField("stackTrace")
        # The SDK sends sets, in any order.
        for urns in (copy.dependencies, *(item.urns for item in copy.propertyDependencies.values())):
            urns.sort()
        return copy.SerializeToString(deterministic=True)


@dataclass(frozen=True)
class Secret:
    """A value that was sent with the secret mark."""

    value: Any


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@dataclass
class Cloud(mocks.Mocks):
    """What the providers answer: outputs by type token, answers of functions by token."""

    preview: bool = False
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    functions: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = field(default_factory=dict)
    called: list[mocks.MockCallArgs] = field(default_factory=list)

    def new_resource(self, args):
        """Answer a registration: at preview with nothing but what was sent."""
        if self.preview:
            return "", dict(args.inputs)
        return f"{args.name}-id", {**args.inputs, **self.outputs.get(args.typ, {})}

    def call(self, args):
        """Answer a function."""
        self.called.append(args)
        return self.functions[args.token](args.args)


class Monitor(mocks.MockMonitor):
    """Keeps requests and outputs in order."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.cloud = cloud
        self.registered: dict[str, Registration] = {}
        self.outputs: dict[str, dict[str, Any]] = {}

    def RegisterResource(self, request):  # noqa: N802 the protocol's name
        """Keep the request and answer."""
        answer = super().RegisterResource(request)
        assert answer.urn not in self.registered, f"{answer.urn} is registered twice"
        if request.type != STACK_TYPE:
            self.registered[answer.urn] = Registration(answer.urn, request, _plain(request.object))
        return answer

    def RegisterResourceOutputs(self, request):  # noqa: N802 the protocol's name
        """Keep the outputs."""
        assert request.urn not in self.outputs, f"{request.urn} has outputs twice"
        self.outputs[request.urn] = _plain(request.outputs)
        return super().RegisterResourceOutputs(request)

    def all(self, type_: str = "") -> list[Registration]:
        """Everything registered whose type token ends so, in order."""
        return [item for item in self.registered.values() if item.type.endswith(type_)]

    def one(self, type_: str) -> Registration:
        """The only registration whose type token ends so."""
        (found,) = self.all(type_)
        return found

    def outputs_of(self, name: str) -> dict[str, Any]:
        """The outputs that a component registered."""
        (found,) = [outputs for urn, outputs in self.outputs.items() if name_of(urn) == name]
        return found

    def normal(self) -> list[tuple[str, bytes]]:
        """Everything registered, comparable between runs."""
        return sorted((urn, item.normal()) for urn, item in self.registered.items())


def run(program: Callable[[], Any], cloud: Cloud | None = None) -> Monitor:
    """Run a program against a fresh monitor. What the program raises is raised here."""
    cloud = cloud or Cloud()
    monitor = Monitor(cloud)
    # Of a refused program the SDK leaves futures behind; each would print its traceback when the process ends.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    asyncio.set_event_loop(LOOP)  # tests that ran one of their own have left none
    pulumi.runtime.set_mocks(cloud, project=PROJECT, stack=STACK, preview=cloud.preview, monitor=monitor)
    pulumi.runtime.test(lambda: program() and None)()
    return monitor


def unknown() -> pulumi.Output[Any]:
    """An output that is not known yet. To be made inside a program."""

    def done(value: Any) -> "asyncio.Future[Any]":
        future = LOOP.create_future()
        future.set_result(value)
        return future

    return pulumi.Output(set(), done(rpc.UNKNOWN), done(value=False), done(value=False))


def name_of(urn: str) -> str:
    """The logical name in a URN."""
    return urn.rsplit("::", 1)[-1]


def _plain(struct: Any) -> Any:
    return {key: _value(value) for key, value in struct.fields.items()}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        mark = fields[rpc._special_sig_key].string_value if rpc._special_sig_key in fields else ""
        if mark == rpc._special_secret_sig:
            return Secret(_value(fields["value"]))
        if mark == rpc._special_output_value_sig:
            known = _value(fields["value"]) if "value" in fields else UNKNOWN
            return Secret(known) if fields["secret"].bool_value else known
        return _plain(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    if kind == "string_value":
        return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
    return None if kind == "null_value" else getattr(value, kind)
