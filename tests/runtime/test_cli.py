"""The command line: what it prints, and that a fault becomes one code and two lines."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from plinth_runtime import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """A function that runs the command line and returns (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["plinth-runtime", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return end.value.code or 0, out, err

    return call


@pytest.fixture
def folder(tmp_path, make_model):
    """A good model folder."""
    return make_model(tmp_path / "model")


def test_manifest_then_verify(run, tmp_path, make_model):
    """A folder without a manifest cannot be verified; one made by `manifest` can, and its digest is printed."""
    bare = make_model(tmp_path / "bare", manifest=False)
    code, out, _ = run("verify", bare)
    assert (code, "plinth-runtime manifest" in out) == (4, True)
    code, digest, _ = run("manifest", bare, "--source", "here")
    assert code == 0
    assert run("verify", bare, "--digest", digest.strip())[0] == 0
    assert run("verify", bare, "--digest", "0" * 64)[0] == 5
    assert json.loads(run("verify", bare, "--json")[1])["intact"]


def test_inspect(run, folder):
    """The card is printed for people and for machines."""
    assert "LlamaForCausalLM" in run("inspect", folder)[1]
    assert json.loads(run("inspect", folder, "--json")[1])["layers"] == 2


def test_print_command(run, launch_document, tmp_path):
    """The engine's command is printed as JSON, without starting anything."""
    config = tmp_path / "launch.json"
    config.write_text(json.dumps(launch_document))
    code, out, _ = run("print-command", "--config", config)
    assert code == 0
    assert json.loads(out)["argv"][0] == launch_document["engine"]["python"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["verify", "/no/such"], 5),
        (["inspect", "/no/such"], 11),
        (["print-command", "--config", "/no/such"], 10),
        (["serve"], 2),
        (["no-such-command"], 2),
    ],
)
def test_faults(run, arguments, code):
    """A fault is a code and words on stderr, never a traceback."""
    got, _, err = run(*arguments)
    assert got == code
    assert err
    assert "Traceback" not in err


def test_help_shows_examples():
    """`--help` names every command and shows how to use it."""
    result = CliRunner().invoke(cli.cli, ["--help"])
    assert "Examples:" in result.output
    assert all(
        name in result.output
        for name in ("serve", "manifest", "verify", "inspect", "print-command", "fetch", "publish")
    )


def test_help_is_quick():
    """`--help` loads neither pydantic nor the metrics library."""
    code = "import sys, plinth_runtime.cli; sys.exit(bool({'pydantic', 'prometheus_client'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_signals_are_owned_before_anything_heavy():
    """What comes before the signal handlers does not load pydantic, which takes longer than all the rest."""
    code = "import sys, plinth_runtime.server; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.processes
def test_serving_imports_no_engine():
    """The agent's modules load neither an engine nor Pulumi, and not the metrics library before a scrape."""
    code = "import sys, plinth_runtime.serving.agent; sys.exit(bool({'torch', 'vllm', 'pulumi', 'prometheus_client'} & set(sys.modules)))"  # noqa: E501
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
