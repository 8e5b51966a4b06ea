"""The cluster's library, where it must not be left to itself."""

import subprocess
import sys

import pytest

FIRST_REFUSAL = """
import sys
import plinth_runtime.node.kube as kube
from lightkube.models.meta_v1 import Status
kube.KubeApi(lambda: None)
called = set()
sys.setprofile(lambda frame, event, argument: called.add(frame.f_code.co_name))
refused = Status.from_dict({"code": 403, "details": {"causes": [{"reason": "x"}]}, "metadata": {}})
sys.setprofile(None)
assert "from_dict" in called and refused.code == 403
sys.exit("get_class_annotations" in called)
"""


@pytest.mark.processes
def test_the_first_refusals_find_their_type_prepared():
    """Two threads that prepared it at once crashed the agent: every watch was refused as the API server came back."""
    assert subprocess.run([sys.executable, "-c", FIRST_REFUSAL], check=False).returncode == 0
