"""The policy pack as Pulumi runs it: its own environment, its own process, spoken to by Pulumi's protocol."""

import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2, json_format, struct_pb2
from plinth_rules import RULES
from pulumi.runtime import rpc
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]

BUCKET = "oci:ObjectStorage/bucket:Bucket"
POOL = "oci:ContainerEngine/nodePool:NodePool"
SAFE = {"accessType": "NoPublicAccess", "versioning": "Enabled"}


@pytest.fixture(scope="session")
def environment(project_root, tmp_path_factory):
    """A virtual environment with what the pack's requirements say."""
    folder = tmp_path_factory.mktemp("policies") / "venv"
    uv = Path(sys.executable).parent / "uv"
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    requirements = project_root / "policies/requirements.txt"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", python, "-r", requirements], check=True)
    return python


@pytest.fixture(scope="session")
def analyzer(project_root, environment):
    """The running pack."""
    process = subprocess.Popen([environment, "-u", project_root / "policies"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def request(props, *, token=BUCKET, protect=True, name="weights"):
    """One resource, as the engine sends it."""
    return analyzer_pb2.AnalyzeRequest(
        type=token,
        properties=json_format.ParseDict(props, struct_pb2.Struct()),
        urn=f"urn:pulumi:s::p::{token}::{name}",
        name=name,
        options=analyzer_pb2.AnalyzerResourceOptions(protect=protect),
    )


def configure(analyzer, **settings):
    """Give rules their settings."""
    config = {
        name: analyzer_pb2.PolicyConfig(
            enforcementLevel=analyzer_pb2.MANDATORY, properties=json_format.ParseDict(values, struct_pb2.Struct())
        )
        for name, values in settings.items()
    }
    analyzer.Configure(analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=config))


def test_the_pack_says_its_rules(analyzer):
    """Every rule is a policy, mandatory, with the schema of its settings."""
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    assert info.name == "plinth"
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}
    assert all(policy.enforcementLevel == analyzer_pb2.MANDATORY for policy in info.policies)
    schemas = {policy.name: set(policy.configSchema.properties.fields) for policy in info.policies}
    assert schemas == {rule.name: set(rule.schema) for rule in RULES}


def test_a_good_bucket_passes_and_a_bad_one_is_named(analyzer):
    """The violation is mandatory and holds the fix; what is unknown at preview is not judged and breaks nothing."""
    assert not analyzer.Analyze(request(SAFE)).diagnostics
    (found,) = analyzer.Analyze(request(SAFE | {"accessType": "ObjectRead"})).diagnostics
    assert found.policyName == "buckets-are-safe"
    assert found.enforcementLevel == analyzer_pb2.MANDATORY
    assert "write NoPublicAccess" in found.message
    (found,) = analyzer.Analyze(request(SAFE, protect=False)).diagnostics
    assert "write protect: true" in found.message
    assert not analyzer.Analyze(request(SAFE | {"kmsKeyId": rpc.UNKNOWN, "accessType": rpc.UNKNOWN})).diagnostics


def test_settings_reach_the_rules(analyzer):
    """What a configuration file says is what rules go by, for one resource and for the whole stack."""
    pool = {"nodeShape": "BM.GPU.H100.8", "nodeConfigDetails": {"size": 2}}
    configure(analyzer, **{"shapes-are-approved": {"shapes": ["VM.*"]}, "stack-within-budget": {"maxGpus": 8}})
    (found,) = analyzer.Analyze(request(pool, token=POOL)).diagnostics
    assert "write one of VM.*" in found.message
    whole = analyzer_pb2.AnalyzeStackRequest(
        resources=[
            analyzer_pb2.AnalyzerResource(
                type=POOL,
                properties=json_format.ParseDict(pool, struct_pb2.Struct()),
                urn=f"urn:pulumi:s::p::{POOL}::gpus",
                name="gpus",
                options=analyzer_pb2.AnalyzerResourceOptions(),
            )
        ]
    )
    (found,) = analyzer.AnalyzeStack(whole).diagnostics
    assert "the stack has 16 GPUs (gpus 2 x BM.GPU.H100.8 = 16), 8 are allowed" in found.message
    configure(analyzer)
    assert not analyzer.AnalyzeStack(whole).diagnostics


def test_nested_properties_are_seen_as_the_engine_sends_them(analyzer):
    """Containers of a pod, each in its list, are judged, and one that is known later does not hide the others."""
    containers = [{"name": "engine", "image": "vllm/vllm-openai:latest"}, {"name": "other", "image": rpc.UNKNOWN}]
    pod = {"spec": {"template": {"spec": {"containers": containers}}}}
    (found,) = analyzer.Analyze(request(pod, token="kubernetes:apps/v1:Deployment", name="chat")).diagnostics
    assert "chat: container engine has the image vllm/vllm-openai:latest, whose tag latest moves" in found.message
