"""The committed reference is the one the specs give."""

from pulumi_plinth.reference import markdown
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
