"""Real nodes, from outside: start one, wait until it is ready, end it, hand it an image."""

import datetime as dt
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from cluster import images, network
from cluster.build import COREDNS, DEBIAN, PAUSE, built
from cluster.images import Image
from cluster.node_files import PAUSE_IMAGE, container_runtime
from support.project import words as command_line

BUSYBOX_IMAGE = "plinth.local/busybox:1"
BUSYBOX_NAMES = ("sh", "cat", "echo", "env", "hostname", "httpd", "id", "ls", "mv", "nc", "ps", "rm", "sleep", "touch")
PROGRAM = Path(__file__).parent / "node.py"
NAMESPACES = ["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
READY_SECONDS = 90
IMPORT_SECONDS = 120


@dataclass(frozen=True)
class Node:
    """A real node of a cluster."""

    cluster: object
    index: int

    @property
    def name(self):
        """As Kubernetes knows it."""
        return f"node-{self.index}"

    @property
    def address(self):
        """In the nodes' network."""
        return f"172.30.0.{10 + self.index}"

    @property
    def folder(self):
        """What the node writes; `var` in it is the node's own /var and survives its end."""
        return self.cluster.folder / self.name

    @property
    def process(self):
        """The process whose end is the node's end, or None."""
        return self.cluster.processes.find(self.name)

    def start(self):
        """Start the node unless it runs; ready is another matter."""
        if self.process:
            return
        relay = self.cluster.join_network()
        self.folder.mkdir(exist_ok=True)
        descriptor = os.open(f"/proc/{relay.pid}/ns/net", os.O_RDONLY)
        try:
            settings = self.folder / "settings.json"
            settings.write_text(json.dumps(self._settings(descriptor)))
            command = ["unshare", *NAMESPACES, sys.executable, "-B", "-E", "-s", str(PROGRAM), str(settings)]
            self.cluster.processes.start(self.name, command, pass_fds=[descriptor])
        finally:
            os.close(descriptor)

    def wait_ready(self):
        """Wait until Kubernetes says that it is ready."""
        needs = (self.process,)
        self.cluster.processes.wait_for(self.ready, READY_SECONDS, f"{self.name} ready", needs)

    def ready(self):
        """Whether its kubelet says so: this life's, for the last one's word stays until the controllers doubt it."""
        ready = 'status.conditions[?(@.type=="Ready")]'
        path = f"{{.{ready}.status}} {{.{ready}.lastHeartbeatTime}}"
        asked = self.cluster.kubectl("get", "node", self.name, f"-ojsonpath={path}", check=False).stdout
        started = dt.datetime.fromtimestamp((self.folder / "settings.json").stat().st_mtime, dt.UTC)
        return asked.startswith("True ") and asked.split()[1] >= f"{started:%Y-%m-%dT%H:%M:%SZ}"

    def kill(self):
        """End the node with all that runs on it, as when its power is cut."""
        self.cluster.processes.end([self.process])

    def find(self, words):
        """Living processes of the node whose command line has all these words: its services and its containers'."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if all(word in command_line(child) for word in words.split())]

    def load(self, image):
        """Hand a running node an image; later starts of any node find it too."""
        archive = self.cluster.keep_image(image)
        (main,) = psutil.Process(self.process.pid).children()
        client = [str(built(DEBIAN) / "usr/bin/ctr"), "--address", self._containerd()]
        enter = ["nsenter", f"--target={main.pid}", "--mount"]
        command = [*enter, *client, "--namespace", "k8s.io", "images", "import", str(archive)]
        subprocess.run(command, check=True, capture_output=True, timeout=IMPORT_SECONDS)

    def _containerd(self):
        return str(self.folder / "containerd/containerd.sock")

    def _settings(self, descriptor):
        run, programs = self.cluster.folder, built(DEBIAN)
        runtime = run / "container-runtime"
        if not runtime.exists():
            runtime.write_text(container_runtime(programs, sys.executable))
            runtime.chmod(0o755)
        return {
            "index": self.index,
            "name": self.name,
            "address": self.address,
            "folder": str(self.folder),
            "logs": str(run / "logs"),
            "podLogs": str(run / "logs" / f"{self.name}-pods"),
            "images": str(run / "images"),
            "packages": str(programs),
            "kube": str(built(self.cluster.kube)),
            "labels": [],
            "cgroup": f"{self.cluster.cgroup}/{self.name}",
            "gateway": network.GATEWAY,
            "domain": network.DOMAIN,
            "pods": f"10.244.{self.index}.0/24",
            "networkFile": f"/proc/self/fd/{descriptor}",
            "networkDescriptor": descriptor,
            "containerdAddress": self._containerd(),
            "containerRuntime": str(runtime),
            "kubeletKubeconfig": str(run / f"{self.name}.conf"),
            "authority": str(run / "keys" / "ca.crt"),
            "proxyFlags": proxy_flags(run),
        }


def proxy_flags(folder):
    """kube-proxy's flags, on nodes and in the nodes' network itself, where tests come from."""
    return [
        f"--kubeconfig={folder / 'proxy.conf'}",
        "--proxy-mode=nftables",
        f"--cluster-cidr={network.PODS}",
        "--healthz-bind-address=",
        "--metrics-bind-address=127.0.0.1:10249",
        # Tables of connections belong to the machine.
        *("--conntrack-max-per-core=0", "--conntrack-min=0"),
        *("--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0"),
    ]


def start_names(cluster, relay):
    """Start the names of Services, and let connections from the network itself reach them as pods' do."""
    enter = network.enter(relay)
    corefile = cluster.folder / "Corefile"
    corefile.write_text(
        f".:53 {{\n bind {network.GATEWAY}\n errors\n"
        f" kubernetes {network.DOMAIN} {{\n  kubeconfig {cluster.folder / 'coredns.conf'}\n }}\n}}\n"
    )
    if not cluster.processes.find("coredns"):
        cluster.processes.start("coredns", [*enter, str(built(COREDNS)), "-conf", str(corefile)])
    if not cluster.processes.find("kube-proxy"):
        packages = built(DEBIAN)
        environment = os.environ | {
            "PATH": f"{packages}/usr/sbin:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": f"{packages}/usr/lib/x86_64-linux-gnu",
        }
        command = [str(built(cluster.kube)), "kube-proxy", "--hostname-override=node-0", *proxy_flags(cluster.folder)]
        cluster.processes.start("kube-proxy", [*enter, *command], env=environment)


def write_images(folder):
    """The images that every node has: the pod's own, and a shell with small tools."""
    folder.mkdir(exist_ok=True)
    images.write(Image(PAUSE_IMAGE, ("/pause",), files={"/pause": built(PAUSE)}), folder / "pause.tar")
    busybox = {"/bin/busybox": built(DEBIAN) / "bin/busybox"}
    links = {f"/bin/{name}": "busybox" for name in BUSYBOX_NAMES}
    images.write(Image(BUSYBOX_IMAGE, files=busybox, links=links), folder / "busybox.tar")
