"""The line that a real server logs, with the sample model's real weights, against the plan that our agent launches."""

import re

import pytest
from support.engine import make_world

from plinth_runtime.weights.inspect import inspect_folder
from pulumi_plinth.fit.memory import HostServing, engine_memory

LOGGED = re.compile(r"CPU KV cache size: ([\d,]+) tokens")


@pytest.fixture
def world(tmp_path_factory, project_root):
    """What an agent on a real engine is made of; nothing of it stays behind."""
    made = make_world(project_root, tmp_path_factory.mktemp)
    yield made
    made.close()


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(400)
def test_a_server_logs_the_planned_tokens(world, tell):
    """SmolLM2-135M as the agent serves it: 1 GiB of cache, requests of 1,024 tokens."""
    server = world.start()
    server.wait_ready()
    logged = LOGGED.search(server.run_dir.log.read_text())
    assert logged, server.run_dir.log.read_text()[-3000:]
    launch = server.launch
    serving = HostServing(launch.model.max_model_len, launch.engine.max_num_seqs, launch.model.dtype)
    bill = engine_memory(inspect_folder(world.model), launch.engine.kv_cache_bytes, serving)
    tell("SmolLM2-135M, a server of ours", f"{bill.kv_tokens:,} tokens", f"{logged[1]} tokens", "as logged")
    assert int(logged[1].replace(",", "")) == bill.kv_tokens
