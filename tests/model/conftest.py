"""Documents that the tests of models read, and a converter that takes them as text."""

from pathlib import Path

import pytest

DOCUMENTS = Path(__file__).parent / "documents"


@pytest.fixture
def document():
    """A function that returns the text of one of the documents in this folder."""
    return lambda name: (DOCUMENTS / name).read_bytes().decode("utf-8")


@pytest.fixture
def converted():
    """A function that converts one text."""
    from pulumi_plinth.model.convert import convert

    return lambda text, to="plinth", name="file.yaml": convert([(name, text)], to)
