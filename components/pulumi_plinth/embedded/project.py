"""Pulumi.yaml and stack files: where a project keeps what, and its configuration. Reads files, never writes them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pulumi_plinth.embedded.errors import ProjectError, Unsupported
from pulumi_plinth.embedded.values import compact

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_SCHEMA_KEYS = {"type", "default", "value", "secret", "description", "items"}
_FOREIGN = ("main", "plugins", "packages")


@dataclass(frozen=True)
class Config:
    """Configuration as a program receives it: full key to text, and which of them are secret."""

    values: Mapping[str, str] = field(default_factory=dict)
    secret_keys: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StackFile:
    """One Pulumi.<stack>.yaml; `config` is still encrypted where it was."""

    path: Path
    salt: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Project:
    """A Pulumi project on disk."""

    name: str
    root: Path
    stack_dir: Path
    """Folder of the stack files."""
    backend_dir: Path
    """Folder that holds `.pulumi`."""
    schema: Mapping[str, Any] = field(default_factory=dict)
    """The `config:` block of Pulumi.yaml: defaults and required keys."""

    @classmethod
    def load(cls, root: str | Path, environ: Mapping[str, str] = os.environ) -> Project:
        """Read Pulumi.yaml; raises ProjectError or Unsupported, naming the key."""
        root = Path(root).resolve()
        path = root / "Pulumi.yaml"
        content = _read_yaml(path)
        _check_name(content.get("name"), path, "name")
        runtime = content.get("runtime")
        runtime = runtime.get("name") if isinstance(runtime, dict) else runtime
        if runtime != "python":
            raise Unsupported(f"runtime {runtime!r} (only python)", f"{path}: runtime")
        for key in _FOREIGN:
            if content.get(key):
                raise Unsupported(f"the key '{key}'", str(path))
        if (content.get("options") or {}).get("refresh"):
            raise Unsupported("the key 'options.refresh' (run refresh, then up)", str(path))
        schema = content.get("config") or {}
        if not isinstance(schema, dict):
            raise Unsupported("a folder name as 'config' (use stackConfigDir)", str(path))
        url = environ.get("PULUMI_BACKEND_URL") or (content.get("backend") or {}).get("url") or ""
        stacks = root / (content.get("stackConfigDir") or ".")
        return cls(content["name"], root, stacks, _backend_dir(url, root), schema)

    def stack_file(self, stack: str) -> StackFile:
        """Read Pulumi.<stack>.yaml; a stack without a file has no configuration, as with the Pulumi CLI."""
        _check_name(stack, self.stack_dir, "stack name")
        path = self.stack_dir / f"Pulumi.{stack}.yaml"
        if not path.exists():
            return StackFile(path)
        content = _read_yaml(path)
        provider = content.get("secretsprovider") or "passphrase"
        if provider != "passphrase" or content.get("encryptedkey"):
            raise Unsupported(f"secrets provider {provider!r} (only passphrase)", str(path))
        return StackFile(path, content.get("encryptionsalt") or "", content.get("config") or {})

    def config(self, stack_file: StackFile, decrypt: Callable[[str], str]) -> Config:
        """Resolve configuration: stack file over Pulumi.yaml's defaults, decrypted; raises ProjectError."""
        raw = {self._full_key(key): value for key, value in stack_file.config.items()}
        secret: set[str] = set()
        missing: list[str] = []
        for key, spec in self.schema.items():
            full = self._full_key(key)
            declared = isinstance(spec, dict) and bool(spec.keys() & _SCHEMA_KEYS)
            default = spec.get("default", spec.get("value")) if declared else spec
            if declared and spec.get("secret"):
                secret.add(full)
            if full not in raw and default is None:
                missing.append(full)
            raw.setdefault(full, default)
        if missing:
            raise ProjectError(f"{stack_file.path}: config has no value for {', '.join(missing)}; set them there")
        values = {key: _text(value, decrypt) for key, value in sorted(raw.items())}
        secret |= {key for key, value in raw.items() if _has_secure(value)}
        return Config(values, frozenset(secret & values.keys()))

    def _full_key(self, key: str) -> str:
        parts = key.split(":")
        if len(parts) == 3 and parts[1] == "config":  # noqa: PLR2004 - the old spelling ns:config:key
            return f"{parts[0]}:{parts[2]}"
        return key if len(parts) > 1 else f"{self.name}:{key}"


def _check_name(value: Any, where: Path, what: str) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ProjectError(f"{where}: {what} is {value!r}; write letters, digits, '-', '_' or '.'")


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader, in C
    except FileNotFoundError as error:
        raise ProjectError(f"{path} does not exist; run from the folder of Pulumi.yaml") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProjectError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict | None):
        raise ProjectError(f"{path} is not a mapping; write `key: value` lines")
    return content or {}


def _backend_dir(url: str, root: Path) -> Path:
    if not url:
        raise ProjectError(
            f"{root}/Pulumi.yaml: no backend; write `backend: {{url: file://.}}` or set PULUMI_BACKEND_URL"
        )
    parts = urlsplit(url)
    if parts.scheme != "file":
        raise Unsupported(f"backend {parts.scheme or url}:// (only file://)", f"{root}/Pulumi.yaml: backend.url")
    path = unquote(url.removeprefix("file://").split("?")[0])
    return (Path(path).expanduser() if path.startswith("~") else root / path).resolve()


def _has_secure(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_secure, value))
    return isinstance(value, dict) and (_is_secure(value) or any(map(_has_secure, value.values())))


def _is_secure(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"} and isinstance(value["secure"], str)


def _plain(value: Any, decrypt: Callable[[str], str]) -> Any:
    if _is_secure(value):
        return decrypt(value["secure"])
    if isinstance(value, dict):
        return {str(key): _plain(item, decrypt) for key, item in value.items()}
    return [_plain(item, decrypt) for item in value] if isinstance(value, list) else value


def _text(value: Any, decrypt: Callable[[str], str]) -> str:
    plain = _plain(value, decrypt)
    if isinstance(plain, dict | list):
        return compact(plain)
    return plain if isinstance(plain, str) else json.dumps(plain, default=str).strip('"')
