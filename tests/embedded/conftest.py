"""Projects to run and recordings to replay."""

import os
import signal
import sys
from pathlib import Path

import pytest
from support.sandbox import ITERATIONS, Sandbox

from pulumi_plinth.embedded import crypto

TRACES = Path(__file__).parent / "traces"
FAKES = Path(__file__).parent.parent / "fakes"

BOXES = '''
    """Files as resources: importable and stateless, with faults on demand."""
    import os, time, pulumi
    from pathlib import Path
    from pulumi.dynamic import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource
    from pulumi.dynamic import ResourceProvider, UpdateResult

    OUT = Path(__file__).parent / "out"

    class BoxProvider(ResourceProvider):
        def check(self, olds, news):
            return CheckResult(news, [] if news.get("path") else [CheckFailure("path", "must not be empty")])
        def diff(self, id_, olds, news):
            replaces = [k for k in ("path",) if olds.get(k) != news.get(k)]
            changed = replaces or [k for k in ("content",) if olds.get(k) != news.get(k)]
            return DiffResult(changes=bool(changed), replaces=replaces, delete_before_replace=False)
        def create(self, props):
            content = props["content"]
            if content == "fail":
                raise RuntimeError("the shelf is full")
            if content == "slow":
                (OUT.parent / "slow").touch()
                time.sleep(30)
            if content == "late":
                (OUT.parent / "slow").touch()
                time.sleep(1)
            if content == "die":
                os._exit(9)
            print(f"making {props['path']}", flush=True)
            OUT.mkdir(exist_ok=True)
            (OUT / props["path"]).write_text(content)
            return CreateResult(props["path"], {**props, "size": len(content)})
        def read(self, id_, props):
            if not (OUT / id_).exists():
                return ReadResult("", {})
            return ReadResult(id_, {**props, "content": (OUT / id_).read_text()})
        def update(self, id_, olds, news):
            (OUT / news["path"]).write_text(news["content"])
            return UpdateResult({**news, "size": len(news["content"])})
        def delete(self, id_, props):
            if props["content"] == "sticky":
                raise RuntimeError("it sticks")
            (OUT / id_).unlink(missing_ok=True)

    class Box(Resource):
        path: pulumi.Output[str]
        content: pulumi.Output[str]
        size: pulumi.Output[int]
        def __init__(self, name, content, path=None, opts=None):
            super().__init__(BoxProvider(), name, {"path": path or name, "content": content, "size": None}, opts)
'''


@pytest.fixture
def box(tmp_path, monkeypatch):
    """A project whose boxes are files in `out/`."""
    sandbox = Sandbox(tmp_path)
    sandbox.write("Pulumi.yaml", "name: box\nruntime: python\nbackend:\n  url: file://.\n")
    sandbox.write("boxes.py", BOXES)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", ITERATIONS)
    return sandbox


@pytest.fixture
def plugin_on_path(tmp_path, monkeypatch):
    """A `pulumi-resource-thing` on PATH; its calls are logged to the returned file."""
    log, folder = tmp_path / "plugin.log", tmp_path / "bin"
    folder.mkdir()
    script = folder / "pulumi-resource-thing"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{FAKES / "thing_plugin.py"}" "{log}" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return log


@pytest.fixture
def traces():
    """The folder of recordings."""
    return TRACES


@pytest.fixture
def kill_process():
    """Kill as the kernel would, and wait."""

    def kill(process):
        process.send_signal(signal.SIGKILL)
        process.communicate()

    return kill
