"""Every shipped stack keeps to every rule of the policy pack."""

from pathlib import Path

import pytest
from fakes.pulumi_monitor import Secret, run
from plinth_rules import RULES
from plinth_rules.resource import LATER, Resource
from support.components import cloud

from pulumi_plinth.platform import Platform
from pulumi_plinth.project import Workspace

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
NOT_HERE = {"local", "gpu-example"}
"""Shipped stacks that register nothing: the model of one is not in a checkout, the other is planned only."""

STACKS = sorted({path.name.split(".")[1] for path in (ROOT / "stacks").glob("Pulumi.*.yaml")} - NOT_HERE)


def plain(value):
    """A registered value as the pack sees it."""
    if isinstance(value, Secret):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return LATER if type(value).__name__ == "_Unknown" else value


@pytest.mark.parametrize("stack", STACKS)
def test_behaviour_25_every_shipped_stack_passes(project_root, stack):
    """What the examples show is what the rules ask for."""
    plan = Workspace(project_root, stack).plan()
    monitor = run(lambda: Platform("p", plan) and None, cloud(preview=True))
    found = [
        Resource(item.type, item.name, plain(item.inputs), item.protect, item.urn, item.request.parent)
        for item in monitor.all()
    ]
    assert found
    assert [text for rule in RULES for text in rule.judge(found, {})] == []
