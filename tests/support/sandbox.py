"""A Pulumi project in a temporary folder, run by the embedded engine in this process or in another."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from pulumi_plinth import embedded

PASSPHRASE = "correct horse"
ITERATIONS = 1000
"""Rounds of key derivation where the true million is not what is tested: it takes a third of a second a run."""


class Sandbox:
    """A Pulumi project in a temporary folder, with everything its runs said."""

    def __init__(self, root: Path):
        self.root, self.events = root, []

    def write(self, name, text):
        """Put a file into the project."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def program(self, text):
        """Set the program."""
        self.write("__main__.py", text)

    def config(self, **values):
        """Set the stack's configuration; `salt` and secrets are written as they come."""
        salt = values.pop("encryptionsalt", "")
        content = {"config": {f"box:{key}": value for key, value in values.items()}}
        self.write("Pulumi.dev.yaml", json.dumps(content | ({"encryptionsalt": salt} if salt else {})))

    @property
    def project(self):
        """The project as loaded from disk."""
        return embedded.Project.load(self.root)

    def run(self, kind, **options):
        """Run an operation, remembering its events."""
        self.events = []
        chosen = embedded.Options(**({"passphrase": PASSPHRASE, "preview": False} | options))
        return getattr(embedded, kind)(self.project, "dev", self.events.append, chosen)

    def up(self, **options):
        """Run `up` without a preview."""
        return self.run("up", **options)

    @property
    def checkpoint(self):
        """The state file."""
        return self.root / ".pulumi/stacks/box/dev.json"

    @property
    def latest(self):
        """The deployment in the state file."""
        return json.loads(self.checkpoint.read_text())["checkpoint"]["latest"]

    def resource(self, name):
        """One resource of the state, by name."""
        (found,) = [r for r in self.latest["resources"] if r["urn"].endswith(f"::{name}") and not r.get("delete")]
        return found

    def steps(self, op=None):
        """Finished steps as (op, name)."""
        done = [(e.op, e.name) for e in self.events if isinstance(e, embedded.StepFinished)]
        return [name for kind, name in done if kind == op] if op else done

    def messages(self, severity):
        """Diagnostics of a severity."""
        return [e.message for e in self.events if isinstance(e, embedded.Diagnostic) and e.severity == severity]

    def files(self):
        """What the default provider of these tests created."""
        return {path.name: path.read_text() for path in sorted((self.root / "out").glob("*"))}

    def spawn(self, kind, hook="", **options):
        """Run an operation in another process; `hook` is code that may define on_event(event)."""
        code = textwrap.dedent(f"""
            import os, signal, sys, time
            from pathlib import Path
            from pulumi_plinth import embedded
            from pulumi_plinth.embedded import crypto
            crypto.ITERATIONS = {ITERATIONS}
            def on_event(event): pass
            {textwrap.indent(textwrap.dedent(hook), " " * 12).strip()}
            options = embedded.Options(**{ ({"passphrase": PASSPHRASE, "preview": False} | options)!r})
            try:
                embedded.{kind}(embedded.Project.load({str(self.root)!r}), "dev", on_event, options)
            except embedded.EmbeddedError as error:
                print(type(error).__name__, error)
                sys.exit(3)
        """)
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", code], stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, condition, seconds=20.0):
        """Wait for a condition in another process."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come"
            time.sleep(0.02)
