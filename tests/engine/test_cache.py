"""A compiled engine: what it compiled is kept, shipped, and used at the next start."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine import PROMPT

pytestmark = [pytest.mark.engine, pytest.mark.exhaustive, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Life:
    """One start of the server: seconds by phase, calls of the compiler, an answer, the log, the launch file."""

    elapsed: dict
    compiled: int
    answer: str
    log: str
    config: Path


COMPILER = """#!/bin/sh
case "$*" in *-shared*) echo "$*" >> "{calls}" ;; esac
exec g++ "$@"
"""
"""Counts what it compiles. On processors vLLM 0.32 cannot load its own ahead-of-time file and traces the model again;
what takes long is the compiler, and its work is what torch finds again.
"""


@pytest.fixture(scope="module")
def lives(world, tiny, tmp_path_factory):
    """A function that runs a compiled server once and tells of its start; all of them use one cache."""
    cache = tmp_path_factory.mktemp("compiled")
    compiler, calls = cache / "compiler", cache / "calls"
    compiler.write_text(COMPILER.format(calls=calls))
    compiler.chmod(0o755)

    def live():
        world.close()
        calls.write_text("")
        server = world.start(
            {
                "model": {"folder": str(tiny), "manifestDigest": None, "maxModelLen": 256},
                "engine": {"cache": str(cache), "enforceEager": False, "maxNumSeqs": 2}
                | {"environment": {"CXX": str(compiler)}},
            }
        )
        status = server.wait_ready()
        code, text = server.call("/v1/completions", PROMPT | {"max_tokens": 8})
        assert code == 200, text
        assert server.stop()[0] == 0
        answer = json.loads(text)["choices"][0]["text"]
        compiled = len(calls.read_text().splitlines())
        return Life(status["elapsed"], compiled, answer, server.run_dir.log.read_text(), server.run_dir.launch)

    live.folder = cache
    return live


def test_a_shipped_bundle_saves_the_compiler(lives, record_property):
    """What the first start compiled goes to another cache: the second compiles nothing and says the same."""
    cold = lives()
    assert "compiled files kept as" in cold.log
    assert cold.compiled > 0
    (bundle,) = lives.folder.glob("*.tar")
    shipped = lives.folder / "shipped.copy"
    told = command("export", "--config", cold.config, "--to", shipped)
    assert told.returncode == 0, told.stderr
    record_property("bundle, MB", round(bundle.stat().st_size / 1e6, 1))
    shutil.rmtree(lives.folder / "live")
    bundle.unlink()
    told = command("import", "--config", cold.config, shipped)
    assert told.returncode == 0, told.stderr
    warm = lives()
    assert re.search(r"cache: \d+ compiled files of", warm.log)
    assert (warm.compiled, warm.answer) == (0, cold.answer)
    record_property("warming, cold and warm, s", [round(life.elapsed["warming"], 1) for life in (cold, warm)])


def command(*words):
    """Run `plinth-runtime cache`."""
    return subprocess.run(
        [sys.executable, "-m", "plinth_runtime", "cache", *words], capture_output=True, text=True, check=False
    )
