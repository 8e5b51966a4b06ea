"""What a real API server does, and no stand-in of it would: the ground that other tests of this folder stand on."""

import json

import pytest
from lightkube.generic_resource import create_global_resource, create_namespaced_resource

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

KIND = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "groups.plinth.test"},
    "spec": {
        "group": "plinth.test",
        "names": {"kind": "Group", "plural": "groups", "singular": "group"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["gpus", "tensorParallel"],
                                "properties": {"gpus": {"type": "integer"}, "tensorParallel": {"type": "integer"}},
                                "x-kubernetes-validations": [
                                    {"rule": "self.gpus % self.tensorParallel == 0", "message": "must divide gpus"},
                                    {"rule": "self.gpus == oldSelf.gpus", "message": "gpus is immutable"},
                                ],
                            }
                        },
                    }
                },
            }
        ],
    },
}


def config_map(namespace, **data):
    """A ConfigMap as text."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": namespace},
            "data": data,
        }
    )


def group(namespace, **spec):
    """An object of the kind above, as text."""
    metadata = {"name": "group", "namespace": namespace}
    return json.dumps({"apiVersion": "plinth.test/v1", "kind": "Group", "metadata": metadata, "spec": spec})


def pod(namespace, **spec):
    """A pod that restricted admission lets pass, changed."""
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    content = {"containers": [{"name": "main", "image": "plinth.local/none:1", "securityContext": security}], **spec}
    metadata = {"name": "pod", "namespace": namespace}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": content})


def test_the_api_answers(kubectl, client, namespace):
    """Kubernetes 1.35 answers kubectl and a typed client, and every namespace has its service account."""
    assert kubectl("get", "--raw", "/readyz").stdout == "ok"
    assert json.loads(kubectl("version", "-ojson").stdout)["serverVersion"]["gitVersion"].startswith("v1.35.")
    namespaces = create_global_resource("", "v1", "Namespace", "namespaces")
    assert client.get(namespaces, namespace).status["phase"] == "Active"
    kubectl("wait", "--for=create", "--timeout=30s", "serviceaccount/default", "-n", namespace)


def test_a_misspelt_field_is_refused(kubectl, namespace):
    """Strict validation names the field that nobody knows."""
    text = config_map(namespace, a="1").replace('"data"', '"dta"')
    done = kubectl("apply", "--server-side", "--validate=strict", "-f", "-", text=text, check=False)
    assert done.returncode
    assert ".dta: field not declared in schema" in done.stderr


def test_two_appliers_of_one_field_conflict(kubectl, client, namespace):
    """Server-side apply refuses a field that somebody else applied, and says who; other fields are shared."""
    kubectl("apply", "--server-side", "--field-manager=first", "-f", "-", text=config_map(namespace, a="1"))
    second = ("apply", "--server-side", "--field-manager=second", "-f", "-")
    refused = kubectl(*second, text=config_map(namespace, a="2"), check=False)
    assert 'conflict with "first"' in refused.stderr
    kubectl(*second, text=config_map(namespace, b="2"))
    maps = create_namespaced_resource("", "v1", "ConfigMap", "configmaps")
    assert client.get(maps, "settings")["data"] == {"a": "1", "b": "2"}


def test_rules_of_our_own_kinds_hold(kubectl, namespace):
    """A custom resource's rules in CEL are kept by the API server: of a value, of a change, and unknown fields."""
    kubectl("apply", "--server-side", "-f", "-", text=json.dumps(KIND))
    kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/groups.plinth.test")
    try:
        for spec, words in (
            ({"gpus": 8, "tensorParallel": 3}, "must divide gpus"),
            ({"gpus": 8}, "spec.tensorParallel: Required value"),
            ({"gpus": 8, "tensorParallel": 4, "gpu": 1}, 'unknown field "spec.gpu"'),
        ):
            refused = kubectl("create", "--validate=strict", "-f", "-", text=group(namespace, **spec), check=False)
            assert words in refused.stderr
        kubectl("create", "-f", "-", text=group(namespace, gpus=8, tensorParallel=4))
        changed = group(namespace, gpus=4, tensorParallel=4)
        refused = kubectl("replace", "-f", "-", text=changed, check=False)
        assert "gpus is immutable" in refused.stderr
    finally:
        kubectl("delete", "crd", "groups.plinth.test", "--wait=false")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"volumes": [{"name": "weights", "hostPath": {"path": "/"}}]}, 'restricted volume types (volume "weights"'),
        ({"hostNetwork": True}, "host namespaces (hostNetwork=true)"),
    ],
    ids=["plain", "host path", "host network"],
)
def test_restricted_admission(kubectl, namespace, change, words):
    """A namespace that enforces the restricted standard takes a plain pod and refuses what reaches for the host."""
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    done = kubectl("create", "--dry-run=server", "-f", "-", text=pod(namespace, **change), check=False)
    assert words in done.stderr
    assert bool(done.returncode) is bool(words), done.stderr


def test_the_scheduler_counts_gpus(kubectl, namespace, fake_nodes):
    """Pods that ask for GPUs run on fake nodes until none are left; then the scheduler says what is missing."""
    (node,) = fake_nodes(1, gpus=8, labels={"plinth.test/of": namespace})
    for name, gpus, goal in (("first", 8, "Ready"), ("second", 1, "PodScheduled=false")):
        limits = {"resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
        spec = {
            "nodeSelector": {"plinth.test/of": namespace},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "containers": [{"name": "main", "image": "plinth.local/none:1", **limits}],
        }
        metadata = {"name": name, "namespace": namespace}
        text = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        kubectl("wait", "--for=create", "--timeout=30s", "serviceaccount/default", "-n", namespace)
        kubectl("create", "-f", "-", text=text)
        kubectl("wait", f"--for=condition={goal}", "--timeout=30s", f"pod/{name}", "-n", namespace)
    first, second = json.loads(kubectl("get", "pods", "-n", namespace, "-ojson").stdout)["items"]
    assert first["spec"]["nodeName"] == node
    (condition,) = [c for c in second["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert "Insufficient nvidia.com/gpu" in condition["message"]
