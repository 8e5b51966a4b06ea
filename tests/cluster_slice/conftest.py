"""Arguments that the tests of the cluster's components vary, and what OCI answers."""

import pytest
from fakes.pulumi_monitor import Cloud, run

COMPARTMENT = "ocid1.compartment.oc1..team"
CLUSTER = "ocid1.cluster.oc1.phx.main"
OCI = {"compartment_id": COMPARTMENT, "region": "us-phoenix-1"}
TOKEN = "aGYtdmVyeS1zZWNyZXQ="

IMAGES = [
    ("ocid1.image.oc1..old", "Oracle-Linux-8.10-2025.01.09-0-OKE-1.34.1-700"),
    ("ocid1.image.oc1..new", "Oracle-Linux-8.10-2025.05.19-0-OKE-1.34.1-905"),
    ("ocid1.image.oc1..gpu", "Oracle-Linux-8.10-Gen2-GPU-2025.06.19-0-OKE-1.34.1-990"),
    ("ocid1.image.oc1..arm", "Oracle-Linux-8.10-aarch64-2025.06.19-0-OKE-1.34.1-990"),
    ("ocid1.image.oc1..other", "Oracle-Linux-8.10-2025.08.19-0-OKE-1.33.2-991"),
]

FUNCTIONS = {
    "oci:Core/getServices:getServices": lambda _: {
        "services": [
            {"id": "ocid1.service.oc1..all", "cidrBlock": "all-phx-services", "name": "All", "description": ""}
        ]
    },
    "oci:Identity/getAvailabilityDomains:getAvailabilityDomains": lambda _: {
        "availabilityDomains": [
            {"name": f"Uocm:PHX-AD-{number}", "id": "", "compartmentId": ""} for number in (1, 2, 3)
        ]
    },
    "oci:ContainerEngine/getNodePoolOption:getNodePoolOption": lambda _: {
        "sources": [{"imageId": key, "sourceName": name, "sourceType": "IMAGE"} for key, name in IMAGES]
    },
    "oci:ContainerEngine/getClusterKubeConfig:getClusterKubeConfig": lambda _: {"content": "apiVersion: v1"},
    "oci:Secrets/getSecretbundle:getSecretbundle": lambda _: {
        "secretBundleContents": [{"content": TOKEN, "contentType": "BASE64"}]
    },
}
OUTPUTS = {"oci:Artifacts/containerRepository:ContainerRepository": {"namespace": "axnamespace"}}


@pytest.fixture
def build():
    """Run a program against OCI as it answers here; what was registered."""

    def do(program, *, preview=False):
        return run(program, Cloud(preview=preview, outputs=OUTPUTS, functions=FUNCTIONS))

    return do
