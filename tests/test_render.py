"""`plinth render`: files for GitOps, the same bytes each time, nothing of others touched, no secret written."""

import shutil

import pytest
import yaml
from click.testing import CliRunner

from pulumi_plinth.cli import main
from pulumi_plinth.rendering_files import HEADER, LIST

EXAMPLES = ("kubernetes-example", "kubernetes-group", "kaito-llama2-7b", "kaito-llama2-13b", "kaito-llama2-70b")


@pytest.fixture
def render(project_root, tmp_path):
    """Render an example, or a stack file of the test's own, into a folder."""

    def do(*more, stack="kubernetes-example", cwd=project_root):
        return CliRunner().invoke(main, ["render", "--stack", stack, "--cwd", str(cwd), *more])

    return do


def files_in(folder):
    """Path -> text of every file."""
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("stack", EXAMPLES)
def test_every_example_is_rendered_the_same_each_time(render, tmp_path, stack):
    """Equal bytes, a list for kustomize that names every file in order, each file one object."""
    for folder in ("one", "two"):
        result = render("--to", str(tmp_path / folder), stack=stack)
        assert result.exit_code == 0, result.output
    first = files_in(tmp_path / "one")
    assert first == files_in(tmp_path / "two")
    listed = yaml.safe_load(first.pop(LIST))
    assert listed["kind"] == "Kustomization"
    assert listed["resources"] == sorted(first)
    for text in first.values():
        assert text.startswith(HEADER)
        (item,) = yaml.safe_load_all(text)
        assert item["kind"] != "Secret"


def test_presets_are_the_workloads_of_the_seed(render, tmp_path):
    """A Deployment, and two StatefulSets; `/generate` behind port 80, from the private image with its pull secret."""
    for size, kind in (("7b", "Deployment"), ("13b", "StatefulSet"), ("70b", "StatefulSet")):
        folder, name = tmp_path / size, f"llama2-{size}"
        assert render("--to", str(folder), stack=f"kaito-{name}").exit_code == 0
        item = yaml.safe_load((folder / name / f"50-{kind.lower()}-{name}.yaml").read_text())
        pod = item["spec"]["template"]["spec"]
        assert item["kind"] == kind
        assert pod["containers"][0]["image"].startswith(f"registry.example/{name}@sha256:")
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        service = yaml.safe_load((folder / name / f"40-service-{name}.yaml").read_text())
        (port,) = service["spec"]["ports"]
        assert (port["port"], port["targetPort"]) == (80, "api")
        assert pod["containers"][0]["ports"][0] == {"containerPort": 5000, "name": "api", "protocol": "TCP"}


def test_a_second_run_writes_nothing_and_removes_what_is_no_longer_needed(project_root, tmp_path, render):
    """Files of an earlier plan go, with folders that become empty; what did not change is not written."""
    root, target = tmp_path / "project", tmp_path / "out"
    (root / "stacks").mkdir(parents=True)
    shutil.copy(project_root / "Pulumi.yaml", root)
    text = (project_root / "stacks/Pulumi.kubernetes-example.yaml").read_text()
    stack = root / "stacks/Pulumi.dev.yaml"
    stack.write_text(text)
    assert render("--to", str(target), stack="dev", cwd=root).exit_code == 0
    before = files_in(target)
    times = {path: path.stat().st_mtime_ns for path in target.rglob("*.yaml")}
    result = render("--to", str(target), stack="dev", cwd=root)
    assert "0 written, 0 removed" in result.stderr
    assert times == {path: path.stat().st_mtime_ns for path in target.rglob("*.yaml")}
    document = yaml.safe_load(text)
    del document["config"]["plinth:stack"]["deployments"]["small"]
    stack.write_text(yaml.safe_dump(document))
    result = render("--to", str(target), stack="dev", cwd=root)
    gone = len([name for name in before if name.startswith("small/")])
    assert f"1 written, {gone} removed" in result.stderr
    assert not (target / "small").exists()


def test_files_of_others_stay(render, tmp_path):
    """A folder with foreign files is refused untouched; --force writes beside them; a clash is refused anyway."""
    foreign = tmp_path / "README.md"
    foreign.write_text("mine")
    result = render("--to", str(tmp_path))
    assert result.exit_code == 1
    assert "has files of somebody else (README.md); take another folder, or say --force" in result.stderr
    assert files_in(tmp_path) == {"README.md": "mine"}
    assert render("--to", str(tmp_path), "--force").exit_code == 0
    assert foreign.read_text() == "mine"
    (tmp_path / LIST).write_text("resources: [mine.yaml]\n")
    result = render("--to", str(tmp_path), "--force")
    assert (result.exit_code, "will not overwrite" in result.stderr) == (1, True)
    assert (tmp_path / LIST).read_text() == "resources: [mine.yaml]\n"


def test_secrets_are_named_with_the_command_that_makes_them(render, tmp_path):
    """On standard error, so that standard output can be piped into kubectl."""
    result = render("--to", "-")
    kinds = [item["kind"] for item in yaml.safe_load_all(result.stdout)]
    assert "Secret" not in kinds
    assert kinds.count("Deployment") == 2
    assert LIST not in kinds
    assert "secret chat-keys in plinth: hashes of the API keys" in result.stderr
    assert "kubectl create secret generic chat-keys --namespace plinth" in result.stderr


def test_a_stack_without_pods_says_what_to_add(render, tmp_path):
    """Nothing is written for it, whether it has no deployments or some that are only planned."""
    (tmp_path / "Pulumi.yaml").write_text("name: box\nruntime: python\n")
    (tmp_path / "Pulumi.bare.yaml").write_text("config: {plinth:stack: {stores: {disk: {path: models}}}}\n")
    for settings in ({"stack": "bare", "cwd": tmp_path}, {"stack": "gpu-example"}):
        result = render("--to", str(tmp_path / "out"), **settings)
        assert result.exit_code == 1
        assert "has nothing for Kubernetes; add `kubernetes:`" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_help_shows_how(render):
    """With examples."""
    said = CliRunner().invoke(main, ["render", "--help"]).output
    assert "plinth render --stack kubernetes-example --to deploy/prod" in said
    assert "kubectl apply --server-side" in said
