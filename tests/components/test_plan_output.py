"""How a plan is told: on a terminal, field by field, as a page, in one line."""

import copy
import json
from html.parser import HTMLParser
from io import StringIO

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from pulumi_plinth.cli import main
from pulumi_plinth.errors import PlinthError
from pulumi_plinth.observe import observe
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.rendering_explain import SUBJECTS, explain
from pulumi_plinth.rendering_html import page
from pulumi_plinth.rendering_parts import LOOKS, Segment, cells, segments
from pulumi_plinth.rendering_plan import show_plan
from pulumi_plinth.stack import StackSpec


@pytest.fixture(scope="module")
def example(project_root):
    """The shipped example with GPUs: its spec and plan."""
    text = (project_root / "stacks/Pulumi.gpu-example.yaml").read_text()
    spec = StackSpec.parse(yaml.safe_load(text)["config"]["plinth:stack"])
    return spec, plan_stack(spec, observe(spec, project_root, "gpu-example"))


@pytest.fixture
def here(document, facts):
    """A plan of a local server."""
    spec = StackSpec.parse(document)
    return spec, plan_stack(spec, facts)


def printed(spec, plan, *, width=100, color=None):
    """What a terminal shows."""
    console = Console(file=StringIO(), width=width, color_system=color, force_terminal=bool(color))
    show_plan(console, spec, plan)
    return console.file.getvalue()


def test_a_terminal_shows_bars_reasons_alternatives_and_totals(example):
    """For each deployment a bar with its legend; for the stack the sums."""
    text = printed(*example)
    for name in ("chat", "large", "own", "search"):
        assert f"\n{name}  1 x " in text
    assert "each of 2 GPUs: 39.74 GiB of 44.16 GiB" in text
    assert "K kv cache 23.00 GiB" in text
    assert "or BM.GPU.A10.4" in text
    assert text.index("\n  layout ") < text.index("\n  memory ") < text.index("\n  price ")
    assert "nodes cost  $40.00 to $54.00 an hour, $29,200.00 to $39,420.00 a month" in text
    assert "not counted own: no price is established" in text


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_bar_is_as_wide_as_it_may_be(example, width):
    """Coloured or in letters, it never wraps, and every part has its share."""
    for color in (None, "standard"):
        lines = printed(*example, width=width, color=color).splitlines()
        assert any(set(line.strip()) <= set("WKAGOL.") and line.strip() for line in lines) == (color is None)
        assert any("█" in line for line in lines) == (color is not None)


def test_a_local_server_has_a_bar_of_its_host(here):
    """Weights, cache, engine, and what the host has left; nothing is bought."""
    text = printed(*here)
    assert "this host: 3.55 GiB of 24.00 GiB" in text
    assert "E engine 2.30 GiB" in text
    assert "total\n" not in text


def test_bars_are_dealt_exactly(example):
    """All cells are dealt, the parts sum to what the GPU has, and every part has a look."""
    for outline in example[1].outlines():
        parts = segments(outline)
        assert sum(part.size for part in parts) == outline.offered_bytes
        assert {part.part for part in parts} <= set(LOOKS)
        for width in (10, 71, 300):
            dealt = cells(parts, width)
            assert sum(dealt) == width
            assert all(
                abs(count - part.size * width / outline.offered_bytes) < 1
                for part, count in zip(parts, dealt, strict=True)
            )
    assert cells([Segment("weights", 2), Segment("free", 1)], 2) == (1, 1)


def test_each_line_of_a_preview_is_one_sentence(example, here):
    """Shape, GPUs, context, start and price; a local server's memory and address."""
    lines = {outline.name: outline.summary() for outline in example[1].outlines()}
    assert lines["chat"] == (
        "chat: 1 x VM.GPU.L40S.2, 2 GPUs, TP1 x PP1 x DP2, 16,384 tokens of context, 167,472 in the cache, "
        "ready within 749 s, $7.00 to $21.00 an hour"
    )
    assert lines["own"].endswith("no price established")
    (line,) = (outline.summary() for outline in here[1].outlines())
    assert line.endswith("3.55 GiB of host memory, ready within 253 s, http://127.0.0.1:18000/v1")


def test_every_field_can_be_explained(example, here):
    """No key of the JSON is without a row, and every reason is told for some field."""
    for _, plan in (example, here):
        for said in plan.to_json()["deployments"]:
            told = set()
            for field in said:
                (found,) = explain(plan, f"{said['name']}.{field}")
                assert found.value == said[field]
                if field not in ("reasons", "launch"):
                    told |= {subject for subject, _ in found.reasons}
            assert {reason["subject"] for reason in said["reasons"]} <= told
            assert set(said) <= set(SUBJECTS)


def test_an_explanation_carries_the_arithmetic(example):
    """The value, the reasons behind it and the formula of the cache."""
    (found,) = explain(example[1], "chat.max_model_len")
    text = "\n".join(found.lines())
    assert text.startswith("chat.max_model_len = 16384\n")
    assert "0.90 x 44.16 GiB = 39.74 GiB on each GPU" in text
    assert "a request of 16384 tokens holds" in text
    assert len(explain(example[1], "price")) == 4
    assert "as written in the stack file" in "\n".join(explain(example[1], "chat.target")[0].lines())


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("chatt.price", "there is no deployment 'chatt'; did you mean 'chat'"),
        ("chat.prize", "a plan has no field 'prize'; did you mean 'price'"),
        ("chat.launch", "no deployment meant here has the field 'launch'"),
    ],
)
def test_what_cannot_be_explained_gets_the_nearest_name(example, asked, expected):
    """A typing error is answered with what was meant."""
    with pytest.raises(PlinthError, match=r"'.*'") as caught:
        explain(example[1], asked)
    assert expected in str(caught.value)


class Reader(HTMLParser):
    """Reads a page: tags that are open, addresses that are named, texts."""

    VOID = ("meta",)

    def __init__(self):
        super().__init__()
        self.open, self.names, self.addresses, self.texts = [], [], [], []

    def handle_starttag(self, tag, attrs):
        """Note a tag."""
        self.names.append(tag)
        self.addresses += [
            value for key, value in attrs if key in ("src", "href", "xlink:href") or key.startswith("on")
        ]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        """Note a tag that closes itself."""
        self.names.append(tag)

    def handle_endtag(self, tag):
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data):
        """Keep the text."""
        self.texts.append(data)


def test_the_page_is_whole_and_needs_nothing_else(example):
    """Every tag is closed; no script, nothing loaded; bars, cost chart, reasons, alternatives are there."""
    text = page("gpu-example", example[1])
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.addresses == []
    assert not {"script", "link", "img", "iframe", "object"} & set(reader.names)
    assert "@import" not in text
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert reader.names.count("section") == 5
    said = "".join(reader.texts)
    for part in (
        "kv cache 23.00 GiB",
        "$7.00 to $21.00",
        "Reasons, in order",
        "33 other shapes",
        "--max-model-len=16384",
    ):
        assert part in said, part


def test_what_people_write_cannot_leave_its_place(document, facts):
    """A name or a reason that looks like markup stays text."""
    evil = "<script>alert(1)</script>\"'&"
    document["deployments"]["chat"]["host"] = evil
    text = page(evil, plan_stack(StackSpec.parse(document), facts))
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_the_command_explains_and_writes_the_page(project_root, tmp_path):
    """`--explain` in words and JSON, `--html` beside either; a place that cannot be written is a sentence."""

    def run(*arguments):
        return CliRunner().invoke(main, ["plan", "-C", str(project_root), "-s", "gpu-example", *arguments])

    assert run("--explain", "chat.gpus").stdout.startswith("chat.gpus = 2\n")
    (found,) = json.loads(run("--explain", "own.price", "--json").stdout)["explanations"]
    assert (found["deployment"], found["value"]) == ("own", None)
    target = tmp_path / "plan.html"
    assert run("--html", str(target)).exit_code == 0
    assert target.read_text().startswith("<!DOCTYPE html>")
    refused = run("--html", str(tmp_path / "none" / "plan.html"))
    assert (refused.exit_code, "cannot be written" in refused.stderr) == (1, True)


@pytest.mark.parametrize("command", ["preview", "up"])
def test_what_is_only_planned_is_not_deployed(project_root, command):
    """Refused with the path before a deployer is even asked for."""
    more = ["--yes"] if command == "up" else []
    run = CliRunner().invoke(main, [command, "-C", str(project_root), "-s", "gpu-example", *more])
    assert run.exit_code == 1
    assert "plinth:stack.deployments.chat.target" in run.stderr
    assert "the stack describes no cluster" in run.stderr


def test_the_plan_stays_as_it_was(example):
    """Telling it changes nothing of it."""
    before = copy.deepcopy(example[1].to_json())
    printed(*example)
    page("x", example[1])
    assert example[1].to_json() == before
