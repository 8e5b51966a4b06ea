"""The committed table and the argument check against the engine itself. Processes that ask, no server."""

import json
import subprocess

import pytest
from engines.command_lines import BOUNDS, REFUSED, TAKEN

NAME = "vllm-0.32.0.json"
SCRIPT = "runtime/engines/describe_engine.py"


@pytest.fixture
def engine_python(project_root):
    """The engine environment's interpreter."""
    python = project_root / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("the engine environment is not there; `make engine`")
    return python


@pytest.mark.engine
@pytest.mark.timeout(240)
def test_the_committed_table_is_what_the_engine_says_today(engine_python, project_root, tmp_path):
    """Byte by byte; a new release, or a changed script, wants a new table."""
    subprocess.run([engine_python, project_root / SCRIPT, tmp_path], check=True, timeout=200, capture_output=True)
    said = json.loads((tmp_path / NAME).read_text())
    committed = project_root / "components" / "pulumi_plinth" / "engines" / NAME
    kept = json.loads(committed.read_text())
    differ = [f"{part}: {change}" for part in said for change in changes(kept.get(part), said[part])]
    assert differ == [], "run `make engine-table` and look at the difference"
    assert (tmp_path / NAME).read_bytes() == committed.read_bytes()


def changes(kept, said):
    """Name the entries that differ, at most five."""
    if not isinstance(said, (dict, list)) or not isinstance(kept, type(said)):
        return [] if kept == said else [f"{kept!r} -> {said!r}"]
    pairs = [dict.items(each) if isinstance(each, dict) else each for each in (kept, said)]
    return sorted({json.dumps(item) for item in pairs[0]} ^ {json.dumps(item) for item in pairs[1]})[:5]


@pytest.mark.engine
@pytest.mark.timeout(240)
def test_what_we_take_vllm_takes_and_what_we_refuse_it_refuses(engine_python, make_model, tmp_path):
    """More than a hundred command lines, right and wrong ones; the same lists are in the unit tests."""
    lines = [*TAKEN, *REFUSED]
    folder = make_model(tmp_path / "model")
    body = {
        "model": str(folder),
        "parsed": [line.split() for line in lines],
        "configured": [["--skip-tokenizer-init", *line.split()] for line in ["--seed 1", *BOUNDS]],
    }
    ran = subprocess.run(
        [engine_python, "tests/engines/ask_parser.py"],
        input=json.dumps(body), capture_output=True, text=True, timeout=200, check=False,
        cwd=engine_python.parents[5],
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    answers = json.loads(ran.stdout.splitlines()[-1])
    asked = dict(zip([*lines, "--seed 1", *BOUNDS], answers, strict=True))
    taken = {line for line, reason in asked.items() if reason is None}
    assert taken == {*TAKEN, "--seed 1"}, {line: asked[line] for line in taken ^ {*TAKEN, "--seed 1"}}
