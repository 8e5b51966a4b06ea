"""What a real cluster said of servers in trouble (`record.py`), and a few objects to change."""

import json
from pathlib import Path

import pytest

SEEN = json.loads(Path(__file__).with_name("seen.json").read_text())


@pytest.fixture(scope="session")
def seen():
    """Lists of objects by name: pods, workloads, events, nodes."""
    return SEEN


@pytest.fixture
def recorded():
    """A function that gives the only pod of a recorded deployment, to be changed."""

    def pod(name):
        (found,) = [item for item in SEEN["pods"] if item["metadata"]["labels"]["app.kubernetes.io/instance"] == name]
        return json.loads(json.dumps(found))

    return pod
