"""What `plinth render` writes, before a real API server: strict validation, real admission, real controllers."""

import json
import time

import pytest
from click.testing import CliRunner
from support.foreign_kinds import definitions

from pulumi_plinth.cli import main

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

EXAMPLES = {
    "kubernetes-example": "plinth",
    "kubernetes-group": "large",
    "kaito-llama2-7b": "kaito",
    "kaito-llama2-13b": "kaito",
    "kaito-llama2-70b": "kaito",
}
"""Stack -> its namespace."""
SECONDS = 30


@pytest.fixture(scope="module")
def foreign_kinds(cluster):
    """The kinds of other projects that groups, metrics and scalers need."""
    made = list(definitions())
    text = "\n---\n".join(json.dumps(item) for item in made)
    cluster.kubectl("apply", "--server-side", "-f", "-", text=text)
    names = [f"crd/{item['metadata']['name']}" for item in made]
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", *names)
    yield
    cluster.kubectl("delete", *names, "--wait=false")


@pytest.fixture
def rendered(project_root, tmp_path, kubectl, request):
    """A function that renders an example; its namespace is there, and goes when the test ends."""
    gone = []

    def render(stack):
        arguments = ["render", "--stack", stack, "--cwd", str(project_root), "--to", str(tmp_path / stack)]
        assert CliRunner().invoke(main, arguments).exit_code == 0
        kubectl("apply", "--server-side", "-f", str(tmp_path / stack / f"00-namespace-{EXAMPLES[stack]}.yaml"))
        gone.append(EXAMPLES[stack])
        return tmp_path / stack

    yield render
    for name in gone:
        kubectl("delete", "namespace", name, "--timeout=60s")


@pytest.mark.parametrize("stack", EXAMPLES)
def test_every_object_of_every_example_is_accepted(kubectl, foreign_kinds, rendered, stack):
    """Server-side apply with strict field validation: no unknown field, no refused value; kustomize lists the same."""
    folder = rendered(stack)
    count = sum(path.suffix == ".yaml" for path in folder.rglob("*"))
    for how in (("-R", "-f"), ("-k",)):
        said = kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", *how, str(folder))
        assert len(said.stdout.splitlines()) == count
        assert "Warning" not in said.stderr


def test_a_misspelt_field_is_refused(kubectl, foreign_kinds, rendered):
    """So the test above can fail: one letter less in a workload, a scaler, a monitor."""
    folder = rendered("kubernetes-group")
    for name, field in (
        ("50-leaderworkerset-large", "startupPolicy"),
        ("70-scaledobject-large", "pollingInterval"),
        ("80-podmonitor-large", "podTargetLabels"),
        ("30-networkpolicy-large", "policyTypes"),
    ):
        text = (folder / "large" / f"{name}.yaml").read_text().replace(f"{field}:", f"{field[:-1]}:", 1)
        said = kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", text=text, check=False
        )
        assert said.returncode
        assert field[:-1] in said.stderr


@pytest.mark.parametrize(
    ("stack", "pods"),
    [
        ("kubernetes-example", {"chat": 2, "small": 1}),
        ("kaito-llama2-7b", {"llama2-7b": 1}),
        ("kaito-llama2-13b", {"llama2-13b": 1}),
        ("kaito-llama2-70b", {"llama2-70b": 1}),
    ],
)
def test_pods_pass_restricted_admission(kubectl, rendered, stack, pods):
    """Applied as they are: the controllers make every pod in a namespace that enforces `restricted`."""
    folder, namespace = rendered(stack), EXAMPLES[stack]
    kubectl("apply", "--server-side", "-R", "-f", str(folder))
    deadline, found = time.monotonic() + SECONDS, {}
    while found != pods and time.monotonic() < deadline:
        made = json.loads(kubectl("get", "pods", "--namespace", namespace, "-ojson").stdout)["items"]
        names = [item["metadata"]["labels"]["app.kubernetes.io/instance"] for item in made]
        found = {name: names.count(name) for name in names}
        time.sleep(0.2)
    events = kubectl("get", "events", "--namespace", namespace).stdout
    assert found == pods, events
    assert "FailedCreate" not in events


def test_a_second_apply_changes_nothing(kubectl, rendered):
    """No field is defaulted by the server into something else than what is written."""
    folder = rendered("kaito-llama2-13b")
    kubectl("apply", "--server-side", "-R", "-f", str(folder))
    said = kubectl("diff", "--server-side", "-R", "-f", str(folder), check=False)
    changed = [line for line in said.stdout.splitlines() if line.startswith(("+ ", "- "))]
    assert [line for line in changed if "generation:" not in line] == []
