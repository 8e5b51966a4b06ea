"""Looks at the world and returns facts. Effects only: nothing is decided here."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil
from pydantic import ValidationError

from plinth_runtime.contract.adapter import CONFIG_NAME, MOST_CONFIG_BYTES, WEIGHTS_NAME, highest_rank
from plinth_runtime.contract.card import CardError, read_card
from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest, size_faults
from plinth_runtime.contract.rundir import RunDir
from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth import naming
from pulumi_plinth.deployment.facts import AdapterFacts, FetchFacts, HostFacts, ModelFacts
from pulumi_plinth.deployment.local import launch_of, own_ports
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.observe_cards import Cards
from pulumi_plinth.planner import Facts
from pulumi_plinth.stack import StackSpec
from pulumi_plinth.store.plan import folder_of

PATH_LIMIT = 4096
"""Longest text that can be a path."""

DIGEST_LIMIT_BYTES = 4 << 30
"""Up to here a preview reads every byte (2 s); larger models are digested by the runtime, before the engine starts."""


def observe(spec: StackSpec, root: Path, stack: str) -> Facts:
    """Collect what planning the stack needs to know."""
    folders = {
        name: folder / path
        for name, (store, path) in spec.folder_models().items()
        if (folder := folder_of(spec.stores[store], root)) is not None
    }
    models = {name: observe_model(folder) for name, folder in folders.items()}
    host, templates = _observe_host(spec, root, stack), _read_templates(spec, root)
    known = {facts.folder: facts for facts in models.values()}
    finder = Cards(spec, root, cache(lambda folder: known.get(folder) or observe_model(folder)))
    models |= {name: _observe_fetched(spec, name, (root, stack), finder) for name in spec.fetched_models()}
    models = {name: replace(facts, adapters=_observe_adapters(spec, name, root)) for name, facts in models.items()}
    cards = {name: finder.find(item) for name, item in spec.on("kubernetes").items() if item.model in spec.models}
    market = Market(load_shapes(), load_unit_prices()) if cards or spec.shapes or spec.pools else Market()
    return Facts(root, stack, host, models, templates, cards, market)


def observe_model(folder: Path) -> ModelFacts:
    """Read a model folder: its files, card and manifest. Never raises for what is wrong with the folder."""
    if not folder.is_dir():
        return ModelFacts(folder, None, (f"the folder {folder} does not exist",))
    try:
        return _observe_folder(folder)
    except OSError as error:
        return ModelFacts(folder, None, (f"{folder} cannot be read: {error}",))


def _observe_fetched(spec: StackSpec, name: str, place: tuple[Path, str], finder: Cards) -> ModelFacts:
    """Find out what is known of a model that servers fetch: the folder if one did so before, else its card."""
    root, stack = place
    uri, cache_folder = spec.fetched_models()[name], naming.weights_cache(root)
    fetch = FetchFacts(uri, cache_folder, free_bytes=psutil.disk_usage(str(root)).free)
    served = {key: item for key, item in spec.on("local").items() if item.model == name}
    for run_dir in (RunDir(naming.run_dir(root, stack, deployment)) for deployment in served):
        launch = launch_of(run_dir)
        if launch is None or launch.model.source is None or launch.model.source.uri != uri:
            continue
        if (here := observe_model(run_dir.model)).card is not None:
            return ModelFacts(cache_folder, here.card, total_bytes=here.total_bytes, fetch=replace(fetch, is_here=True))
    found = finder.find(next(iter(served.values())))
    faults = () if found.fault is None else (found.fault[1],)
    size = found.card.weight_bytes if found.card else 0
    return ModelFacts(cache_folder, found.card, faults, total_bytes=size, fetch=replace(fetch, origin=found.origin))


def _observe_adapters(spec: StackSpec, name: str, root: Path) -> tuple[AdapterFacts, ...]:
    """Look at those adapters of a model that lie on this host."""
    uris = {adapter.name: StorageUri.parse(adapter.uri) for adapter in spec.models[name].adapters if adapter.uri}
    local = {adapter: root / dict(uri.parts)["path"] for adapter, uri in uris.items() if uri.scheme == "local"}
    return tuple(observe_adapter(adapter, folder) for adapter, folder in local.items())


def observe_adapter(name: str, folder: Path) -> AdapterFacts:
    """Read an adapter's folder. Never raises for what is wrong with it."""
    if not (folder / WEIGHTS_NAME).is_file():
        return AdapterFacts(name, folder, fault=f"has no {WEIGHTS_NAME} in {folder}")
    try:
        text = (folder / CONFIG_NAME).read_bytes()[:MOST_CONFIG_BYTES]
        rank = highest_rank(json.loads(text))
    except (OSError, ValueError) as error:
        return AdapterFacts(name, folder, fault=f"has no {CONFIG_NAME} that can be read: {error}")
    return AdapterFacts(name, folder, rank, "" if rank else f"names no rank in {folder / CONFIG_NAME}")


def _read_templates(spec: StackSpec, root: Path) -> dict[str, str]:
    """Read whatever file a model's chatTemplate may name; what is no file is judged by the planner."""
    found = {}
    for name in spec.templated_models():
        written = spec.models[name].chat_template
        if written and "\n" not in written and len(written) < PATH_LIMIT and (root / written).is_file():
            with suppress(OSError, UnicodeDecodeError):
                found[written] = (root / written).read_text()
    return found


def _observe_folder(folder: Path) -> ModelFacts:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}
    total = sum(size for name, size in files.items() if name != MANIFEST_NAME)
    card = None
    faults: list[str] = []
    try:
        card = read_card(files, lambda name, offset, length: _read(folder / name, offset, length))
    except CardError as error:
        faults.extend(error.faults)
    if MANIFEST_NAME not in files:
        return ModelFacts(folder, card, tuple(faults), total_bytes=total)
    text = (folder / MANIFEST_NAME).read_bytes()
    try:
        manifest = WeightManifest.model_validate_json(text)
    except ValidationError as error:
        faults.append(f"{MANIFEST_NAME} is not a manifest: {error.errors()[0]['msg']}")
        return ModelFacts(folder, None, tuple(faults), total_bytes=total)
    told = {word.strip(":,") for fault in faults for word in fault.split()}
    faults.extend(fault for fault in size_faults(manifest, files) if fault.split()[0] not in told)
    check = not faults and manifest.total_bytes <= DIGEST_LIMIT_BYTES
    if check:
        faults.extend(_digest_faults(folder, manifest))
    digest = hashlib.sha256(text).hexdigest()
    return ModelFacts(folder, None if faults else card, tuple(faults), digest, total, check)


def _digest_faults(folder: Path, manifest: WeightManifest) -> list[str]:
    faults = []
    for file in manifest.files:
        with (folder / file.path).open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != file.sha256:
            faults.append(
                f"{file.path} has other bytes than the manifest says (sha256 {found[:12]}, not {file.sha256[:12]})"
            )
    return faults


def _read(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        return os.pread(stream.fileno(), length, offset)


def _observe_host(spec: StackSpec, root: Path, stack: str) -> HostFacts:
    taken = {}
    local = spec.on("local")
    for name, deployment in local.items():
        own = own_ports(RunDir(naming.run_dir(root, stack, name)))
        for host, port in zip((deployment.host, "127.0.0.1"), deployment.ports, strict=True):
            if port not in own and (holder := _holder(host, port)):
                taken[port] = holder
    engines = {deployment.environment_name for deployment in local.values()}
    found = {engine: naming.engine_python(root, engine) for engine in engines}
    return HostFacts(
        memory_bytes=psutil.virtual_memory().total,
        ports_taken=taken,
        engines={engine: python for engine, python in found.items() if python.exists()},
    )


def _holder(host: str, port: int) -> str | None:
    """Name who holds a port, or None if it can be bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return _listener(port) if error.errno == errno.EADDRINUSE else str(error.strerror or error)
    return None


def _listener(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.Error:
        return "another process"
    for connection in connections:
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            return f"process {connection.pid}" if connection.pid else "another process"
    return "another process"
