"""What a component plugin speaks to: an engine that listens, and a monitor that keeps what is registered.

Both answer over gRPC as the Pulumi CLI does, and perform nothing. What a cloud makes is unknown while `preview`.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import engine_pb2_grpc, resource_pb2, resource_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN


class Engine(engine_pb2_grpc.EngineServicer):
    """Keeps messages."""

    def __init__(self):
        self.messages = []

    def Log(self, request, context):  # noqa: N802 the protocol's name
        """Keep a message."""
        self.messages.append(request.message)
        return empty_pb2.Empty()


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Keeps registrations as (type, name, inputs)."""

    def __init__(self):
        self.registered, self.outputs, self.preview = [], {}, True

    def SupportsFeature(self, request, context):  # noqa: N802 the protocol's name
        """Secrets, output values and resource references."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def GetDeploymentInfo(self, request, context):  # noqa: N802 the protocol's name
        """Tell what is asked of the monitor."""
        return resource_pb2.DeploymentInfo(project="box", stack="dev", organization="organization", dryRun=self.preview)

    def RegisterResource(self, request, context):  # noqa: N802 the protocol's name
        """Keep it; the inputs are the outputs, and an id is unknown in a preview."""
        inputs = json_format.MessageToDict(request.object)
        self.registered.append((request.type, request.name, inputs))
        urn = f"urn:pulumi:dev::box::{request.type}::{request.name}"
        made = f"{request.name}-id" if request.custom and not self.preview else ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=made, object=request.object)

    def RegisterResourceOutputs(self, request, context):  # noqa: N802 the protocol's name
        """Keep a component's outputs."""
        self.outputs[request.urn] = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request, context):  # noqa: N802 the protocol's name
        """Answer nothing that a component could know in a preview."""
        return resource_pb2.ResourceInvokeResponse()

    def RegisterPackage(self, request, context):  # noqa: N802 the protocol's name
        """Know every package."""
        return resource_pb2.RegisterPackageResponse(ref=request.name)

    def of(self, kind):
        """Inputs of the registrations of a type."""
        return [json.loads(json.dumps(inputs)) for found, _, inputs in self.registered if found == kind]


class Served:
    """Both services on one address, as a context."""

    def __init__(self):
        self.engine, self.monitor = Engine(), Monitor()

    def __enter__(self):
        self.server = grpc.server(ThreadPoolExecutor(max_workers=16))
        engine_pb2_grpc.add_EngineServicer_to_server(self.engine, self.server)
        resource_pb2_grpc.add_ResourceMonitorServicer_to_server(self.monitor, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()
        return self

    def __exit__(self, *problem):
        self.server.stop(0).wait()


__all__ = ["UNKNOWN", "Engine", "Monitor", "Served"]
