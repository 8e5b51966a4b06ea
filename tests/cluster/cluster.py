"""One cluster in one folder: up, down, kubectl, nodes. Everything about it is in the folder, for whoever has it."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from http import HTTPStatus
from pathlib import Path

from cluster import control, fakes, images, network, nodes
from cluster.build import KUBE, built
from cluster.errors import ClusterError
from cluster.nodes import Node
from cluster.processes import Processes
from support.project import free_ports

KUBECTL_SECONDS = 120
CGROUPS = Path("/sys/fs/cgroup")
CGROUP_SECONDS = 10


class Cluster:
    """A cluster that is or will be up in a folder."""

    kube = KUBE

    def __init__(self, folder):
        self.folder = Path(folder).absolute()
        self.processes = Processes(self.folder)

    @property
    def kubeconfig(self):
        """The administrator's kubeconfig, for programs of this machine."""
        return self.folder / "admin.conf"

    @property
    def place(self):
        """Folder and ports."""
        return control.Place(self.folder, tuple(self._settings()["ports"]))

    @property
    def cgroup(self):
        """The group of processes below which nodes put their pods; its name is this cluster's own."""
        return f"plinth-{self._settings()['id']}"

    def _settings(self):
        return json.loads((self.folder / "cluster.json").read_text())

    def is_up(self):
        """Whether its API server runs."""
        return self.processes.find("kube-apiserver") is not None

    def up(self):
        """Start a control plane; what an unclean end left here goes first."""
        self.down()
        (self.folder / "logs").mkdir(parents=True)
        settings = {"id": secrets.token_hex(4), "ports": free_ports(3)}
        (self.folder / "cluster.json").write_text(json.dumps(settings))
        control.write_files(self.place)
        control.start(self.place, str(built(self.kube)), self.processes)

    def restart(self, name):
        """Kill a part of the control plane, as if its machine had failed, and start it again; the data stays."""
        self.processes.end([self.processes.find(name)])
        started = control.run(name, self.place, str(built(self.kube)), self.processes)
        ready = lambda: control.answers(self.place, "/readyz")  # noqa: E731
        self.processes.wait_for(ready, control.READY_SECONDS, f"an API server after {name}", (started,))

    def down(self):
        """End every process and remove every file and group; nothing there is fine too."""
        self.processes.kill()
        if (self.folder / "cluster.json").exists():
            self._remove_groups()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            raise ClusterError(f"{self.folder} cannot be removed")

    def _remove_groups(self):
        """Remove the groups of nodes that are gone; the kernel may need a moment to empty them."""
        deadline = time.monotonic() + CGROUP_SECONDS
        while roots := [*CGROUPS.glob(self.cgroup), *CGROUPS.glob(f"*/{self.cgroup}")]:
            for root in roots:
                for path, _, _ in os.walk(root, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(path)  # noqa: PTH106 as os.walk gives it
            if time.monotonic() > deadline:
                raise ClusterError(f"{roots[0]} cannot be removed: processes of a node live on")
            time.sleep(0.05)

    def kubectl(self, *arguments, text=None, check=True, seconds=KUBECTL_SECONDS):
        """Run kubectl as the administrator; `text` is its standard input."""
        command = [str(self.folder / "kubectl"), *map(str, arguments)]
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.folder / "cache")}
        done = subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        if check and done.returncode:
            raise ClusterError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done

    def join_network(self):
        """The process that holds the nodes' network, started when it is needed first."""
        if not (self.folder / "images").exists():
            nodes.write_images(self.folder / "images")
        return network.start(self.place, self.processes)

    def nodes(self, count):
        """The first real nodes, up and ready; those that run already stay as they are."""
        wanted = [Node(self, index) for index in range(count)]
        for node in wanted:
            node.start()
        for node in wanted:
            node.wait_ready()
        nodes.start_names(self, self.join_network())
        return wanted

    def start_fakes(self):
        """Start what plays nodes, unless it runs."""
        fakes.start(self)

    def keep_image(self, image):
        """Write an image's archive, unless there is one of that name; nodes that start find it."""
        archive = self.folder / "images" / (image.name.replace("/", "_").replace(":", "_") + ".tar")
        return archive if archive.exists() else images.write(image, archive)

    def connect(self, host, port, timeout=60):
        """A connection to a pod, a Service or a node."""
        return network.connect(self.folder, host, port, timeout)

    def call(self, url, body=None, headers=None, timeout=60):
        """One HTTP request to a pod, a Service or a node."""
        return network.call(self.folder, url, body, headers, timeout)

    def wait_answer(self, url, seconds=30):
        """The first answer of status 200: from a ready pod to its Service's address takes a moment."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = self.call(url)
                if answer.status == HTTPStatus.OK:
                    return answer
                last = answer.status
            except OSError as error:
                last = error
            if time.monotonic() > deadline:
                raise ClusterError(f"{url} did not answer within {seconds} s: {last}")
            time.sleep(0.1)
