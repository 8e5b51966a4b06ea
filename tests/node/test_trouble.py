"""What an agent does when things go wrong: lost watches, conflicts, nodes that vanish, an API server that is away."""

from fakes.node_disk import content_of
from node.simulation import LLAMA, entry, source

from plinth_runtime.contract.model_names import ModelKey, ModelKind
from plinth_runtime.node.agent import ModelSeen
from plinth_runtime.node.api import ConflictError, EventType, RefusedError
from plinth_runtime.node.seen import read_seen
from plinth_runtime.node.tasks import Arrived, Report


def test_a_vanished_node_is_forgotten_by_its_neighbour(world):
    """Its entries go from every model, the state follows, and a declaration can be deleted without waiting for it."""
    for name in "abc":
        world.add(name)
    world.api.declare(LLAMA, source("llama", nodeSelector={"kubernetes.io/hostname": "b"}))
    world.api.add_node("b", **{"kubernetes.io/hostname": "b"})
    world.run(20)
    assert world.api.status(LLAMA)["nodesReady"] == ["b"]
    world.nodes.pop("b")
    world.api.remove_node("b")
    world.run(130)
    assert (world.api.status(LLAMA)["state"], entry(world, "b")) == ("Creating", None)
    world.api.remove(LLAMA)
    assert LLAMA not in world.api.things


def test_a_secret_is_handed_to_the_fetch_and_to_nothing_else(world):
    """The token is read by name from the model's namespace; a missing one is said and waited for."""
    key = ModelKey(ModelKind.BASE_MODEL, "team", "llama")
    node = world.add("a")
    world.api.declare(key, source("llama", key="hf-token"))
    world.run(5)
    assert entry(world, key=key)["reason"] == "SecretUnreadable"
    world.api.secrets["team", "hf-token"] = {"token": b"hf_Secret\n"}
    world.run(40)
    assert world.api.status(key)["state"] == "Ready"
    assert node.fetcher.started[0].environment == {"HF_TOKEN": "hf_Secret"}
    assert "hf_Secret" not in f"{node.log}{node.fetcher.started}{world.api.get_model(key)}{node.disk.records}"


def test_the_cluster_may_be_away(world):
    """While nobody answers, content goes on arriving; afterwards everything is said, and requests were few."""
    node = world.add("a")
    world.run(3)
    world.api.declare(LLAMA, source("llama"))
    world.run(2)
    asked = []
    world.api.on_request = asked.append
    world.api.down = True
    world.run(300)
    assert node.disk.links
    assert asked.count("patch") < 20
    world.api.down = False
    world.run(70)
    assert world.api.status(LLAMA)["state"] == "Ready"


def test_what_may_not_be_written_is_tried_again_rarely(world):
    """An agent without the right to write asks once a minute or so, and says so."""
    node = world.add("a")
    world.run(3)
    asked = []

    def refuse(verb):
        asked.append(verb)
        if verb == "patch":
            raise RefusedError("basemodels.ome.io is forbidden")

    world.api.on_request = refuse
    world.api.declare(LLAMA, source("llama"))
    world.run(300)
    assert asked.count("patch") < 15
    assert any("forbidden" in line for line in node.log)


def test_a_wiped_entry_is_written_again(world):
    """What somebody removed from the status comes back with the next sweep."""
    world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    thing = world.api.things[LLAMA]
    thing.apply("plinth-node-a", "status", {}, force=True)
    world.api.changed(LLAMA, EventType.MODIFIED)
    world.run(130)
    assert world.api.status(LLAMA)["nodesReady"] == ["a"]


def test_a_node_that_is_not_meant_says_nothing_even_of_a_wrong_declaration(world):
    """Only nodes that match speak of what is wrong."""
    world.add("a")
    world.api.declare(LLAMA, {"storage": {"storageUri": "hf:/typo", "nodeSelector": {"gpu": "yes"}}})
    world.run(20)
    assert entry(world) is None


def test_what_an_older_fetch_says_is_not_taken_for_the_newer(world):
    """A report that was on its way when the declaration changed is about other content."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(2)
    old = node.fetcher.started[0]
    world.api.declare(LLAMA, source("next"))
    world.run(2)
    arrived = Arrived(old.address, old.link, "/cache/old", "old", 1, verified=True)
    node.agent.handle(Report(LLAMA, old.declared, arrived))
    node.agent.turn()
    assert LLAMA not in node.disk.records
    world.run(20)
    assert node.disk.records[LLAMA].content == content_of("hf://acme/next")


def test_an_event_that_is_older_than_what_is_known_is_passed_over(world):
    """A watch may tell of a version that an answer has overtaken."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    stale = read_seen(LLAMA.kind, world.api.get_model(LLAMA), node.settings.place)
    world.run(5)
    world.api.declare(LLAMA, source("next"))
    world.run(20)
    fetches = len(node.fetcher.started)
    node.agent.handle(ModelSeen(stale))
    world.run(20)
    assert len(node.fetcher.started) == fetches
    assert node.disk.records[LLAMA].address == "hf://acme/next"


def test_a_lost_watch_costs_nothing_but_a_list(world):
    """What was deleted while nobody watched is found missing when everything is listed again."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    world.api.remove(LLAMA)
    world.api.compact()
    world.run(60)
    assert node.disk.records == {}


def test_a_conflict_about_the_state_is_settled_at_once(world):
    """Whoever is overtaken reads again and writes what is true then."""
    world.add("a")
    world.run(3)
    world.api.declare(LLAMA, source("llama"))
    world.api.on_request = lambda verb: verb == "patch" and not world.api.faults and _once(world)
    world.run(1)
    assert world.api.status(LLAMA)["state"] == "Importing"


def _once(world):
    """Let the request after this one meet a conflict, and no other."""
    world.api.on_request = lambda _verb: None
    world.api.faults = [None, ConflictError("the object has been modified")]


def test_a_state_that_somebody_else_has_mended_is_not_asked_for_again(world):
    """One look shows that there is nothing to do; no more follow."""
    node = world.add("a")
    world.api.declare(LLAMA, source("llama"))
    world.run(20)
    wrong = world.api.get_model(LLAMA)
    wrong["status"] = {**wrong["status"], "state": "Failed"}
    wrong["metadata"]["resourceVersion"] = str(int(wrong["metadata"]["resourceVersion"]) + 1)
    asked = []
    world.api.on_request = asked.append
    world.api.changed(LLAMA, EventType.MODIFIED)
    world.api.changed(LLAMA, EventType.MODIFIED)
    node.agent.handle(ModelSeen(read_seen(LLAMA.kind, wrong, node.settings.place)))
    node._keep_up = lambda _kind: None
    world.run(45)
    assert asked.count("get") == 1
