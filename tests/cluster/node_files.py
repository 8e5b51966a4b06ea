"""Configuration of a real node's programs, as text. Imported inside the node: standard library only."""

import json
from pathlib import Path

PAUSE_IMAGE = "plinth.local/pause:1"


def network_config(settings):
    """Pods hang on a bridge of their node; addresses come from the node's own range."""
    addresses = {
        "type": "host-local",
        "dataDir": f"{settings['folder']}/network/addresses",
        "ranges": [[{"subnet": settings["pods"]}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    plugins = [bridge | {"ipam": addresses}, {"type": "loopback"}]
    return json.dumps({"cniVersion": "0.4.0", "name": "plinth", "plugins": plugins})


def containerd_config(settings):
    """Containerd without what this machine lacks; containers are started by `run_container.py` and runc."""
    folder, packages = settings["folder"], settings["packages"]
    return f"""
version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.tracing",
]
[grpc]
  address = "{settings["containerdAddress"]}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true   # works without CAP_SYS_RESOURCE
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{packages}/usr/lib/cni"
    conf_dir = "{folder}/network"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        BinaryName = "{settings["containerRuntime"]}"
        SystemdCgroup = false
"""


def container_runtime(packages, python):
    """The program that containerd takes for runc: a shell decides, because only one call in five needs Python."""
    adder = Path(__file__).parent / "run_container.py"
    return f"""#!/bin/sh
case " $* " in *" create "*) "{python}" -I -S "{adder}" "$@" || exit 1 ;; esac
exec "{packages}/usr/sbin/runc" "$@"
"""


def kubelet_config(settings):
    """The kubelet, kept from what belongs to the machine: its own groups, no swap check, no firewall."""
    folder = settings["folder"]
    return json.dumps(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{settings['containerdAddress']}",
            "address": settings["address"],
            "healthzPort": 0,
            "readOnlyPort": 0,
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{settings['cgroup']}",
            "enforceNodeAllocatable": ["pods"],
            "makeIPTablesUtilChains": False,
            "clusterDomain": settings["domain"],
            "clusterDNS": [settings["gateway"]],
            "resolvConf": "",
            "podLogsDir": settings["podLogs"],
            "volumePluginDir": f"{folder}/kubelet/volume-plugins",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": settings["authority"]},
            },
            "authorization": {"mode": "AlwaysAllow"},
            # The machine's disk and memory are shared with all else that runs here.
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "nodeStatusUpdateFrequency": "5s",
            "serializeImagePulls": False,
        }
    )
