"""ModelSpec: one model, by name: what it is, where its weights lie, how it wants to be loaded and served. Pure.

The parts that are long have files of their own; what a stack file may hold is exactly what these classes say.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pulumi_plinth.model.about import AboutSpec
from pulumi_plinth.model.adapters import MAX_ADAPTERS, AdapterSpec
from pulumi_plinth.model.capabilities import ApiCapabilityName, CapabilityName, kind_of
from pulumi_plinth.model.external import ExternalSpec
from pulumi_plinth.model.formats import DiffusionPipeline, VersionedName
from pulumi_plinth.model.lifecycle import Lifecycle
from pulumi_plinth.model.modelfile import ModelfileSpec
from pulumi_plinth.model.parameters import ModelParams
from pulumi_plinth.model.peft import PeftParams
from pulumi_plinth.model.preset import PlacementSpec, PresetSpec, TuningSpec
from pulumi_plinth.model.serving import ServingSpec
from pulumi_plinth.model.storage import StorageSpec
from pulumi_plinth.quantities import Flag, Label, ParameterSize, Positive, TechnicalName, Text
from pulumi_plinth.spec import Spec

Kind = Literal["generate", "embed", "rerank", "external"]


class ModelSpec(Spec):
    """A model that deployments can serve. Its name is its key under `models`."""

    store: Label | None = Field(
        default=None,
        description="The store (a key under `stores`) that holds the weights. Default: `storage.uri` says.",
    )
    path: str | None = Field(
        default=None,
        description="The model's folder inside the store, relative, with forward slashes. Default: `storage.uri` says.",
    )
    served_name: Text | None = Field(
        default=None,
        description="What clients write as `model`. Default: the model's name, so that there is one name to remember.",
    )
    technical_name: TechnicalName | None = Field(
        default=None, description="Start of derived names, at most 20 characters, unique. Default: the model's name."
    )
    display_name: Text | None = Field(
        default=None, description="Full name for people, unique. Default: the model's name."
    )
    vendor: Text | None = Field(default=None, description="Who made it. Default: not said.")
    version: Text | None = Field(
        default=None, description='Version of the declaration, such as "1.0.0". Default: none.'
    )
    compartment_id: Text | None = Field(default=None, description="OCI compartment, shown only. Default: the stack's.")
    license: Text | None = Field(default=None, description="License id or text. Default: read from the folder.")
    kind: Kind | None = Field(
        default=None,
        description="generate, embed, rerank, or external (served by a provider). Default: from the capabilities.",
    )
    scope: Literal["namespaced", "cluster"] | None = Field(
        default=None,
        description="Who sees it in Kubernetes. Default: namespaced where a namespace is set, else cluster.",
    )
    namespace: Label | None = Field(default=None, description="Kubernetes namespace. Default: the deployment's.")
    labels: dict[str, str] = Field(default_factory=dict, description="Kubernetes labels. Default: none.")
    annotations: dict[str, str] = Field(default_factory=dict, description="Kubernetes annotations. Default: none.")
    format: VersionedName | None = Field(default=None, description="Format on disk. Default: read from the folder.")
    framework: VersionedName | None = Field(default=None, description="Library. Default: read from the folder.")
    model_type: Text | None = Field(default=None, description="Type by config.json. Default: read from the folder.")
    architecture: Text | None = Field(default=None, description="Class by config.json. Default: read from the folder.")
    quantization: Text | None = Field(
        default=None, description="fp8, int4, gptq, awq, mxfp4… Default: read from the folder."
    )
    parameter_size: ParameterSize | None = Field(
        default=None, description='Number of parameters, such as "7B". Default: counted in the folder.'
    )
    capabilities: tuple[CapabilityName, ...] = Field(
        default=(), description="What it can do, by OME's names. Default: read from the folder."
    )
    api_capabilities: tuple[ApiCapabilityName, ...] = Field(
        default=(), description="API calls it answers, by OME's names. Default: what its kind answers."
    )
    max_tokens: Positive | None = Field(default=None, description="Longest context, tokens. Default: from the folder.")
    configuration: Any = Field(default=None, description="config.json as a value. Default: read from the folder.")
    diffusion_pipeline: DiffusionPipeline | None = Field(default=None, description="Parts of a diffusion model.")
    metadata: dict[str, str] = Field(default_factory=dict, description="Free text by key. Default: none.")
    detect: Flag = Field(
        default=True, description="Fill what is not said from the folder. Default: true; what is said always stays."
    )
    storage: StorageSpec | None = Field(default=None, description="Where weights come from and go. Default: the store.")
    serving: ServingSpec | None = Field(default=None, description="Modes, replicas, resources. Default: planned.")
    lifecycle: Lifecycle = Field(default_factory=Lifecycle, description="Phase and support. Default: active.")
    about: AboutSpec | None = Field(default=None, description="The card's words. Default: read from the folder.")
    external: ExternalSpec | None = Field(default=None, description="The provider, for kind external. Default: none.")
    parameters: ModelParams | None = Field(default=None, description="How it is loaded. Default: Oumi's defaults.")
    peft: PeftParams | None = Field(default=None, description="How an adapter is trained. Default: none is.")
    adapters: tuple[AdapterSpec, ...] = Field(
        default=(), max_length=MAX_ADAPTERS, description="Adapters served beside it, at most 10. Default: none."
    )
    chat_template: Text | None = Field(
        default=None, description="auto, a known name, inline text or a path. Default: the tokenizer's own."
    )
    modelfile: ModelfileSpec | None = Field(default=None, description="Deployment by Ollama. Default: none.")
    preset: PresetSpec | None = Field(default=None, description="Model by KAITO's catalogue. Default: none.")
    placement: PlacementSpec | None = Field(default=None, description="Nodes asked for. Default: the pool decides.")
    tuning: TuningSpec | None = Field(default=None, description="A fine-tuning job. Default: none.")
    pod_template: dict[str, Any] | None = Field(default=None, description="A pod of your own. Default: ours.")

    @field_validator("path")
    @classmethod
    def _inside_the_store(cls, value: str | None) -> str | None:
        parts = (value or "x").split("/")
        if (value or "").startswith("/") or not all(parts) or {".", ".."} & set(parts):
            raise ValueError("is not a relative folder; write a path inside the store, such as 'smollm2-135m'")
        return value

    @field_validator("adapters")
    @classmethod
    def _unique_adapters(cls, value: tuple[AdapterSpec, ...]) -> tuple[AdapterSpec, ...]:
        names = [adapter.name for adapter in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"has {', '.join(twice)} more than once; give each adapter its own name")
        return value

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        """Weights come from one place; who serves elsewhere has none."""
        uri = bool(self.storage and self.storage.uri)
        if bool(self.store) != bool(self.path):
            there, missing = ("store", "path") if self.store else ("path", "store")
            raise ValueError(f"has a {there} without a {missing}; add `{missing}:`")
        if self.store and uri:
            raise ValueError("has both a store and storage.uri; keep the one that holds the weights")
        base = bool(self.modelfile and self.modelfile.base)
        if not (self.store or uri or self.external or self.preset or base or self.pod_template):
            raise ValueError("does not say where its weights are; add `store:` and `path:`, or `storage: {uri: …}`")
        return self

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.external and self.kind not in (None, "external"):
            raise ValueError(f"is {self.kind} and external; remove `kind:` or `external:`")
        if self.kind == "external" and not self.external:
            raise ValueError("is external without a provider; add `external: {provider: …}`")
        if self.scope == "cluster" and self.namespace:
            raise ValueError("is cluster-wide and has a namespace; remove one of them")
        if self.kind in ("embed", "rerank") and (self.chat_template or self.adapters):
            raise ValueError(f"is {self.kind}, which knows neither chatTemplate nor adapters; remove them")
        return self

    @property
    def serves_as(self) -> Kind:
        """The kind as written, or as the capabilities say."""
        return self.kind or ("external" if self.external else kind_of(self.capabilities))
