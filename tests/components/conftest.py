"""A small stack and the facts it is planned against, as values that a test varies by one line."""

import copy
from pathlib import Path

import pytest

from pulumi_plinth.deployment.facts import HostFacts, ModelFacts
from pulumi_plinth.planner import Facts
from pulumi_plinth.quantities import GIB
from pulumi_plinth.stack import StackSpec

DOCUMENT = {
    "stores": {"disk": {"kind": "folder", "path": "models"}},
    "models": {"tiny": {"store": "disk", "path": "tiny"}},
    "deployments": {"chat": {"model": "tiny", "port": 18000}},
}


@pytest.fixture
def document():
    """The value under `plinth:stack`, free to be changed."""
    return copy.deepcopy(DOCUMENT)


@pytest.fixture
def spec(document):
    """The same, parsed."""
    return StackSpec.parse(document)


@pytest.fixture
def facts(card):
    """A host of 24 GiB with the engine installed and one good model."""
    model = ModelFacts(Path("/srv/models/tiny"), card, manifest_digest="ab" * 32, total_bytes=273_000_000)
    host = HostFacts(memory_bytes=24 * GIB, engines={"vllm-cpu": Path("/srv/engine/python")})
    return Facts(Path("/srv"), "local", host, {"tiny": model})
