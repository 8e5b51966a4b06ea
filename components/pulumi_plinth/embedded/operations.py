"""The operations: preview, up, refresh, destroy, and reading or unlocking a stack. Opens and closes everything else."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulumi_plinth.embedded.backend import Backend, now
from pulumi_plinth.embedded.builtin import ORGANIZATION
from pulumi_plinth.embedded.crypto import PassphraseCrypter
from pulumi_plinth.embedded.errors import DeploymentFailed, PassphraseError, StateError
from pulumi_plinth.embedded.events import Diagnostic, OnEvent, Options, Result, ignore
from pulumi_plinth.embedded.project import Config, Project, StackFile
from pulumi_plinth.embedded.state import (
    SecretMemo,
    Snapshot,
    checkpoint_to_json,
    deployment_to_json,
    salt_of,
    snapshot_from_json,
)
from pulumi_plinth.embedded.values import PropertyMap, has_secret, has_unknown, reveal

if TYPE_CHECKING:
    from pulumi_plinth.embedded.deployment import Deployment

_HIDDEN = "[secret]"


@dataclass(frozen=True)
class Stack:
    """One stack of a project, opened: its files and its secrets."""

    project: Project
    name: str
    options: Options

    @cached_property
    def backend(self) -> Backend:
        """Where its state lies."""
        return Backend(self.project.backend_dir, self.project.name, self.name)

    @cached_property
    def file(self) -> StackFile:
        """Its stack file."""
        return self.project.stack_file(self.name)

    @cached_property
    def crypter(self) -> PassphraseCrypter:
        """Its crypter: salt of the stack file, else of the state, else a new one."""
        return PassphraseCrypter(_passphrase(self.options, self.name), self.file.salt or self._kept_salt)

    @cached_property
    def _kept_salt(self) -> str:
        checkpoint = self.backend.read()
        return salt_of(checkpoint, str(self.backend.checkpoint_path)) if checkpoint else ""

    @cached_property
    def _reader(self) -> PassphraseCrypter:
        return PassphraseCrypter(_passphrase(self.options, self.name), self._kept_salt)

    @cached_property
    def memo(self) -> SecretMemo:
        """Its encryption, keys derived when first needed."""
        moved = self._kept_salt and self.file.salt and self._kept_salt != self.file.salt
        return SecretMemo(lambda: self.crypter, (lambda: self._reader) if moved else None)

    def snapshot(self) -> Snapshot | None:
        """Its state; None where it does not exist."""
        checkpoint = self.backend.read()
        path = str(self.backend.checkpoint_path)
        return snapshot_from_json(checkpoint, self.memo, path) if checkpoint else None

    def existing(self) -> Snapshot:
        """Its state; raises StateError where it does not exist."""
        snapshot = self.snapshot()
        if snapshot is None:
            raise StateError(f"stack {self.name} does not exist in {self.project.backend_dir}; run up first")
        return snapshot

    def outputs_of(self, project: str, stack: str) -> PropertyMap:
        """Return outputs of another stack in this backend; the passphrase must be the same. Raises StateError."""
        backend = Backend(self.project.backend_dir, project, stack)
        checkpoint = backend.read()
        if checkpoint is None:
            raise StateError(
                f"stack {ORGANIZATION}/{project}/{stack} does not exist in {self.project.backend_dir}; deploy it first"
            )
        path = str(backend.checkpoint_path)
        reader = cache(lambda: PassphraseCrypter(_passphrase(self.options, stack), salt_of(checkpoint, path)))
        root = snapshot_from_json(checkpoint, SecretMemo(reader), path).stack()
        return dict(root.outputs) if root else {}

    def save(self, snapshot: Snapshot) -> None:
        """Write its state."""
        document = deployment_to_json(replace(snapshot, salt=self.crypter.salt), self.memo, now())
        self.backend.write(checkpoint_to_json(self.project.name, self.name, document))


def _passphrase(options: Options, stack: str) -> str:
    if options.passphrase is not None:
        return options.passphrase
    if (given := os.environ.get("PULUMI_CONFIG_PASSPHRASE")) is not None:
        return given
    path = os.environ.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if not path:
        raise PassphraseError(
            f"stack {stack} keeps secrets: set PULUMI_CONFIG_PASSPHRASE (it may be empty) "
            "or PULUMI_CONFIG_PASSPHRASE_FILE"
        )
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise PassphraseError(f"PULUMI_CONFIG_PASSPHRASE_FILE={path} cannot be read: {error.strerror}") from error


def preview(project: Project, stack: str, on_event: OnEvent = ignore, options: Options | None = None) -> Result:
    """Tell what `up` would do; changes nothing. Raises EmbeddedError."""
    return _run("preview", Stack(project, stack, options or Options()), on_event)


def up(project: Project, stack: str, on_event: OnEvent = ignore, options: Options | None = None) -> Result:
    """Make the stack what the program says, after a preview of it. Raises EmbeddedError."""
    opened = Stack(project, stack, options or Options())
    with _locked(opened, on_event):
        if opened.options.preview:
            _run("preview", opened, on_event)
        return _run("update", opened, on_event)


def refresh(project: Project, stack: str, on_event: OnEvent = ignore, options: Options | None = None) -> Result:
    """Bring the state in line with what exists. Raises EmbeddedError."""
    opened = Stack(project, stack, options or Options())
    with _locked(opened, on_event):
        opened.existing()
        return _run("refresh", opened, on_event)


def destroy(project: Project, stack: str, on_event: OnEvent = ignore, options: Options | None = None) -> Result:
    """Delete everything the stack holds, but what is protected. Raises EmbeddedError."""
    opened = Stack(project, stack, options or Options())
    with _locked(opened, on_event):
        opened.existing()
        return _run("destroy", opened, on_event)


def export(project: Project, stack: str) -> dict[str, Any]:
    """Return the state as `pulumi stack import` takes it; secrets stay encrypted."""
    checkpoint = Stack(project, stack, Options()).backend.read()
    if checkpoint is None:
        raise StateError(f"stack {stack} does not exist in {project.backend_dir}; run up first")
    return {"version": 3, "deployment": checkpoint["checkpoint"].get("latest") or {}}


def outputs(
    project: Project, stack: str, *, show_secrets: bool = False, options: Options | None = None
) -> dict[str, Any]:
    """Return the stack outputs; without `show_secrets`, secret ones read `[secret]`, and no passphrase is needed."""
    opened = Stack(project, stack, options or Options())
    if not show_secrets:
        # Nothing is shown, so nothing is decrypted: any text will do for the value.
        object.__setattr__(opened, "memo", _Blind(lambda: opened.crypter))
    root = opened.existing().stack()
    values = root.outputs if root else {}
    return {k: reveal(v) if show_secrets or not has_secret(v) else _HIDDEN for k, v in values.items()}


class _Blind(SecretMemo):
    def decrypt_for(self, urn: str) -> Callable[[str], str]:  # noqa: ARG002
        return lambda _: "null"


def exists(project: Project, stack: str) -> bool:
    """Whether the stack has a state."""
    return Backend(project.backend_dir, project.name, stack).checkpoint_path.exists()


def cancel(project: Project, stack: str) -> tuple[str, ...]:
    """Remove the stack's locks, whoever holds them; returns their file names."""
    return Backend(project.backend_dir, project.name, stack).unlock()


@contextlib.contextmanager
def _locked(stack: Stack, on_event: OnEvent) -> Iterator[None]:
    _ = stack.file  # a wrong name or file is found before anything is written
    stack.backend.prepare()
    with stack.backend.lock(lambda message: on_event(Diagnostic("warning", message))):
        yield


def _run(kind: str, stack: Stack, on_event: OnEvent) -> Result:
    from pulumi_plinth.embedded.engine import Engine

    began = time.time()
    engine = Engine(kind, stack, on_event)
    try:
        deployment = engine.run()
    except BaseException as error:
        engine.close()
        if isinstance(error, DeploymentFailed) and engine.deployment:
            error.result = _result(kind, began, engine.deployment)
        with contextlib.suppress(StateError):  # what stopped the run matters more than its history
            _record(kind, stack, began, engine.deployment)
        raise
    engine.close()
    _record(kind, stack, began, deployment)
    return _result(kind, began, deployment)


def _result(kind: str, began: float, deployment: Deployment) -> Result:
    values = deployment.outputs
    return Result(
        kind,
        dict(deployment.counts),
        {key: None if has_unknown(value) else reveal(value) for key, value in values.items()},
        frozenset(key for key, value in values.items() if has_secret(value)),
        time.time() - began,
    )


def _record(kind: str, stack: Stack, began: float, deployment: Deployment | None) -> None:
    if kind == "preview" or deployment is None:
        return
    stack.backend.add_history(
        {
            "kind": kind,
            "startTime": int(began),
            "message": "",
            "environment": {"exec.kind": "plinth.embedded"},
            "config": dict(stack.file.config),
            "result": "failed" if deployment.stopped else "succeeded",
            "endTime": int(time.time()),
            "resourceChanges": dict(deployment.counts),
        },
        changed=deployment.journal.changed,
    )


def resolve_config(stack: Stack, mask: Callable[[object], None]) -> Config:
    """Resolve the configuration; every decrypted text is masked in events."""
    from pulumi_plinth.embedded.values import Secret

    def decrypt(cipher: str) -> str:
        plain = stack.crypter.decrypt(cipher)
        mask(Secret(plain))
        return plain

    return stack.project.config(stack.file, decrypt)
