"""The components as a package for other languages: the real plugin process, driven as the Pulumi CLI drives it."""

import json
import subprocess
import sys

import grpc
import pytest
from fakes.pulumi_engine import UNKNOWN, Served
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import errors_pb2, provider_pb2, provider_pb2_grpc, status_pb2

from pulumi_plinth.hosting import COMPONENTS, PlinthProvider

WAIT_SECONDS = 40


@pytest.fixture(scope="module")
def schema(project_root):
    """The schema that is committed."""
    return json.loads((project_root / "plugin/schema.json").read_text())


@pytest.fixture(scope="module")
def plugin(project_root):
    """The running plugin and what it speaks to; `construct(type, name, inputs)` asks for a component."""
    with Served() as served:
        command = [sys.executable, str(project_root / "plugin"), served.address]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with process, grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            served.stub = provider_pb2_grpc.ResourceProviderStub(channel)
            served.construct = lambda kind, name, inputs: _construct(served, kind, name, inputs)
            yield served
            process.terminate()


def _construct(served, kind, name, inputs):
    given = struct_pb2.Struct()
    json_format.ParseDict(inputs, given)
    served.monitor.registered.clear()
    request = provider_pb2.ConstructRequest(
        project="box", stack="dev", dryRun=True, parallel=4, monitorEndpoint=served.address,
        type=f"plinth:index:{kind}", name=name, inputs=given,
    )  # fmt: skip
    return served.stub.Construct(request, timeout=WAIT_SECONDS)


def faults(refused):
    """The properties and reasons of a refused request."""
    for key, value in refused.trailing_metadata():
        if key == "grpc-status-details-bin":
            (detail,) = status_pb2.Status.FromString(value).details
            found = errors_pb2.InputPropertiesError()
            assert detail.Unpack(found)
            return {each.property_path: each.reason for each in found.errors}
    raise AssertionError("the refusal names no property")


def test_behaviour_22_the_committed_schema_is_what_is_inferred(schema):
    """A property that is removed, added or retyped fails here; `make docs` writes it anew."""
    assert json.loads(PlinthProvider().schema) == schema
    assert set(schema["resources"]) == {f"plinth:index:{component.__name__}" for component in COMPONENTS}


def test_every_property_is_described(schema):
    """People of other languages read the schema only."""
    described = {**schema["types"], **schema["resources"]}
    silent = [
        f"{kind}.{name}"
        for kind, found in described.items()
        for name, item in {**found.get("inputProperties", {}), **found.get("properties", {})}.items()
        if kind in schema["types"] or name in found.get("inputProperties", {})
        if not item.get("description")
    ]
    assert silent == []


@pytest.mark.processes
def test_the_plugin_tells_its_schema(plugin, schema):
    """As `pulumi package add` asks for it."""
    answer = plugin.stub.GetSchema(provider_pb2.GetSchemaRequest(), timeout=WAIT_SECONDS)
    assert json.loads(answer.schema) == schema


@pytest.mark.processes
def test_a_bucket_in_a_preview_with_ids_that_are_not_known(plugin):
    """It registers its children; what depends on an unknown id is unknown, and nothing fails."""
    oci = {"compartmentId": UNKNOWN, "region": "us-chicago-1", "namespace": "acme"}
    answer = plugin.construct("ModelStore", "weights", {"kind": "bucket", "bucket": "models", "oci": oci})
    assert answer.urn.endswith("plinth:index:ModelStore::weights")
    (bucket,) = plugin.monitor.of("oci:ObjectStorage/bucket:Bucket")
    assert (bucket["compartmentId"], bucket["name"], bucket["accessType"]) == (UNKNOWN, "models", "NoPublicAccess")
    assert set(json_format.MessageToDict(answer.state)) >= {"location", "uris"}


@pytest.mark.processes
def test_a_whole_stack(plugin, tmp_path):
    """`stack` is what a stack file says, numbers from other languages included."""
    (tmp_path / "models").mkdir()
    stack = {"stores": {"models": {"kind": "folder", "path": "models"}}}
    answer = plugin.construct("Platform", "all", {"stack": stack, "root": str(tmp_path)})
    assert json_format.MessageToDict(answer.state)["endpoints"] == {}
    (store,) = [name for kind, name, _ in plugin.monitor.registered if kind == "plinth:index:ModelStore"]
    assert store == "all-store-models"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("kind", "inputs", "refused"),
    [
        ("ModelStore", {"kind": "folder"}, {"path": "is missing"}),
        ("Platform", {}, {"stack": "Missing required input"}),
        (
            "Platform",
            {"stack": {"stores": {"a": {"kind": "shelf"}}, "deployments": {"b": {"model": "nothing"}}}},
            {"stack.stores.a.kind": "is not known here", "stack.deployments.b.model": "nothing"},
        ),
        ("Platform", {"stack": {"stores": {"a": {"path": UNKNOWN}}}}, {"stack.stores.a.path": "as a plain value"}),
    ],
)
def test_what_is_refused_is_refused_at_its_property(plugin, kind, inputs, refused):
    """INVALID_ARGUMENT with every path at once, and nothing is registered."""
    with pytest.raises(grpc.RpcError) as caught:
        plugin.construct(kind, "wrong", inputs)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    found = faults(caught.value)
    assert found.keys() == refused.keys()
    assert all(reason in found[path] for path, reason in refused.items()), found
    assert plugin.monitor.registered == []
