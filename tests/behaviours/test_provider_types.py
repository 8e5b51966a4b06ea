"""The check of registered inputs against the providers' own argument types finds what it is there for."""

import pytest
from support.provider_types import argument_faults

POOL = {"clusterId": "c", "compartmentId": "x", "nodeShape": "VM.GPU.A10.1"}
TOKEN = "oci:ContainerEngine/nodePool:NodePool"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("token", "inputs", "faults"),
    [
        (TOKEN, POOL, []),
        (TOKEN, {"clusterId": "c", "compartmentId": "x"}, [f"{TOKEN}.nodeShape is missing"]),
        (TOKEN, POOL | {"nodeLabels": []}, [f"{TOKEN}.nodeLabels is unknown"]),
        (TOKEN, POOL | {"nodeMetadata": {"a": 1.0}}, [f"{TOKEN}.nodeMetadata.a is float, not str"]),
        (TOKEN, POOL | {"initialNodeLabels": {"a": "b"}}, [f"{TOKEN}.initialNodeLabels is no list"]),
        (
            TOKEN,
            POOL | {"nodeConfigDetails": {"size": "1", "placementConfigs": [{"availabilityDomain": "a", "fd": 1.0}]}},
            [
                f"{TOKEN}.nodeConfigDetails.size is str, not int",
                f"{TOKEN}.nodeConfigDetails.placementConfigs[0].subnetId is missing",
                f"{TOKEN}.nodeConfigDetails.placementConfigs[0].fd is unknown",
            ],
        ),
        ("oci:ContainerEngine/nodePool:NodePoool", POOL, ["oci:ContainerEngine/nodePool:NodePoool is no resource"]),
        ("kubernetes:apps/v1:Deployment", {"spec": {"selector": {}, "template": {}, "replica": 1.0}}, None),
        ("plinth:index:GpuNodePool", {"anything": 1.0}, []),
    ],
)
def test_a_typo_cannot_pass(token, inputs, faults):
    """Unknown, missing and mistyped properties are named with their path; what is right is not."""
    found = argument_faults(token, inputs)
    assert found == (["kubernetes:apps/v1:Deployment.spec.replica is unknown"] if faults is None else faults)
