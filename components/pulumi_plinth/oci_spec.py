"""OciSpec: what everything made on Oracle's cloud shares: compartment, regions, credentials by name, tags. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pulumi_plinth.quantities import Text
from pulumi_plinth.spec import Spec

PENDING = "ocid1.pending"
"""Stands for an id that is known only when the resource it names is there. It passes every check of an id."""

Ocid = Annotated[
    str,
    Field(pattern=r"^ocid1\.[A-Za-z0-9._-]+$", max_length=255, json_schema_extra={"examples": ["ocid1.vault.oc1…"]}),
]
"""An Oracle Cloud id."""

Region = Annotated[str, Field(pattern=r"^[a-z]+(-[a-z]+)+-[0-9]+$", json_schema_extra={"examples": ["us-chicago-1"]})]

SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]
"""A name that may stand between quotes in a policy statement: it cannot end the quotes."""


class OciSpec(Spec):
    """What all resources on OCI share. Credentials are only named: their values are in files, Pulumi or the host."""

    compartment_id: Ocid = Field(description="Compartment in which everything is made. Required: none suits all.")
    region: Region = Field(
        description="Region of everything but IAM. Required: policy statements name it, whoever runs the program."
    )
    home_region: Region | None = Field(
        default=None,
        description="The tenancy's home region, where IAM lives. Default: `region`; IAM refuses writes anywhere else.",
    )
    tenancy_id: Ocid | None = Field(
        default=None,
        description="The tenancy, for the provider of another homeRegion. Default: as the login's profile says.",
    )
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")] | None = Field(
        default=None,
        description="Object Storage namespace of the tenancy. Default: asked when the stack is deployed; written here, "
        "the plan shows whole addresses.",
    )
    auth: Literal["ApiKey", "InstancePrincipal", "ResourcePrincipal", "SecurityToken", "OKEWorkloadIdentity"] | None = (
        Field(
            default=None,
            description="How providers of our own log in. Default: the default provider's settings (`oci:` of the "
            "stack file); only the provider for another homeRegion is our own, and uses ApiKey.",
        )
    )
    profile: Text | None = Field(
        default=None,
        description="Profile of the OCI configuration file to log in with. Default: DEFAULT.",
    )
    tags: dict[SafeName, str] = Field(
        default_factory=dict, description="Free-form tags of everything that can have tags. Default: none."
    )
    defined_tags: dict[Annotated[str, Field(pattern=r"^[^.\s]+\.[^.\s]+$")], str] = Field(
        default_factory=dict, description="Defined tags, by Namespace.Key. Default: none."
    )
    ignore_tags: tuple[Text, ...] = Field(
        default=(),
        description="Defined tags that tag defaults of the tenancy set: never a difference. Default: none. Whole keys, "
        "such as Oracle-Tags.CreatedBy.",
    )

    @property
    def home(self) -> str:
        """The region that IAM resources are written in."""
        return self.home_region or self.region
