"""The provider's stand-in, asked what the real one was asked in a recording, answers the same on a real API server."""

import json
import re
from pathlib import Path

import pytest
from fakes.kubernetes_provider import Kubernetes
from fakes.recorded_provider import read_trace
from google.protobuf import json_format
from pulumi.runtime.proto import provider_pb2

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

TRACES = Path(__file__).parents[1] / "embedded" / "traces"
KIND = "crd/things.example.dev"
REQUESTS = {"Check": "CheckRequest", "Diff": "DiffRequest", "Create": "CreateRequest", "Update": "UpdateRequest"}
VARYING = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "time",
    "__fieldManager",
    "manager",
    "managedFields",
    "status",
}
"""What differs between any two clusters, or comes a moment later."""


class Refused(Exception):  # noqa: N818 - what it is
    """A gRPC context's abort."""


class Context:
    """A gRPC context."""

    def abort(self, code, details):
        """End the call."""
        raise Refused(f"{code}: {details}")


def comparable(value):
    """An answer without what varies; the real one says some names of schemas as Python would."""
    if isinstance(value, dict):
        known = {key.replace("x_kubernetes_preserve_unknown_fields", "x-kubernetes-preserve-unknown-fields"): item
                 for key, item in value.items() if key not in VARYING}  # fmt: skip
        return {key: comparable(item) for key, item in known.items()}
    return [comparable(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def provider(cluster):
    """The stand-in, configured for the test cluster; what the recording makes is gone when the test ends."""
    made = Kubernetes()
    variables = {"kubernetes:config:kubeconfig": cluster.kubeconfig.read_text()}
    made.Configure(provider_pb2.ConfigureRequest(variables=variables), Context())
    yield made
    made.close()
    for name in (
        "deployment/web",
        "secret/keys",
        "configmap/launch-one",
        "configmap/launch-two",
        "crd/things.example.dev",
    ):
        cluster.kubectl("delete", name, "-n", "default", "--ignore-not-found", "--wait=false")


def test_the_recorded_answers(provider):
    """Check, Diff, Create and Update of a whole life, from the first preview to the replaced launch file."""
    managers, compared = {}, 0
    for file in ("20-k8s-preview", "21-k8s-create", "22-k8s-nochange", "23-k8s-replace-configmap"):
        for call in read_trace(TRACES / f"{file}.jsonl"):
            service, method = call["method"].split("/")
            if service != "ResourceProvider" or method not in REQUESTS or "Thing" in call["request"].get("type", ""):
                continue  # things need the kind that is made here, and a moment
            text = re.sub(r"pulumi-kubernetes-\w{8}", lambda m: managers.get(m[0], m[0]), json.dumps(call["request"]))
            request = json_format.Parse(text, getattr(provider_pb2, REQUESTS[method])(), ignore_unknown_fields=True)
            answer = json_format.MessageToDict(getattr(provider, method)(request, Context()))
            if method == "Create" and "id" in answer:
                recorded = call["response"]["properties"]["__fieldManager"]
                managers[recorded] = answer["properties"]["__fieldManager"]
            assert comparable(answer) == comparable(call["response"]), f"{file} {method} {request.urn}"
            compared += 1
    assert compared > 30
