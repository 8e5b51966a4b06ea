"""The cluster's library, where it must not be left to itself."""

import subprocess
import sys

import pytest

FIRST_REFUSAL = """
import sys
import plinth_runtime.node.kube as kube
from lightkube.models.meta_v1 import ObjectMeta, Status

def prepares(kind, document):
    called = set()
    sys.setprofile(lambda frame, event, argument: called.add(frame.f_code.co_name))
    kind.from_dict(document)
    sys.setprofile(None)
    return "get_class_annotations" in called

kube.KubeApi(lambda: None)
assert prepares(ObjectMeta, {}), "preparing is not seen any more: look for what msgspec calls now"
assert not prepares(Status, {"code": 403, "details": {"causes": [{"reason": "x"}]}, "metadata": {}})
"""


@pytest.mark.processes
def test_the_first_refusals_find_their_type_prepared():
    """Two threads that prepared it at once crashed the agent: every watch was refused as the API server came back."""
    subprocess.run([sys.executable, "-c", FIRST_REFUSAL], check=True)
