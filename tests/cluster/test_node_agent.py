"""Agents as processes on a real API server, with the rights of their DaemonSet: content arrives and nodes say so."""

import json
import signal
import time

import pytest
from cluster import control
from cluster.build import built
from cluster.models import (
    ACCOUNT,
    BASE_MODEL,
    HOME,
    IMAGE,
    Agent,
    account_config,
    add_node,
    install_crds,
    install_rights,
    wait_until,
)
from fakes.hub import FakeHub, FakeStorage

from pulumi_plinth.node_agent import SecretName
from pulumi_plinth.node_agent.__main__ import rendered

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

MEMORY_LIMIT = 60 << 20
TOKEN = "hf_OnlyForThisTest"


@pytest.fixture
def hub(make_model, tmp_path):
    """A hub with one model."""
    folder = make_model(tmp_path / "origin", manifest=False)
    with FakeStorage() as storage, FakeHub(storage) as server:
        for path in folder.iterdir():
            server.add(path.name, path.read_bytes(), large=path.suffix == ".safetensors")
        yield server


@pytest.fixture
def nodes(kubectl):
    """A function that registers a node; it goes when the test ends, for later tests wait for pods on every node."""
    added = []

    def add(name, **labels):
        add_node(kubectl, name, labels)
        added.append(name)

    yield add
    if added:
        kubectl("delete", "node", *added, "--ignore-not-found", "--wait=false")


@pytest.fixture
def agents(cluster, hub, nodes, namespace, tmp_path):
    """A function that adds a node with a running agent; both go when the test ends."""
    install_crds(cluster.kubectl)
    install_rights(cluster.kubectl, [SecretName(namespace, "hf-token")])
    running = []

    def add(name, **labels):
        nodes(name, **labels)
        agent = Agent(cluster, cluster.kubectl, name, tmp_path, {"HF_ENDPOINT": hub.address}).start()
        running.append(agent)
        return agent

    yield add
    for agent in running:
        if agent.process.poll() is None:
            agent.end(signal.SIGKILL)


class Model:
    """One BaseModel in the test's namespace."""

    def __init__(self, kubectl, namespace):
        self._kubectl, self._namespace = kubectl, namespace
        self.folder = f"models/namespace.{namespace}.llama"
        self.label = f"models.ome.io/{namespace}.basemodel.llama"

    def declare(self, uri="hf://acme/llama", spec=None, **storage):
        """Declare it, or change it."""
        metadata = {"name": "llama", "namespace": self._namespace}
        document = {
            **BASE_MODEL,
            "metadata": metadata,
            "spec": {"storage": {"storageUri": uri, **storage}, **(spec or {})},
        }
        self._kubectl("apply", "--server-side", "-f", "-", text=json.dumps(document))

    def read(self):
        """The object."""
        return json.loads(self._kubectl("get", "basemodel", "llama", "-n", self._namespace, "-ojson").stdout)

    @property
    def status(self):
        """Its status."""
        return self.read().get("status", {})

    def remove(self):
        """Delete it; it goes at once, because nobody has a finalizer on it."""
        self._kubectl("delete", "basemodel", "llama", "-n", self._namespace, "--timeout=10s")


@pytest.fixture
def model(kubectl, namespace):
    """A BaseModel."""
    return Model(kubectl, namespace)


def labels_of(kubectl, node):
    """A node's labels."""
    return json.loads(kubectl("get", "node", node, "-ojson").stdout)["metadata"].get("labels", {})


def test_a_declared_model_arrives_and_is_said_to_be_ready(kubectl, agents, model):
    """Content under the link, entry, lists, state, conditions, labels, fields; little memory; deleted at once."""
    agent = agents("node-a", pool="gpu")
    model.declare(nodeSelector={"pool": "gpu"}, spec={"maxTokens": 128})
    wait_until(lambda: model.status.get("state") == "Ready")
    found = wait_until(lambda: (now := model.read())["spec"].get("modelArchitecture") and now)
    assert found["status"]["nodesReady"] == ["node-a"]
    assert {row["type"]: row["status"] for row in found["status"]["conditions"]} == {
        "Ready": "True",
        "UpToDate": "True",
    }
    assert (found["spec"]["modelArchitecture"], found["spec"]["maxTokens"]) == ("LlamaForCausalLM", 128)
    assert (agent.root / model.folder / "config.json").is_file()
    wait_until(lambda: labels_of(kubectl, "node-a").get(model.label) == "Ready")
    assert agent.memory < MEMORY_LIMIT
    model.remove()
    wait_until(lambda: model.label not in labels_of(kubectl, "node-a"))
    wait_until(lambda: not list((agent.root / "cache" / "blobs").iterdir()))


def ready(model):
    """Nodes that have it: a set, which the API server keeps in the order in which they said so."""
    return sorted(model.status.get("nodesReady", []))


def test_agents_killed_and_started_lose_nothing_and_fetch_nothing_again(kubectl, hub, agents, model):
    """Kill -9 of every agent: the model stays Ready, and the hub is not asked again."""
    running = [agents(f"node-{name}") for name in "abc"]
    model.declare()
    wait_until(lambda: ready(model) == ["node-a", "node-b", "node-c"])
    wait_until(lambda: all(model.label in labels_of(kubectl, agent.name) for agent in running))
    asked, version = len(hub.log), model.read()["metadata"]["resourceVersion"]
    for agent in running:
        agent.end(signal.SIGKILL)
        agent.start()
    wait_until(lambda: _swept(running))
    assert ready(model) == ["node-a", "node-b", "node-c"]
    assert (len(hub.log), model.read()["metadata"]["resourceVersion"]) == (asked, version)
    assert [agent.end() for agent in running] == [0, 0, 0]


def test_another_revision_is_switched_in_one_step(hub, agents, model):
    """The link leads to a whole model at any time; then to the new one."""
    agent = agents("node-a")
    model.declare()
    wait_until(lambda: model.status.get("state") == "Ready")
    link = agent.root / model.folder
    before = link.resolve()
    hub.revisions |= {"v2": "f" * 40, "f" * 40: "f" * 40}
    hub.add("extra.json", b"{}")
    model.declare("hf://acme/llama@v2")
    wait_until(lambda: (link / "config.json").is_file() and link.resolve() != before)
    wait_until(lambda: {row["type"]: row["status"] for row in model.status["conditions"]}["UpToDate"] == "True")
    assert (link / "extra.json").is_file()


def test_a_failure_is_named_and_mended(hub, agents, model):
    """A model that is not there: Failed, with reason, attempts and next try; once it is there, Ready by itself."""
    files = dict(hub.files)
    hub.gated = True
    agents("node-a")
    model.declare()
    wait_until(lambda: model.status.get("state") == "Failed")
    (entry,) = model.status["nodes"]
    assert (entry["phase"], entry["reason"]) == ("Failed", "SourceRefused")
    assert entry["nextTry"]
    assert model.status["nodesFailed"] == ["node-a"]
    hub.gated = False
    assert files
    model.declare("hf://acme/llama@main")
    wait_until(lambda: model.status.get("state") == "Ready")


def test_a_secret_that_is_named_opens_the_store(kubectl, hub, agents, model, namespace):
    """The token reaches the store and no log; a secret that no role names cannot be read."""
    hub.token = TOKEN
    agent = agents("node-a")
    kubectl("create", "secret", "generic", "hf-token", "-n", namespace, f"--from-literal=token={TOKEN}")
    model.declare(key="hf-token")
    wait_until(lambda: model.status.get("state") == "Ready")
    assert TOKEN not in agent.log.read_text() + json.dumps(model.read())
    model.declare("hf://acme/llama@main", key="another")
    wait_until(lambda: any(row.get("reason") == "SecretUnreadable" for row in model.status["nodes"]))
    assert model.status["state"] == "Ready"


def test_a_node_that_vanished_is_forgotten(kubectl, agents, model):
    """Its neighbour withdraws its entries; the declaration can be deleted while nodes are gone."""
    first, second = agents("node-a"), agents("node-b")
    model.declare()
    wait_until(lambda: ready(model) == ["node-a", "node-b"])
    second.end(signal.SIGKILL)
    kubectl("delete", "node", "node-b")
    wait_until(lambda: ready(model) == ["node-a"])
    first.end(signal.SIGKILL)
    kubectl("delete", "node", "node-a")
    model.remove()


@pytest.mark.exhaustive
def test_an_api_server_that_is_killed_is_waited_for(cluster, kubectl, agents, model):
    """While it is away agents live on; when it is back they hear of what is new and say it, each once."""
    running = [agents(f"node-{name}") for name in "ab"]
    model.declare()
    wait_until(lambda: ready(model) == ["node-a", "node-b"])
    processes = cluster.processes
    processes.end([processes.find("kube-apiserver")])
    time.sleep(3)
    control.run("kube-apiserver", cluster.place, str(built(cluster.kube)), processes)
    wait_until(lambda: control.answers(cluster.place, "/readyz"))
    assert [agent.process.poll() for agent in running] == [None, None]
    assert ready(model) == ["node-a", "node-b"]
    model.declare("hf://acme/llama@main")
    digest = wait_until(lambda: _declared(model, "node-a") == _declared(model, "node-b") and _declared(model, "node-a"))
    wait_until(lambda: {row["type"]: row["status"] for row in model.status["conditions"]}["UpToDate"] == "True")
    assert digest


def test_labels_are_followed(kubectl, agents, model):
    """A node that is relabelled gets the content, and says nothing any more once it does not match."""
    agents("node-a", pool="cpu")
    model.declare(nodeSelector={"pool": "gpu"})
    wait_until(lambda: model.status.get("state") == "Creating")
    add_node(kubectl, "node-a", {"pool": "gpu"})
    wait_until(lambda: model.status.get("state") == "Ready")
    add_node(kubectl, "node-a", {"pool": "cpu"})
    wait_until(lambda: model.status.get("state") == "Creating" and not model.status.get("nodes"))


def test_every_object_is_accepted(kubectl):
    """Definitions, rights, guard and DaemonSet as `python -m pulumi_plinth.node_agent` prints them, strictly read."""
    install_rights(kubectl)
    text = rendered(
        f"image: {IMAGE}\npriorityClass: system-node-critical\nimagePullSecrets: [registry]\n", [f"{HOME}/s3"]
    )
    apply = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
    done = kubectl(*apply, text=text, check=False)
    assert not done.returncode, done.stderr
    assert "daemonset.apps/plinth-node-agent serverside-applied" in done.stdout


RIGHTS = [
    ("get", "basemodels.ome.io", True),
    ("list", "basemodels.ome.io", True),
    ("watch", "clusterbasemodels.ome.io", True),
    ("patch", "basemodels.ome.io", True),
    ("patch", "basemodels.ome.io/status", True),
    ("patch", "clusterbasemodels.ome.io/status", True),
    ("patch", "nodes", True),
    ("watch", "nodes", True),
    ("create", "basemodels.ome.io", False),
    ("delete", "basemodels.ome.io", False),
    ("update", "basemodels.ome.io/status", False),
    ("create", "nodes", False),
    ("delete", "nodes", False),
    ("patch", "nodes/status", False),
    ("get", "secrets", False),
    ("list", "secrets", False),
    ("get", "secrets/other", False),
    ("get", "secrets/hf-token", True),
    ("watch", "secrets/hf-token", False),
    ("get", "configmaps", False),
    ("list", "pods", False),
    ("create", "pods", False),
    ("create", "events", False),
    ("create", "serviceaccounts/token", False),
    ("escalate", "clusterroles.rbac.authorization.k8s.io", False),
]
"""Verb, resource with subresource or name, and whether an agent may."""


def test_what_an_agent_may_do(kubectl, namespace):
    """What `kubectl auth can-i` asks, for everything that is used and for much that is not."""
    install_crds(kubectl)
    install_rights(kubectl, [SecretName(namespace, "hf-token")])
    text = "\n---\n".join(json.dumps(_review(verb, resource, namespace)) for verb, resource, _ in RIGHTS)
    said = kubectl("create", "-ojsonpath={.status.allowed} ", "-f", "-", text=text).stdout.split()
    allowed = [word == "true" for word in said]
    assert [(*row[:2], answer) for row, answer in zip(RIGHTS, allowed, strict=True)] == RIGHTS


def _review(verb, resource, namespace):
    what, _, part = resource.partition("/")
    kind, _, group = what.partition(".")
    asked = {"verb": verb, "group": group, "resource": kind, "namespace": namespace}
    asked |= {"subresource": part} if part in ("status", "token") else {"name": part} if part else {}
    spec = {"user": ACCOUNT, "resourceAttributes": asked}
    return {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}


ATTEMPTS = [
    ("guard-a", {"metadata": {"labels": {"models.ome.io/clusterbasemodel.x": "Ready"}}}, ""),
    ("guard-a", {"metadata": {"labels": {"models.ome.io/clusterbasemodel.x": None}}}, ""),
    ("guard-a", {"metadata": {"labels": {"pool": "mine"}}}, "labels about models only"),
    ("guard-a", {"metadata": {"labels": {"pool": None}}}, "remove labels about models only"),
    ("guard-a", {"metadata": {"annotations": {"a": "b"}}}, "may not change annotations"),
    ("guard-a", {"spec": {"unschedulable": True}}, "may not change a node's spec"),
    ("guard-b", {"metadata": {"labels": {"models.ome.io/clusterbasemodel.x": "Ready"}}}, "that it runs on only"),
]
"""Node, what the account of guard-a's agent tries on it, and what it is told."""


def test_an_agent_is_held_to_its_own_node(cluster, nodes, kubectl, tmp_path):
    """With the token of a node, its account labels that node with models and nothing else; no other node at all."""
    install_crds(kubectl)
    install_rights(kubectl)
    for name in ("guard-a", "guard-b"):
        nodes(name, pool="gpu")
    config = account_config(cluster, kubectl, "guard-a", tmp_path / "config")

    def attempt(node, patch):
        text = json.dumps(patch)
        done = kubectl("patch", "node", node, "--type=merge", "-p", text, f"--kubeconfig={config}", check=False)
        return done.stderr if done.returncode else ""

    wait_until(lambda: "about models only" in attempt("guard-a", ATTEMPTS[2][1]))  # the policy is in force
    for node, patch, words in ATTEMPTS:
        said = attempt(node, patch)
        assert words in said
        assert bool(said) is bool(words)


def _declared(model, node):
    """Which wish a node's content answers."""
    return next((row["declared"] for row in model.status["nodes"] if row["name"] == node), None)


def _swept(running):
    """Whether every agent has been up for longer than a sweep."""
    time.sleep(4)
    return all(agent.process.poll() is None for agent in running)
