"""Every route that the pinned engine has, called without and with a key: what is not meant to be open, is not."""

import hashlib
import json
import os
import subprocess

import pytest
from support.engine import make_world

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

OPEN = {"/health"}
ALLOWED = {
    "/metrics", "/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
    "/v1/messages/count_tokens", "/v1/embeddings",
}  # fmt: skip


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
    }
    run = subprocess.run(
        [python, project_root / "tests/support/surface.py"], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_the_walk_saw_the_engine(walk):
    """Routes that matter are among those walked, the undocumented ones too; otherwise nothing would be proved."""
    paths = {row["path"] for row in walk}
    assert {"/invocations", "/tokenize", "/ping", "/version", "/docs", "/openapi.json", "/v1/chat/completions"} <= paths
    assert len(walk) > 40


def test_without_a_key_only_health_answers(walk):
    """No route, whatever its method, gives anything else than 401 to a caller without a key or with a wrong one."""
    for kind in ("bare", "wrong", "agent"):
        assert not [row for row in walk if row["path"] not in OPEN and row[kind] != 401], kind


def test_with_a_key_only_the_list_exists(walk):
    """The right key opens what is on the list; the engine's other routes do not exist for it either."""
    assert not [row for row in walk if row["path"] not in OPEN | ALLOWED and row["right"] != 404]
    reached = {row["path"] for row in walk if row["right"] not in (401, 404)}
    assert {"/metrics", "/v1/completions", "/v1/chat/completions", "/v1/models"} <= reached
