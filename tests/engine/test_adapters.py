"""LoRA adapters on a real engine: listed and added at run time, by the operator and by nobody else."""

import json
import os
import shutil
import signal
import subprocess
from types import SimpleNamespace

import pytest
from support.engine import KEY, PROMPT, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

ASK = PROMPT | {"max_tokens": 12}


@pytest.fixture(scope="module")
def made(world, project_root, tmp_path_factory):
    """Two adapters of the sample model, and one whose rank is above what the server has room for."""
    folder = tmp_path_factory.mktemp("adapters")
    for name, rank, seed in (("listed", 8, 1), ("late", 4, 2)):
        command = [
            world.python,
            project_root / "tests/support/lora.py",
            world.model,
            folder / name,
            str(rank),
            str(seed),
        ]
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=180)
    shutil.copytree(folder / "late", folder / "wide")
    config = folder / "wide/adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"r": 64}))
    return folder


@pytest.fixture(scope="module")
def adapted(world, made):
    """A server with one adapter, ready."""
    world.close()
    listed = {"name": "listed", "folder": str(made / "listed"), "rank": 8}
    server = world.start({"model": {"adapters": [listed], "adapterFolders": [str(made)]}})
    server.wait_ready()
    yield SimpleNamespace(server=server, folder=made)
    world.close()


def said(server, model):
    """What a model answers, or the status if it does not."""
    code, text = server.call("/v1/completions", ASK | {"model": model})
    return json.loads(text)["choices"][0]["text"] if code == 200 else code


def models(server):
    """What clients see."""
    return {card["id"] for card in json.loads(server.call("/v1/models")[1])["data"]}


def add(server, name, path, headers=None):
    """(status, document) of an adapter's arrival."""
    headers = {"content-type": "application/json"} if headers is None else headers
    code, text = server.call("/adapters", {"name": name, "path": str(path)}, headers, management=True)
    return code, json.loads(text)


def test_a_listed_adapter_is_a_model_of_its_own(adapted):
    """It answers under its name, otherwise than its base does."""
    assert models(adapted.server) == {"smollm2", "listed"}
    assert "Paris" in said(adapted.server, "smollm2")
    assert said(adapted.server, "listed") not in (said(adapted.server, "smollm2"), 404)


def test_added_and_removed_without_a_restart(adapted):
    """The operator adds one while the server runs, it answers in its own way, and is unknown when it is gone."""
    server = adapted.server
    assert said(server, "late") == 404
    code, told = add(server, "late", adapted.folder / "late")
    assert (code, told["rank"]) == (201, 4), told
    answers = {said(server, name) for name in ("smollm2", "listed", "late")}
    assert len(answers) == 3
    assert models(server) == {"smollm2", "listed", "late"}
    assert add(server, "late", adapted.folder / "late")[0] == 409
    code, text = server.call("/adapters", management=True)
    assert [adapter["name"] for adapter in json.loads(text)["adapters"]] == ["listed", "late"]
    assert remove(server, "late") == 200
    assert said(server, "late") == remove(server, "late") == 404
    assert server.status()["restarts"] == 0


def remove(server, name):
    """Status of an adapter's departure."""
    return server.call(f"/adapters/{name}", headers={}, management=True, method="DELETE")[0]


def test_what_may_not_come(adapted, tmp_path):
    """Other folders and higher ranks are refused before the engine hears of them."""
    shutil.copytree(adapted.folder / "late", tmp_path / "late")
    assert add(adapted.server, "late", tmp_path / "late")[0] == 403
    code, told = add(adapted.server, "wide", adapted.folder / "wide")
    assert (code, "rank 64" in told["error"]) == (400, True)
    assert models(adapted.server) == {"smollm2", "listed"}


def test_a_broken_adapter_is_refused_and_the_server_lives(adapted):
    """The engine's own reason is handed on."""
    shutil.copytree(adapted.folder / "late", adapted.folder / "broken")
    (adapted.folder / "broken/adapter_model.safetensors").write_bytes(b"\x08" + b"\0" * 40)
    code, told = add(adapted.server, "broken", adapted.folder / "broken")
    assert (code, "the engine refuses it" in told["error"]) == (422, True)
    assert "Paris" in said(adapted.server, "smollm2")


@pytest.mark.parametrize("token", [None, "", "guess", KEY])
def test_clients_cannot(adapted, token):
    """On the API port nothing of this exists, with a right key and whatever is said about being the agent."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    if token is not None:
        headers["x-plinth-agent"] = token
    body = {"lora_name": "mine", "lora_path": str(adapted.folder / "late"), "name": "mine", "src": "/"}
    for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/adapters"):
        assert adapted.server.call(path, body, headers)[0] == 404, path
    assert adapted.server.call("/adapters/listed", None, headers, method="DELETE")[0] == 404
    assert models(adapted.server) == {"smollm2", "listed"}


@pytest.mark.exhaustive
def test_added_ones_survive_the_engine(adapted):
    """When the engine dies and is started again, what was added is there and what was removed is not."""
    server = adapted.server
    assert add(server, "late", adapted.folder / "late")[0] == 201
    assert remove(server, "listed") == 200
    restarts = server.status()["restarts"]
    os.kill(server.core(), signal.SIGKILL)
    wait_until(lambda: (s := server.status()) and s["restarts"] == restarts + 1, 30)
    server.wait_ready()
    assert models(server) == {"smollm2", "late"}
    assert said(server, "late") not in (said(server, "smollm2"), 404)
