"""The committed reference is the one the specs give."""

import json

import yaml

from pulumi_plinth.reference import markdown, schema_of
from pulumi_plinth.stack import StackSpec


def test_the_committed_reference_is_current(project_root):
    """`make docs` was run after the last change of a spec."""
    committed = (project_root / "docs/reference.md").read_text()
    assert committed.strip() == markdown(StackSpec.model_json_schema()).strip()


def test_every_field_of_a_stack_file_is_documented():
    """No key without meaning."""
    for line in markdown(StackSpec.model_json_schema()).splitlines():
        if line.startswith("| `"):
            assert len(line.split(" | ")[-1]) > 7, line


def test_the_committed_schema_is_current(project_root):
    """`make docs` was run after the last change of a spec."""
    assert json.loads((project_root / "docs/stack-file.schema.json").read_text()) == schema_of("file")


def test_every_stack_file_names_the_schema_and_can_be_parsed(project_root):
    """Editors find the schema by the first line; every shipped stack is a good one."""
    for path in (project_root / "stacks").glob("Pulumi.*.yaml"):
        first, *_ = path.read_text().splitlines()
        assert first == "# yaml-language-server: $schema=../docs/stack-file.schema.json"
        assert StackSpec.parse(yaml.safe_load(path.read_text())["config"]["plinth:stack"]).deployments
