"""Puts one run together: program, plugins, services and state; ends it cleanly whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulumi_plinth.embedded.errors import Cancelled, DeploymentFailed, EmbeddedError, Failure
from pulumi_plinth.embedded.events import OnEvent
from pulumi_plinth.embedded.process import Child, Guard

if TYPE_CHECKING:
    from pulumi_plinth.embedded.deployment import Deployment
    from pulumi_plinth.embedded.monitor import EngineService
    from pulumi_plinth.embedded.operations import Stack
    from pulumi_plinth.embedded.providers import Providers
    from pulumi_plinth.embedded.state import Snapshot

_POLL_SECONDS = 0.02
_GOODBYE_SECONDS = 10.0
"""How long a program may take to end after the deployment is over."""
_PENDING = (
    "an earlier run was interrupted while {type} this resource: whether that happened is unknown; look at it, "
    "then go on (this run continues{rest})"
)


class Engine:
    """One run of one kind: preview, update, refresh or destroy."""

    def __init__(self, kind: str, stack: Stack, on_event: OnEvent) -> None:
        self._kind, self._stack, self._on_event = kind, stack, on_event
        self.deployment: Deployment | None = None
        self._guard = Guard()
        self._closing = contextlib.ExitStack()
        self._closing.callback(self._guard.close)
        self._program: Child | None = None
        self._kill: Callable[[], None] = lambda: None

    @property
    def _runs_program(self) -> bool:
        return self._kind in ("preview", "update")

    def run(self) -> Deployment:
        """Run to the end; raises DeploymentFailed or Cancelled, with everything done saved."""
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # grpc writes what it notices to everyone's stderr
        with self._interruptible():
            if self._runs_program:
                self._start_program()  # it imports Pulumi while we do
            return self._deploy()

    def close(self) -> None:
        """End all child processes and services."""
        self._closing.close()

    def _start_program(self) -> None:
        script = str(Path(__file__).with_name("program.py"))
        command = [sys.executable, "-u", "-P", script]
        self._program = Child(self._guard, command, self._stack.project.root, os.environ)
        self._closing.callback(self._program.stop)

    def _deploy(self) -> Deployment:
        from pulumi_plinth.embedded.deployment import Deployment, Run
        from pulumi_plinth.embedded.journal import Journal
        from pulumi_plinth.embedded.operations import resolve_config
        from pulumi_plinth.embedded.state import Snapshot

        stack, secrets = self._stack, list[object]()
        base = stack.snapshot() or Snapshot()
        config = resolve_config(stack, secrets.append)
        dry_run = self._kind == "preview"
        journal = Journal(base, None if dry_run else self._saver())
        run = Run(stack.project, stack.name, config, stack.options, self._on_event, stack.outputs_of, dry_run)
        deployment = self.deployment = Deployment(run, journal)
        deployment.mask([*secrets, *({"i": r.inputs, "o": r.outputs} for r in base.resources)])
        root = base.stack()
        deployment.outputs = root.outputs if root and self._kind == "refresh" else {}
        self._look_for_plugins(base)
        self._report_pending(deployment, base)
        self._perform(deployment)
        if deployment.cancelled:
            interrupted = Failure("", "interrupted: running steps were finished and saved; run again to go on")
            raise Cancelled((interrupted, *deployment.failures))
        if deployment.failures:
            raise DeploymentFailed(tuple(deployment.failures))
        return deployment

    def _saver(self) -> Callable[[Snapshot], None]:
        stack, kept = self._stack, list[bool]()

        def save(snapshot: Snapshot) -> None:
            if not kept:
                stack.backend.keep_backup()
                kept.append(True)
            stack.save(snapshot)

        return save

    def _look_for_plugins(self, base: Snapshot) -> None:
        """Refuse before the first step when the state needs a plugin that is not there."""
        from pulumi_plinth.embedded.builtin import PACKAGE
        from pulumi_plinth.embedded.provider import find_plugin
        from pulumi_plinth.embedded.state import PROVIDER_PREFIX

        for resource in base.resources:
            package = resource.type.removeprefix(PROVIDER_PREFIX)
            if resource.is_provider and package != PACKAGE:
                find_plugin(package, str(resource.inputs.get("version", "")))

    def _report_pending(self, deployment: Deployment, base: Snapshot) -> None:
        rest = "; it is forgotten after this destroy" if self._kind == "destroy" else ""
        for operation in base.pending:
            deployment.warn(_PENDING.format(type=operation.type, rest=rest), operation.resource.urn)

    def _perform(self, deployment: Deployment) -> None:
        from pulumi_plinth.embedded import removal
        from pulumi_plinth.embedded.monitor import EngineService, serve
        from pulumi_plinth.embedded.provider import Host
        from pulumi_plinth.embedded.providers import Providers

        log = EngineService(lambda: deployment)
        address = self._serve(serve, log)
        project = self._stack.project
        providers = Providers(deployment, Host(self._guard, project.root, address, project.name, deployment.info))
        self._kill = providers.kill
        self._closing.callback(providers.close)
        if self._program:
            self._run_program(deployment, providers, log, address)
        elif self._kind == "refresh":
            removal.refresh(deployment, providers)
        else:
            removal.remove(deployment, providers, set())
            if not deployment.stopped:
                deployment.journal.forget_inherited()

    def _serve(self, serve: Callable[..., tuple[Any, str]], service: object) -> str:
        server, address = serve(service)
        self._closing.callback(lambda: server.stop(0).wait())
        return address

    def _run_program(self, deployment: Deployment, providers: Providers, log: EngineService, engine: str) -> None:
        from pulumi_plinth.embedded import removal
        from pulumi_plinth.embedded.monitor import MonitorService, serve
        from pulumi_plinth.embedded.registration import Registrar

        program = self._program
        if program is None:
            return
        registrar = Registrar(deployment, providers)
        service = MonitorService(deployment, registrar, providers)
        monitor = self._serve(serve, service)
        self._closing.callback(service.released.set)
        program.relay(deployment.info)
        program.send(self._settings(deployment, monitor, engine))
        ended = False
        while not (deployment.stopped or ended or service.program_done.is_set()):
            deployment.wake.wait(_POLL_SECONDS)
            deployment.wake.clear()
            ended = program.exit_code() is not None
        if not deployment.stopped and not program.exit_code():
            removal.remove(deployment, providers, set(registrar.done))
        while deployment.active:
            deployment.wake.wait(_POLL_SECONDS)
            deployment.wake.clear()
        if deployment.stopped:
            program.kill()  # before its engine goes away, of which it would complain at length
        service.released.set()
        code = None if deployment.stopped else program.wait(_GOODBYE_SECONDS)
        if code and code < 0 and service.program_done.is_set():
            deployment.warn(f"the program was ended by signal {-code} after everything was done")
        elif code:
            last = (log.last_error.strip() or f"exit status {code}").splitlines()[-1]
            deployment.fail(EmbeddedError(f"the program failed: {last}"))

    def _settings(self, deployment: Deployment, monitor: str, engine: str) -> str:
        run = deployment.run
        return json.dumps(
            {
                "monitor": monitor,
                "engine": engine,
                "project": run.project.name,
                "stack": run.stack,
                "root": str(run.project.root),
                "parallel": run.options.parallel,
                "dryRun": run.dry_run,
                "debug": run.options.debug,
                "config": dict(run.config.values),
                "secretKeys": sorted(run.config.secret_keys),
            }
        )

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Let running steps finish at the first Ctrl-C; at the second, end the plugins in the middle of their calls."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupt(_number: int, _frame: object) -> None:
            if self.deployment is None:
                raise KeyboardInterrupt
            if self.deployment.cancelled:  # a thread, because a handler must not wait for locks
                threading.Thread(target=self._kill, daemon=True).start()
            self.deployment.cancel()

        before = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
