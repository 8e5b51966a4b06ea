"""Fixtures for sources whose bytes come over HTTP."""

import pytest


@pytest.fixture
def stream():
    """A function that gives a source's stream; it is closed when the test ends."""
    opened = []

    def open_stream(source):
        opened.append(source.session())
        return opened[-1]

    yield open_stream
    for session in opened:
        session.close()
