"""ModelSpec and its parts: what may be written, what is refused, what follows."""

import pytest
from pydantic import ValidationError

from pulumi_plinth.errors import faults_of
from pulumi_plinth.model.capabilities import CAPABILITIES, PREFERRED, kind_of, preferred
from pulumi_plinth.model.spec import ModelSpec
from pulumi_plinth.spec import Spec

HUB = {"storage": {"uri": "hf://org/model"}}


def refused(**fields):
    """Validate and return the faults as text."""
    with pytest.raises(ValidationError) as caught:
        ModelSpec.model_validate({**HUB, **fields} if "storage" not in fields else fields)
    return [str(fault) for fault in faults_of(caught.value, ModelSpec, "models.m")]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"storage": {}}, "does not say where its weights are; add `store:` and `path:`, or `storage: {uri: …}`"),
        ({"store": "a", "storage": {}}, "has a store without a path; add `path:`"),
        ({"path": "x"}, "has a path without a store"),
        ({"store": "a", "path": "b"}, "has both a store and storage.uri"),
        ({"store": "a", "path": "../b"}, "is not a relative folder"),
        ({"storage": {"uri": "oci://n/../b"}}, "steps out of its folder"),
        ({"storage": {"uri": "hf://a/b", "key": "hf_abcdefghij0123456789"}}, "is a secret in plain text"),
        ({"parameterSize": "big"}, 'parameterSize: "big" is not a number of parameters; write for example "7B"'),
        ({"capabilities": ["TEXT_GENERATON"]}, "did you mean 'TEXT_GENERATION'?"),
        ({"maxTokens": "4096"}, "is not a whole number"),
        ({"maxTokens": 0}, "is too small"),
        (
            {"technicalName": "Foo_1"},
            "is not a valid name; use a-z, 0-9 and '-', at most 20 characters, such as 'foo-1'",
        ),
        ({"technicalName": "a" * 21}, "at most 20 characters"),
        ({"namespace": "Prod"}, "is not a DNS label"),
        ({"kind": "external"}, "is external without a provider"),
        ({"kind": "embed", "chatTemplate": "zephyr"}, "is embed, which knows neither chatTemplate nor adapters"),
        ({"scope": "cluster", "namespace": "a"}, "is cluster-wide and has a namespace"),
        ({"lifecycle": {"deprecationTime": "soon"}}, "is not a time"),
        ({"lifecycle": {"category": "HUGE"}}, "is not known here; write 'SMALL', 'MEDIUM' or 'LARGE'"),
        ({"serving": {"limits": {"memory": "8Gi"}, "requests": {"memory": "24Gi"}}}, "asks for memory 24Gi above the"),
        ({"serving": {"limits": {"gpu": 1}, "requests": {"gpu": 2}}}, "GPUs need request = limit"),
        ({"serving": {"limits": {"cpu": "many"}}}, "is not an amount of CPU"),
        ({"serving": {"modes": ["Sometimes"]}}, "is not known here; write 'On-demand' or 'Dedicated'"),
        ({"adapters": [{"name": "a"}]}, "has no source; write exactly one of uri, image and volume"),
        ({"adapters": [{"name": "a", "uri": "local://x", "image": "i"}]}, "has uri and image"),
        ({"adapters": [{"name": "a", "image": "i"}, {"name": "a", "image": "j"}]}, "has a more than once"),
        ({"adapters": [{"name": f"a{n}", "image": "i"} for n in range(11)]}, "at most 10"),
        ({"adapters": [{"name": "a", "image": "i", "strength": 1.5}]}, "is too large"),
        ({"parameters": {"torchDtype": "uint8"}}, "is not a number format to compute in"),
        ({"parameters": {"modelMaxLength": 0}}, "is too small"),
        ({"parameters": {"processorKwargs": {"trust_remote_code": True}}}, "repeats trust_remote_code"),
        ({"peft": {"qLoraBits": 5}}, "is not a width that exists (any other is silently read as 4 bits); write 4 or 8"),
        ({"peft": {"loraInitWeights": "pissa_niter_[number of iters]"}}, "such as pissa_niter_16"),
        ({"peft": {"loraInitWeights": "pissa_niter_<int>"}}, "such as pissa_niter_16"),
        ({"peft": {"loraR": 0}}, "is too small"),
        ({"peft": {"loraAlpha": -1}}, "is too small"),
        ({"peft": {"loraDropout": 1.0}}, "peft.loraDropout"),
        ({"peft": {"loraBias": "some"}}, "is not known here"),
        ({"peft": {"bnb4BitQuantType": "fp8"}}, "is not known here"),
        ({"modelfile": {"parameters": {"temprature": 1}}}, "did you mean 'temperature'?"),
        ({"modelfile": {"parameters": {"num_ctx": "x"}}}, "is not a whole number, which num_ctx needs"),
        ({"modelfile": {"system": 'say """'}}, 'holds """'),
        ({"modelfile": {"messages": [{"role": "User", "content": "x"}]}}, "is not known here"),
        ({"modelfile": {"requires": "new"}}, "requires"),
        ({"preset": {"name": "llama2-7b", "accessMode": "private"}}, "is private without an image"),
        ({"wheels": 4}, "is an unknown key"),
    ],
)
def test_a_fault_says_what_is_wrong_and_what_to_write(fields, expected):
    """Each trap of the fields is refused before anything runs."""
    found = refused(**fields)
    assert any(expected in fault for fault in found), found


@pytest.mark.parametrize(
    ("external", "expected"),
    [
        ({"provider": "azure"}, "lacks apiVersion, deployment, endpoint, which azure needs"),
        (
            {"provider": "azure", "apiVersion": "v1", "deployment": "d", "endpoint": "https://r.openai.azure.com"},
            "has an apiVersion that is no date",
        ),
        (
            {
                "provider": "azure",
                "apiVersion": "2023-10-01",
                "deployment": "d",
                "endpoint": "https://api.openai.com/v1",
            },
            "has the endpoint of openai for azure; write https://RESOURCE.openai.azure.com",
        ),
        ({"provider": "openai", "deployment": "d"}, "has deployment, which only azure knows"),
        ({"provider": "compatible"}, "lacks endpoint"),
        ({"provider": "compatible", "endpoint": "http://example.org"}, "is sent in the clear"),
        ({"provider": "compatible", "endpoint": "https://a:b@example.org"}, "is not an address"),
        ({"provider": "nobody"}, "is not known here"),
    ],
)
def test_a_provider_gets_exactly_what_it_needs(external, expected):
    """Settings of one provider are refused for another."""
    found = refused(storage={}, kind="external", external=external)
    assert any(expected in fault for fault in found), found


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:8000/v1", "http://[::1]/v1", "http://chat.ns.svc/v1", "https://x.example"]
)
def test_plain_http_is_for_loopback_and_the_cluster(endpoint):
    """Keys may travel unencrypted only where nobody else listens."""
    spec = ModelSpec.model_validate({"external": {"provider": "OpenAI-compatible", "endpoint": endpoint}})
    assert spec.serves_as == "external"


def test_the_stack_files_short_form_stays_valid():
    """A store and a path are all that a model needs."""
    spec = ModelSpec.model_validate({"store": "models", "path": "smollm2-135m", "servedName": "smol"})
    assert (spec.store, spec.path, spec.served_name, spec.serves_as) == ("models", "smollm2-135m", "smol", "generate")


def test_capabilities_keep_their_spelling_and_have_a_preferred_name():
    """Legacy names in any case are accepted, and decide how a model is served."""
    spec = ModelSpec.model_validate({**HUB, "capabilities": ["text-embeddings", "Text_To_Embedding"]})
    assert spec.capabilities == ("TEXT_EMBEDDINGS", "TEXT_TO_EMBEDDING")
    assert preferred(spec.capabilities) == ("EMBEDDING",)
    assert spec.serves_as == "embed"
    assert kind_of(("TEXT_RERANK",)) == "rerank"
    assert kind_of(("CHAT", "EMBEDDING")) == "generate"
    assert set(PREFERRED) < set(CAPABILITIES)
    assert set(PREFERRED.values()) < set(CAPABILITIES)


def _parts(model, seen):
    for field in model.model_fields.values():
        for item in [field.annotation, *getattr(field.annotation, "__args__", ())]:
            if isinstance(item, type) and issubclass(item, Spec) and item not in seen:
                seen.add(item)
                _parts(item, seen)
    return seen


def test_every_field_says_what_it_means():
    """No field of any part is without a description, and every optional one names its default."""
    for part in _parts(ModelSpec, {ModelSpec}):
        common = "Default of every field" in (part.__doc__ or "")
        for name, field in part.model_fields.items():
            assert field.description, f"{part.__name__}.{name}"
            if not field.is_required() and not common and name != "diffusion_pipeline":
                known = "Default:" in field.description or part.__name__ in {"TuningInput", "TuningOutput"}
                assert known, f"{part.__name__}.{name} does not say its default"
