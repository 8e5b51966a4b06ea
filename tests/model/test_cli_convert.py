"""`plinth convert`: files and stdin in, stack file or documents out, faults on stderr, exit code 1 on any."""

import json

import pytest
from click.testing import CliRunner

from pulumi_plinth.cli import main
from pulumi_plinth.model.convert import DIALECTS
from pulumi_plinth.stack import StackSpec

GOOD = "model: {model_name: org/m, model_max_length: 64}\ndata: {}\nengine: SGLANG\n"


@pytest.fixture
def run():
    """A function that runs the command and returns its result."""
    return lambda *arguments, **options: CliRunner().invoke(main, ["convert", *map(str, arguments)], **options)


def test_the_default_is_a_stack_file_that_parses(run, document, tmp_path):
    """What comes out can be saved as a stack file."""
    import yaml

    path = tmp_path / "d.json"
    path.write_text(document("seeds/deepextension-form.json"))
    result = run(path)
    assert result.exit_code == 0
    spec = StackSpec.parse(yaml.safe_load(result.stdout)["config"]["plinth:stack"])
    assert (sorted(spec.models), sorted(spec.stores)) == (["llama2-13b", "qwen-7b"], ["models"])


def test_json_has_models_warnings_and_errors(run, document, tmp_path):
    """Errors carry path, value, message and hint, and the exit code is 1."""
    path = tmp_path / "n.yaml"
    path.write_text(GOOD + "---\n" + document("seeds/nstream-basemodel-template.yaml"))
    result = run("--json", path)
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert list(found) == ["models", "warnings", "errors"]
    assert found["models"][0]["name"] == "m"
    error = next(error for error in found["errors"] if error["path"].endswith("replicas"))
    assert {"path", "value", "message", "hint"} <= set(error)
    assert error["value"] == "REPLICATION"


@pytest.mark.parametrize("to", list(DIALECTS))
def test_every_target_can_be_asked_for(run, to):
    """Stdin is `-`; a target that cannot say it explains why."""
    result = run("--to", to, "-", input=GOOD)
    assert (result.exit_code == 0) == bool(result.stdout)
    assert "warning:" in result.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_of_windows_are_read(run, tmp_path, encoding):
    """UTF-16 and marks as editors there write them."""
    path = tmp_path / "Modelfile"
    path.write_text("FROM llama3\nSYSTEM café\n", encoding=encoding)
    result = run("--to", "modelfile", path)
    assert result.stdout == "FROM llama3\nSYSTEM café\n"


def test_what_cannot_be_read_is_said_in_one_line(run, tmp_path):
    """A missing file and a file that is no text are no tracebacks."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff\xfe\xfa")
    assert "is not text in UTF-8 or UTF-16" in run(path).stderr
    missing = run(tmp_path / "none.yaml")
    assert (missing.exit_code, "cannot be read: No such file" in missing.stderr) == (1, True)
    assert run(tmp_path).exit_code == 1
    assert run().exit_code == 2


def test_several_modelfiles_are_told_apart(run, document, tmp_path):
    """Each begins with a comment that names its model."""
    path = tmp_path / "d.json"
    path.write_text(document("seeds/deepextension-form.json"))
    assert run("--to", "modelfile", path).stdout.count("# Modelfile of ") == 2
