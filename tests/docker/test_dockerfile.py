"""The runtime image: its file read and linted, its locks, and what makes an image that carries a model servable."""

import json
import re
import shlex
import subprocess
import sys
from itertools import pairwise

import pytest
from docker.dockerfile import expand, parse

ROOT_USER = re.compile(r"0|root")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def file(project_root):
    """The Dockerfile."""
    return project_root / "runtime" / "Dockerfile"


SEED_FILE = "docker/presets/inference/llama-2/Dockerfile"
SEED_LINE = r"""docker build \
  --file docker/presets/inference/llama-2/Dockerfile \
  --build-arg WEIGHTS_PATH=${LLAMA_WEIGHTS_PATH} \
  --build-arg MODEL_TYPE=llama2-completion \
  --build-arg VERSION=${VERSION} \
  -t ${LLAMA_MODEL_NAME}:${VERSION} ."""


def test_the_known_command_finds_its_file(project_root, file):
    """The llama-2 page's command works from the root as it stands: its file is ours, and each argument is heard."""
    words = shlex.split(SEED_LINE.replace("\\\n", " "))
    known = (project_root / words[words.index("--file") + 1]).read_text()
    assert known.partition("ARG ")[2] == file.read_text().partition("ARG ")[2]
    given = {word.partition("=")[0] for before, word in pairwise(words) if before == "--build-arg"}
    before, stages = parse(known)
    weights = next(stage for stage in stages if stage.name == "runtime-with-weights")
    heard = {name for step in (*before, *weights.steps) if step.keyword == "ARG" for name in step.pairs()}
    assert given <= heard | {step.text for step in weights.steps if step.keyword == "ARG"}
    assert words[-1] == "."


@pytest.fixture(scope="module")
def stages(file):
    """Its stages by name; the last has none."""
    return {stage.name: stage for stage in parse(file.read_text())[1]}


def last(stage, keyword):
    """The last step of its kind in a stage."""
    return [step for step in stage.steps if step.keyword == keyword][-1]


def test_the_base_is_pinned(file):
    """Every stage stands on one vLLM, by a version or a digest that a build argument can replace."""
    before, stages = parse(file.read_text())
    given = {name: value for step in before for name, value in step.pairs().items()}
    names = {stage.name for stage in stages}
    bases = {expand(stage.base, given) for stage in stages} - names
    assert bases == {"vllm/vllm-openai:v0.32.0"}
    digest = "vllm/vllm-openai@sha256:" + "0" * 64
    assert expand(stages[0].base, given | {"VLLM_IMAGE": digest}) == digest


@pytest.mark.parametrize(("weights", "stage"), [("", "runtime"), ("models/x", "runtime-with-weights")])
def test_what_is_built(stages, weights, stage):
    """Without WEIGHTS_PATH the runtime alone, with it the image that carries a model."""
    assert expand(stages[""].base, {"WEIGHTS_PATH": weights}) == stage
    assert stage in stages


@pytest.mark.parametrize("name", ["runtime", "runtime-with-weights"])
def test_nobody_is_root(stages, name):
    """What is shipped runs as a user by number, so that Kubernetes can see that it is not root."""
    user, group = last(stages[name], "USER").text.split(":")
    assert user.isdecimal()
    assert not ROOT_USER.fullmatch(user)
    assert group == "0"


def test_the_agent_is_process_one(stages):
    """No shell and no init stands before it, and no health check of the base is left."""
    runtime = stages["runtime"]
    assert last(runtime, "ENTRYPOINT").words() == ["/opt/plinth/bin/plinth-runtime"]
    assert last(runtime, "CMD").text.startswith("[")
    assert last(runtime, "HEALTHCHECK").text == "NONE"


def test_all_that_is_written_lies_on_volumes(stages):
    """Run directory, home, caches and temporary files: then the root may be read-only."""
    runtime = stages["runtime"]
    volumes = tuple(last(runtime, "VOLUME").words())
    environment = last(runtime, "ENV").pairs()
    places = [environment[name] for name in ("HOME", "VLLM_CACHE_ROOT", "XDG_CACHE_HOME")]
    assert "/tmp" in volumes
    command = last(runtime, "CMD").words()
    for place in (*places, command[command.index("--run-dir") + 1], last(runtime, "WORKDIR").text):
        assert place.startswith(volumes), place


def test_what_is_installed_is_pinned(stages):
    """Each package comes by its hash, or from the wheel made a line before; no system packages, no downloads."""
    runs = " && ".join(step.text for stage in stages.values() for step in stage.steps if step.keyword == "RUN")
    installs = [command for command in runs.split("&&") if " install " in command and "pip" in command]
    assert len(installs) == 3
    for command in installs:
        assert "--require-hashes" in command or "--no-index" in command
    assert not re.search(r"\b(apt-get|apt|curl|wget|git)\b", runs)


def test_what_is_copied_is_there(stages, project_root):
    """Each source is in the checkout and not among what a build leaves out."""
    left_out = (project_root / ".dockerignore").read_text().splitlines()
    copies = [step for stage in stages.values() for step in stage.steps if step.keyword == "COPY"]
    sources = [name for step in copies if "from" not in step.flags for name in step.words()[:-1] if "$" not in name]
    assert len(sources) == 6
    for name in sources:
        assert (project_root / name).exists(), name
        assert not set(name.split("/")) & {pattern.removeprefix("**/") for pattern in left_out}, name


@pytest.mark.parametrize("name", ["build.lock", "runtime.lock"])
def test_locks_are_those_of_the_tests(project_root, name):
    """The image has the very versions that the tests ran with."""
    tested = dict(PIN.findall((project_root / "requirements.lock").read_text()))
    pinned = dict(PIN.findall((project_root / "runtime/docker" / name).read_text()))
    assert pinned
    assert {package: tested.get(package) for package in pinned} == pinned


def test_the_runtime_lock_has_all_that_the_runtime_needs(project_root):
    """No dependency of the distribution is missing from the lock, nor a library of a store that the tests ran with."""
    import tomllib

    declared = tomllib.loads((project_root / "runtime/pyproject.toml").read_text())
    extras = declared["project"]["optional-dependencies"].values()
    own, stores = declared["project"]["dependencies"], [word for extra in extras for word in extra]
    tested = dict(PIN.findall((project_root / "requirements.lock").read_text()))
    pinned = dict(PIN.findall((project_root / "runtime/docker/runtime.lock").read_text()))
    assert {name_of(word) for word in own} <= set(pinned)
    assert {name_of(word) for word in stores} & set(tested) == {name_of(word) for word in stores} & set(pinned)
    build = dict(PIN.findall((project_root / "runtime/docker/build.lock").read_text()))
    assert declared["build-system"]["requires"] == [f"hatchling=={build['hatchling']}"]


def name_of(requirement):
    """A requirement's distribution."""
    return re.split(r"[><=\[]", requirement)[0]


ARGUMENTS = {
    "MODEL_TYPE": "llama2-completion", "VERSION": "0.0.1", "MAX_MODEL_LEN": "2048", "KV_CACHE_GIB": "4",
    "ENGINE_PYTHON": "/usr/bin/python3", "ENGINE_DEVICE": "cuda",
}  # fmt: skip


@pytest.fixture
def bake(project_root, tmp_path, make_model):
    """A function that bakes a tiny model with changed build arguments; returns (exit code, stderr, launch)."""
    folder, target = make_model(tmp_path / "weights", manifest=False), tmp_path / "etc"
    target.mkdir()

    def call(**changes):
        script = project_root / "runtime/docker/bake.py"
        run = subprocess.run(
            [sys.executable, script, folder, target],
            env=ARGUMENTS | changes,
            capture_output=True,
            text=True,
            check=False,
        )
        launch = target / "launch.json"
        return run.returncode, run.stderr, json.loads(launch.read_text()) if launch.exists() else None

    call.folder, call.target = folder, target
    return call


@pytest.mark.processes
@pytest.mark.parametrize(("kind", "generate"), [("llama2-completion", True), ("llama2-chat", False)])
def test_baked_launch(bake, kind, generate):
    """A manifest is made, the launch names it, and MODEL_TYPE says whether /generate answers."""
    from hashlib import sha256

    code, errors, launch = bake(MODEL_TYPE=kind)
    assert (code, errors) == (0, "")
    assert launch["api"]["generate"] is generate
    assert launch["model"]["servedName"] == kind
    assert launch["model"]["manifestDigest"] == sha256((bake.folder / "plinth-manifest.json").read_bytes()).hexdigest()
    assert launch["model"]["maxModelLen"] == 2048
    assert bake(MAX_MODEL_LEN="9999")[2]["model"]["maxModelLen"] == 4096  # the model's own
    assert (bake.target / "version.txt").read_text() == "0.0.1\n"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"MODEL_TYPE": "llama2"}, "MODEL_TYPE is 'llama2'; write NAME-completion"),
        ({"KV_CACHE_GIB": "0"}, "KV_CACHE_GIB is '0'; write a whole number"),
        ({"MAX_MODEL_LEN": "2k"}, "MAX_MODEL_LEN is '2k'"),
        ({"ENGINE_DEVICE": "tpu"}, "engine.device"),
    ],
)
def test_bad_build_arguments(bake, changes, words):
    """A build argument that cannot be used ends the build with its name, and nothing is written."""
    code, errors, launch = bake(**changes)
    assert (code, launch) == (1, None)
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.processes
def test_bad_weights(bake):
    """Weights that are not those of their manifest, or none at all, end the build by name."""
    bake()
    (bake.target / "launch.json").unlink()
    weights = bake.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    code, errors, launch = bake()
    assert (code, launch) == (1, None)
    assert "WEIGHTS_PATH" in errors
    assert "model.safetensors has sha256" in errors
    weights.unlink()
    assert "WEIGHTS_PATH" in bake()[1]


@pytest.mark.processes
@pytest.mark.exhaustive
def test_hadolint(file, project_root, tmp_path):
    """The usual linter has nothing to say."""
    lock = project_root / "tests/docker/hadolint.lock"
    installer = [project_root / ".venv/bin/uv", "pip", "install", "--quiet", "--require-hashes", "--target", tmp_path]
    subprocess.run([*installer, "--python", sys.executable, "-r", lock], check=True)
    files = [file, project_root / SEED_FILE]
    run = subprocess.run([tmp_path / "bin" / "hadolint", *files], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")
