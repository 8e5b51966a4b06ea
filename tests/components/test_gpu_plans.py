"""Deployments on nodes with GPUs: what is planned, why, and what is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.gpus import DOCUMENT, changed, reason, said

from pulumi_plinth.cli import main
from pulumi_plinth.deployment.facts import HostFacts
from pulumi_plinth.errors import SpecError
from pulumi_plinth.observe_cards import Cards
from pulumi_plinth.planner import Facts, plan_stack
from pulumi_plinth.quantities import GIB
from pulumi_plinth.stack import StackSpec

HOST = HostFacts(memory_bytes=24 * GIB)


def test_the_cheapest_shape_is_taken_and_everything_is_said(gpus):
    """An A10 for two dollars; the parts sum to what the engine may take; every other shape has a reason."""
    plan = gpus(DOCUMENT)
    found = said(plan)
    assert (found["target"], found["shape"]["name"]) == ("kubernetes", "VM.GPU.A10.1")
    assert (found["gpus"], found["nodes"], found["max_model_len"]) == (1, 1, 8192)
    assert found["price"]["per_hour"] == (2.0, 2.0)
    assert sum(part["bytes"] for part in found["memory"]) == found["memory_bytes"]
    assert found["memory_bytes"] == int(found["offered_bytes"] * 0.9)
    assert len(found["alternatives"]) == 32
    assert all(option["reason"] for option in found["alternatives"])
    assert "catalogue row 'qwen3-8b'" in reason(plan, "card")
    assert "launch" not in found
    assert found["arguments"][:2] == ["--served-model-name=qwen", "--max-model-len=8192"]
    assert json.loads(json.dumps(plan.to_json()))


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        ({"shape": "BM.GPU.H100.8"}, "BM.GPU.H100.8"),
        ({"shapes": ["BM.GPU.H100.8", "VM.GPU.A10.2"]}, "VM.GPU.A10.2"),
        ({"node": {"gpus": 2, "gpuMemory": "40Gi", "gpu": "a100"}}, "2x40GiB"),
        ({"concurrency": 16}, "VM.GPU.L40S.1"),
        ({"capacity": "preemptible", "budget": 1.5}, "VM.GPU.A10.1"),
        ({"maxModelLen": 40_960}, "VM.GPU.L40S.1"),
    ],
)
def test_what_is_said_about_nodes_narrows_the_choice(gpus, change, shape):
    """A shape, a list, nodes as they stand, requests at once, a budget."""
    assert said(gpus(changed(change)))["shape"]["name"] == shape


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"shape": "BM.GPU.H10.8"}, "H10.8\" is no shape that is known; did you mean 'BM.GPU.H100.8'"),
        ({"shapes": ["x"]}, 'chat.shapes.0: "x" is no shape that is known; see `plinth shapes`, or declare it'),
        ({"shape": "VM.GPU.A10.1", "node": {"gpuMemory": "80Gi"}}, "chat.shape: stands beside node; say one of"),
        ({"budget": 1}, "budget: 1.0 fits none of 33 shapes (VM.GPU.A10.1: over the budget: $2.00 an"),
        ({"shape": "VM.GPU.A10.1", "budget": 1}, "chat.budget: 1.0 over the budget: $2.00 an hour of $1.00; write"),
        ({"shape": "VM.GPU.A10.1", "parallel": {"tensor": 3}}, "chat.parallel.tensor: 3 32 attention heads cannot be"),
        ({"shape": "VM.GPU.A10.1", "parallel": {"pipeline": 40}}, "chat.parallel.pipeline: 40 36 layers do not make"),
        ({"parallel": {"expert": 2}}, "chat.parallel.expert: 2 the model has no experts"),
        ({"maxModelLen": 50_000}, "chat.maxModelLen: 50000 50,000 tokens are longer than the 40,960"),
        ({"node": {"gpuMemory": "8Gi", "count": 1}}, 'chat.node: {"gpuMemory": 8589934592, "count": 1} '),
        ({"shape": "BM.GPU.H100.8", "capacity": "preemptible"}, 'chat.capacity: "preemptible" preemptible'),
        ({"shape": "VM.GPU.A10.1", "concurrency": 9}, "chat.concurrency: 9 serves 2 requests of 8,192 tokens at once"),
        ({"shape": "gpu/t4", "kvCacheDtype": "fp8_e4m3"}, 'chat.kvCacheDtype: "fp8_e4m3" an e4m3 cache needs'),
        ({"host": "::"}, "chat.host: has no meaning for the target kubernetes: a pod has an address of its own"),
        ({"port": 8000}, "chat.port: says how pods run, and the stack describes no cluster for them; add `kubernetes:"),
        ({"dtype": "float32"}, 'chat.dtype: "float32" is planned for on CPUs only'),
        ({"engineArgs": ["--tensor-parallel-size=2"]}, '--tensor-parallel-size=2" contradicts the plan; use parallel'),
        ({"replicas": {"min": 3, "max": 2}}, "has max 2 below min 3; write a max of at least 3"),
        ({"adapters": {"count": 1, "rank": 7}}, "adapters.rank: 7 is not known here; write 1, 8, 16"),
        ({"card": "none.json"}, 'chat.card: "none.json" names'),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_where_it_stands(refused, change, expected):
    """Path, value, what is wrong, what to write."""
    found = refused(changed(change))
    assert any(expected in fault for fault in found), found


@pytest.mark.parametrize("field", ["shape", "node", "budget", "region", "capacity", "card"])
def test_fields_for_gpus_mean_nothing_on_this_host(document, field):
    """They are refused with their path, not ignored."""
    values = {"node": {"gpuMemory": "1Gi"}, "budget": 3, "capacity": "reserved"}
    document["deployments"]["chat"][field] = values.get(field, "x")
    with pytest.raises(SpecError, match=rf"chat\.{field}: has no meaning for the target local; remove it, or write"):
        StackSpec.parse(document)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"preset": {"name": "qwen3-8b"}}, "catalogue row 'qwen3-8b' by 'qwen3-8b'"),
        ({"storage": {"uri": "hf://Qwen/Qwen3-8B@main"}}, "catalogue row 'qwen3-8b' by 'Qwen/Qwen3-8B'"),
        ({"storage": {"uri": "oci://models/q"}, "technicalName": "qwen3-8b"}, "catalogue row 'qwen3-8b'"),
    ],
)
def test_the_card_is_found_by_name(gpus, model, expected):
    """No folder is needed: preset, hub id and technical name lead to the catalogue, and the reason says which."""
    assert expected in reason(gpus(changed(models={"qwen": model})), "card")


def test_the_card_may_be_a_file_or_a_configuration(gpus, refused, tmp_path):
    """A card as printed, or config.json with the number of weights."""
    plan = gpus(DOCUMENT)
    card = Cards(StackSpec.parse(DOCUMENT), tmp_path, None).find(StackSpec.parse(DOCUMENT).deployments["chat"]).card
    (tmp_path / "card.json").write_text(card.model_dump_json())
    by_file = gpus(changed({"card": "card.json"}))
    assert said(by_file)["memory"] == said(plan)["memory"]
    assert "card.json" in reason(by_file, "card")
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 16, "hidden_size": 2048,
        "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128_256, "intermediate_size": 8192,
        "max_position_embeddings": 131_072, "torch_dtype": "bfloat16", "tie_word_embeddings": True,
    }  # fmt: skip
    model = {"storage": {"uri": "oci://models/own"}, "configuration": config, "parameterSize": "1.24B"}
    assert "`configuration`" in reason(gpus(changed(models={"qwen": model})), "card")
    del model["parameterSize"]
    assert "add `parameterSize:`" in refused(changed(models={"qwen": model}))[0]
    unknown = {"storage": {"uri": "hf://nobody/nothing"}}
    assert "the catalogue knows neither of nobody/nothing, qwen" in refused(changed(models={"qwen": unknown}))[0]


def test_an_explicit_layout_wins(gpus):
    """Four GPUs a copy although one would do."""
    found = said(gpus(changed({"shape": "BM.GPU.H100.8", "parallel": {"tensor": 4}})))
    assert found["parallel"] == {"tensor": 4, "pipeline": 1, "data": 2, "expert": 1}
    assert "--tensor-parallel-size=4" in found["arguments"]


def test_replicas_and_throughput_are_priced(gpus):
    """Two dollars a replica; 500 tokens a second are 1.8 million an hour."""
    throughput = {"value": 500, "source": "our benchmark of June"}
    plan = gpus(changed({"replicas": {"min": 0, "max": 3}, "tokensPerSecond": throughput}))
    price = said(plan)["price"]
    assert (price["per_hour"], price["per_month"]) == ((0.0, 6.0), (0.0, 4380.0))
    assert price["per_million_tokens"] == pytest.approx(1.1111)
    assert "our benchmark of June" in reason(plan, "price")
    assert said(gpus(DOCUMENT))["price"]["per_million_tokens"] is None


def test_declared_shapes_can_be_used_by_name(gpus, refused):
    """A new shape is a candidate; what is known must not be declared otherwise, except the price paid."""
    rack = {"gpu": "H100", "gpus": 2, "gpuMemory": "80Gi", "pricePerGpuHour": 0.5, "source": "our rack"}
    plan = gpus(changed(shapes={"rack": rack}))
    assert said(plan)["shape"]["name"] == "rack"
    assert said(plan)["shape"]["capability"] == (9, 0)
    assert said(plan)["price"]["per_hour"] == (1.0, 1.0)
    known = {"VM.GPU.A10.1": {"gpus": 2, "gpuMemory": "24Gi", "rdma": True}}
    faults = refused(changed(shapes=known))
    assert any(
        "shapes.VM.GPU.A10.1.gpus: 2 differs from what is known of VM.GPU.A10.1: 1 " in fault for fault in faults
    )
    assert any("rdma: true differs from what is known of VM.GPU.A10.1: false" in fault for fault in faults)
    assert len(faults) == 2
    cheap = gpus(changed(shapes={"VM.GPU.A10.1": {"pricePerGpuHour": 1.27}}))
    assert said(cheap)["price"]["per_hour"] == (1.27, 1.27)
    small = changed({"shape": "rack"}, shapes={"rack": rack | {"ram": "8Gi"}})
    assert "GiB of host memory are needed on a node, it has 8.58993 GB; take nodes with more" in refused(small)[0]
    old = changed({"shape": "rack"}, shapes={"rack": rack | {"gpu": "V100"}})
    assert "compute capability 7.0 is below 7.5" in refused(old)[0]
    assert "rack.gpuMemory: is missing" in refused(changed(shapes={"rack": {"gpu": "H100", "gpus": 1}}))[0]


def test_nothing_is_deployed_of_what_is_only_planned(gpus):
    """Preview and up refuse before anything is made; the plan itself is good."""
    with pytest.raises(SpecError, match="cannot be deployed: the stack describes no cluster; add `kubernetes:`"):
        gpus(DOCUMENT).deployable()


def test_totals_add_up(gpus):
    """GPUs, nodes by shape and dollars over all deployments, at the fewest and at the most replicas."""
    document = changed({"replicas": {"min": 1, "max": 2}})
    document["deployments"]["large"] = {"model": "qwen", "target": "kubernetes", "shape": "BM.GPU.H100.8"}
    document["deployments"]["own"] = {"model": "qwen", "target": "kubernetes", "node": {"gpuMemory": "80Gi"}}
    plan = gpus(document)
    total, parts = plan.to_json()["totals"], plan.to_json()["deployments"]
    assert total["gpus"] == (1 + 8 + 1, 2 + 8 + 1)
    assert total["nodes"] == {"1x80GiB": (1, 1), "BM.GPU.H100.8": (1, 1), "VM.GPU.A10.1": (1, 2)}
    assert total["per_hour"] == (82.0, 84.0)
    assert total["unpriced"] == ("own",)
    priced = [part["price"]["storage_per_month"] for part in parts if part["price"]]
    assert total["storage_per_month"] == tuple(pytest.approx(sum(bounds)) for bounds in zip(*priced, strict=True))


@pytest.mark.parametrize("model", ["qwen3-8b", "llama-3.3-70b-instruct", "mixtral-8x7b-instruct-v0.1", "bge-m3"])
def test_a_stack_is_planned_as_one_model_is(gpus, model):
    """`plinth plan` and `plinth fit` say the same of the same shape."""
    document = changed({"shape": "BM.GPU.H100.8", "maxModelLen": 4096}, models={"qwen": {"preset": {"name": model}}})
    planned = json.loads(json.dumps(said(gpus(document))))
    run = CliRunner().invoke(main, ["fit", model, "--shape", "BM.GPU.H100.8", "--context", "4096", "--json"])
    fitted = json.loads(run.stdout)
    for key in (
        "gpus",
        "nodes",
        "parallel",
        "memory",
        "kv_tokens",
        "max_model_len",
        "disk_gib",
        "startup_seconds",
        "price",
    ):
        assert planned[key] == fitted[key], key


def test_a_bucket_is_paid_once(gpus):
    """Two deployments read the same weights."""
    model = {"qwen": {"storage": {"uri": "oci://n/ns/b/models/o/qwen"}, "technicalName": "qwen3-8b"}}
    document = changed({"shape": "VM.GPU.A10.1"}, models=model)
    document["deployments"]["second"] = {"model": "qwen", "target": "kubernetes", "shape": "VM.GPU.A10.1"}
    plan = gpus(document)
    bucket, (both, _) = said(plan)["price"]["bucket_per_month"], said(plan)["price"]["storage_per_month"]
    assert bucket > 0
    assert plan.to_json()["totals"]["storage_per_month"][0] == pytest.approx(2 * both - bucket)
    assert "bucket 15.3 GiB x $0.0255" in reason(plan, "storage")


def test_adapters_of_the_model_are_counted(gpus):
    """As many as it declares, unless the deployment says how many are on the GPU at once."""
    adapters = [{"name": "law", "uri": "hf://a/b"}, {"name": "tax", "uri": "hf://a/c"}]
    model = {"qwen": {"preset": {"name": "qwen3-8b"}, "adapters": adapters}}
    assert "--max-loras=2" in said(gpus(changed(models=model)))["arguments"]
    assert "--max-loras=1" in said(gpus(changed({"adapters": {"count": 1}}, models=model)))["arguments"]


def test_a_shape_that_lacks_something_is_one_fault(refused):
    """Whoever uses it is not told a second time."""
    assert len(refused(changed({"shape": "rack"}, shapes={"rack": {"gpu": "H100", "gpus": 1}}))) == 1


def test_a_deprecated_row_of_the_catalogue_is_warned_of(gpus, market):
    """And the facts carry it, whatever the plan says."""
    plan = gpus(DOCUMENT)
    assert not any(item["subject"] == "lifecycle" for item in said(plan)["reasons"])
    spec = StackSpec.parse(DOCUMENT)
    facts = Cards(spec, Path("/srv"), None).find(spec.deployments["chat"])
    warned = {"chat": dataclasses.replace(facts, warnings=("qwen3-8b is deprecated",))}
    plan = plan_stack(spec, Facts(Path("/srv"), "local", HOST, {}, cards=warned, market=market))
    assert reason(plan, "lifecycle") == "WARNING: qwen3-8b is deprecated"
