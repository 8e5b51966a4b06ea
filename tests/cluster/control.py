"""The control plane: etcd, API server, controller manager and scheduler on the loopback, and why each flag.

Needs no rights: what real nodes need besides is in `network.py`.
"""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from cluster.keys import Keys
from cluster.network import GATEWAY, SERVICES

LOOPBACK = "127.0.0.1"
KUBERNETES_SERVICE = "10.96.0.1"
READY_SECONDS = 120
MAX_NODES = 9
"""Tokens are read once, when the API server starts, so every node that may come has one from the beginning."""


@dataclass(frozen=True)
class Place:
    """Where a cluster is: its folder, and three ports of the loopback: API server, etcd for clients and for peers."""

    folder: Path
    ports: tuple

    @property
    def server(self):
        """The API server's address for programs of this machine."""
        return f"https://{LOOPBACK}:{self.ports[0]}"


def write_files(place):
    """Keys, kubeconfigs, and how the API server reaches nodes and pods."""
    keys = Keys(place.folder / "keys", [LOOPBACK, GATEWAY, KUBERNETES_SERVICE])
    inside = f"https://{GATEWAY}:{place.ports[0]}"
    for name, user, group in (
        ("admin", "admin", "system:masters"),
        ("controllers", "system:kube-controller-manager", "system:masters"),
        ("scheduler", "system:kube-scheduler", ""),
        ("kwok", "kwok", "system:masters"),
    ):
        keys.kubeconfig(place.folder / f"{name}.conf", place.server, user, group)
    keys.kubeconfig(place.folder / "proxy.conf", inside, "system:kube-proxy")
    keys.kubeconfig(place.folder / "coredns.conf", inside, "coredns", "system:masters")
    for index in range(MAX_NODES):
        node = f"node-{index}"
        keys.kubeconfig(place.folder / f"{node}.conf", inside, f"system:node:{node}", "system:nodes")
    way = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(place.folder / "network.sock")}}}
    selection = {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": way}],
    }
    (place.folder / "egress.json").write_text(json.dumps(selection))


def start(place, kube, processes):
    """Start the four, each as soon as it can do its work, and return when service accounts are made."""
    storage, server = (run(name, place, kube, processes) for name in ("etcd", "kube-apiserver"))
    processes.wait_for(lambda: answers(place, "/readyz"), READY_SECONDS, "an API server", (storage, server))
    # Both ask the API server while they start and end when it is not ready yet.
    others = [run(name, place, kube, processes) for name in ("kube-controller-manager", "kube-scheduler")]
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    processes.wait_for(lambda: answers(place, account), READY_SECONDS, "service accounts", (server, *others))
    (place.folder / "kubectl").symlink_to(kube)


def run(name, place, kube, processes):
    """Start one of the four."""
    return processes.start(name, [kube, name, *COMPONENTS[name](place)])


def answers(place, path):
    """Whether the API server answers a GET with success."""
    token = json.loads((place.folder / "admin.conf").read_text())["users"][0]["user"]["token"]
    trust = ssl.create_default_context(cafile=place.folder / "keys" / "ca.crt")
    request = urllib.request.Request(place.server + path, headers={"authorization": f"Bearer {token}"})  # noqa: S310 ours
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust))
    try:
        with direct.open(request, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _etcd(place):
    clients, peers = (f"http://{LOOPBACK}:{port}" for port in place.ports[1:])
    return [
        "--name=default",
        f"--data-dir={place.folder / 'etcd'}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",  # nothing here must survive the machine, and a sync costs more than all else
        "--log-level=warn",
    ]


def _server(place):
    keys = place.folder / "keys"
    return [
        f"--etcd-servers=http://{LOOPBACK}:{place.ports[1]}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={place.ports[0]}",
        f"--advertise-address={GATEWAY}",  # where pods find it: `kubernetes.default` leads there
        f"--tls-cert-file={keys / 'server.crt'}",
        f"--tls-private-key-file={keys / 'server.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--token-auth-file={keys / 'tokens.csv'}",
        f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
        f"--kubelet-client-key={keys / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys / 'accounts.key'}",
        f"--service-account-signing-key-file={keys / 'accounts.key'}",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--egress-selector-config-file={place.folder / 'egress.json'}",
        "--profiling=false",
    ]


def _controllers(place):
    return [
        f"--kubeconfig={place.folder / 'controllers.conf'}",
        "--secure-port=0",
        "--leader-elect=false",
        f"--root-ca-file={place.folder / 'keys' / 'ca.crt'}",
        f"--service-account-private-key-file={place.folder / 'keys' / 'accounts.key'}",
    ]


def _scheduler(place):
    return [f"--kubeconfig={place.folder / 'scheduler.conf'}", "--secure-port=0", "--leader-elect=false"]


COMPONENTS = {
    "etcd": _etcd,
    "kube-apiserver": _server,
    "kube-controller-manager": _controllers,
    "kube-scheduler": _scheduler,
}
