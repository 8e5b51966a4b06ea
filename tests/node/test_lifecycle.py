"""The agent from declaration to end, on one and several nodes, in simulated time: what it does and what it says."""

from dataclasses import replace

import pytest
from fakes.node_disk import AWAY, REFUSED, content_of
from node.simulation import LLAMA, ROOT, cluster_model, conditions, entry, source


def test_states_on_the_way_to_ready(world):
    """Creating without nodes, Importing when one has taken the task, In_Transit while bytes arrive, then Ready."""
    world.api.declare(LLAMA, source("llama", nodeSelector={"gpu": "yes"}))
    world.add("a")
    world.run(15)
    assert world.api.status(LLAMA)["state"] == "Creating"
    assert conditions(world) == {"Ready": ("Unknown", "NoNode"), "UpToDate": ("Unknown", "NoContent")}
    world.api.add_node("a", gpu="yes")
    seen = []
    for _ in range(12):
        world.run(1)
        seen.append(world.api.status(LLAMA)["state"])
    assert list(dict.fromkeys(seen)) == ["Importing", "In_Transit", "Ready"]
    assert entry(world) == {
        "name": "a",
        "phase": "Ready",
        "declared": entry(world)["declared"],
        "content": content_of("hf://acme/llama"),
    }


def test_a_change_costs_two_writes(world):
    """From the entry to Ready a node writes its entry and its labels once; the state follows once for all nodes."""
    for name in "abcde":
        world.add(name)
    world.run(3)
    world.api.declare(LLAMA, source("llama"))
    world.run(3)
    world.api.writes.clear()
    world.run(30)
    assert world.api.status(LLAMA)["nodesReady"] == ["a", "b", "c", "d", "e"]
    per_node = {
        name: sum(count for manager, count in world.api.writes.items() if manager.endswith((f"-{name}", f" {name}")))
        for name in "abcde"
    }
    assert set(per_node.values()) <= {2, 3}, world.api.writes  # an entry for In_Transit may fall into this time
    assert world.api.writes["plinth-model-state"] <= 2
    world.api.writes.clear()
    world.run(600)
    assert not world.api.writes


def test_a_restart_asks_nobody_and_never_leaves_ready(world):
    """An agent that finds its content complete says nothing, fetches nothing, and the node stays Ready throughout."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    world.api.writes.clear()
    states = []
    world.api.on_request = lambda _verb: states.append(world.api.status(LLAMA).get("nodesReady"))
    node.kill()
    world.run(5)
    node.start()
    world.run(200)
    assert not world.api.writes
    assert node.fetcher.started == []
    assert all(ready == ["a"] for ready in states)


def test_another_address_is_fetched_beside_the_old_and_switched(world):
    """While new content comes, the old is served and said to be so; then the link leads to the new."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    link = f"{ROOT}/models/cluster.llama"
    old = node.disk.links[link]
    world.api.declare(LLAMA, source("llama-next"))
    world.run(3)
    assert node.disk.links[link] == old
    assert (entry(world)["phase"], world.api.status(LLAMA)["nodesReady"]) == ("Updating", ["a"])
    assert conditions(world)["UpToDate"] == ("False", "Updating")
    assert world.api.nodes["a"]["labels"][LLAMA.ome_label] == "Ready"
    world.run(20)
    assert node.disk.links[link] != old
    assert conditions(world)["UpToDate"] == ("True", "ContentIsDeclared")
    assert world.api.nodes["a"]["labels"][LLAMA.content_label] == content_of("hf://acme/llama-next")[:16]


def test_an_update_that_fails_keeps_what_is_served(world):
    """The node stays Ready with its old content, and the entry says what is wrong with the new."""
    world.failing["hf://acme/typo"] = REFUSED
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    world.api.declare(LLAMA, source("typo"))
    world.run(20)
    assert entry(world)["phase"] == "UpdateFailed"
    assert "404" in entry(world)["message"]
    assert world.api.status(LLAMA)["nodesReady"] == ["a"]
    assert conditions(world)["UpToDate"] == ("False", "UpdateFailed")
    world.api.declare(LLAMA, source("llama"))
    world.run(5)
    assert entry(world)["phase"] == "Ready"
    assert len(node.fetcher.started) == 2


def test_a_failure_is_said_with_its_next_try_and_mends_itself(world):
    """A store that is away: Failed with reason, attempts and time; pauses double; when it is back, Ready."""
    world.failing["hf://acme/llama"] = AWAY
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(6)
    assert world.api.status(LLAMA)["state"] == "Failed"
    assert world.api.status(LLAMA)["nodesFailed"] == ["a"]
    assert (entry(world)["reason"], entry(world)["attempts"]) == ("SourceRefused", 1)
    assert entry(world)["nextTry"].endswith("Z")
    world.run(600)
    tries = len(node.fetcher.started)
    assert 4 <= tries <= 10
    del world.failing["hf://acme/llama"]
    world.run(620)
    assert (world.api.status(LLAMA)["state"], world.api.status(LLAMA).get("nodesFailed")) == ("Ready", None)


def test_one_good_node_makes_it_ready_and_the_others_are_listed(world):
    """Ready with one node; the failed ones stand beside it with their reasons."""
    for name in "ab":
        world.add(name)
    world.nodes["b"].fetcher.failing = {"hf://acme/llama": REFUSED}
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    status = world.api.status(LLAMA)
    assert (status["state"], status["nodesReady"], status["nodesFailed"]) == ("Ready", ["a"], ["b"])


def test_a_deleted_declaration_frees_content_and_labels(world):
    """The link goes at once, the bytes after a while; a fetch under way ends within one step."""
    node = world.add("a")
    other = cluster_model("other")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    world.api.declare(other, source("other"))
    world.run(2)
    world.api.remove(LLAMA)
    world.api.remove(other)
    world.run(1)
    assert node.fetcher.cancelled == [other]
    assert node.disk.links == {}
    assert node.disk.snapshots
    world.run(40)
    assert (node.disk.snapshots, node.disk.records) == ({}, {})
    assert world.api.nodes["a"]["labels"] == {}


def test_a_deletion_is_noticed_by_an_agent_that_was_away(world):
    """What was declared when the agent ended and is not any more is freed when it is back."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    node.kill()
    world.api.remove(LLAMA)
    world.api.compact()
    node.start()
    world.run(60)
    assert (node.disk.snapshots, node.disk.records) == ({}, {})


def test_a_declaration_that_comes_back_at_once_is_not_fetched_again(world):
    """Tools that replace by deleting and creating cost no transfer."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    world.api.remove(LLAMA)
    world.run(5)
    world.api.declare(LLAMA, source("llama"))
    world.run(5)
    assert world.api.status(LLAMA)["state"] == "Ready"
    assert len(node.fetcher.started) == 1


@pytest.mark.parametrize(
    ("metadata", "spec", "kept"),
    [
        ({}, source("llama"), False),
        ({"labels": {"models.ome.io/reserve-model-artifact": "true"}}, source("llama"), True),
        ({"labels": {"models.ome.io/reserve-model-artifact": "false"}}, source("llama"), False),
    ],
    ids=["plain", "reserved", "not reserved"],
)
def test_what_is_kept_when_a_declaration_goes(world, metadata, spec, kept):
    """Reserved content and its link stay."""
    node = world.add("a")
    world.api.declare(LLAMA, spec, **metadata)
    world.run(20)
    world.api.remove(LLAMA)
    world.run(60)
    assert bool(node.disk.snapshots) is kept
    assert bool(node.disk.links) is kept


def test_content_at_a_shared_path_stays_until_the_last_declaration_goes(world):
    """Two declarations of the same address and path: the first to go takes nothing away."""
    node = world.add("a")
    other = cluster_model("other")
    for key in (LLAMA, other):
        world.api.declare(key, source("llama", path=f"{ROOT}/shared"))
    world.run(30)
    world.api.remove(LLAMA)
    world.run(60)
    assert world.api.status(other)["state"] == "Ready"
    assert f"{ROOT}/shared" in node.disk.links
    world.api.remove(other)
    world.run(60)
    assert node.disk.snapshots == {}


@pytest.mark.parametrize("second", [f"{ROOT}/shared", f"{ROOT}/shared/inside", f"{ROOT}/shared/"])
def test_two_contents_at_one_path_are_refused(world, second):
    """The second by name is Failed and says who has the path; when the first goes, it gets its turn."""
    world.add("a")
    other = cluster_model("other")
    world.api.declare(LLAMA, source("llama", path=f"{ROOT}/shared"))
    world.api.declare(other, source("other", path=second))
    world.run(20)
    assert entry(world, key=other)["reason"] == "PathTaken"
    assert "ClusterBaseModel/llama" in entry(world, key=other)["message"]
    assert entry(world)["phase"] == "Ready"
    world.api.remove(LLAMA)
    world.run(60)
    assert world.api.status(other)["state"] == "Ready"


@pytest.mark.parametrize(
    ("storage", "reason", "phase"),
    [
        ({"storageUri": "local:///srv/llama"}, "InPlace", "Ready"),
        ({"storageUri": "local:///srv/none"}, "FolderMissing", "Failed"),
        ({"storageUri": "pvc://claim/llama"}, "NotManaged", "Ready"),
        ({"storageUri": "vendor://acme/models/llama"}, "NotManaged", "Ready"),
        ({"storageUri": "/srv/llama"}, "InPlace", "Ready"),
        ({"path": "/srv/llama"}, "InvalidDeclaration", "Failed"),
        ({"storageUri": "hf://acme/llama", "path": "/etc/llama"}, "InvalidDeclaration", "Failed"),
        ({"storageUri": "hf://acme/llama", "path": f"{ROOT}/cache/x"}, "InvalidDeclaration", "Failed"),
        ({"storageUri": "oci://n/ns/b/bucket"}, "InvalidDeclaration", "Failed"),
        ({"storageUri": "hf://acme/llama", "parameters": {"token": "hf_x"}}, "InvalidDeclaration", "Failed"),
    ],
)
def test_sources_that_are_not_fetched(world, storage, reason, phase):
    """Content in place is looked for, others' content is taken for there, what is wrong is said; nothing is fetched."""
    node = world.add("a")
    node.disk.folders = {"/srv/llama"}
    world.api.declare(LLAMA, {"storage": storage})
    world.run(20)
    assert (entry(world)["reason"], entry(world)["phase"]) == (reason, phase)
    assert node.fetcher.started == []
    world.api.remove(LLAMA)
    world.run(60)
    assert node.disk.folders == {"/srv/llama"}


def test_content_in_place_is_looked_for_again(world):
    """A folder that appears or vanishes is noticed at the next sweep."""
    node = world.add("a")
    world.api.declare(LLAMA, {"storage": {"storageUri": "local:///srv/llama"}})
    world.run(20)
    node.disk.folders.add("/srv/llama")
    world.run(70)
    assert world.api.status(LLAMA)["state"] == "Ready"
    node.disk.folders.clear()
    world.run(70)
    assert world.api.status(LLAMA)["state"] == "Failed"


def test_labels_are_looked_at_again_when_they_change(world):
    """A node that stops to match loses the link at once and the bytes later; one that matches again has them still."""
    node = world.add("a", gpu="yes")
    world.api.declare(LLAMA, source("llama", nodeSelector={"gpu": "yes"}))
    world.run(20)
    world.api.add_node("a", gpu="no")
    world.run(12)
    assert world.api.status(LLAMA)["state"] == "Creating"
    assert entry(world) is None
    assert (node.disk.links, bool(node.disk.snapshots)) == ({}, True)
    world.api.add_node("a", gpu="yes")
    world.run(3)
    assert world.api.status(LLAMA)["state"] == "Ready"
    assert len(node.fetcher.started) == 1
    world.api.add_node("a", gpu="no")
    world.run(700)
    assert node.disk.snapshots == {}


def test_a_model_on_the_node_may_be_reused(world):
    """ReuseIfExists links what another declaration brought from the same address; without it the source is asked."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    for name, policy, fetches in (("twin", "ReuseIfExists", 1), ("other", "AlwaysDownload", 2)):
        world.api.declare(cluster_model(name), source("llama", downloadPolicy=policy))
        world.run(20)
        assert world.api.status(cluster_model(name))["state"] == "Ready"
        assert len(node.fetcher.started) == fetches


def test_what_nobody_wrote_is_filled_in_and_what_somebody_wrote_stays(world):
    """The card's fields come under a manager of their own; the author's win, then and later."""
    world.add("a")
    world.api.declare(LLAMA, {**source("llama"), "maxTokens": 128})
    world.run(20)
    spec = world.api.get_model(LLAMA)["spec"]
    assert (spec["modelType"], spec["maxTokens"]) == ("llama", 128)
    world.api.declare(LLAMA, {**source("llama"), "maxTokens": 128, "modelType": "mine"})
    world.run(200)
    assert world.api.get_model(LLAMA)["spec"]["modelType"] == "mine"
    assert world.api.writes["plinth-card"] <= 2


def test_detection_can_be_switched_off(world):
    """With OME's annotation nothing is filled in."""
    world.add("a")
    world.api.declare(LLAMA, source("llama"), annotations={"ome.io/skip-config-parsing": "true"})
    world.run(20)
    assert "modelType" not in world.api.get_model(LLAMA)["spec"]


def test_older_content_is_not_described_over_newer(world):
    """A node that cannot get what is declared now leaves the fields to those that have it: nobody writes in turns."""
    newer, older = world.add("a"), world.add("b")
    world.api.declare(LLAMA, source("llama"))
    world.run(30)
    arrive = newer.fetcher._arrive
    newer.fetcher._arrive = lambda task: replace(arrive(task), described={"modelType": "newer"})
    older.fetcher.failing = {"hf://acme/newer": AWAY}
    world.api.declare(LLAMA, source("newer"))
    world.run(30)
    first = world.api.get_model(LLAMA)
    world.run(300)
    last = world.api.get_model(LLAMA)
    assert entry(world, "b")["phase"] == "UpdateFailed"
    assert last["spec"]["modelType"] == "newer"
    assert last["metadata"]["generation"] == first["metadata"]["generation"]
