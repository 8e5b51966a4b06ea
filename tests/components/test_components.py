"""What the components register with Pulumi, seen at the monitor: names, parents, options, secrets, unknowns."""

import dataclasses
from types import SimpleNamespace

import pulumi
import pytest
from pulumi.runtime import mocks

from pulumi_plinth.deployment.component import ModelDeployment
from pulumi_plinth.errors import SpecError
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.platform import Platform
from pulumi_plinth.stack import StackSpec
from pulumi_plinth.store.args import args_of
from pulumi_plinth.store.component import ModelStore

KEY = "k-very-secret-k"


class World(mocks.Mocks):
    """Gives a server its outputs, as the provider would; at preview nothing is known."""

    def __init__(self, *, preview):
        self.preview = preview

    def new_resource(self, args):
        """Answer a registration."""
        if self.preview:
            return "", args.inputs
        return f"{args.name}-id", {**args.inputs, "pid": 7, "key": KEY}

    def call(self, _args):
        """No functions are called."""
        return {}


class Recorder(mocks.MockMonitor):
    """A monitor that keeps every request."""

    def __init__(self, world):
        super().__init__(world)
        self.requests = {}
        self.outputs = {}

    def RegisterResource(self, request):  # noqa: N802 the protocol's name
        """Keep the request and answer."""
        answer = super().RegisterResource(request)
        assert answer.urn not in self.requests, f"{answer.urn} is registered twice"
        if request.type != "pulumi:pulumi:Stack":
            self.requests[answer.urn] = request
        return answer

    def RegisterResourceOutputs(self, request):  # noqa: N802 the protocol's name
        """Keep the outputs."""
        assert request.urn not in self.outputs, f"{request.urn} has outputs twice"
        self.outputs[request.urn] = request.outputs
        return super().RegisterResourceOutputs(request)


def build(program, *, preview=False):
    """Run a program against a fresh monitor and return what it registered."""
    monitor = Recorder(World(preview=preview))
    pulumi.runtime.set_mocks(World(preview=preview), project="plinth", stack="test", preview=preview, monitor=monitor)
    pulumi.runtime.test(program)()
    return monitor


@pytest.fixture
def plan(document, facts):
    """A stack with two deployments."""
    document["deployments"]["second"] = {"model": "tiny", "port": 18001}
    return plan_stack(StackSpec.parse(document), facts)


def normal(monitor):
    """Registrations as comparable bytes, independent of order and of where in the source they stand."""
    found = []
    for urn, request in monitor.requests.items():
        copy = type(request)()
        copy.CopyFrom(request)
        copy.ClearField("sourcePosition")
        copy.ClearField("stackTrace")
        found.append((urn, copy.SerializeToString(deterministic=True)))
    return sorted(found)


def test_every_resource_belongs_to_a_component_of_ours(plan):
    """Type tokens are plinth:index:…, every server has one as ancestor, names start with the parent's and differ."""
    monitor = build(lambda: Platform("p", plan) and None)
    kinds = {request.name: request.type for request in monitor.requests.values()}
    assert kinds == {
        "p": "plinth:index:Platform",
        "p-store-disk": "plinth:index:ModelStore",
        "p-chat": "plinth:index:ModelDeployment",
        "p-second": "plinth:index:ModelDeployment",
        "p-chat-server": "pulumi-python:dynamic/local:LocalServer",
        "p-second-server": "pulumi-python:dynamic/local:LocalServer",
    }
    for request in monitor.requests.values():
        if request.name != "p":
            parent = request.parent.rsplit("::", 1)[1]
            assert request.name.startswith(f"{parent}-")


def test_outputs_are_registered_once_and_the_key_is_secret(plan):
    """Each component registers its public outputs; the key carries the secret mark, everything else is plain."""
    monitor = build(lambda: Platform("p", plan) and None)
    outputs = {urn.rsplit("::", 1)[1]: value for urn, value in monitor.outputs.items()}
    assert set(outputs) == {"p", "p-store-disk", "p-chat", "p-second"}
    assert set(outputs["p-chat"].fields) == {"endpoint", "management", "pid", "key"}
    assert set(outputs["p"].fields) == {"endpoints", "management", "keys", "totals"}
    for value in (outputs["p-chat"]["key"], outputs["p"]["keys"]):
        assert value[pulumi.runtime.rpc._special_sig_key] == pulumi.runtime.rpc._special_secret_sig
    server = next(request for request in monitor.requests.values() if request.name == "p-chat-server")
    assert list(server.additionalSecretOutputs) == ["key"]


def test_no_input_carries_a_key(plan):
    """What is registered as an input never holds a key: it is made by the server's own creation."""
    monitor = build(lambda: Platform("p", plan) and None)
    assert all(KEY not in str(request.object) for request in monitor.requests.values())


def test_two_instances_of_each_component_live_in_one_program(plan):
    """No URN is registered twice."""

    def program():
        Platform("one", plan)
        Platform("two", plan)
        for name in ("a", "b"):
            store = ModelStore(f"{name}-store", args_of(plan.stores[0]))
            ModelDeployment(f"{name}-chat", plan.deployments[0], store.location)

    assert len(build(program).requests) == 2 * 6 + 2 * 3


def test_the_same_input_twice_gives_the_same_bytes(plan):
    """Nothing random, nothing of the clock, nothing of the order."""
    runs = [normal(build(lambda: Platform("p", plan) and None)) for _ in range(2)]
    assert runs[0] == runs[1]


def test_preview_works_when_nothing_is_known(plan):
    """With unknown inputs and outputs everything constructs, and the outputs are unknown, not None."""
    seen = []

    def program():
        unknown = pulumi.Output(set(), _future(pulumi.runtime.rpc.UNKNOWN), _future(value=False), _future(value=False))
        deployment = ModelDeployment("chat", plan.deployments[0], unknown)
        deployment.pid.apply(seen.append)
        deployment.key.apply(seen.append)
        return deployment.pid.is_known()

    monitor = build(program, preview=True)
    assert seen == []
    server = next(request for request in monitor.requests.values() if request.name == "chat-server")
    assert server.object["store"] == pulumi.runtime.rpc.UNKNOWN


def _future(value):
    import asyncio

    future = asyncio.get_event_loop().create_future()
    future.set_result(value)
    return future


def test_options_reach_the_server(plan):
    """Protection and aliases given to a component hold for what it makes."""
    options = pulumi.ResourceOptions(protect=True)
    monitor = build(lambda: Platform("p", plan, options) and None)
    assert all(request.protect for request in monitor.requests.values())


def test_an_open_deployment_still_registers(document, facts):
    """Open to all is a plan like any other."""
    document["deployments"]["chat"]["open"] = True
    plan = plan_stack(StackSpec.parse(document), facts)
    assert len(build(lambda: Platform("p", plan) and None).requests) == 4


def test_what_is_only_planned_registers_nothing(plan):
    """A platform with a deployment on GPUs is refused before its first resource."""
    other = dataclasses.replace(plan, kubernetes=(SimpleNamespace(name="large"),))

    def program():
        with pytest.raises(SpecError, match=r"deployments\.large\.target"):
            Platform("p", other)

    assert build(program).requests == {}


def test_a_preview_says_a_line_for_each_deployment(plan, monkeypatch):
    """What is planned is in the log of a preview, and only there."""
    said = []
    monkeypatch.setattr(pulumi.log, "info", lambda text, **_: said.append(text))
    build(lambda: Platform("p", plan) and None)
    assert said == []
    build(lambda: Platform("p", plan) and None, preview=True)
    assert [line.partition(":")[0] for line in said] == ["chat", "second"]
    assert all("8,192 tokens of context" in line for line in said)


def test_a_store_says_where_it_is(tmp_path):
    """The location of a folder store is its path."""
    seen = []
    build(lambda: ModelStore("disk", {"path": str(tmp_path)}).location.apply(seen.append))
    assert seen == [str(tmp_path)]
