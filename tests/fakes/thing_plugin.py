"""A resource plugin for package `thing`, spoken to as the engine speaks to any: `thing_plugin.py LOG ENGINE`.

It keeps no things: ids count up. Property `fault` of a thing makes its create fail, half-succeed or never return.
"""
# ruff: noqa: D102 - the protocol names and explains its methods

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

OUTSIDE = {"thing-outside": {"kind": "wide"}}
"""Things that nobody created here, and their inputs."""


class Thing(provider_pb2_grpc.ResourceProviderServicer):
    """Accepts secrets and previews; replaces a thing when its `kind` changes."""

    def __init__(self, log: Path):
        self._log, self._count, self._lock = log, 0, threading.Lock()

    def _note(self, method, request):
        with self._lock, self._log.open("a") as file:
            file.write(json.dumps([method, json_format.MessageToDict(request)]) + "\n")

    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version="1.2.3")

    def CheckConfig(self, request, context):  # noqa: N802
        self._note("CheckConfig", request)
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        changed = request.olds != request.news
        replaces = ["region"] if request.olds.fields.get("region") != request.news.fields.get("region") else []
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, replaces=replaces)

    def Configure(self, request, context):  # noqa: N802
        self._note("Configure", request)
        print("the thing plugin is configured", flush=True)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request, context):  # noqa: N802
        if not request.news.fields.get("kind"):
            failure = provider_pb2.CheckFailure(property="kind", reason="is required")
            return provider_pb2.CheckResponse(failures=[failure])
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request, context):  # noqa: N802
        self._note("Diff", request)
        keys = {*request.old_inputs.fields, *request.news.fields}
        changed = [k for k in keys if request.old_inputs.fields.get(k) != request.news.fields.get(k)]
        kinds = provider_pb2.PropertyDiff
        detailed = {k: kinds(kind=kinds.UPDATE_REPLACE if k == "kind" else kinds.UPDATE) for k in changed}
        kind = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        replaces = [k for k in changed if k == "kind"]
        return provider_pb2.DiffResponse(changes=kind, replaces=replaces, detailedDiff=detailed, hasDetailedDiff=True)

    def Create(self, request, context):  # noqa: N802
        self._note("Create", request)
        outputs = struct_pb2.Struct()
        outputs.CopyFrom(request.properties)
        fault = request.properties.fields.get("fault", struct_pb2.Value()).string_value
        if request.preview:
            return provider_pb2.CreateResponse(properties=outputs)
        if fault == "forever":
            time.sleep(60)
        with self._lock:
            self._count += 1
            outputs["serial"] = self._count
        outputs["token"] = "s3same"
        if fault == "half":
            _half(context, outputs)
        return provider_pb2.CreateResponse(id=f"thing-{self._count}", properties=outputs)

    def Update(self, request, context):  # noqa: N802
        self._note("Update", request)
        return provider_pb2.UpdateResponse(properties=request.news)

    def Delete(self, request, context):  # noqa: N802
        self._note("Delete", request)
        return empty_pb2.Empty()

    def Read(self, request, context):  # noqa: N802
        if request.properties.fields:
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        if request.id not in OUTSIDE:
            return provider_pb2.ReadResponse()
        inputs, outputs = struct_pb2.Struct(), struct_pb2.Struct()
        inputs.update(OUTSIDE[request.id])
        outputs.update(OUTSIDE[request.id] | {"serial": 77, "token": "s3same"})
        return provider_pb2.ReadResponse(id=request.id, properties=outputs, inputs=inputs)

    def Invoke(self, request, context):  # noqa: N802
        self._note("Invoke", request)
        return provider_pb2.InvokeResponse(**{"return": request.args})

    def Cancel(self, request, context):  # noqa: N802
        return empty_pb2.Empty()


def _half(context, outputs):
    detail = any_pb2.Any()
    detail.Pack(provider_pb2.ErrorResourceInitFailed(id="thing-half", properties=outputs, reasons=["still pending"]))
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="half", details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, "half")


def main(log: str) -> None:
    """Serve until killed."""
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Thing(Path(log)), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


main(sys.argv[1])
