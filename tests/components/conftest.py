"""A small stack and the facts it is planned against, as values that a test varies by one line."""

import copy
from pathlib import Path

import pytest

from pulumi_plinth.deployment.facts import HostFacts, ModelFacts
from pulumi_plinth.errors import SpecError
from pulumi_plinth.fit.market import Market
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.storage import load_unit_prices
from pulumi_plinth.model.catalogue import load_catalogue
from pulumi_plinth.observe_cards import Cards
from pulumi_plinth.planner import Facts, plan_stack
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


@pytest.fixture(scope="session")
def market():
    """Shapes and prices as shipped."""
    return Market(load_shapes(), load_unit_prices())


@pytest.fixture(scope="session")
def catalogue():
    """The catalogue as shipped."""
    return load_catalogue()


@pytest.fixture
def gpus(market, catalogue, tmp_path):
    """Plan a document whose models are found as `plinth plan` finds them."""

    def do(document, root=tmp_path):
        spec = StackSpec.parse(copy.deepcopy(document))
        empty = ModelFacts(root, None, ("there is no model",))
        finder = Cards(spec, root, lambda _: empty, lambda: catalogue)
        cards = {name: finder.find(item) for name, item in spec.on("kubernetes").items()}
        return plan_stack(spec, Facts(Path("/srv"), "local", HostFacts(24 * GIB), {}, cards=cards, market=market))

    return do


@pytest.fixture
def refused(gpus):
    """Plan what must be refused; the reasons as text."""

    def do(document):
        with pytest.raises(SpecError) as caught:
            gpus(document)
        return [str(fault) for fault in caught.value.faults]

    return do
