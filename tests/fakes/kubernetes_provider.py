"""Stands in for the plugin `pulumi-resource-kubernetes` where it cannot be downloaded: `kubernetes_provider.py ENGINE`.

It does what pulumi-kubernetes documents, and says what the recordings of the real one say: server-side apply to a real
API server, dry-run in previews, readiness awaited with reasons, replacement where Kubernetes refuses a change. What it
does not do it refuses by name.
"""
# ruff: noqa: D102, N802 - the protocol names and explains its methods

import base64
import json
import secrets
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from fakes.kubernetes_api import Api, ApiError, wait
from fakes.kubernetes_diff import changes, replacing
from fakes.kubernetes_objects import inputs_of, keep_ignored, live_inputs, without_status
from fakes.kubernetes_readiness import NeverReadyError, reasons
from fakes.kubernetes_values import is_unknown, marked, plain, read, write
from google.protobuf import any_pb2, empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

VERSION = version("pulumi-kubernetes")
WAIT_SECONDS = 600
"""As long as the real one waits, unless the resource says otherwise."""
SETTINGS = {"kubeconfig", "context", "namespace", "enableServerSideApply", "clusterIdentifier", "deleteUnreachable"}
SKIP, SECONDS, FORCE = "pulumi.com/skipAwait", "pulumi.com/timeoutSeconds", "pulumi.com/patchForce"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"
NOT_DONE = ("pulumi.com/waitFor",)
AUTONAMED = "pulumi.com/autonamed"


class Kubernetes(provider_pb2_grpc.ResourceProviderServicer):
    """One configured provider."""

    def __init__(self):
        self._api, self._namespace, self._stopped = None, "default", threading.Event()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=VERSION)

    def CheckConfig(self, request, context):
        wrong = sorted({*plain(read(request.news))} - SETTINGS - {"version", "pluginDownloadURL"})
        said = "the stand-in of pulumi-kubernetes does not do this"
        failures = [provider_pb2.CheckFailure(property=name, reason=said) for name in wrong]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request, context):
        old, new = (plain(read(struct)) for struct in (request.old_inputs, request.news))
        same = old.get("clusterIdentifier") and old.get("clusterIdentifier") == new.get("clusterIdentifier")
        replaces = [] if same else [key for key in ("kubeconfig", "context") if _server(old) != _server(new)][:1]
        kind = provider_pb2.DiffResponse.DIFF_SOME if changes(old, new) else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=kind, replaces=replaces)

    def Configure(self, request, context):
        settings = {key.rpartition(":")[2]: value for key, value in request.variables.items()}
        if not settings.get("kubeconfig"):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the stand-in needs `kubeconfig:`")
        with _refusals(context):
            self._api = Api(settings["kubeconfig"], settings.get("context"))
        self._namespace = settings.get("namespace") or self._api.namespace
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request, context):
        news, olds = read(request.news), plain(read(request.olds))
        content = plain(news)
        failures = [
            provider_pb2.CheckFailure(property=f'metadata.annotations["{name}"]', reason="the stand-in cannot do this")
            for name in NOT_DONE
            if name in _annotations(content)
        ]
        if request.type.endswith("Patch") and not content["kind"].endswith("Patch"):
            failures.append(provider_pb2.CheckFailure(reason="the stand-in does no Patch resources"))
        if "metadata" in content and not isinstance(content["metadata"], dict):
            return provider_pb2.CheckResponse(inputs=request.news, failures=failures)
        with _refusals(context):
            kind = self._api.kind(content["apiVersion"], content["kind"])
        metadata = self._named(content.get("metadata", {}), olds.get("metadata", {}), request)
        if kind is None or kind.namespaced:
            metadata.setdefault("namespace", self._namespace)
        return provider_pb2.CheckResponse(inputs=write(inputs_of(news, metadata)), failures=failures)

    def _named(self, metadata, old, request):
        """The metadata with a name: the one given, the one before, or a new one from the engine's seed."""
        if "name" in metadata:
            return metadata
        mark = {AUTONAMED: "true"}
        annotations = {**metadata.get("annotations", {}), **mark}
        if _annotations({"metadata": old}).get(AUTONAMED) == "true":
            return metadata | {"name": old["name"], "annotations": annotations}
        ending = base64.b32encode(request.randomSeed)[:8].decode().lower()
        return metadata | {"name": f"{request.name}-{ending}", "annotations": annotations}

    def Diff(self, request, context):
        olds, news = read(request.old_inputs), read(request.news)
        before, after = plain(olds), plain(news)
        found = changes(before, after)
        replaces = replacing(found, after["apiVersion"], after["kind"])
        kinds = provider_pb2.PropertyDiff
        detailed = {
            path: kinds(kind=getattr(kinds, f"{kind}_REPLACE" if path in replaces else kind))
            for path, kind in found.items()
        }
        changed = provider_pb2.DiffResponse.DIFF_SOME if found else provider_pb2.DiffResponse.DIFF_NONE
        fixed = before["metadata"].get("name") == after["metadata"].get("name")
        same_place = before["metadata"].get("namespace") == after["metadata"].get("namespace")
        return provider_pb2.DiffResponse(
            changes=changed,
            replaces=replaces,
            detailedDiff=detailed,
            hasDetailedDiff=True,
            deleteBeforeReplace=bool(replaces) and fixed and same_place,
        )

    def Create(self, request, context):
        inputs = read(request.properties)
        content, manager = plain(inputs), f"pulumi-kubernetes-{secrets.token_hex(4)}"
        with _refusals(context):
            if request.preview:
                return provider_pb2.CreateResponse(properties=self._foreseen(inputs, manager))
            if self._api.kind(content["apiVersion"], content["kind"]) and self._api.get(content):
                name = content["metadata"]["name"]
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f'resource "{name}" already exists on the cluster')
            live = self._api.apply(content, manager, force=_forced(content))
            live = self._ready(live, inputs, manager, request.timeout, context)
        return provider_pb2.CreateResponse(id=_id(live), properties=_outputs(live, inputs, manager))

    def Update(self, request, context):
        inputs, olds = read(request.news), plain(read(request.olds))
        manager = olds["__fieldManager"]
        with _refusals(context):
            if is_unknown(inputs):
                return provider_pb2.UpdateResponse(properties=request.news)
            content = plain(inputs)
            if request.ignoreChanges:
                content = keep_ignored(content, self._api.get(content), manager, request.ignoreChanges)
            live = self._api.apply(content, manager, dry_run=request.preview, force=_forced(content))
            if not request.preview:
                live = self._ready(live, inputs, manager, request.timeout, context)
        return provider_pb2.UpdateResponse(properties=_outputs(live, inputs, manager))

    def Delete(self, request, context):
        content = plain(read(request.properties))
        policy = _annotations(content).get(PROPAGATION, "foreground").capitalize()
        gone = lambda: ["it is still there"] if self._api.get(content) else []  # noqa: E731
        with _refusals(context):
            if self._api.kind(content["apiVersion"], content["kind"]) is None:
                return empty_pb2.Empty()
            self._api.delete(content, policy)
            left = wait(gone, request.timeout or WAIT_SECONDS, self._stopped)
        if left and _annotations(content).get(SKIP) != "true":
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"{_id(content)} was not deleted in time")
        return empty_pb2.Empty()

    def Read(self, request, context):
        inputs, state = read(request.inputs), plain(read(request.properties))
        namespace, _, name = request.id.rpartition("/")
        api_version, _, kind = request.type.removeprefix("kubernetes:").rpartition(":")
        known = {"apiVersion": api_version.removeprefix("core/"), "kind": kind}
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        content = {key: state.get(key, value) for key, value in known.items()} | {"metadata": metadata}
        with _refusals(context):
            served = self._api.kind(content["apiVersion"], content["kind"])
            live = self._api.get(content) if served else None
        if live is None:
            return provider_pb2.ReadResponse()
        found = live_inputs(plain(inputs), live) if inputs.value else without_status(live)
        seen = marked(found, inputs)
        manager = state.get("__fieldManager", f"pulumi-kubernetes-{secrets.token_hex(4)}")
        return provider_pb2.ReadResponse(id=request.id, inputs=write(seen), properties=_outputs(live, seen, manager))

    def Cancel(self, request, context):
        self._stopped.set()
        return empty_pb2.Empty()

    def close(self):
        """End its connections, where it is no process of its own."""
        self._api.close()

    def _foreseen(self, inputs, manager):
        """The outputs that a create would have: by a dry run where everything is known and the cluster can say."""
        content = plain(inputs)
        if is_unknown(inputs) or self._api.kind(content["apiVersion"], content["kind"]) is None:
            return write(inputs)
        try:
            live = self._api.apply(content, manager, dry_run=True, force=True)
        except ApiError as error:
            if error.status == 404 and "namespaces" in error.message:  # one that this run makes first
                return write(inputs)
            if error.status != 422 or "immutable" not in error.message:
                raise
            # A replacement: the object that is in the way goes before this one comes.
            metadata = content["metadata"] | {"name": f"{content['metadata']['name'][:240]}-preview"}
            live = self._api.apply(content | {"metadata": metadata}, manager, dry_run=True)
            live["metadata"]["name"] = content["metadata"]["name"]
        return _outputs(live, inputs, manager)

    def _ready(self, live, inputs, manager, timeout, context):
        """The object as soon as it is ready; else the run fails with the reasons, and the object is kept."""
        annotations = _annotations(live)
        if annotations.get(SKIP) == "true":
            return live
        seconds = timeout or float(annotations.get(SECONDS, WAIT_SECONDS))
        latest = [live]

        def look():
            latest[0] = self._api.get(live) or latest[0]
            return reasons(self._api, latest[0])

        try:
            left = wait(look, seconds, self._stopped)
        except NeverReadyError as error:
            left = [str(error)]
        if left:
            _half_made(context, latest[0], inputs, manager, left)
        return latest[0]


class _refusals:  # noqa: N801 - reads as a statement
    """Turns what the API server refused into an error of the protocol."""

    def __init__(self, context):
        self._context = context

    def __enter__(self):
        return self

    def __exit__(self, _type, error, _trace):
        if isinstance(error, ApiError):
            conflict = "Server-side apply field conflict detected: " if error.status == 409 else ""
            self._context.abort(grpc.StatusCode.UNKNOWN, f"{conflict}{error.message}")


def _half_made(context, live, inputs, manager, left):
    """Say that the object exists, what it is, and why it is not ready."""
    words = f"{_id(live)} was created, but did not become live: {'; '.join(left)}"
    failed = provider_pb2.ErrorResourceInitFailed(
        id=_id(live), properties=_outputs(live, inputs, manager), reasons=left, inputs=write(inputs)
    )
    detail = any_pb2.Any()
    detail.Pack(failed)
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=words, details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, words)


def _outputs(live, inputs, manager):
    """What the state keeps: the live object, and under two underscores what the provider needs of itself."""
    own = {"__fieldManager": manager, "__initialApiVersion": live["apiVersion"]}
    made = marked({**live, **own}, inputs)
    return write(made.with_value({**made.value, "__inputs": inputs}))


def _id(content):
    metadata = content["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]


def _annotations(content):
    return content.get("metadata", {}).get("annotations") or {}


def _forced(content):
    return _annotations(content).get(FORCE) == "true"


def _server(settings):
    return json.dumps([settings.get("kubeconfig"), settings.get("context")])


def main():
    """Serve until killed."""
    server = grpc.server(ThreadPoolExecutor(max_workers=64))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Kubernetes(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(main())
