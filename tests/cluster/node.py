"""One real node, from inside: process 1 of its own network, mount, process, host name and IPC namespaces.

    node.py SETTINGS.json     (as root, under `unshare`; needs only the standard library)

It prepares the namespaces, then keeps containerd, kubelet and kube-proxy running, as an init system does. When this
process is killed, the kernel ends every process of the node.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from node_files import containerd_config, kubelet_config, network_config

SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}
"""What the kubelet wants of the machine: it sees files that say so, and the machine stays as it is."""
RESTART_SECONDS = 1
V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "devices", "freezer", "blkio", "systemd")
CGROUPS = Path("/sys/fs/cgroup")


def main(settings_path):
    """Prepare the node and keep its services running."""
    settings = json.loads(Path(settings_path).read_text())
    folder, packages = Path(settings["folder"]), settings["packages"]
    os.environ["PATH"] = f"{packages}/usr/bin:{packages}/usr/sbin:{os.environ['PATH']}"
    os.environ["LD_LIBRARY_PATH"] = f"{packages}/usr/lib/x86_64-linux-gnu"
    for name in ("containerd", "kubelet", "network", "sysctl", "var", "var-work"):
        (folder / name).mkdir(exist_ok=True)
    mount_own(folder)
    join_network(settings)
    make_cgroups(settings["cgroup"])
    for name, text in (
        ("containerd.toml", containerd_config(settings)),
        ("network/10-bridge.conflist", network_config(settings)),
        ("kubelet.json", kubelet_config(settings)),
    ):
        (folder / name).write_text(text)
    watch(settings, services(settings))


def mount_own(folder):
    """Give the node files of its own where programs have fixed names for them."""
    mount("--make-rshared", "/")
    for name, value in SYSCTLS.items():
        file = folder / "sysctl" / name.replace("/", "-")
        file.write_text(f"{value}\n")
        mount("--bind", file, f"/proc/sys/{name}")
    # /var/log/containers, /var/lib/kubelet/device-plugins, /var/lib/cni; what agents keep survives the node's restart.
    layers = f"lowerdir=/var,upperdir={folder / 'var'},workdir={folder / 'var-work'}"
    mount("-t", "overlay", "overlay", "-o", layers, "/var")
    mount("-t", "tmpfs", "tmpfs", "/run")
    # Containers and images end with the node; in memory, because a layer must not lie on an overlay.
    mount("-t", "tmpfs", "tmpfs", folder / "containerd")


def mount(*words):
    """Mount inside this node only."""
    subprocess.run(["mount", *words], check=True)


def join_network(settings):
    """A cable to the bridge of the nodes' network, and the routes to and from this node's pods."""
    cable, address, network = f"node{settings['index']}", settings["address"], settings["networkFile"]
    outside = ["nsenter", f"--net={network}", "ip"]
    with contextlib.suppress(subprocess.CalledProcessError):  # of this node's life before
        run(settings, [*outside, "link", "delete", cable])
    for words in (
        "link set lo up",
        f"link add eth0 type veth peer name {cable} netns {network}",
        f"addr add {address}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {settings['gateway']}",
    ):
        run(settings, ["ip", *words.split()])
    for words in (
        f"link set {cable} master br0",
        f"link set {cable} up",
        f"route replace {settings['pods']} via {address}",
    ):
        run(settings, [*outside, *words.split()])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    run(settings, ["hostname", settings["name"]])


def run(settings, command):
    """Run a command that must succeed; it may enter the nodes' network."""
    subprocess.run(command, check=True, pass_fds=[settings["networkDescriptor"]])


def make_cgroups(path):
    """The groups below which the kubelet puts pods: version 1 has a tree for each controller, version 2 has one."""
    if (CGROUPS / "cgroup.controllers").exists():
        steps = [CGROUPS, *(CGROUPS / part for part in list(Path(path).parents)[-2::-1]), CGROUPS / path]
        for above, group in itertools.pairwise(steps):
            enabled = " ".join(f"+{name}" for name in (above / "cgroup.controllers").read_text().split())
            (above / "cgroup.subtree_control").write_text(enabled)
            group.mkdir(exist_ok=True)
        return
    for controller in V1_CONTROLLERS:
        (CGROUPS / controller / path).mkdir(parents=True, exist_ok=True)
    steps = [CGROUPS / "cpuset" / part for part in [*list(Path(path).parents)[-2::-1], path]]
    for group in steps:  # a new group has no processors until somebody says so
        for name in ("cpuset.cpus", "cpuset.mems"):
            (group / name).write_text((CGROUPS / "cpuset" / name).read_text())


def services(settings):
    """Name and command of what must always run, in the order of start."""
    folder, kube = Path(settings["folder"]), settings["kube"]
    kubelet = [
        *(kube, "kubelet", f"--config={folder / 'kubelet.json'}", f"--kubeconfig={settings['kubeletKubeconfig']}"),
        *(f"--hostname-override={settings['name']}", f"--node-ip={settings['address']}"),
        *(f"--root-dir={folder / 'kubelet'}", f"--cert-dir={folder / 'kubelet/pki'}"),
        *(f"--node-labels={label}" for label in settings["labels"]),
    ]
    proxy = [kube, "kube-proxy", f"--hostname-override={settings['name']}", f"--bind-address={settings['address']}"]
    return {
        "containerd": ["containerd", "--config", str(folder / "containerd.toml")],
        "kubelet": kubelet,
        "kube-proxy": [*proxy, *settings["proxyFlags"]],
    }


def watch(settings, commands):
    """Start the services and start them again when they end; collect orphans, as process 1 must."""
    logs = Path(settings["logs"])
    running = {}

    def start(name):
        with (logs / f"{settings['name']}-{name}.log").open("ab") as log:
            service = subprocess.Popen(commands[name], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        running[service.pid] = name, service  # a forgotten Popen would be waited for by the next one, not by us

    start("containerd")
    load_images(settings)
    start("kubelet")
    start("kube-proxy")
    while True:
        ended, status = os.wait()
        if ended in running:
            name, _ = running.pop(ended)
            print(f"{name} ended with status {status}; starting it again", flush=True)
            time.sleep(RESTART_SECONDS)
            start(name)


def load_images(settings):
    """Import the images as soon as containerd answers."""
    client = ["ctr", "--address", settings["containerdAddress"]]
    while subprocess.run([*client, "version"], capture_output=True, check=False).returncode:
        time.sleep(0.1)
    for archive in sorted(Path(settings["images"]).glob("*.tar")):
        run(settings, [*client, "--namespace", "k8s.io", "images", "import", archive])


if __name__ == "__main__":
    main(*sys.argv[1:])
