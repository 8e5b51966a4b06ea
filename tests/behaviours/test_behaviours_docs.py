"""Documentation of the components is whole and true: pages name every input and output, and their examples run."""

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pulumi
import pytest
import yaml
from fakes.pulumi_monitor import run
from support.components import cloud

import pulumi_plinth
from pulumi_plinth.cli import main
from pulumi_plinth.observe import observe
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.stack import CONFIG_KEY, StackSpec

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/components").glob("*.md"))
SOURCES = [*PAGES, ROOT / "README.md", ROOT / "components/README.md"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADINGS = ("## What a change does", "## Who deploys", "## To remove")
OTHER_WORDS = {"GpuNodePool": ("## What a change does", "## IAM", "## To remove")}
"""Headings of pages that have them in other words."""

HOMES = ("behaviours", "components", "packaging", "policies", "pool", "stacks")
"""Folders of tests of the component package, where behaviours have their tests."""

MYPY_SECONDS = 600
STACK = {"stores": {"weights": {"kind": "folder", "path": "models"}}}
"""What a program that reads its stack from the configuration finds there."""


def examples(language):
    """Examples of a language, by page and number."""
    for path in SOURCES:
        found = [text for kind, text in BLOCK.findall(path.read_text()) if kind == language]
        yield from (pytest.param(text, id=f"{path.stem}-{number}") for number, text in enumerate(found))


def components():
    """Public components by name."""
    public = {name: getattr(pulumi_plinth, name) for name in pulumi_plinth.__all__}
    return {
        name: item
        for name, item in public.items()
        if isinstance(item, type) and issubclass(item, pulumi.ComponentResource)
    }


def page_of(name):
    """The page of a component."""
    return (ROOT / "docs/components" / f"{re.sub(r'(?<!^)(?=[A-Z])', '-', name).lower()}.md").read_text()


def camel(name):
    """A Python name as other languages and stack files write it."""
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


def test_every_behaviour_has_a_test():
    """The twenty-five that an excellent component package shows, each by its number."""
    texts = [path.read_text() for folder in HOMES for path in (ROOT / "tests" / folder).glob("test_*.py")]
    named = {int(found) for text in texts for found in re.findall(r"^def test_behaviour_(\d\d)_", text, re.MULTILINE)}
    assert named == set(range(1, 26))


@pytest.mark.parametrize("name", components())
def test_every_component_has_a_page_that_names_all_of_it(name):
    """Each input and each output in code letters, what a change does, who may deploy it, how it is removed."""
    page, kind = page_of(name), components()[name]
    assert page.startswith(f"# {name}\n")
    schema = json.loads((ROOT / "plugin/schema.json").read_text())["resources"]
    inputs = schema.get(f"plinth:index:{name}", {}).get("inputProperties") or ("plan", "store")
    outputs = [camel(item) for item in inspect.get_annotations(kind)]
    assert [item for item in (*inputs, *outputs) if f"`{item}`" not in page] == []
    assert [item for item in OTHER_WORDS.get(name, HEADINGS) if item not in page] == []


@pytest.mark.processes
@pytest.mark.parametrize("text", [*examples("yaml")])
def test_behaviour_24_every_stack_in_the_docs_registers(text, tmp_path):
    """Planned without a fault, and registered in a preview; a stack that runs on this host needs its model here."""
    written = yaml.safe_load(text)
    spec = StackSpec.parse(written.get("config", {}).get(CONFIG_KEY, written))
    if spec.on("local"):
        assert all(item.store for item in spec.models.values())
        return
    plan = plan_stack(spec, observe(spec, tmp_path, "docs"))
    monitor = run(lambda: pulumi_plinth.Platform("plinth", plan) and None, cloud(preview=True))
    assert len(monitor.all()) > 1


@pytest.mark.processes
@pytest.mark.parametrize("text", [*examples("python")])
def test_behaviour_24_every_program_in_the_docs_runs(text):
    """As a program of its own, against the clouds' stand-in."""

    def program():
        pulumi.runtime.set_all_config({CONFIG_KEY: json.dumps(STACK)})
        exec(compile(text, "example", "exec"), {"__name__": "__main__"})  # noqa: S102 the examples are ours

    assert len(run(program, cloud()).all()) >= 1


@pytest.mark.processes
@pytest.mark.timeout(MYPY_SECONDS)
def test_behaviour_24_every_program_in_the_docs_has_right_types(tmp_path):
    """As mypy sees it in strict mode, in the project of somebody who uses the package."""
    for example in examples("python"):
        (tmp_path / f"{example.id.replace('-', '_')}.py").write_text(example.values[0])
    command = [sys.executable, "-m", "mypy", "--strict", *map(str, sorted(tmp_path.glob("*.py")))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MYPY_SECONDS, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_command_on_the_pages_is_one(path):
    """Commands of ours in examples have the arguments that the command line takes."""
    blocks = [text for kind, text in BLOCK.findall(path.read_text()) if not kind]
    lines = [line.partition(" > ")[0] for text in blocks for line in text.splitlines() if line.startswith("plinth ")]
    for line in lines:
        _, name, *words = shlex.split(line)
        command = main.commands[name]
        with click.Context(main) as above, command.make_context(name, words, parent=above) as context:
            assert context.params
