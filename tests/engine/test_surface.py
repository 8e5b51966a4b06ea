"""Every route that the pinned engine could have, called without and with a key: only what is meant to be open, is."""

import hashlib
import json
import os
import subprocess

import pytest
from support.engine import make_world

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

SWITCHES = {"VLLM_SERVER_DEV_MODE": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
"""What adds routes for development; a server is never started with the first one."""

INFERENCE = {
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/pooling",
    "/classify", "/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank", "/v1/audio/transcriptions",
    "/v1/audio/translations", "/tokenize", "/detokenize", "/invocations",
}  # fmt: skip
SERVED = ("LISTING", "WORK")


@pytest.fixture(scope="module")
def walk(project_root, tmp_path_factory):
    """A row for each route and method of the engine's application; no engine is started."""
    folder = tmp_path_factory.mktemp("surface")
    (folder / "keys").write_text(hashlib.sha256(b"right").hexdigest())
    (folder / "agent").write_text(hashlib.sha256(b"agent").hexdigest())
    python = make_world(project_root, tmp_path_factory.mktemp).python
    environment = os.environ | {
        "PYTHONPATH": str(project_root / "runtime/plinth_runtime/serving/injected"),
        "PLINTH_KEYS_FILE": str(folder / "keys"),
        "PLINTH_AGENT_FILE": str(folder / "agent"),
        "VLLM_LOGGING_LEVEL": "ERROR",
        **SWITCHES,
    }
    run = subprocess.run(
        [python, project_root / "tests/support/surface.py"], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_the_walk_saw_the_engine(walk):
    """Routes that matter are among those walked, hidden ones too; otherwise nothing would be proved."""
    paths = {row["path"] for row in walk}
    hidden = {"/ping", "/version", "/docs", "/openapi.json", "/collective_rpc", "/sleep", "/v1/load_lora_adapter"}
    assert paths >= INFERENCE | hidden
    assert len(walk) > 80


def test_every_route_is_decided(walk):
    """The gate's table has a row for each route of the engine: a new version's routes wait for somebody's decision."""
    assert not sorted({row["path"] for row in walk if row["decided"] is None})


def test_nothing_answers_without_a_key(walk):
    """Without a key, with a wrong one or with a wrong token: 401 where clients may go, 404 everywhere else."""
    for kind in ("bare", "wrong", "agent"):
        assert not [row for row in walk if row[kind] != (401 if row["decided"] in SERVED else 404)], kind


def test_with_a_key_only_the_list_exists(walk):
    """The right key reaches every route of inference; nothing else exists for it."""
    assert not [row for row in walk if row["decided"] not in SERVED and row["right"] != 404]
    reached = {row["path"] for row in walk if row["right"] not in (401, 404)}
    assert reached >= INFERENCE | {"/v1/models"}
