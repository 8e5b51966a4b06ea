"""Arguments of an engine are judged as the engine would, before it is started."""

import json
from itertools import product

import pytest
from engines.command_lines import BOUNDS, REFUSED, TAKEN

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.serving.command import Paths, build_argv
from pulumi_plinth.engines.arguments import (
    check_arguments,
    environment_cautions,
    environment_faults,
    metric_fault,
)
from pulumi_plinth.engines.renamed import FLAGS, VARIABLES
from pulumi_plinth.engines.table import load_table

TABLE = load_table("vllm", "0.32.0")


@pytest.mark.parametrize("line", TAKEN)
def test_what_the_engine_takes_has_no_fault(line):
    """Every spelling that its parser knows."""
    assert check_arguments(line.split(), TABLE).faults == ()


@pytest.mark.parametrize(("line", "message"), [*REFUSED.items(), *BOUNDS.items()])
def test_what_the_engine_refuses_has_one_fault_that_says_what_to_write(line, message):
    """One, because a mistake must not draw others after it."""
    faults = check_arguments(line.split(), TABLE, "plinth:stack.deployments.chat.engineArgs").faults
    assert [message in str(fault) for fault in faults] == [True], [str(fault) for fault in faults]
    assert str(faults[0]).startswith("plinth:stack.deployments.chat.engineArgs: ")


def test_all_faults_come_at_once():
    """In the order of the words."""
    words = ["--sede", "1", "--dtype", "int8", "4096", "--block-size=x"]
    assert [fault.value for fault in check_arguments(words, TABLE).faults] == [
        "--sede",
        "--dtype int8",
        "4096",
        "--block-size=x",
    ]


def test_a_flag_and_its_value_in_one_item_are_explained():
    """The commonest slip in a YAML list."""
    (fault,) = check_arguments(["--max-model-len 4096"], TABLE).faults
    assert fault.remedy == "write each flag and each value as an item of its own"


@pytest.mark.parametrize("words", [["--hf-tokn=hf_0123456789abcdef"], ["--seed", "hf_0123456789abcdef"]])
def test_what_looks_like_a_token_is_not_shown(words):
    """A slip in a flag must not print what stands behind it."""
    (fault,) = check_arguments(words, TABLE).faults
    assert "0123456789abcdef" not in str(fault)


def test_a_plug_in_may_bring_parsers_of_its_own():
    """Then an unknown name is no fault."""
    assert check_arguments(["--tool-call-parser", "ours", "--tool-parser-plugin", "/p.py"], TABLE).faults == ()
    assert check_arguments(["--reasoning-parser", "ours", "--tool-parser-plugin", "/p.py"], TABLE).faults != ()


def test_cautions_name_what_is_deprecated_or_said_twice():
    """They stop nobody."""
    checked = check_arguments(["--seed", "1", "--seed", "2", "--log-config-file", "x.json"], TABLE)
    assert checked.faults == ()
    assert checked.cautions == (
        "--log-config-file is deprecated in vllm 0.32.0 and goes with one of the next releases",
        "--seed is given 2 times; the last one counts",
    )


ADAPTERS = ({"name": "chat-sql", "folder": "/models/my adapters/sql, v2", "rank": 8},)
VARIANTS = list(
    product(["cpu", "cuda"], [True, False], ["auto", "float16"], [None, "{{ messages }}"], [(), ADAPTERS], [16, 320])
)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_command_line_that_we_write_passes(variant):
    """Whatever the launch says; the golden one too."""
    device, eager, dtype, template, adapters, rank = variant
    launch = LaunchConfig.model_validate({
        "deployment": "chat",
        "model": {
            "servedName": "m", "folder": "/models/m", "maxModelLen": 2048, "dtype": dtype, "chatTemplate": template,
            "adapters": adapters,
        },
        "engine": {
            "python": "/python", "device": device, "kvCacheBytes": 2 << 30, "maxNumSeqs": 8, "enforceEager": eager,
            "maxAdapterRank": rank,
        },
        "api": {"port": 8000},
        "management": {"port": 8001},
    })  # fmt: skip
    paths = Paths("/lib/injected", "/run/draining", "/run/agent.hash", "/run/template.jinja", launch.model.adapters)
    python, dash, _module, *words = build_argv(launch, paths)
    assert (python, dash) == ("/python", "-m")
    assert check_arguments(words, TABLE).faults == ()
    assert check_arguments(words, TABLE).cautions == ()


def test_the_golden_command_passes_with_its_environment(project_root):
    """What the runtime starts is known to the release it starts: flags and variables."""
    golden = json.loads((project_root / "tests" / "runtime" / "golden" / "command.json").read_text())
    assert check_arguments(golden["argv"][3:], TABLE).faults == ()
    assert list(environment_faults(list(golden["environment"]), TABLE)) == []
    assert list(environment_cautions(list(golden["environment"]), TABLE)) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("VLLM_CPU_KVCACHE_SPCAE", "is not a variable of vllm 0.32.0; did you mean 'VLLM_CPU_KVCACHE_SPACE'?"),
        ("VLLM_ATTENTION_BACKEND", "is not a variable of vllm 0.32.0 any more; write the argument --attention-backend"),
    ],
)
def test_a_variable_that_is_misspelt_or_gone_is_a_fault(name, message):
    """The engine would start and not do what is asked."""
    (fault,) = environment_faults(["HOME", name, "VLLM_LOGGING_LEVEL"], TABLE, "x.environment")
    assert str(fault) == f"x.environment.{name}: {message}"
    assert list(environment_cautions([name], TABLE)) == []


def test_a_variable_that_nobody_knows_is_a_caution():
    """A plug-in may read it."""
    assert list(environment_faults(["VLLM_ASCEND_ENABLE_X"], TABLE)) == []
    (caution,) = environment_cautions(["VLLM_ASCEND_ENABLE_X", "OMP_NUM_THREADS"], TABLE)
    assert caution.startswith("VLLM_ASCEND_ENABLE_X is not a variable of vllm 0.32.0")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("vllm:kv_cache_usage_perc", True),
        ("vllm:prompt_tokens_total", True),
        ("vllm:iteration_tokens_total_count", True),
        ("vllm:time_to_first_token_seconds_bucket", True),
        ("vllm:websocket_connections_total", True),
        ("vllm:prompt_tokens", False),
        ("vllm:gpu_cache_usage_perc", False),
        ("vllm:time_to_first_token_seconds", False),
        ("vllm:spec_decode", False),
    ],
)
def test_metrics_are_known_by_the_names_they_are_published_under(name, known):
    """A scaler that asks for another name hears nothing, for ever."""
    assert (metric_fault(name, TABLE, "x") is None) is known


def test_a_renamed_metric_is_suggested():
    """The rename that broke dashboards."""
    fault = metric_fault("vllm:gpu_cache_usage_perc", TABLE, "scale.metric")
    assert str(fault).endswith("is not a metric of vllm 0.32.0; did you mean 'vllm:kv_cache_usage_perc'?")


@pytest.mark.parametrize(("old", "new"), [*FLAGS.items(), *VARIABLES.items()])
def test_what_is_said_of_renamed_names_is_true(old, new):
    """The old one is gone, and what to write instead is known."""
    assert old not in TABLE.spellings
    assert old not in TABLE.environment
    words = [word.strip(",") for word in new.split() if word.startswith("--")]
    given = [part for word in words for part in ([word, "1"] if "." in word else [word])]
    assert words
    assert [str(fault) for fault in check_arguments(given, TABLE).faults if "not a flag" in str(fault)] == []


ODD = (
    "",
    "-",
    "--",
    "---",
    "=",
    "--=",
    ".",
    "--.",
    "--a.",
    "-O",
    "-O=",
    "-Ox",
    "--no-",
    "--seed.",
    "--seed=",
    "\n",
    "é",
    "9" * 5000,
)


@pytest.mark.slow
def test_no_word_is_too_odd_to_be_judged():
    """Pairs of odd words between right ones: faults, never a traceback."""
    for first, second in product(ODD, repeat=2):
        faults = check_arguments(
            ["--seed", first, second, "--max-model-len", second, f"--hf-overrides{first}"], TABLE
        ).faults
        assert all(str(fault) for fault in faults)
