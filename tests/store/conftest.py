"""Arguments that the tests of stores vary, and what OCI answers."""

import pytest
from fakes.pulumi_monitor import Cloud, run

COMPARTMENT = "ocid1.compartment.oc1..team"
CLUSTER = "ocid1.cluster.oc1.phx.main"
OCI = {"compartment_id": COMPARTMENT, "region": "us-phoenix-1"}
SERVER = {"namespace": "serving", "service_account": "chat"}
PUBLISHER = {"namespace": "training", "service_account": "publish"}

FUNCTIONS = {
    "oci:ObjectStorage/getNamespace:getNamespace": lambda _: {"namespace": "axnamespace"},
    "oci:Kms/getVault:getVault": lambda _: {"managementEndpoint": "https://existing.kms.example"},
}
OUTPUTS = {
    "oci:Kms/vault:Vault": {"managementEndpoint": "https://made.kms.example"},
    "oci:FileStorage/mountTarget:MountTarget": {"ipAddress": "10.0.4.7", "exportSetId": "exports"},
    "oci:Lustre/fileStorageLustreFileSystem:FileStorageLustreFileSystem": {
        "managementServiceAddress": "10.0.4.9",
        "lnet": "tcp",
    },
}


@pytest.fixture
def make():
    """Register a ModelStore named `weights`; what was registered."""

    def do(args, opts=None, *, preview=False, seen=None):
        from pulumi_plinth.store.component import ModelStore

        def program():
            store = ModelStore("weights", args() if callable(args) else args, opts() if callable(opts) else opts)
            if seen is not None:
                store.location.apply(lambda value: seen.update(location=value))
                store.uris.apply(lambda value: seen.update(uris=value))
                store.statements.apply(lambda value: seen.update(statements=value))

        return run(program, Cloud(preview=preview, outputs=OUTPUTS, functions=FUNCTIONS))

    return do


@pytest.fixture
def bucket_args():
    """A bucket with everything: customer key, retention elsewhere, copy, endpoint, readers and writers."""
    return {
        "kind": "bucket",
        "bucket": "team-weights",
        "oci": OCI,
        "cluster_id": CLUSTER,
        "readers": [SERVER],
        "writers": [PUBLISHER],
        "models": {"llama": "meta/llama-3", "qwen": "qwen"},
    }
