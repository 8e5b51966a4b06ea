"""What the engine's log and its end say. Lines are from real runs of vLLM 0.32."""

import signal

import pytest

from plinth_runtime.contract.status import Cause
from plinth_runtime.serving.deaths import TAIL_LINES, Circumstances, Exit, explain
from plinth_runtime.serving.phases import MARKS, read_line, says_nothing, weights_percent
from plinth_runtime.serving.states import Event


@pytest.mark.parametrize(
    ("line", "event", "percent"),
    [
        ("(APIServer pid=1) INFO 11-21 12:48:33 [model.py:733] Resolved architecture: LlamaForCausalLM", None, 20),
        ("(EngineCore pid=2) INFO [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model=", None, 40),
        ("(Worker pid=3) INFO [cpu_model_runner.py:68] Starting to load model /m...", Event.LOADING_SEEN, 55),
        ("Loading safetensors checkpoint shards:  50% Completed | 1/2 [00:00<00:00]", Event.LOADING_SEEN, 65),
        ("(Worker pid=3) INFO [default_loader.py:501] Loading weights took 0.81 seconds", Event.WARMING_SEEN, 75),
        ("(EngineCore pid=2) INFO [core.py:402] init engine (profile, create kv cache", Event.WARMING_SEEN, 90),
        ("INFO:     Application startup complete.", Event.WARMING_SEEN, 99),
    ],
)
def test_lines_of_a_start(line, event, percent):
    """Each stage of a start is recognised."""
    sighting = read_line(line)
    assert (sighting.event, sighting.percent) == (event, percent)


@pytest.mark.parametrize(("done", "share"), [(0, 0.0), (33, 0.33), (100, 1.0)])
def test_shards_tell_what_is_loaded(done, share):
    """The loader's own progress is the share of the phase; no other line tells one."""
    assert read_line(f"Loading safetensors checkpoint shards: {done:3d}% Completed | 1/3 [00:01<00:02]").share == share
    assert read_line("Starting to load model").share is None


def test_a_dead_core_is_seen_at_once():
    """The server's own words about its dead core make it unready seconds before it ends."""
    assert read_line("[shutdown] MPClient: engine core exited unexpectedly; starting cleanup").event is Event.UNHEALTHY


@pytest.mark.parametrize("line", ["", "hello", "INFO:     127.0.0.1:1 - GET /v1/models"])
def test_other_lines_say_nothing(line):
    """Most lines mean nothing here."""
    assert read_line(line) is None


def test_percentages_only_grow():
    """In the order of a start, the marks lead upwards."""
    percents = [sighting.percent for _, sighting in MARKS if sighting.percent]
    assert percents == sorted(percents)
    assert [weights_percent(done, 10) for done in (0, 5, 10)] == [0, 5, 10]
    assert weights_percent(0, 0) == 0


DEATHS = {
    "argparse": (Exit(2), ["api_server.py: error: unrecognized arguments: --x"], False, Cause.BAD_ARGUMENTS),
    "exit 2 alone": (Exit(2), [], False, Cause.BAD_ARGUMENTS),
    "validation": (
        Exit(1),
        ["pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig"],
        False,
        Cause.BAD_ARGUMENTS,
    ),
    "length": (
        Exit(1),
        ["ValueError: User-specified max_model_len (9000) is greater than the derived max_model_len (8192)"],
        False,
        Cause.BAD_ARGUMENTS,
    ),
    "kv cache": (
        Exit(1),
        ["ValueError: 1.5 GiB KV cache is needed, which is larger than the available KV cache memory (1.0 GiB)."],
        False,
        Cause.OUT_OF_MEMORY,
    ),
    "cuda": (Exit(1), ["torch.OutOfMemoryError: CUDA out of memory. Tried"], True, Cause.OUT_OF_MEMORY),
    "port": (Exit(1), ["OSError: [Errno 98] Address already in use"], False, Cause.PORT_TAKEN),
    "weights": (Exit(1), ["safetensors_rust.SafetensorError: Error while"], False, Cause.CORRUPT_WEIGHTS),
    "no vllm": (Exit(1), ["/x/python: No module named vllm.entrypoints"], False, Cause.BAD_CONFIG),
    "no module vllm": (Exit(1), ["ModuleNotFoundError: No module named 'vllm'"], False, Cause.BAD_CONFIG),
    "no python": (Exit(127), ["plinth-guard: cannot execute /x: No such file"], False, Cause.BAD_CONFIG),
    "a request's validation error": (Exit(0), ["ValidationError: 1 validation error"], True, Cause.ENGINE_DIED),
    "core died": (Exit(0), ["EngineDeadError: EngineCore encountered an issue."], True, Cause.ENGINE_DIED),
    "exit 0": (Exit(0), [], True, Cause.ENGINE_DIED),
    "killed": (Exit(signal_number=signal.SIGKILL), [], True, Cause.ENGINE_DIED),
    "illegal instruction": (Exit(signal_number=signal.SIGILL), [], False, Cause.ENGINE_DIED),
    "guard killed": (Exit(), [], True, Cause.ENGINE_DIED),
}


@pytest.mark.parametrize("death", DEATHS)
def test_cause_of_death(death):
    """The cause follows from exit and log; it is never success."""
    end, lines, ready, cause = DEATHS[death]
    termination = explain(end, Circumstances(tuple(lines), was_ready=ready))
    assert termination.cause is cause
    assert termination.exit_code != 0
    assert termination.advice


def test_deeds_come_before_words():
    """What we or the kernel did outweighs what the log says."""
    lines = ("ValidationError",)
    assert explain(Exit(1), Circumstances(lines, overdue=True)).cause is Cause.STARTUP_TIMEOUT
    assert explain(Exit(1), Circumstances(lines, was_ready=True, hung="it stood still")).cause is Cause.HUNG
    assert explain(Exit(0), Circumstances(lines, was_ready=True, oom_kills=1)).cause is Cause.OUT_OF_MEMORY


def test_the_tail_is_bounded():
    """A termination carries the last lines only."""
    lines = tuple(str(number) for number in range(100))
    assert explain(Exit(1), Circumstances(lines)).log_tail == lines[-TAIL_LINES:]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Exit(code=0), "exit code 0"),
        (Exit(signal_number=9), "signal 9 (SIGKILL)"),
        (Exit(signal_number=99), "signal 99 (unknown)"),
        (Exit(), "unknown: its guard was killed"),
    ],
)
def test_exit_in_words(end, words):
    """An end is said as people say it."""
    assert str(end) == words


FIGURES = (
    "(APIServer pid=7) INFO 11-21 14:30:02 [loggers.py:335] Engine 000: Avg prompt throughput: {} tokens/s, "
    "Avg generation throughput: {} tokens/s, Running: {} reqs, Waiting: 0 reqs, "
    "CPU KV cache usage: 0.0%, Prefix cache hit rate: 0.0%"
)


@pytest.mark.parametrize(
    ("line", "nothing"),
    [
        (FIGURES.format("0.2", "0.2", 0), True),
        (FIGURES.format("0.0", "0.0", 0), True),
        (FIGURES.format("0.0", "5.1", 0), False),
        (FIGURES.format("10.2", "0.2", 0), False),
        (FIGURES.format("0.2", "0.2", 1), False),
        ("Application startup complete.", False),
    ],
)
def test_figures_of_an_idle_engine_are_no_news(line, nothing):
    """What the engine says of our own probes would fill the log, and push out the lines that explain a death."""
    assert says_nothing(line) is nothing
