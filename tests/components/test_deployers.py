"""Who carries out a deployment, and how the Pulumi CLI is called when it is there."""

import json
import os
import sys

import pytest

from pulumi_plinth.deployers import EmbeddedDeployer, PulumiDeployer, choose
from pulumi_plinth.errors import DeployError, without_traceback
from pulumi_plinth.project import Workspace


@pytest.fixture
def workspace(tmp_path, project_root):
    """A project without any state."""
    (tmp_path / "Pulumi.yaml").write_bytes((project_root / "Pulumi.yaml").read_bytes())
    return Workspace(tmp_path, "local")


@pytest.fixture
def pulumi(tmp_path, project_root, monkeypatch):
    """A `pulumi` on PATH; returns the calls it got."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "pulumi"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{project_root}/tests/fakes/pulumi_cli.py" "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_DIR", str(folder))
    (folder / "outputs.json").write_text(json.dumps({"endpoints": {"chat": "http://x/v1"}, "keys": {"chat": "k"}}))
    return lambda: [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def test_the_cli_is_used_when_it_is_there(workspace, pulumi):
    """`auto` takes the CLI on PATH, `embedded` does not."""
    assert isinstance(choose("auto", workspace, print), PulumiDeployer)
    assert isinstance(choose("embedded", workspace, print), EmbeddedDeployer)


def test_the_cli_is_called_with_stack_and_passphrase(workspace, pulumi):
    """Preview, up without a second preview, outputs with and without secrets, export, destroy."""
    carrier = choose("pulumi", workspace, print)
    assert carrier.preview() is None
    carrier.up()
    assert carrier.outputs(show_secrets=False)["keys"] == "[secret]"
    assert carrier.outputs(show_secrets=True)["keys"] == {"chat": "k"}
    assert carrier.export()["version"] == 3
    carrier.refresh()
    carrier.destroy()
    calls = pulumi()
    assert {call[0] for call in calls} == {str(workspace.root / ".plinth/passphrase")}
    verbs = [call[1] for call in calls if call[1] != "stack"]
    assert verbs == ["preview", "up", "refresh", "destroy"]
    assert all("local" in call for call in calls)
    up = next(call for call in calls if call[1] == "up")
    assert {"--yes", "--skip-preview", "--non-interactive"} <= set(up)


def test_a_failed_cli_run_is_an_error(workspace, pulumi, tmp_path):
    """Its exit code is in the message; its own output is on the terminal already."""
    (tmp_path / "bin" / "fails").touch()
    with pytest.raises(DeployError, match="`pulumi up` ended with exit code 255"):
        choose("pulumi", workspace, print).up()


def test_a_passphrase_is_made_once_and_readable_by_the_owner_alone(workspace, monkeypatch):
    """Generated on first use, then kept; one of the user's own is left alone."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    workspace.use_own_passphrase()
    path = workspace.root / ".plinth/passphrase"
    assert not path.exists()
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    workspace.use_own_passphrase()
    made = path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE")
    workspace.use_own_passphrase()
    assert path.read_text() == made


def test_a_lost_passphrase_is_not_replaced(workspace):
    """Stacks exist that need the old one: a new one would make them unreadable without saying so."""
    stacks = workspace.root / ".plinth/.pulumi/stacks/plinth"
    stacks.mkdir(parents=True)
    (stacks / "local.json").write_text("{}")
    with pytest.raises(DeployError, match="passphrase is gone"):
        workspace.use_own_passphrase()


def test_tracebacks_of_providers_are_left_out():
    """Only the sentence remains."""
    frames = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n'
    text = f"urn:x: {frames}a.b.LocalError: no port\n  log"
    assert without_traceback(text) == "urn:x: no port\n  log"
