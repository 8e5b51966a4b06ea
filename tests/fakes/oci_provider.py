"""A stand-in for `pulumi-resource-oci`: `oci_provider.py FOLDER ENGINE`. Its cloud is the file cloud.json there.

The cloud outlives the process. It accepts what pulumi_oci's own argument types accept, and replaces where their
documentation does not say Updatable. What it shall do wrong stands in the cloud too (see `Cloud`), so that a test can
change it between two runs.
"""
# ruff: noqa: D102 - the protocol names and explains its methods

import contextlib
import fcntl
import importlib.util
import json
import re
import sys
import threading
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import grpc
from google.protobuf import any_pb2, empty_pb2, json_format, struct_pb2
from pulumi import _types
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support.provider_types import argument_faults, arguments_of

UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET_KEY = "4dabf18193072939515e22adb298388d"
OUT_OF_CAPACITY = "500-InternalError, Out of host capacity"
MESSAGES = {
    "capacity": OUT_OF_CAPACITY,
    "conflict": "409-IncorrectState, the resource is being changed by another request",
    "throttling": "429-TooManyRequests, tenancy request rate limit exceeded",
    "invisible": "404-NotAuthorizedOrNotFound, authorization failed or requested resource not found",
}


class Cloud:
    """Everything that is kept: resources by id, hosts by shape, images, faults to come, and what was asked.

    `faults` are {"type": end of the type token, "call": Create | Update | Delete, "kind": a key of MESSAGES or
    "partial", "times": how often}. `hosts` are how many nodes of a shape there are; none said means enough.
    `kubeconfig` is that of every cluster.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cloud.json"
        self._threads = threading.Lock()
        self.load()

    def load(self) -> None:
        """Read what there is now."""
        empty = {"resources": {}, "hosts": {}, "images": [], "faults": [], "log": [], "made": 0, "kubeconfig": ""}
        self.data = empty | (json.loads(self.path.read_text()) if self.path.exists() else {})

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the cloud: each provider of a program is a process of its own, and all have one cloud."""
        with self._threads, self.path.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.load()
            yield

    def save(self) -> None:
        """Write everything; a reader sees the old or the new."""
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.data, indent=1))
        part.replace(self.path)

    def change(self, **fields) -> None:
        """Change what the cloud has or shall do; for tests, while no plugin runs."""
        self.data |= fields
        self.save()

    def of(self, kind: str) -> dict[str, dict]:
        """The resources whose type ends so, by id."""
        return {key: item for key, item in self.data["resources"].items() if item["type"].endswith(kind)}

    def calls(self, *names: str) -> list[tuple[str, str]]:
        """What was asked, as (call, kind of resource), in order."""
        return [(call, kind) for call, kind in map(tuple, self.data["log"]) if not names or call in names]

    def fault(self, kind: str, call: str) -> str | None:
        """Take the next fault that is meant for a call."""
        for fault in self.data["faults"]:
            if kind.endswith(fault["type"]) and fault["call"] == call and fault.get("times", 1) > 0:
                fault["times"] = fault.get("times", 1) - 1
                return fault["kind"]
        return None

    def lacks(self, inputs: dict, own: str = "") -> bool:
        """Whether there are too few hosts for a pool beside all others."""
        shape = inputs.get("nodeShape")
        if shape not in self.data["hosts"]:
            return False
        used = sum(_size(item["inputs"]) for key, item in self.of(":NodePool").items()
                   if key != own and item["inputs"]["nodeShape"] == shape)  # fmt: skip
        return used + _size(inputs) > self.data["hosts"][shape]

    def user_of(self, key: str) -> str | None:
        """The type of a resource that refers to another."""
        return next((item["type"] for other, item in self.data["resources"].items()
                     if other != key and json.dumps(key) in json.dumps(item["inputs"])), None)  # fmt: skip


def _size(inputs: dict) -> int:
    return int(inputs["nodeConfigDetails"]["size"])


class Oci(provider_pb2_grpc.ResourceProviderServicer):
    """Speaks the protocol, one call after another."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    def GetPluginInfo(self, request, context):  # noqa: N802
        return plugin_pb2.PluginInfo(version="5.5.0")

    def CheckConfig(self, request, context):  # noqa: N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):  # noqa: N802
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):  # noqa: N802
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptResources=True)

    def Check(self, request, context):  # noqa: N802
        faults = argument_faults(request.type, _known(_plain(request.news)))
        found = [provider_pb2.CheckFailure(property=fault.split(".")[1].split()[0], reason=fault) for fault in faults]
        return provider_pb2.CheckResponse(inputs=request.news, failures=found)

    def Diff(self, request, context):  # noqa: N802
        old, new = _plain(request.old_inputs), _plain(request.news)
        kinds, detailed, replaces = provider_pb2.PropertyDiff, {}, []
        for path, fixed in _changes(arguments_of(request.type), old, new):
            detailed[path] = kinds(kind=kinds.UPDATE_REPLACE if fixed else kinds.UPDATE)
            replaces += [path] if fixed else []
        some = provider_pb2.DiffResponse.DIFF_SOME if detailed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=some, replaces=replaces, detailedDiff=detailed, hasDetailedDiff=True)

    def Create(self, request, context):  # noqa: N802
        inputs = _plain(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=request.properties)
        with self.cloud.alone():
            kind = self._begin("Create", request.type, context)
            if request.type.endswith(":NodePool") and self.cloud.lacks(inputs):
                context.abort(grpc.StatusCode.UNKNOWN, OUT_OF_CAPACITY)
            self.cloud.data["made"] += 1
            key = f"ocid1.{request.type.rsplit(':', 1)[1].lower()}.oc1..{self.cloud.data['made']}"
            outputs = inputs | {"state": "ACTIVE"}
            self.cloud.data["resources"][key] = {"type": request.type, "inputs": inputs, "outputs": outputs}
            self.cloud.save()
            if kind == "partial":
                _half(context, key, outputs)
            return provider_pb2.CreateResponse(id=key, properties=_struct(outputs))

    def Update(self, request, context):  # noqa: N802
        inputs = _plain(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=request.news)
        with self.cloud.alone():
            self._begin("Update", request.type, context)
            if request.type.endswith(":NodePool") and self.cloud.lacks(inputs, request.id):
                context.abort(grpc.StatusCode.UNKNOWN, OUT_OF_CAPACITY)
            outputs = inputs | {"state": "ACTIVE"}
            self.cloud.data["resources"][request.id] |= {"inputs": inputs, "outputs": outputs}
            self.cloud.save()
            return provider_pb2.UpdateResponse(properties=_struct(outputs))

    def Delete(self, request, context):  # noqa: N802
        with self.cloud.alone():
            self._begin("Delete", request.type, context)
            if user := self.cloud.user_of(request.id):
                context.abort(grpc.StatusCode.UNKNOWN, f"409-Conflict, {request.id} is in use by {user}")
            self.cloud.data["resources"].pop(request.id, None)
            self.cloud.save()
        return empty_pb2.Empty()

    def Read(self, request, context):  # noqa: N802
        with self.cloud.alone():
            found = self.cloud.data["resources"].get(request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id, properties=_struct(found["outputs"]), inputs=_struct(found["inputs"])
        )

    def Invoke(self, request, context):  # noqa: N802
        answer = FUNCTIONS.get(request.tok)
        if answer is None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"the stand-in has no function {request.tok}")
        with self.cloud.alone():
            self.cloud.data["log"].append(["Invoke", request.tok.rsplit(":", 1)[1]])
            self.cloud.save()
            return provider_pb2.InvokeResponse(**{"return": _struct(answer(self.cloud, _plain(request.args)))})

    def Cancel(self, request, context):  # noqa: N802
        return empty_pb2.Empty()

    def _begin(self, call, type_, context):
        """Write the call down; fail where it shall. Returns the kind of a fault that does not end it."""
        self.cloud.data["log"].append([call, type_.rsplit(":", 1)[1]])
        fault = self.cloud.fault(type_, call)
        self.cloud.save()
        if fault in MESSAGES:
            context.abort(grpc.StatusCode.UNKNOWN, MESSAGES[fault])
        return fault


def _node_pool_option(cloud: Cloud, args: dict) -> dict:
    sources = [{"imageId": name, "sourceName": name, "sourceType": "IMAGE"} for name in cloud.data["images"]]
    return {"id": "option", "images": [], "kubernetesVersions": [], "shapes": [], "sources": sources} | {
        "nodePoolOptionId": args["nodePoolOptionId"]
    }


def _services(_: Cloud, args: dict) -> dict:
    service = {"id": "ocid1.service.all", "cidrBlock": "all-services", "name": "All services", "description": ""}
    return {"id": "services", "services": [service], **args}


def _availability_domains(_: Cloud, args: dict) -> dict:
    found = [{"name": f"Uocm:AD-{number}", "id": f"ad-{number}", "compartmentId": ""} for number in (1, 2, 3)]
    return {"id": "domains", "availabilityDomains": found, **args}


FUNCTIONS = {
    "oci:ContainerEngine/getNodePoolOption:getNodePoolOption": _node_pool_option,
    "oci:Core/getServices:getServices": _services,
    "oci:Identity/getAvailabilityDomains:getAvailabilityDomains": _availability_domains,
    "oci:ContainerEngine/getClusterKubeConfig:getClusterKubeConfig": lambda cloud, args: {
        "id": "kubeconfig",
        "content": cloud.data["kubeconfig"],
        **args,
    },
    "oci:ObjectStorage/getNamespace:getNamespace": lambda _, args: {"id": "n", "namespace": "example", **args},
}


def _changes(arguments, old, new, path="", *, fixed=False):
    """Yield (path, whether it replaces) of everything that differs."""
    known = _types.input_type_types(arguments) if arguments and _types.is_input_type(arguments) else {}
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) == new.get(key):
            continue
        here = f"{path}.{key}" if path else key
        stays = fixed or (bool(known) and key not in _updatable(arguments))
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            inner = known.get(key)
            yield from _changes(inner if isinstance(inner, type) else None, old[key], new[key], here, fixed=stays)
        else:
            yield here, stays


@cache
def _updatable(arguments: type) -> frozenset[str]:
    """Properties that the documentation calls Updatable, as the protocol spells them."""
    names = _types.input_type_py_to_pulumi_names(arguments)
    text = arguments.__init__.__doc__ or ""
    found = re.findall(r":param pulumi\.Input\[.*?\] (\w+): \(Updatable\)", text)
    return frozenset(names[name] for name in found)


def _plain(struct) -> dict:
    """Take secret and output marks away."""
    return _bare(json_format.MessageToDict(struct))


def _bare(value):
    if isinstance(value, dict):
        return _bare(value.get("value", UNKNOWN)) if SECRET_KEY in value else {k: _bare(v) for k, v in value.items()}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _known(value):
    """Put None, which every type accepts, in place of what is not known yet."""
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_known(item) for item in value]
    return None if value == UNKNOWN else value


def _struct(values: dict):
    return json_format.ParseDict(values, struct_pb2.Struct())


def _half(context, key, outputs):
    reasons = ["the pool was made, its nodes were not: " + OUT_OF_CAPACITY]
    detail = any_pb2.Any()
    detail.Pack(provider_pb2.ErrorResourceInitFailed(id=key, properties=_struct(outputs), reasons=reasons))
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="half", details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, "half")


def put_on_path(folder: Path, environment: dict[str, str]) -> None:
    """Make a folder with a `pulumi-resource-oci` and put it first on PATH of an environment."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    script = programs / "pulumi-resource-oci"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{Path(__file__).resolve()}" "{folder}" "$@"\n')
    script.chmod(0o755)
    environment["PATH"] = f"{programs}:{environment['PATH']}"


class _Lean(types.ModuleType):
    """A package of pulumi_oci whose classes come from their own files, one by one: all of them take seconds."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"pulumi_oci.{folder.name}")
        self.__path__ = [str(folder)]
        self._files = {file.stem.replace("_", ""): file.stem for file in folder.glob("*.py")}

    def __getattr__(self, name: str) -> type:
        file = self._files.get(re.sub("(Init)?Args$", "", name).lower())
        if file is None:
            raise AttributeError(name)
        return getattr(importlib.import_module(f"{self.__name__}.{file}"), name)


def _import_leanly() -> None:
    """Let this process, which asks for a few types, import those alone."""
    root = Path(importlib.util.find_spec("pulumi_oci").origin).parent
    for file in root.glob("*/__init__.py"):
        if (file.parent / "_inputs.py").exists():
            sys.modules[f"pulumi_oci.{file.parent.name}"] = _Lean(file.parent)


def main(folder: str) -> None:
    """Serve until killed."""
    _import_leanly()
    server = grpc.server(ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Oci(Cloud(Path(folder))), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1])
