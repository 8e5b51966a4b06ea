"""The two gRPC services which a Pulumi program talks to: ResourceMonitor and Engine.

They translate messages and refuse by name what the engine does not do; decisions are made elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

from pulumi_plinth.embedded.deployment import Deployment, Stopped
from pulumi_plinth.embedded.errors import EmbeddedError, Unsupported
from pulumi_plinth.embedded.events import Diagnostic
from pulumi_plinth.embedded.provider import CHANNEL
from pulumi_plinth.embedded.providers import Providers
from pulumi_plinth.embedded.registration import Registrar, answer_outputs
from pulumi_plinth.embedded.requests import Request, Scope, read_existing, read_request
from pulumi_plinth.embedded.state import Resource
from pulumi_plinth.embedded.values import UNKNOWN, from_struct, to_struct

_WORKERS = 64
"""Registrations wait inside their call, so this bounds how many may wait at a time."""
_SEVERITIES = ("debug", "info", "warning", "error")
_FEATURES = [
    number
    for name, number in resource_pb2.ResourceMonitorFeature.items()
    # Without these the SDK sends what this engine understands; the rest is claimed so that we refuse it by name.
    if name.removeprefix("RESOURCE_MONITOR_FEATURE_")
    not in ("BYTE_STRING", "STATE_MIGRATIONS", "INVOKE_OUTPUT_VALUES", "CALL_OUTPUT_VALUES")
]
_LEGACY = {"secrets", "resourceReferences", "outputValues", "aliasSpecs", "deletedWith"}


class EngineService(engine_pb2_grpc.EngineServicer):
    """Log messages and the root resource."""

    def __init__(self, deployment: Callable[[], Deployment | None]) -> None:
        self._deployment, self._root = deployment, ""
        self.last_error = ""

    def Log(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 - the protocol's name and signature
        """Turn a message of the program or a plugin into an event."""
        deployment = self._deployment()
        severity = _SEVERITIES[request.severity]
        if severity == "error":
            self.last_error = request.message
        # After a failure the program only complains that its engine went away.
        if deployment and not (severity == "error" and deployment.stopped):
            deployment.emit(Diagnostic(severity, request.message.rstrip(), request.urn, request.ephemeral))
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Return the stack's URN, once it is known."""
        return engine_pb2.GetRootResourceResponse(urn=self._root)

    def SetRootResource(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Learn the stack's URN."""
        self._root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Accept any required version: the SDK in use is the version."""
        return engine_pb2.RequirePulumiVersionResponse()


class MonitorService(resource_pb2_grpc.ResourceMonitorServicer):
    """Registrations, outputs and function calls of the program."""

    def __init__(self, deployment: Deployment, registrar: Registrar, providers: Providers) -> None:
        self._deployment, self._registrar, self._providers = deployment, registrar, providers
        self.program_done, self.released = threading.Event(), threading.Event()
        run = deployment.run
        self._scope = Scope(run.stack, run.project.name, run.project.root)

    def _refuse(self, feature: str, where: str, context: Any, instead: str = "") -> NoReturn:
        with self._guarded(context):
            raise Unsupported(feature, where, *([instead] if instead else []))
        raise AssertionError("a refusal aborts the call")

    def _guarded(self, context: Any, urn: str = "") -> _Guarded:
        return _Guarded(self._deployment, context, urn)

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Tell the program about its run."""
        run = self._deployment.run
        return resource_pb2.DeploymentInfo(
            project=run.project.name,
            stack=run.stack,
            organization="organization",
            config=run.config.values,
            configSecretKeys=sorted(run.config.secret_keys),
            dryRun=run.dry_run,
            parallel=run.options.parallel,
            supportedFeatures=_FEATURES,
        )

    def SupportsFeature(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Answer older SDKs."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in _LEGACY)

    def RegisterResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Bring a resource into the state and answer with what it became."""
        with self._guarded(context, f"{request.type} '{request.name}'"):
            entry = self._registrar.register(read_request(request, self._scope))
            resource = entry.resource
            known_id = "" if resource.id == UNKNOWN and not resource.is_provider else resource.id
            outputs = answer_outputs(resource, secrets=request.acceptSecrets)
            return resource_pb2.RegisterResourceResponse(
                urn=resource.urn, id=known_id, object=to_struct(outputs, secrets=request.acceptSecrets)
            )

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Keep a component's outputs."""
        with self._guarded(context, request.urn):
            self._registrar.outputs(request.urn, from_struct(request.outputs))
            return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Call a provider's function."""
        with self._guarded(context, request.tok):
            if request.packageRef or request.tok.startswith("pulumi:pulumi:"):
                raise Unsupported("this function", request.tok)
            target = Resource("", custom=True, type=request.tok, provider=request.provider)
            wanted = Request(target, version=request.version, url=request.pluginDownloadURL)
            reference = self._registrar.provider_of(wanted)
            provider = self._providers.get(Resource(request.tok, custom=True, provider=reference))
            answer = provider.invoke(request.tok, from_struct(request.args))
            message = resource_pb2.ResourceInvokeResponse(failures=answer.failures)
            getattr(message, "return").CopyFrom(getattr(answer, "return"))
            return message

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Note that the program has registered all it has, and let it wait until the deployment is over."""
        self.program_done.set()
        self._deployment.wake.set()
        self.released.wait()
        return empty_pb2.Empty()

    def ReadResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Read a resource that others own, another stack's outputs included."""
        with self._guarded(context, f"{request.type} '{request.name}'"):
            resource = self._registrar.read(read_existing(request, self._scope)).resource
            properties = to_struct(
                answer_outputs(resource, secrets=request.acceptSecrets), secrets=request.acceptSecrets
            )
            return resource_pb2.ReadResourceResponse(urn=resource.urn, properties=properties)

    def ExistsResource(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        self._refuse("asking whether a resource exists", request.type, context)

    def Call(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        self._refuse("calling a method of a remote component", request.tok, context)

    def RegisterPackage(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        self._refuse("a parameterized package", f"package '{request.name}'", context)

    def RegisterStackTransform(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Refused."""
        self._refuse("a resource transform of the stack", "program", context)

    def RegisterStackInvokeTransform(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002
        """Refused."""
        self._refuse("an invoke transform of the stack", "program", context)

    def RegisterResourceHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        self._refuse("a resource hook", f"hook '{request.name}'", context)

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Refused."""
        self._refuse("an error hook", f"hook '{request.name}'", context)


class _Guarded:
    """Turns our errors into a recorded failure and an aborted call, upon which the SDK ends the program quietly."""

    def __init__(self, deployment: Deployment, context: Any, urn: str) -> None:
        self._deployment, self._context, self._urn = deployment, context, urn

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EmbeddedError):
            self._deployment.fail(error, self._urn if self._urn.startswith("urn:") else "")
        elif error is not None and not isinstance(error, Stopped):
            self._deployment.fail(EmbeddedError(f"{self._urn}: engine fault: {error!r}; please report it"))
        if error is not None:
            self._context.abort(grpc.StatusCode.UNAVAILABLE, "the deployment was stopped")


def serve(*services: Any) -> tuple[Any, str]:
    """Start a server for the given services on a free local port; returns it and its address."""
    server = grpc.server(ThreadPoolExecutor(max_workers=_WORKERS), options=CHANNEL)
    for service in services:
        if isinstance(service, EngineService):
            engine_pb2_grpc.add_EngineServicer_to_server(service, server)
        else:
            resource_pb2_grpc.add_ResourceMonitorServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"
