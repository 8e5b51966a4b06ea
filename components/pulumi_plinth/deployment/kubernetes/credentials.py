"""What a store's client wants to know, by scheme: variables and files from a Secret, settings from the model. Pure.

Credentials reach the container that fetches and no other; the engine never sees them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pulumi_plinth.deployment.kubernetes.paths import STORE


@dataclass(frozen=True, slots=True)
class Client:
    """How the client of a scheme is told.

    `variables` maps a variable to the Secret's entry with its value. `files` are entries that it reads from disk, and
    `points` the variables that say where. `settings` maps a parameter of the model to the variable it becomes.
    `identity`: without a Secret it can use the pod's service account. `ports` are those of services that give such
    identities out, beside the store's own.
    """

    variables: Mapping[str, str]
    files: tuple[str, ...] = ()
    points: Mapping[str, str] | None = None
    settings: Mapping[str, str] | None = None
    identity: bool = False
    ports: tuple[int, ...] = ()

    @property
    def entries(self) -> tuple[str, ...]:
        """Entries that the Secret must have."""
        return (*self.variables.values(), *self.files)


WORKLOAD_IDENTITY_PORT = 12250
"""Where OKE exchanges the token of a service account for one of OCI."""

_OCI = Client(
    {},
    files=("config", "key.pem"),
    points={"OCI_CONFIG_FILE": f"{STORE}/config"},
    settings={"region": "OCI_REGION", "auth": "OCI_CLI_AUTH"},
    identity=True,
    ports=(WORKLOAD_IDENTITY_PORT,),
)

CLIENTS: Mapping[str, Client] = {
    "hf": Client({"HF_TOKEN": "token"}, settings={"endpoint": "HF_ENDPOINT"}),
    "s3": Client(
        {"AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY"},
        settings={"region": "AWS_REGION", "endpoint": "AWS_ENDPOINT_URL"},
        identity=True,
    ),
    "gs": Client(
        {}, files=("key.json",), points={"GOOGLE_APPLICATION_CREDENTIALS": f"{STORE}/key.json"}, identity=True
    ),
    "az": Client({"AZURE_STORAGE_SAS_TOKEN": "AZURE_STORAGE_SAS_TOKEN"}, identity=True),
    "github": Client({"GITHUB_TOKEN": "token"}, settings={"endpoint": "GITHUB_API_URL"}),
    "https": Client({}),
    "oci": _OCI,
    "ocios": _OCI,
}
"""Stores that a pod can fetch from, as `plinth_runtime.weights.sources` reads them."""
