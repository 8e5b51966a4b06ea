"""The lifecycle, told whole from the pure step."""

import itertools

import pytest

from plinth_runtime.contract.status import Phase
from plinth_runtime.serving.states import ENDS, LIVE, TABLE, Action, Event, mermaid, step

RUNNING = (*LIVE, Phase.READY, Phase.DRAINING)
"""Phases in which an engine may exist."""

STORIES = {
    "a good life": (
        [Event.WEIGHTS_GOOD, Event.LOADING_SEEN, Event.WARMING_SEEN, Event.HEALTHY, Event.STOP, Event.DIED_FINAL],
        [Phase.STARTING, Phase.LOADING, Phase.WARMING, Phase.READY, Phase.DRAINING, Phase.STOPPED],
    ),
    "an engine whose log says nothing": ([Event.WEIGHTS_GOOD, Event.HEALTHY], [Phase.STARTING, Phase.READY]),
    "bad weights": ([Event.FAULT], [Phase.FAILED]),
    "asked to end while verifying": ([Event.STOP], [Phase.STOPPED]),
    "a death and a second life": (
        [Event.WEIGHTS_GOOD, Event.HEALTHY, Event.DIED_RETRY, Event.BACKOFF_OVER, Event.HEALTHY],
        [Phase.STARTING, Phase.READY, Phase.RESTARTING, Phase.STARTING, Phase.READY],
    ),
    "asked to end while waiting to restart": (
        [Event.WEIGHTS_GOOD, Event.DIED_RETRY, Event.STOP],
        [Phase.STARTING, Phase.RESTARTING, Phase.STOPPED],
    ),
    "never ready": (
        [Event.WEIGHTS_GOOD, Event.STARTUP_OVERDUE, Event.KILL_DUE, Event.DIED_FINAL],
        [Phase.STARTING, Phase.STARTING, Phase.STARTING, Phase.FAILED],
    ),
    "old news changes nothing": (
        [Event.WEIGHTS_GOOD, Event.HEALTHY, Event.LOADING_SEEN, Event.WARMING_SEEN, Event.KILL_DUE],
        [Phase.STARTING, Phase.READY, Phase.READY, Phase.READY, Phase.READY],
    ),
    "hung": (
        [Event.WEIGHTS_GOOD, Event.HEALTHY, Event.HUNG, Event.KILL_DUE, Event.DIED_RETRY, Event.BACKOFF_OVER],
        [Phase.STARTING, Phase.READY, Phase.READY, Phase.READY, Phase.RESTARTING, Phase.STARTING],
    ),
    "a fault while ending is no failure": (
        [Event.WEIGHTS_GOOD, Event.STOP, Event.FAULT],
        [Phase.STARTING, Phase.DRAINING, Phase.STOPPED],
    ),
}


def phases_after(events, phase):
    """The phase after each event, from a first one on."""
    seen = []
    for event in events:
        phase = step(phase, event).phase
        seen.append(phase)
    return seen


@pytest.mark.parametrize("story", STORIES)
def test_story(story):
    """Events in, phases out."""
    events, phases = STORIES[story]
    assert phases_after(events, Phase.VERIFYING) == phases


@pytest.mark.parametrize(
    ("events", "phases"),
    [
        ([Event.WEIGHTS_HERE, Event.WEIGHTS_GOOD, Event.HEALTHY], [Phase.VERIFYING, Phase.STARTING, Phase.READY]),
        ([Event.WEIGHTS_HERE, Event.FAULT], [Phase.VERIFYING, Phase.FAILED]),
        ([Event.STOP], [Phase.STOPPED]),
        ([Event.FAULT], [Phase.FAILED]),
    ],
    ids=["they come", "they are no model", "asked to end meanwhile", "they do not come"],
)
def test_weights_that_are_fetched_first(events, phases):
    """A server whose launch names a source begins one phase earlier."""
    assert phases_after(events, Phase.FETCHING) == phases


def test_nothing_leaves_an_end():
    """No event wakes a server that has ended."""
    assert not [key for key in TABLE if key[0] in ENDS]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in ENDS])
def test_every_phase_can_be_stopped(phase):
    """SIGTERM means something everywhere: an end, or signals to the engine and a bound on their effect."""
    to = step(phase, Event.STOP)
    bounded = {Action.ARM_GRACE, Action.ARM_DRAIN} & set(to.actions)
    assert to.phase in ENDS or (bounded and {Action.TERMINATE, Action.KILL, Action.AWAIT_QUIET} & set(to.actions))


def test_a_ready_engine_is_not_told_to_end_before_it_is_quiet():
    """What is let in already is waited for, then SIGTERM, then an end by force: each step has its limit."""
    stop = step(Phase.READY, Event.STOP).actions
    assert Action.TERMINATE not in stop
    assert stop.index(Action.REFUSE_NEW) < stop.index(Action.AWAIT_QUIET)
    assert step(Phase.DRAINING, Event.QUIET).actions == (Action.TERMINATE, Action.ARM_END)


def test_every_end_finishes_and_only_ends_do():
    """FINISH and the two end phases go together."""
    for to in TABLE.values():
        assert (Action.FINISH in to.actions) == (to.phase in ENDS)


def test_every_signal_is_bounded():
    """Whatever asks an engine to end arms a timer that asks again, harder."""
    for to in TABLE.values():
        if {Action.TERMINATE, Action.KILL} & set(to.actions):
            assert {Action.ARM_GRACE, Action.ARM_END} & set(to.actions)


def test_every_timer_is_heard_where_it_may_fire():
    """A kill that is due while an engine is being ended is never ignored."""
    for phase in (*LIVE, Phase.READY, Phase.DRAINING):
        assert Action.KILL in step(phase, Event.KILL_DUE).actions


@pytest.mark.parametrize("phase", RUNNING)
@pytest.mark.parametrize("event", [Event.DIED_RETRY, Event.DIED_FINAL])
def test_a_death_is_never_ignored(phase, event):
    """No phase goes on as if its dead engine lived."""
    assert step(phase, event).phase not in RUNNING


def test_ready_is_hidden_on_every_way_out():
    """A server that leaves READY stops being shown as ready in the same step."""
    for (phase, _), to in TABLE.items():
        if phase is Phase.READY and to.phase is not Phase.READY:
            assert Action.HIDE in to.actions


def test_all_events_in_all_phases_are_defined():
    """The step is total."""
    for phase, event in itertools.product(Phase, Event):
        assert step(phase, event).phase in Phase


def test_the_documentation_shows_this_table(project_root):
    """The drawing on the page is the one the table makes."""
    assert f"```mermaid\n{mermaid()}\n```" in (project_root / "docs" / "runtime.md").read_text()
