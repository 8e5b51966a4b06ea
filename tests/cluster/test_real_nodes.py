"""Real kubelets run real containers on this machine; what is killed comes back; of a node's end nothing remains."""

import json

import pytest
from cluster.runtime_image import NAME, runtime_image
from support.project import ROOT, alive

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

WAIT = "--timeout=60s"
SHELL = "mkdir -p /tmp/www && hostname > /tmp/www/name && exec httpd -f -p 8080 -h /tmp/www"


def web(namespace, node=None):
    """A Deployment and its Service: pods that tell their names, as restricted admission wants them."""
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "runAsUser": 2000,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "web",
        "image": "plinth.local/busybox:1",
        "command": ["sh", "-c", SHELL],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/name", "port": "http"}, "periodSeconds": 1},
        "securityContext": security,
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
    spec = {
        "terminationGracePeriodSeconds": 1,
        "nodeName": node,
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }
    template = {"metadata": {"labels": {"app": "web"}}, "spec": spec}
    selected = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    service = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}
    metadata = {"name": "web", "namespace": namespace}
    made = [("apps/v1", "Deployment", selected), ("v1", "Service", service)]
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [{"apiVersion": v, "kind": k, "metadata": metadata, "spec": s} for v, k, s in made],
        }
    )


@pytest.fixture
def answering(kubectl, namespace, real_nodes):
    """One real node and a server on it, in a namespace that enforces the restricted standard; the Service's address."""
    (node,) = real_nodes(1)
    kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    kubectl("apply", "--server-side", "-f", "-", text=web(namespace, node.name))
    kubectl("wait", "--for=condition=Available", WAIT, "deployment/web", "-n", namespace)
    address = kubectl("get", "service", "web", "-n", namespace, "-ojsonpath={.spec.clusterIP}").stdout
    return node, f"http://{address}/name"


def test_a_pod_answers_through_its_service(cluster, kubectl, namespace, answering):
    """A pod from an image made here runs under a real kubelet: its Service, its name, exec and logs lead to it."""
    _, url = answering
    pod = kubectl("get", "pods", "-n", namespace, "-ojsonpath={.items[*].metadata.name}").stdout
    assert cluster.wait_answer(url).text.strip() == pod
    words = ("exec", "-n", namespace, f"pod/{pod}", "--", "sh", "-c", "id -u; busybox wget -qO- http://web/name")
    assert kubectl(*words).stdout.split() == ["2000", pod]
    kubectl("delete", "deployment", "web", "-n", namespace)
    kubectl("wait", "--for=delete", WAIT, f"pod/{pod}", "-n", namespace)
    with pytest.raises(OSError, match="502"):
        cluster.connect(url.split("/")[2], 80)


@pytest.mark.exhaustive
def test_killed_services_of_a_node_are_started_again(cluster, kubectl, namespace, answering):
    """Kubelet and containerd die; the container answers all the while, and the next change is carried out."""
    node, url = answering
    killed = [*node.find("kube kubelet"), *node.find("containerd --config")]
    assert len(killed) == 2
    (container,) = node.find("httpd")
    for process in killed:
        process.kill()
    assert cluster.wait_answer(url)
    kubectl("scale", "deployment/web", "--replicas=2", "-n", namespace)
    kubectl("wait", "--for=jsonpath={.status.readyReplicas}=2", WAIT, "deployment/web", "-n", namespace)
    assert container in node.find("httpd")


@pytest.mark.exhaustive
def test_a_node_that_loses_power_comes_back(cluster, kubectl, namespace, answering):
    """All of a node's processes end at once; started again it runs its pods anew, with new containers."""
    node, url = answering
    (container,) = node.find("httpd")
    node.kill()
    assert not alive(container)
    node.start()
    node.wait_ready()
    restarted = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
    kubectl("wait", restarted, WAIT, "pods", "--all", "-n", namespace)
    kubectl("wait", "--for=condition=Ready", WAIT, "pods", "--all", "-n", namespace)
    assert cluster.wait_answer(url)


ASK = """
import os, ssl, urllib.request
account = "/var/run/secrets/kubernetes.io/serviceaccount"
trust = ssl.create_default_context(cafile=f"{account}/ca.crt")
path = f"https://kubernetes.default.svc/api/v1/namespaces/{open(f'{account}/namespace').read()}/pods"
request = urllib.request.Request(path, headers={"authorization": f"Bearer {open(f'{account}/token').read()}"})
print(urllib.request.urlopen(request, context=trust, timeout=20).status, os.getuid())
"""


def test_a_pod_asks_the_api_server(kubectl, namespace, real_nodes):
    """The image of the runtime runs; with its account's token a pod reaches the API server by name, as agents do."""
    (node,) = real_nodes(1)
    node.load(runtime_image())
    kubectl("wait", "--for=create", WAIT, "serviceaccount/default", "-n", namespace)
    kubectl(
        "create", "rolebinding", "view", "--clusterrole=view", f"--serviceaccount={namespace}:default", "-n", namespace
    )
    command = ("--command", "--", str(ROOT / ".venv/bin/python"), "-c", ASK)
    kubectl("run", "asks", f"--image={NAME}", "--restart=Never", "-n", namespace, *command)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", WAIT, "pod/asks", "-n", namespace)
    assert kubectl("logs", "asks", "-n", namespace).stdout == "200 2000\n"
