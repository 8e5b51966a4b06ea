"""Example stacks as whole programs: previewed by the embedded engine, with stand-ins of the providers."""

import pytest
from support.stand_ins import project, stand_ins

from pulumi_plinth import embedded
from pulumi_plinth.embedded import crypto

pytestmark = pytest.mark.processes

IMAGE = "Oracle-Linux-8.10-Gen2-GPU-2025.05.19-0-OKE-1.34.1-905"
SYSTEM_IMAGE = "Oracle-Linux-8.10-2025.05.19-0-OKE-1.34.1-905"


@pytest.fixture
def preview(tmp_path, monkeypatch):
    """Preview an example in a folder of its own; returns the result and what was said."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(crypto, "ITERATIONS", 1000)
    environment = {"PATH": "/usr/bin:/bin"}
    stand_ins(tmp_path, environment).change(images=[IMAGE, SYSTEM_IMAGE])
    monkeypatch.setenv("PATH", environment["PATH"])
    root = project(tmp_path)

    def run(stack):
        said = []
        found = embedded.preview(embedded.Project.load(root), stack, said.append, embedded.Options(passphrase="x"))
        return found, [item.message for item in said if isinstance(item, embedded.Diagnostic)]

    return run


@pytest.mark.parametrize(("stack", "pool"), [("oci-a10", "a10"), ("oci-h100", "h100"), ("oci-search", "a10")])
def test_a_stack_that_makes_all_it_needs_is_previewed(preview, stack, pool):
    """Everything would be created, ids are not known, and the short form of the plan is said."""
    result, said = preview(stack)
    assert result.changes.keys() == {"create"}
    assert result.changes["create"] > 20
    assert result.outputs["endpoints"]
    assert any(line.startswith(f"pool {pool}: ") and "an hour" in line for line in said)
    assert not [line for line in said if "Traceback" in line]
