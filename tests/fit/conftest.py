"""Models of the catalogue, shapes of the table, and one way to plan them."""

import pytest

from pulumi_plinth.fit.parallel import Asked, Nodes
from pulumi_plinth.fit.plan import Wish, fit
from pulumi_plinth.fit.shapes import load_shapes, plain_shape
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.model.catalogue import load_catalogue


@pytest.fixture(scope="session")
def cards():
    """Every card of the catalogue by name."""
    found = ((entry.name, entry.card()) for entry in load_catalogue().entries())
    return {name: card for name, card in found if card is not None}


@pytest.fixture(scope="session")
def shapes():
    """The table of shapes."""
    return load_shapes()


@pytest.fixture(scope="session")
def plan(cards, shapes):
    """Plan a model of the catalogue on a shape, or on GPUs given as (count, GiB)."""

    def planned(name, where, *, nodes=None, mig=False, context=None, **asked):
        shape = shapes[where] if isinstance(where, str) else plain_shape(*where)
        return fit(Sizer(cards[name]), Nodes(shape, nodes, mig), Wish(context, Asked(**asked)))

    return planned
