"""The scripts of a node: what they say as text, and what they do with stand-ins for the system's commands."""

import base64
import email
import os
import subprocess
import textwrap

import pytest

from pulumi_plinth import naming
from pulumi_plinth.pool.boot import FAILED, METADATA_BYTES, Boot, scripts, user_data

PLAIN = Boot("managed", "raid0")
TAINTED = Boot("managed", "raid0", ("--register-with-taints=team=search:NoSchedule", "--max-pods=40"))
ALL = [PLAIN, TAINTED, Boot("self", "none", own="echo 'früh'"), Boot("self", "raid0", own="#!/bin/sh\ntrue")]


@pytest.mark.parametrize("boot", ALL)
def test_every_script_is_good_shell(boot, tmp_path):
    """`bash -n` accepts each of them, and each names its interpreter."""
    for name, text in scripts(boot).items():
        path = tmp_path / name
        path.write_text(text)
        assert text.startswith("#!")
        subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("boot", ALL)
def test_user_data_is_cloud_inits_and_small(boot):
    """Parts come back in order, byte for byte; the whole is small enough for an instance; twice gives the same."""
    data = user_data(boot)
    message = email.message_from_bytes(base64.b64decode(data))
    parts = {part.get_filename(): part.get_payload(decode=True).decode() for part in message.get_payload()}
    assert parts == scripts(boot)
    assert list(parts) == sorted(parts)
    assert {part.get_content_type() for part in message.get_payload()} == {"text/x-shellscript"}
    assert len(data) < METADATA_BYTES
    assert data == user_data(boot)


class Node:
    """A node's commands as stand-ins on PATH: each writes what it was asked, and answers as a script here says."""

    def __init__(self, folder):
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "log"
        self.bin.mkdir()
        self.log.touch()
        self.fstab, self.failed = folder / "fstab", folder / "run" / "failed"
        self.fstab.touch()
        self.drive, self.models = folder / "drive", folder / "models"
        self.kubelet = folder / "kubelet"
        for name in ("mdadm", "mkfs.xfs", "mount", "oci-growfs", "restorecon", "sleep"):
            self.stand_in(name, "exit 0")
        self.stand_in("blkid", "exit 2")
        self.stand_in("mountpoint", "exit 1")
        self.drives()

    def stand_in(self, name, body):
        """Put a command on PATH."""
        path = self.bin / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >> {self.log}\n{textwrap.dedent(body)}\n')
        path.chmod(0o755)

    def drives(self, *names, used=()):
        """Say which drives there are; used ones hold a partition."""
        listing = "".join(f"/dev/{name} disk\\n" for name in ("sda", *names))
        used_case = "|".join(f"*/{name}" for name in used) or "nothing"
        self.stand_in(
            "lsblk",
            f"""
            case "$*" in *--nodeps*) printf '{listing}'; exit;; esac
            last="${{@: -1}}"
            case "$*" in
              *MOUNTPOINT*) echo;;
              *) echo "$last"; case "$last" in {used_case}) echo "${{last}}p1";; esac;;
            esac
            """,
        )

    def run(self, name, boot=PLAIN, check=True):
        """Run one of the scripts with this node's paths in it."""
        text = scripts(boot)[name]
        paths = {naming.NODE_DRIVES: self.drive, naming.NODE_MODELS: self.models, FAILED: self.failed}
        for path, here in paths.items():
            text = text.replace(path, str(here))
        script = self.folder / name
        script.write_text(text)
        environment = {
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PLINTH_FSTAB": str(self.fstab),
            "PLINTH_KUBELET": str(self.kubelet),
            "PLINTH_INIT": str(self.folder / "init.sh"),
            "PLINTH_INSTALL": str(self.folder / "install.sh"),
            "PLINTH_PAUSE": "0",
        }
        return subprocess.run(["bash", str(script)], env=environment, check=check, capture_output=True, text=True)

    def asked(self, command):
        """What a command was asked, line by line."""
        lines = self.log.read_text().splitlines()
        return [line.removeprefix(f"{command} ") for line in lines if line.split()[0] == command]


@pytest.fixture
def node(tmp_path):
    """A node with a boot volume and no drives."""
    return Node(tmp_path)


def test_the_boot_volume_is_grown_before_the_node_joins(node):
    """oci-growfs runs, and in the script that comes first."""
    node.run("10-plinth-disks.sh")
    assert node.asked("oci-growfs") == ["-y"]
    assert next(iter(scripts(PLAIN))) == "10-plinth-disks.sh"
    assert not node.asked("mkfs.xfs")
    assert not node.failed.exists()


def test_drives_become_one_file_system(node):
    """Free NVMe drives are striped, formatted with XFS and mounted for weights; used ones and others are left alone."""
    node.drives("nvme0n1", "nvme1n1", "nvme2n1", used=("nvme1n1",))
    node.run("10-plinth-disks.sh")
    create = node.asked("mdadm")[-1]
    assert create == (
        "--create /dev/md/plinth --run --level=0 --name=plinth --raid-devices=2 /dev/nvme0n1 /dev/nvme2n1"
    )
    assert node.asked("mkfs.xfs") == ["-f -L plinth /dev/md/plinth"]
    assert node.asked("mount") == [str(node.drive), str(node.kubelet), str(node.models)]
    first, second, third = node.fstab.read_text().splitlines()
    assert first == f"LABEL=plinth {node.drive} xfs defaults,noatime,nofail 0 2"
    assert second.startswith(f"{node.drive}/kubelet {node.kubelet} none bind,nofail")
    assert third.startswith(f"{node.drive}/models {node.models} none bind,nofail")


def test_pods_find_their_room_on_the_drives(node):
    """The kubelet's folder moves there as the image has it, without what an older boot left; models stay."""
    node.drives("nvme0n1")
    node.kubelet.mkdir()
    (node.kubelet / "of-the-image").touch()
    for name in ("kubelet/of-an-older-boot", "models/of-an-older-boot"):
        (node.drive / name).mkdir(parents=True)
    node.run("10-plinth-disks.sh")
    assert [path.name for path in (node.drive / "kubelet").iterdir()] == ["of-the-image"]
    assert [path.name for path in (node.drive / "models").iterdir()] == ["of-an-older-boot"]
    assert not node.failed.exists()


def test_one_drive_needs_no_array(node):
    """A single drive is formatted as it is."""
    node.drives("nvme0n1")
    node.run("10-plinth-disks.sh")
    assert node.asked("mkfs.xfs") == ["-f -L plinth /dev/nvme0n1"]
    assert not [line for line in node.asked("mdadm") if "create" in line]


def test_a_replaced_boot_volume_keeps_the_weights(node):
    """Where the drives hold our file system already it is mounted, never formatted; running twice mounts once."""
    node.drives("nvme0n1", "nvme1n1")
    node.stand_in("blkid", "echo /dev/md/plinth")
    node.run("10-plinth-disks.sh")
    node.stand_in("mountpoint", "exit 0")
    node.run("10-plinth-disks.sh")
    assert not node.asked("mkfs.xfs")
    assert node.asked("mount") == [str(node.drive), str(node.kubelet), str(node.models)]
    assert len(node.fstab.read_text().splitlines()) == 3


@pytest.mark.parametrize("broken", ["mdadm", "mkfs.xfs", "mount"])
def test_a_node_whose_drives_fail_keeps_pods_away(node, broken):
    """The node still joins, with a taint: its boot volume would be filled by weights."""
    node.drives("nvme0n1", "nvme1n1")
    node.stand_in(broken, "exit 1")
    node.run("10-plinth-disks.sh")
    assert node.failed.exists()
    _serve_init(node)
    assert f"--register-with-taints={naming.NO_DISK_TAINT}=true:NoSchedule" in node.run("90-plinth-join.sh").stdout
    with_own = node.run("90-plinth-join.sh", TAINTED).stdout
    assert f"--register-with-taints={naming.NO_DISK_TAINT}=true:NoSchedule,team=search:NoSchedule" in with_own


def test_drives_can_be_left_alone(node):
    """nvme: none touches no drive."""
    node.drives("nvme0n1")
    node.run("10-plinth-disks.sh", Boot("managed", "none"))
    assert not node.asked("mkfs.xfs")
    assert not node.asked("mount")


def _serve_init(node, misses=0):
    """The metadata service: OKE's script, base64, after some misses."""
    init = base64.b64encode(b'echo "init $*"').decode()
    node.stand_in("curl", f'test $(grep -c ^curl {node.log}) -gt {misses} || exit 22\necho "{init}"')


def test_okes_own_script_is_fetched_and_run(node):
    """By version 2 of the metadata service, with the header it demands, and with the kubelet's arguments."""
    _serve_init(node)
    assert node.run("90-plinth-join.sh").stdout.strip() == "init"
    assert node.run("90-plinth-join.sh", TAINTED).stdout.strip() == (
        "init --kubelet-extra-args --register-with-taints=team=search:NoSchedule --max-pods=40"
    )
    for line in node.asked("curl"):
        assert "Authorization: Bearer Oracle" in line
        assert "/opc/v2/instance/metadata/oke_init_script" in line


def test_a_metadata_service_that_is_late_is_asked_again(node):
    """Both addresses are tried, with pauses; what was given up once succeeds later."""
    _serve_init(node, misses=5)
    assert "init" in node.run("90-plinth-join.sh").stdout
    asked = node.asked("curl")
    assert len(asked) == 6
    assert ["fd00" in line for line in asked] == [False, True] * 3
    assert len(node.asked("sleep")) == 2


def test_joining_is_given_up_after_thirty_attempts(node):
    """Then the script fails, so that cloud-init says so."""
    node.stand_in("curl", "exit 22")
    assert node.run("90-plinth-join.sh", check=False).returncode == 1
    assert len(node.asked("sleep")) == 30


def test_a_node_that_oke_does_not_manage_joins_by_itself(node):
    """With endpoint and certificate from its metadata, by the installer of Oracle Linux or Ubuntu's command."""
    node.stand_in("curl", 'case "$*" in *apiserver_host) echo 10.0.0.5;; *) echo Q0E=;; esac')
    node.stand_in("oke", 'echo "oke $*"')
    boot = Boot("self", "raid0", ("--node-labels=a=b",))
    assert node.run("90-plinth-join.sh", boot).stdout.strip() == (
        "oke bootstrap --apiserver-host 10.0.0.5 --ca Q0E= --kubelet-extra-args --node-labels=a=b"
    )
    (node.folder / "install.sh").write_text('echo "install $*"')
    assert node.run("90-plinth-join.sh", boot).stdout.strip() == (
        "install --apiserver-endpoint 10.0.0.5 --kubelet-ca-cert Q0E= --kubelet-extra-args --node-labels=a=b"
    )
