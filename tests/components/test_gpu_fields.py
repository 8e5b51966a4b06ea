"""Every field of a deployment on GPUs has its say, and nothing else has: order, rounding."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.gpus import DOCUMENT, changed

from pulumi_plinth.deployment.gpu_spec import AdaptersSpec, NodeSpec, ParallelSpec, ReplicasSpec, ThroughputSpec
from pulumi_plinth.deployment.spec import DeploymentSpec
from pulumi_plinth.deployment.targets import HOST_ONLY, POD_ONLY, PROCESSORS_ONLY, SERVING
from pulumi_plinth.errors import SpecError
from pulumi_plinth.fit.declared import ShapeSpec
from pulumi_plinth.observe_cards import Cards
from pulumi_plinth.stack import StackSpec

OTHER = {
    "model": "other",
    "card": "card.json",
    "shape": "VM.GPU.L40S.1",
    "node": {"gpuMemory": "80Gi"},
    "shapes": ["VM.GPU.L40S.1", "VM.GPU.L40S.2"],
    "pool": "there",
    "region": "us-chicago-1",
    "budget": 2.5,
    "capacity": "reserved",
    "replicas": {"max": 2},
    "concurrency": 8,
    "parallel": {"tensor": 2},
    "gpuMemoryUtilization": 0.95,
    "kvCacheDtype": "fp8_e5m2",
    "adapters": {"count": 2},
    "tokensPerSecond": {"value": 100, "source": "a benchmark"},
    "maxModelLen": 4096,
    "maxNumSeqs": 32,
    "dtype": "float16",
    "startupTimeout": "9m",
    "engineArgs": ["--seed=1"],
    "environment": {"A": "b"},
}
"""Another value for every field that deployments on GPUs have."""
PARTS = {
    "node": {"gpus": 2, "gpu": "H100", "count": 2, "gpuMemory": "90Gi"},
    "parallel": {"tensor": 2, "pipeline": 2, "data": 1, "expert": 8},
    "replicas": {"min": 3, "max": 3},
    "adapters": {"count": 2, "rank": 32},
    "tokensPerSecond": {"value": 100, "source": "another"},
}
"""Another value for every field of the parts."""
STARTS = {
    "node": {"node": {"gpuMemory": "80Gi"}},
    "parallel": {"shape": "BM.GPU.H100.8"},
    "adapters": {"adapters": {"count": 1}},
    "tokensPerSecond": {"tokensPerSecond": {"value": 50, "source": "a benchmark"}},
}
"""What stands there before a field of a part is changed."""


ELSEWHERE = {"target", "engine", "pool", *HOST_ONLY, *PROCESSORS_ONLY, *POD_ONLY, *SERVING}
"""Fields that other targets have, and those of pods, which tests/deployment changes in turn."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "field", [field.alias for name, field in DeploymentSpec.model_fields.items() if name not in ELSEWHERE]
)
def test_every_field_matters(gpus, tmp_path, field):
    """Changing any field of a deployment on GPUs changes its plan: a field that does nothing is a bug."""
    there = {"kind": "existing", "shape": "VM.GPU.L40S.1", "labels": {"team": "a"}}
    document = changed(models={**DOCUMENT["models"], "other": {"preset": {"name": "phi-4"}}}, pools={"there": there})
    other = StackSpec.parse(changed({"model": "other"}, models=document["models"]))
    (tmp_path / "card.json").write_text(
        Cards(other, tmp_path, None).find(other.deployments["chat"]).card.model_dump_json()
    )
    before = gpus(document).to_json()
    document["deployments"]["chat"][field] = OTHER[field]
    assert gpus(document).to_json() != before


def test_every_part_has_a_row_for_each_field():
    """The table above leaves nothing out."""
    specs = {"node": NodeSpec, "parallel": ParallelSpec, "replicas": ReplicasSpec, "adapters": AdaptersSpec}
    specs["tokensPerSecond"] = ThroughputSpec
    for part, spec in specs.items():
        assert set(PARTS[part]) == {field.alias for field in spec.model_fields.values()}


@pytest.mark.parametrize(("part", "field"), [(part, field) for part, fields in PARTS.items() for field in fields])
def test_every_field_of_a_part_matters(gpus, part, field):
    """The same one level down."""
    experts = {"qwen": {"preset": {"name": "qwen3-30b-a3b"}}}
    document = changed(STARTS.get(part), models=experts if field == "expert" else DOCUMENT["models"])
    if field == "expert":
        document["deployments"]["chat"]["parallel"] = {"tensor": 4, "data": 2}
    before = gpus(document).to_json()
    document["deployments"]["chat"].setdefault(part, {})[field] = PARTS[part][field]
    assert gpus(document).to_json() != before


SHAPE = {"gpu": "H100", "gpus": 2, "gpuMemory": "80Gi"}
OTHER_SHAPE = {
    "gpu": "A40", "gpus": 1, "gpuMemory": "96Gi", "nvme": "7T", "ram": "80Gi", "network": 1.0, "rdma": True,
    "pricePerGpuHour": 0.5, "source": "a rack", "date": "2026-01-01",
}  # fmt: skip


@pytest.mark.parametrize("field", [field.alias for field in ShapeSpec.model_fields.values()])
def test_every_field_of_a_declared_shape_matters(gpus, field):
    """Also those that only bound something: host memory, network."""
    start = SHAPE | ({"pricePerGpuHour": 1.0} if field in ("source", "date") else {})
    before = gpus(changed({"shape": "rack"}, shapes={"rack": start}))
    after = gpus(changed({"shape": "rack"}, shapes={"rack": start | {field: OTHER_SHAPE[field]}}))
    assert after.to_json() != before.to_json()
    if field not in ("gpu", "ram", "rdma"):  # known by what they refuse
        assert [item.text for item in after.kubernetes[0].reasons] != [
            item.text for item in before.kubernetes[0].reasons
        ]


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "maxModelLen": st.sampled_from([2048, 8192, 20_000]),
        "budget": st.sampled_from([5.0, 100.0]),
        "region": st.sampled_from(["us-chicago-1", "eu-frankfurt-1"]),
        "capacity": st.sampled_from(["on-demand", "reserved"]),
        "replicas": st.sampled_from([{"min": 0, "max": 2}, {"max": 4}]),
        "concurrency": st.sampled_from([1, 4]),
        "gpuMemoryUtilization": st.sampled_from([0.8, 0.95]),
        "maxNumSeqs": st.sampled_from([8, 64]),
    },
)


def outcome(gpus, document):
    """The plan as JSON, or the reasons against it."""
    try:
        return gpus(document).to_json()
    except SpecError as error:
        return sorted(map(str, error.faults))


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=FIELDS, second=FIELDS, data=st.data())
def test_parts_sum_and_order_has_no_say(gpus, first, second, data):
    """Whatever is written: parts sum to the total, totals to the deployments, and keys may stand in any order."""
    document = changed()
    base = {"model": "qwen", "target": "kubernetes"}
    document["deployments"] = {"one": base | first, "two": base | second}

    def shuffled(value):
        if not isinstance(value, dict):
            return value
        return {key: shuffled(value[key]) for key in data.draw(st.permutations(sorted(value)))}

    plan = outcome(gpus, document)
    assert outcome(gpus, shuffled(document)) == plan
    if isinstance(plan, list):
        return
    for item in plan["deployments"]:
        assert sum(part["bytes"] for part in item["memory"]) == item["memory_bytes"] <= item["offered_bytes"]
    for bound in (0, 1):
        hours = [item["price"]["per_hour"][bound] for item in plan["deployments"]]
        assert plan["totals"]["per_hour"][bound] == pytest.approx(sum(hours))
