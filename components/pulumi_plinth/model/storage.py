"""StorageSpec: where weights come from, where they land on a node, which nodes get them. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from plinth_runtime.contract.uri import StorageUri
from pulumi_plinth.quantities import SecretName, Text
from pulumi_plinth.spec import Spec


def _checked(text: str) -> str:
    StorageUri.parse(text)
    return text


Uri = Annotated[str, AfterValidator(_checked), Field(json_schema_extra={"examples": ["hf://org/model@main"]})]
"""A storage URI, kept as written; plinth_runtime.contract.uri holds the grammar."""

NodePath = Annotated[str, Field(min_length=1, max_length=1024)]


class NodeExpression(Spec):
    """One condition on a node's labels."""

    key: Text = Field(description="Label or field name. Required.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(description="Comparison. Required.")
    values: tuple[str, ...] = Field(default=(), description="Values to compare with. Default: none, as Exists needs.")

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        wanted = {"Exists": 0, "DoesNotExist": 0, "Gt": 1, "Lt": 1}.get(self.operator)
        if wanted is None and not self.values:
            raise ValueError(f"has no values for {self.operator}; list at least one under `values:`")
        if wanted is not None and len(self.values) != wanted:
            raise ValueError(f"has {len(self.values)} values for {self.operator}; write {wanted}")
        return self


class NodeTerm(Spec):
    """Conditions that must all hold."""

    match_expressions: tuple[NodeExpression, ...] = Field(default=(), description="On labels. Default: none.")
    match_fields: tuple[NodeExpression, ...] = Field(default=(), description="On fields. Default: none.")


class PreferredTerm(Spec):
    """Conditions that should hold."""

    weight: Annotated[int, Field(ge=1, le=100, strict=True)] = Field(description="1 to 100, higher wins. Required.")
    preference: NodeTerm = Field(description="The conditions. Required.")


class RequiredTerms(Spec):
    """Alternatives of which one must hold."""

    node_selector_terms: tuple[NodeTerm, ...] = Field(description="The alternatives. Required.")


class NodeAffinity(Spec):
    """Kubernetes node affinity. Only the required part decides where weights go; the preferred part orders."""

    required_during_scheduling_ignored_during_execution: RequiredTerms | None = Field(
        default=None, description="What a node must have. Default: nothing."
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredTerm, ...] = Field(
        default=(), description="What a node should have. Default: nothing."
    )


class StorageSpec(Spec):
    """Where the weights are and how they reach the nodes."""

    uri: Uri | None = Field(
        default=None,
        description="Source of the weights, see the URI grammar. Default: none, then `store` and `path` say.",
    )
    path: NodePath | None = Field(
        default=None, description="Folder on the node. Default: below the node's models root, named after the model."
    )
    schema_path: Text | None = Field(default=None, description="File with the model's input schema. Default: none.")
    parameters: dict[str, str] = Field(
        default_factory=dict, description="Settings of the store's client, such as region and auth. Default: none."
    )
    key: SecretName | None = Field(
        default=None, description="Name of the secret with the access token. Default: none, for what is public."
    )
    node_selector: dict[str, str] = Field(
        default_factory=dict, description="Labels a node must have to get the weights. Default: every GPU node."
    )
    node_affinity: NodeAffinity | None = Field(default=None, description="Finer conditions on nodes. Default: none.")
    download_policy: Literal["AlwaysDownload", "ReuseIfExists"] | None = Field(
        default=None,
        description="Whether equal content already on a node is linked. Default: AlwaysDownload, as OME does.",
    )

    @property
    def source(self) -> StorageUri | None:
        """The URI, parsed."""
        return StorageUri.parse(self.uri) if self.uri else None
