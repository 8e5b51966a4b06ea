"""Progress as the only sign of life: samples in, verdicts out, without a clock."""

import pytest

from plinth_runtime.serving.liveness import (
    Computed,
    Patience,
    Pulse,
    Sample,
    Verdict,
    feel,
    judge,
    read_metrics,
    until_next_verdict,
)

PATIENCE = Patience(stall=8, hang=60, step=300)
PROVEN = [Sample(0, True, 1), Sample(1, True, 2)]


def verdicts(samples, patience=PATIENCE):
    """The verdict at the moment of each sample."""
    pulse, found = Pulse(), []
    for sample in samples:
        pulse = feel(pulse, sample)
        found.append(judge(pulse, sample.at, patience))
    return found


def looks(waiting, steps, moments):
    """Samples at these moments; `steps` is a number or a function of the moment."""
    return [Sample(at, waiting, steps(at) if callable(steps) else steps) for at in moments]


def test_a_busy_engine_that_moves_is_never_stalled():
    """An hour under full load with one step in seven seconds is a healthy hour."""
    assert set(verdicts(looks(True, lambda at: at // 7, range(3600)))) == {Verdict.MOVING}


def test_an_idle_engine_is_not_stalled():
    """Without work the counter may stand still for ever."""
    assert set(verdicts(looks(False, 5, range(3600)))) == {Verdict.MOVING}


def test_work_that_stands_still():
    """From the last step on: first stalled, then hung."""
    found = dict(zip(range(2, 70), verdicts(PROVEN + looks(True, 2, range(2, 70)))[2:], strict=True))
    assert [at for at, verdict in found.items() if verdict is Verdict.STALLED] == list(range(9, 61))
    assert [at for at, verdict in found.items() if verdict is Verdict.HUNG] == list(range(61, 70))


def test_the_first_slow_request_is_no_hang():
    """Before a step was ever seen nothing is stalled, and a hang takes twice as long."""
    found = verdicts(looks(True, 0, [*range(0, 120, 5), 120]))
    assert found == [Verdict.MOVING] * 24 + [Verdict.HUNG]


def test_one_step_is_enough():
    """A stalled engine that moves again is well at once, and the time starts anew."""
    found = verdicts([*PROVEN, Sample(20, True, 2), Sample(21, True, 3), Sample(25, True, 3)])
    assert found[2:] == [Verdict.STALLED, Verdict.MOVING, Verdict.MOVING]


def test_silence_is_work_that_stands_still():
    """A server that says nothing at all is judged like one that makes no step; what was known stays known."""
    silent = [Sample(at, waiting=True, silent=True) for at in (2, 11, 62)]
    assert verdicts(PROVEN + silent)[2:] == [Verdict.MOVING, Verdict.STALLED, Verdict.HUNG]
    assert verdicts([*PROVEN, silent[0], Sample(30, True, 3)])[-1] is Verdict.MOVING
    assert verdicts(silent) == [Verdict.MOVING, Verdict.STALLED, Verdict.HUNG]  # that is no slow first request


def busy(moments, share=1.0, steps=2):
    """Samples of work without a step, of an engine that uses a share of a processor."""
    return [Sample(at, True, steps, computed=Computed(at, share * at)) for at in moments]


def test_a_long_step_that_computes_is_no_hang():
    """Five minutes of computing without a step are neither a stall nor a hang; then patience has an end."""
    found = verdicts(PROVEN + busy(range(2, 310, 2)))[2:]
    moments = dict(zip(range(2, 310, 2), found, strict=True))
    assert {verdict for at, verdict in moments.items() if at < 301} == {Verdict.MOVING}
    assert {verdict for at, verdict in moments.items() if at >= 302} == {Verdict.HUNG}


@pytest.mark.parametrize(
    "still",
    [
        busy(range(30, 120), share=0.0),  # waits for a lock: no processor time
        busy(range(30, 120), share=0.05),  # its threads wake up now and then
        [Sample(at, True, 2) for at in range(30, 120)],  # stopped by a signal: cannot be told
        [Sample(at, True, silent=True) for at in range(30, 120)],  # the server says nothing
    ],
    ids=["deadlock", "noise", "stopped", "silent"],
)
def test_who_stops_computing_is_found_as_soon_as_ever(still):
    """From the last sign of computing on, the ordinary limits count."""
    found = verdicts([*PROVEN, *busy(range(2, 30)), *still])
    when = {verdict: at for at, verdict in reversed(list(zip([0, 1, *range(2, 120)], found, strict=True)))}
    assert (when[Verdict.STALLED], when[Verdict.HUNG]) == (37, 89)


def test_computing_again_is_going_on():
    """An engine that was stopped for a moment in the middle of a long step goes on being well."""
    pause = [Sample(at, True, 2) for at in range(10, 20)]
    again = [Sample(at, True, 2, computed=Computed(at, at - 10.0)) for at in range(20, 60)]
    found = verdicts([*PROVEN, *busy(range(2, 10)), *pause, *again])
    assert found[-1] is Verdict.MOVING
    assert Verdict.STALLED in found
    assert Verdict.HUNG not in found


def test_time_without_work_does_not_count():
    """Work that comes after a long rest has all the patience there is."""
    assert verdicts([*PROVEN, Sample(2, False, 2), Sample(1000, True, 2), Sample(1005, True, 2)])[-1] is Verdict.MOVING


@pytest.mark.parametrize(("pulse", "seconds"), [(Pulse(), 8), (Pulse(1, 0, 0, proven=True), 3), (Pulse(1, 0, 0), 3)])
def test_a_probe_may_take_until_the_verdict_would_change(pulse, seconds):
    """No longer: the next verdict must not be late."""
    assert until_next_verdict(pulse, 5, PATIENCE) == pytest.approx(seconds, abs=0.2)


def test_overdue_patience_is_short():
    """With every limit passed a probe is not waited for."""
    assert 0 < until_next_verdict(Pulse(1, 0, 0, proven=True), 100, PATIENCE) < 1


METRICS = """# HELP vllm:num_requests_running Number of requests in model execution batches.
vllm:num_requests_running{engine="0",model_name="x"} 0.0
vllm:num_requests_running{engine="1",model_name="x"} 2.0
vllm:num_requests_waiting{engine="0",model_name="x"} 0.0
vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 0.0
vllm:iteration_tokens_total_bucket{le="1.0",engine="0"} 7.0
vllm:iteration_tokens_total_count{engine="0"} 40.0
vllm:iteration_tokens_total_count{engine="1"} 2.0
"""


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        (METRICS, Sample(3, True, 42)),
        (METRICS.replace(" 2.0", " 0.0"), Sample(3, False, 40)),
        ("vllm:num_requests_waiting 1\n", Sample(3, True, None)),
        ("", Sample(3, False, None)),
    ],
)
def test_read_metrics(text, sample):
    """Ranks are summed; an engine with other names tells nothing and is not accused."""
    assert read_metrics(text, 3) == sample
