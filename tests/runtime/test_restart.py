"""When a dead engine gets another chance."""

import pytest

from plinth_runtime.contract.launch import LaunchLifecycle
from plinth_runtime.contract.status import Cause
from plinth_runtime.serving.restart import LONGEST_BACKOFF_SECONDS, Death, judge

POLICY = LaunchLifecycle(max_restarts=3, restart_window_seconds=100, restart_backoff_seconds=1)


def died(*times, cause=Cause.ENGINE_DIED, ready=True):
    """Deaths of one kind at these times."""
    return [Death(cause, at, ready) for at in times]


@pytest.mark.parametrize(
    ("history", "wait"),
    [
        (died(0), 1),
        (died(0, 10), 2),
        (died(0, 10, 20), 4),
        (died(0, 10, 20, 30), None),
        (died(0, 10, 20, 130), 1),  # three are out of the window
        (died(0, cause=Cause.BAD_ARGUMENTS, ready=False), None),
        (died(0, cause=Cause.CORRUPT_WEIGHTS, ready=False), None),
        (died(0, cause=Cause.PORT_TAKEN, ready=False), None),
        (died(0, cause=Cause.OUT_OF_MEMORY, ready=False), 1),
        (died(0, 10, cause=Cause.OUT_OF_MEMORY, ready=False), None),
        (died(0, 10, cause=Cause.OUT_OF_MEMORY, ready=True), 2),
        (died(0, 10, cause=Cause.STARTUP_TIMEOUT, ready=False), None),
        (died(0, 10, ready=False), 2),
        (died(0, ready=False, cause=Cause.OUT_OF_MEMORY) + died(10), 2),
    ],
)
def test_verdict(history, wait):
    """Backoff doubles within the window; hopeless and repeated causes end it."""
    verdict = judge(history, POLICY)
    assert verdict.wait_seconds == wait
    assert verdict.reason


def test_no_restarts_allowed():
    """With none allowed the first death is the last."""
    assert judge(died(0), LaunchLifecycle(max_restarts=0)).wait_seconds is None


def test_backoff_is_bounded():
    """Doubling ends at the longest backoff."""
    policy = LaunchLifecycle(max_restarts=50, restart_window_seconds=1e6)
    assert judge(died(*range(40)), policy).wait_seconds == LONGEST_BACKOFF_SECONDS
