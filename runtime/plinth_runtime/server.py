"""Puts one server together: signals, run directory, launch file, log, management port, agent. It decides nothing.

Heavy imports come after the signals are owned: from its first milliseconds the agent can be told to end.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from plinth_runtime.serving.inbox import Inbox, StopAsked, own_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from plinth_runtime.contract.cache import CacheFacts
    from plinth_runtime.contract.launch import LaunchAdapter, LaunchConfig
    from plinth_runtime.contract.rundir import RunDir
    from plinth_runtime.serving.adapters import AdapterDesk
    from plinth_runtime.serving.answers import Insight
    from plinth_runtime.serving.assignment import WeightCheck, WeightsReport
    from plinth_runtime.serving.board import Board
    from plinth_runtime.serving.command import EngineCommand, Spot
    from plinth_runtime.serving.engine_cache import EngineCache
    from plinth_runtime.serving.logs import Log
    from plinth_runtime.serving.membership import Membership
    from plinth_runtime.serving.seat import Seat
    from plinth_runtime.supply import Supply


TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What the command line says. Without a run directory it is the launch file's folder; no log file: stdout."""

    config: Path
    run_dir: Path | None = None
    log_file: Path | None = None


def serve(options: ServerOptions) -> int:
    """Run one server to its end and return 0. Raises the RuntimeFault that ended it otherwise."""
    box = Inbox()
    own_signals(box)
    from plinth_runtime.contract.rundir import RunDir
    from plinth_runtime.errors import RuntimeFault, termination_of
    from plinth_runtime.serving import files

    run_dir = RunDir((options.run_dir or options.config.parent).resolve())
    files.prepare(run_dir)
    lock = files.take_agent_lock(run_dir)
    for stale in (run_dir.termination, run_dir.draining, run_dir.status):
        files.remove(stale)
    try:
        return _serve_locked(options, run_dir, box)
    except RuntimeFault as fault:
        if not run_dir.termination.exists():
            files.write_whole(run_dir.termination, termination_of(fault).model_dump_json(indent=2))
        raise
    finally:
        files.release_agent_lock(lock)


def _serve_locked(options: ServerOptions, run_dir: RunDir, box: Inbox) -> int:
    import secrets

    from plinth_runtime.errors import FAULT_OF
    from plinth_runtime.serving import files, guard
    from plinth_runtime.serving.adapters import AdapterDesk
    from plinth_runtime.serving.agent import Agent
    from plinth_runtime.serving.assignment import Assignment
    from plinth_runtime.serving.management import ManagementPort

    launch = load_launch(options.config)
    if options.config.resolve() != run_dir.launch:
        files.write_whole(run_dir.launch, launch.canonical_json())
    if launch.model.chat_template is not None:
        files.write_whole(run_dir.chat_template, launch.model.chat_template)
    guard.prctl(guard.SET_CHILD_SUBREAPER, 1)  # should a guard die, its orphans come to us
    log = _open_log(options.log_file)
    supply = _supply(launch, log)
    try:
        check_host(launch)
        adapters = AdapterDesk(launch, log.say)
        token = secrets.token_hex(TOKEN_BYTES)
        files.write_agent_hash(run_dir, token)
        board = _board(launch, run_dir)
        group = _join_group(launch, board, box, log)
        cache = _engine_cache(launch, 0 if group is None else group.seat.rank, log)
        command = partial(_present_command, launch, run_dir, adapters, (group, cache))
        check, fetch = (_weight_check(launch), None) if supply is None else (supply.check, supply.fetch)
        work = Assignment(launch, run_dir, command, check, fetch, box, log, token=token, group=group, cache=cache)
        agent = Agent(work, board)
        port = ManagementPort(launch.management.host, launch.management.port, _insight(agent, adapters, box))
        try:
            code = agent.run()
        finally:
            port.close()
    finally:
        if supply is not None:
            supply.end()
        log.close()
    if code and agent.end is not None:
        raise FAULT_OF[agent.end.cause](agent.end.message, hint=agent.end.advice)
    return code


def sweep(run_dir: RunDir) -> None:
    """End what a killed agent and guard left of an engine. Raises AlreadyRunningError if an agent lives there."""
    from plinth_runtime.serving import files

    lock = files.take_agent_lock(run_dir)
    try:
        os.close(files.take_engine_lock(run_dir))
    finally:
        files.release_agent_lock(lock)


def load_launch(path: Path) -> LaunchConfig:
    """Read a launch file. Raises BadConfigError naming every fault with its place."""
    from pydantic import ValidationError

    from plinth_runtime.contract.launch import LaunchConfig
    from plinth_runtime.errors import BadConfigError

    try:
        return LaunchConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadConfigError(f"the launch file {path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        rows = (f"{'.'.join(map(str, row['loc'])) or 'document'}: {row['msg']}" for row in error.errors())
        raise BadConfigError(f"the launch file {path} is not valid: {'; '.join(rows)}") from error


def _present_command(
    launch: LaunchConfig, run_dir: RunDir, desk: AdapterDesk, more: tuple[Membership | None, EngineCache | None]
) -> EngineCommand:
    from dataclasses import replace

    group, cache = more
    command = command_for(launch, run_dir, desk.usable(), None if group is None else group.seat)
    variables = {} if cache is None else cache.variables()
    return replace(command, environment={**command.environment, **variables})


def cache_facts(launch: LaunchConfig, rank: int, place: str) -> CacheFacts:
    """Say what compiled code depends on here. Raises BundleError, OSError."""
    import hashlib

    from plinth_runtime.contract.cache import CacheFacts, compiled_settings
    from plinth_runtime.serving.engine_cache import describe_device, engine_versions

    model = launch.model.manifest_digest
    if model is None:
        model = hashlib.sha256((Path(launch.model.folder) / "config.json").read_bytes()).hexdigest()
    return CacheFacts(
        engine=engine_versions(launch.engine.python),
        device=describe_device(launch.engine.device),
        model=model,
        settings=compiled_settings(launch, rank),
        place=place,
    )


def _engine_cache(launch: LaunchConfig, rank: int, log: Log) -> EngineCache | None:
    if launch.engine.cache is None:
        return None
    from plinth_runtime.serving.engine_cache import EngineCache

    return EngineCache(Path(launch.engine.cache), partial(cache_facts, launch, rank), log.say)


def command_for(
    launch: LaunchConfig, run_dir: RunDir, adapters: tuple[LaunchAdapter, ...], seat: Seat | None
) -> EngineCommand:
    """Give the engine's command on this host, with the adapters that there are now. Raises BadConfigError."""
    from plinth_runtime.serving.command import Paths, build_command

    injected = Path(__file__).parent / "serving" / "injected"
    own = (str(injected), str(run_dir.draining), str(run_dir.agent_hash), str(run_dir.chat_template))
    spot = None if launch.group is None or seat is None else _find_spot(seat, launch.group.port)
    return build_command(launch, Paths(*own, adapters, spot), os.environ)


def find_own_seat(launch: LaunchConfig) -> Seat | None:
    """Say which member of its group is here; None without a group. Raises BadConfigError."""
    from plinth_runtime.serving.seat import find_seat

    return None if launch.group is None else find_seat(launch.group, os.environ)


def _find_spot(seat: Seat, port: int) -> Spot:
    from plinth_runtime.errors import BadConfigError
    from plinth_runtime.serving.command import Spot
    from plinth_runtime.serving.group_wire import find_address, find_interface

    try:
        address = find_address(seat.leader, port)
        return Spot(seat, address, find_interface(address))
    except OSError as error:
        raise BadConfigError(f"there is no way to the group's leader {seat.leader}: {error}") from error


def _join_group(launch: LaunchConfig, board: Board, box: Inbox, log: Log) -> Membership | None:
    import uuid

    from plinth_runtime.serving.inbox import GroupNews

    seat = find_own_seat(launch)
    if launch.group is None or seat is None:
        return None
    from plinth_runtime.serving.group import Rules
    from plinth_runtime.serving.membership import Desk, join

    rules = Rules(launch.group, launch.digest(), uuid.uuid4().hex)
    group = join(seat, Desk(rules, lambda news: box.put(GroupNews(news)), log.say, lambda: board.ready))
    board.group = group.status
    log.say(f"group: rank {seat.rank} of {launch.group.nodes}, led by {seat.leader}")
    return group


def check_host(launch: LaunchConfig) -> None:
    """Look for what the launch file names on this host. Raises BadConfigError with all that is missing."""
    from plinth_runtime.errors import BadConfigError

    faults = []
    if not os.access(launch.engine.python, os.X_OK):
        faults.append(f"engine.python: {launch.engine.python} is not an executable file on this host")
    if launch.api.keys_file is not None and not os.access(launch.api.keys_file, os.R_OK):
        faults.append(f"api.keysFile: {launch.api.keys_file} cannot be read")
    if launch.api.port == launch.management.port:
        faults.append(f"management.port: {launch.management.port} is the engine's port too")
    faults += _adapter_faults(launch)
    if faults:
        raise BadConfigError("; ".join(faults))


def _adapter_faults(launch: LaunchConfig) -> Iterator[str]:
    from plinth_runtime.serving.adapter_folder import AdapterError, read_rank

    for index, adapter in enumerate(launch.model.adapters):
        place = f"model.adapters.{index}"
        try:
            rank = read_rank(Path(adapter.folder))
        except AdapterError as error:
            yield f"{place}.folder: {error}"
        else:
            if rank > adapter.rank:
                yield f"{place}.rank: {adapter.rank}, but {adapter.folder} needs {rank}"


def _weight_check(launch: LaunchConfig) -> WeightCheck:
    from plinth_runtime.serving.assignment import WeightsReport

    def check(progress: Callable[[int, int], None]) -> WeightsReport:
        from plinth_runtime.weights.inspect import check_folder

        facts = check_folder(Path(launch.model.folder), launch.model.manifest_digest, progress)
        return WeightsReport(facts.state, facts.message)

    return check


def _supply(launch: LaunchConfig, log: Log) -> Supply | None:
    """Give what brings the weights, if the launch names a source."""
    if launch.model.source is None:
        return None
    from plinth_runtime.supply import Supply

    return Supply(launch.model, launch.model.source, log.say)


def _open_log(log_file: Path | None) -> Log:
    from plinth_runtime.errors import BadConfigError
    from plinth_runtime.serving.logs import Log, RotatingFile, StreamSink

    try:
        return Log(StreamSink(sys.stdout.fileno()) if log_file is None else RotatingFile(log_file))
    except OSError as error:
        raise BadConfigError(f"the log file {log_file} cannot be opened: {error.strerror}") from error


def _board(launch: LaunchConfig, run_dir: RunDir) -> Board:
    import time

    from plinth_runtime.contract.status import Phase
    from plinth_runtime.serving import files
    from plinth_runtime.serving.board import Board

    digest = launch.digest()
    board = Board(launch.deployment, digest, os.getpid(), time.monotonic, files.last_start(run_dir, digest))
    if launch.model.source is not None:
        board.phase = Phase.FETCHING
    return board


def _insight(agent: object, adapters: AdapterDesk, box: Inbox) -> Insight:
    from plinth_runtime.serving.agent import Agent
    from plinth_runtime.serving.answers import Insight
    from plinth_runtime.serving.engine_http import scrape

    assert isinstance(agent, Agent)  # noqa: S101 narrows a type that may not be imported at the top
    return Insight(
        status=agent.board.status,
        ready=lambda: agent.board.ready,
        alive=agent.is_alive,
        adapters=adapters,
        target=agent.target,
        engine_metrics=lambda: scrape(agent.target()),
        drain=lambda: box.put(StopAsked("POST /drain")),
        follows=agent.work.group is not None and not agent.work.group.seat.leads,
    )
