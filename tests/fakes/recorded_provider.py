"""A resource plugin that answers as a recording of the Pulumi CLI says, and remembers what it was asked."""

import json
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf import empty_pb2, json_format
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

PASSING = {"randomSeed", "engineAddress", "rootDirectory", "programDirectory"}
_OUR_HANDSHAKE = {"supportsViews", "supportsRefreshBeforeUpdate", "acceptsByteString"}
_METHODS = provider_pb2.DESCRIPTOR.services_by_name["ResourceProvider"].methods


def read_trace(path: Path) -> list[dict]:
    """Read the calls of one recording."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def comparable(request: dict) -> dict:
    """Drop what differs between any two runs, and abilities that this engine does not claim."""
    return {key: value for key, value in request.items() if key not in PASSING | _OUR_HANDSHAKE}


class RecordedProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers each method and URN in recorded order."""

    def __init__(self, calls: list[dict]):
        self.recorded, self.asked = defaultdict(list), defaultdict(list)
        self._answers = defaultdict(deque)
        self.order: list[tuple[str, str]] = []
        for call in calls:
            service, method = call["method"].split("/")
            if service != "ResourceProvider":
                continue
            urn = call["request"].get("urn", "")
            self.recorded[urn].append((method, comparable(call["request"])))
            self._answers[method, urn].append(call)

    def serve(self):
        """Start a server; returns it and its port."""
        server = grpc.server(ThreadPoolExecutor(max_workers=8))
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return server, port


def _handler(method):
    name = method.output_type.name
    answer_type = getattr(provider_pb2, name, None) or getattr(plugin_pb2, name, None) or empty_pb2.Empty

    def handle(self, request, context):
        message = json_format.MessageToDict(request)
        urn = message.get("urn", "")
        self.asked[urn].append((method.name, comparable(message)))
        self.order.append((method.name, urn))
        answers = self._answers[method.name, urn]
        if not answers:
            context.abort(grpc.StatusCode.INTERNAL, f"{method.name} of {urn!r} was never recorded")
        call = answers.popleft()
        if call.get("errors"):
            code, _, details = call["errors"][0].removeprefix("rpc error: code = ").partition(" desc = ")
            context.abort(grpc.StatusCode[code.upper()], details)
        return json_format.ParseDict(call["response"] or {}, answer_type())

    return handle


for _method in _METHODS:
    setattr(RecordedProvider, _method.name, _handler(_method))
