"""A compiled engine: what it compiled is kept, used at the next start, shipped, and not trusted when it is damaged."""

import json
import re
import shutil
import subprocess
import sys

import pytest
from support.engine import PROMPT

pytestmark = [pytest.mark.engine, pytest.mark.exhaustive, pytest.mark.timeout(900)]

LOADED = re.compile(r"Directly load (the compiled graph|AOT compilation)", re.IGNORECASE)
"""What vLLM says when it compiles nothing."""


@pytest.fixture(scope="module")
def lives(world, tiny, tmp_path_factory):
    """A function that runs a compiled server once and tells of its start; all of them use one cache."""
    cache = tmp_path_factory.mktemp("compiled")

    def live():
        world.close()
        server = world.start(
            {
                "model": {"folder": str(tiny), "manifestDigest": None, "maxModelLen": 256},
                "engine": {"cache": str(cache), "enforceEager": False, "maxNumSeqs": 2},
            }
        )
        status = server.wait_ready()
        code, text = server.call("/v1/completions", PROMPT | {"max_tokens": 8})
        assert code == 200, text
        assert server.stop()[0] == 0
        answer = json.loads(text)["choices"][0]["text"]
        return status["elapsed"], answer, server.run_dir.log.read_text(), server.run_dir.launch

    live.folder = cache
    return live


def test_the_second_start_compiles_nothing(lives, record_property):
    """It finds what the first compiled, says the same, and is ready sooner; a damaged bundle costs only time."""
    cold, said, log, launch = lives()
    assert "compiled files kept as" in log
    assert not LOADED.search(log)
    (bundle,) = lives.folder.glob("*.tar")
    warm, again, log, _ = lives()
    assert re.search(r"cache: \d+ compiled files of", log)
    assert LOADED.search(log), log[-4000:]
    assert again == said
    record_property("bundle, MB", round(bundle.stat().st_size / 1e6, 1))
    record_property("seconds by phase, cold", cold)
    record_property("seconds by phase, warm", warm)
    assert sum(warm.values()) < sum(cold.values())
    shipped = lives.folder / "shipped.tar.copy"
    told = command("export", "--config", launch, "--to", shipped)
    assert told.returncode == 0, told.stderr
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    bundle.write_bytes(content)
    _, spoilt, log, _ = lives()
    assert "cache: not used: " in log
    assert not LOADED.search(log)
    assert spoilt == said
    shutil.rmtree(lives.folder / "live")
    bundle.unlink()
    told = command("import", "--config", launch, shipped)
    assert told.returncode == 0, told.stderr
    _, moved, log, _ = lives()
    assert LOADED.search(log)
    assert moved == said


def command(*words):
    """Run `plinth-runtime cache`."""
    return subprocess.run(
        [sys.executable, "-m", "plinth_runtime", "cache", *words], capture_output=True, text=True, check=False
    )
