"""A group of agents in virtual time: it starts, fails and starts again as one, whatever the network loses."""

import json
import random

import pytest
from pydantic import ValidationError
from support.group_world import DIGEST, LAUNCH, Condition, World, died

from plinth_runtime.contract.group import GroupReport, LaunchGroup, Order
from plinth_runtime.errors import BadConfigError
from plinth_runtime.serving import follower, leader
from plinth_runtime.serving.group import EndEngine, Rules, told
from plinth_runtime.serving.seat import find_seat

ALL_ENDED_SECONDS = 15
RESTARTED_SECONDS = 60


def started(**world):
    """A group that works."""
    made = World(**world)
    made.run(30)
    assert made.works()
    return made


def test_members_start_together_once():
    """Engines start when the last member is there, each once, all in the first epoch; followers hear of it."""
    world = started()
    assert sorted(world.epochs) == [(0, 1), (1, 1), (2, 1)]
    assert [member.heard for member in world.members[1:]] == [[True], [True]]


def test_a_late_member_is_waited_for():
    """Without the last member nobody starts, and when it comes everybody does."""
    world = World()
    world.members[2].alive = False
    world.run(120)
    assert not world.epochs
    assert leader.missing(world.members[0].side, world.clock(0)) == (2,)
    world.replace(2)
    world.run(10)
    assert world.works()


def test_a_member_that_never_comes_ends_the_wait_of_all():
    """After the time for joining every agent fails, with the missing rank named."""
    world = World()
    world.members[2].alive = False
    world.run(320)
    assert [member.ended for member in world.members[:2]] == ["failed", "failed"]
    for member in world.members[:2]:
        assert member.why.cause == "peer-lost"
        assert "rank 2 did not come within 300 s" in member.why.message


FAULTS = {
    "the leader's engine": lambda world: world.kill_engine(world.members[0], 0, died("core died")),
    "a follower's engine": lambda world: world.kill_engine(world.members[2], 0, died("core died")),
    "the leader's agent": lambda world: world.kill_agent(0, 4),
    "the leader's agent, for long": lambda world: world.kill_agent(0, 30),
    "a follower's agent": lambda world: world.kill_agent(1, 1),
    "a follower's agent, for long": lambda world: world.kill_agent(1, 30),
    "a split": lambda world: (world.cut.add(1), world.after(40, lambda: world.cut.discard(1))),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_the_group_fails_and_starts_again_as_one(fault, loss):
    """All engines are gone within 15 s with one cause that names the rank, and all run again in the next epoch."""
    world = started(loss=loss, seed=7)
    before = world.engines()[0]
    FAULTS[fault](world)
    gone = next(second for second in range(60) if world.run(1) or before not in world.engines())
    assert gone < ALL_ENDED_SECONDS
    world.run(RESTARTED_SECONDS)
    assert world.works()
    assert world.engines()[0] > before
    survivors = [member.why for member in world.members if member.why is not None]
    assert survivors
    assert all("rank " in why.message for why in survivors)


def test_a_followers_own_death_is_the_cause_everywhere():
    """The cause that the rank itself saw is what the others tell, with its rank."""
    world = started()
    world.kill_engine(world.members[2], 0, died("the kernel killed it"))
    world.run(4)
    for rank in (0, 1):
        assert (world.members[rank].why.message, world.members[rank].why.cause) == (
            "rank 2: the kernel killed it",
            "engine-died",
        )


def test_an_agent_that_was_started_again_is_seen_at_once():
    """Its silence was short, but its engine ended with the former agent."""
    world = started()
    world.kill_engine(world.members[1], 0)
    world.members[1].alive = False
    world.replace(1)
    world.run(3)
    assert "rank 1: its agent was started again" in world.members[2].why.message


def test_a_short_silence_is_no_fault():
    """Four seconds without a word change nothing."""
    world = started()
    world.cut |= {1, 2}
    world.run(4)
    world.cut.clear()
    world.run(20)
    assert world.works()
    assert world.engines() == [1, 1, 1]


def test_one_that_fails_for_good_ends_all():
    """Corrupt weights on one node are told by every agent."""
    world = World()
    world.members[1].side = follower.fail(world.members[1].side, died("weights are corrupt"))
    world.members[1].ended = "failed"
    world.run(10)
    assert [member.ended for member in world.members] == ["failed"] * 3
    assert world.members[2].why.message == "rank 1: weights are corrupt"


@pytest.mark.parametrize("rank", [0, 1])
def test_asked_to_end(rank):
    """Whoever is asked to end: the leader drains first, then all end."""
    world = started()
    if rank:
        world.members[1].side = follower.leave(world.members[1].side)
        assert world.engines() == [1, 1, 1]
    else:
        world.stop(world.members[0], "SIGTERM")
    world.run(5)
    assert world.engines() == [None] * 3
    assert [member.ended for member in world.members] == ["stopped"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_any_story_ends_well(seed):
    """Random faults in a network that loses a tenth: engines of two epochs never meet, and afterwards all work again.

    That they never meet is looked at after each event, in `World.run`.
    """
    world, luck = World(seed=seed, loss=0.1), random.Random(seed)  # noqa: S311 no secret
    for _ in range(12):
        world.run(luck.uniform(0, 40))
        FAULTS[luck.choice(sorted(FAULTS))](world)
    world.run(100)
    world.loss = 0
    world.run(RESTARTED_SECONDS)
    assert world.works(), (world.engines(), world.conditions())


def a_report(**changes):
    """A report of rank 1."""
    document = {"rank": 1, "agent": "a", "number": 0, "launch_digest": DIGEST, "condition": Condition.WAITING}
    return GroupReport(**document | changes)


def test_reports_of_other_groups_are_refused():
    """Another launch and a rank that does not exist are named."""
    rules = Rules(LAUNCH, DIGEST, "me")
    assert not leader.refusal(rules, a_report())
    assert "is not this group's" in leader.refusal(rules, a_report(launch_digest="e" * 64))
    assert "rank 3 is none of the 3 members" in leader.refusal(rules, a_report(rank=3))


def test_a_report_that_was_overtaken_is_not_heeded():
    """An old report that comes late does not bring back what it says."""
    side, _ = leader.hear(leader.Lead(Rules(LAUNCH, DIGEST, "me"), 0.0), a_report(number=5), 1.0)
    late, news = leader.hear(side, a_report(number=4, condition=Condition.LEAVING), 2.0)
    assert (late, news) == (side, ())


def test_a_silent_member_is_named_when_the_leaders_engine_dies():
    """Before it counts as lost, its silence is a hint."""
    side, _ = leader.hear(leader.Lead(Rules(LAUNCH, DIGEST, "me"), 0.0), a_report(), 1.0)
    assert leader.silent(side, 2.0) == ""
    assert leader.silent(side, 4.5) == "rank 1 is silent for 3.5 s"


def test_the_rank_is_named_once():
    """A fault that went around keeps the rank it began with."""
    assert told(told(died("x"), 2), 0).message == "rank 2: x"


def test_an_engine_is_told_to_end_once():
    """A hold that is heard again is no news."""
    side = follower.Follow(Rules(LAUNCH, DIGEST, "me"), 1, 0.0)
    side = follower.prepare(side, 0.0)
    head = leader.Lead(Rules(LAUNCH, DIGEST, "boss"), 0.0)
    run, hold = head.said(ready=False).model_copy(update={"order": Order.RUN, "epoch": 1}), head.said(ready=False)
    side, _ = follower.hear(side, run, 1.0)
    side, first = follower.hear(side, hold, 2.0)
    side, second = follower.hear(side, hold, 3.0)
    assert [type(item) for item in (*first, *second)] == [EndEngine]


LWS = LaunchGroup(nodes=2)
SET = LaunchGroup(nodes=2, seat="stateful-set", service="chat-group")
BY_HAND = LaunchGroup(nodes=2, seat="environment")
LWS_SAYS = {"LWS_GROUP_SIZE": "2", "LWS_WORKER_INDEX": "1", "LWS_LEADER_ADDRESS": "chat-0.chat.default"}

SEATS = [
    (LWS, LWS_SAYS, (1, "chat-0.chat.default")),
    (LWS, LWS_SAYS | {"LWS_WORKER_INDEX": "0"}, (0, "chat-0.chat.default")),
    (SET, {"HOSTNAME": "chat-7b-1"}, (1, "chat-7b-0.chat-group")),
    (BY_HAND, {"PLINTH_GROUP_RANK": "0", "PLINTH_GROUP_LEADER": "10.0.0.1"}, (0, "10.0.0.1")),
    (LWS, {}, "LWS_GROUP_SIZE is not set"),
    (LWS, LWS_SAYS | {"LWS_GROUP_SIZE": "3"}, "LWS_GROUP_SIZE is 3, group.nodes is 2"),
    (LWS, LWS_SAYS | {"LWS_WORKER_INDEX": "x"}, "LWS_WORKER_INDEX is 'x'"),
    (LWS, LWS_SAYS | {"LWS_WORKER_INDEX": "2"}, "rank 2 has no place"),
    (SET, {"HOSTNAME": "laptop"}, "is no StatefulSet's pod"),
    (BY_HAND, {"PLINTH_GROUP_RANK": "1"}, "PLINTH_GROUP_LEADER is not set"),
]


@pytest.mark.parametrize(("group", "environment", "expected"), SEATS)
def test_a_member_finds_its_seat(group, environment, expected):
    """Rank and leader come from what the platform says; what is missing is named."""
    if isinstance(expected, tuple):
        seat = find_seat(group, environment)
        assert ((seat.rank, seat.leader), seat.leads) == (expected, expected[0] == 0)
    else:
        with pytest.raises(BadConfigError, match=expected):
            find_seat(group, environment)


WRONG = [
    ({"nodes": 1}, "greater than or equal to 2"),
    ({"nodes": 2, "seat": "stateful-set"}, "group.service"),
    ({"nodes": 2, "service": "x"}, "group.service"),
    ({"nodes": 2, "port": 29501}, "both 29501"),
    ({"nodes": 2, "lostSeconds": 1.5}, "below two heartbeats"),
]


@pytest.mark.parametrize(("document", "expected"), WRONG)
def test_a_group_that_cannot_work_is_refused(document, expected):
    """Each fault of the launch's group is named."""
    with pytest.raises(ValidationError, match=expected):
        LaunchGroup.model_validate_json(json.dumps(document))
