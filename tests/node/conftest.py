"""What the tests of the node agent share."""

import pytest
from node.simulation import World


@pytest.fixture
def world():
    """A cluster without nodes."""
    return World()
