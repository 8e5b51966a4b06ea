"""The programs of a real node that come from Debian packages: downloaded by apt-get, unpacked by dpkg, not installed.

apt-get works in folders of our own, so that neither the machine's package lists nor its packages change.
"""

import shutil
import subprocess

from cluster.errors import MissingError

PROGRAMS = ("containerd", "runc", "containernetworking-plugins", "busybox-static", "nftables")
LIBRARIES = ("edit2", "bsd0", "jansson4", "md0", "mnl0", "nftables1", "nftnl11", "seccomp2", "xtables12")
NAMES = (*PROGRAMS, *(f"lib{name}" for name in LIBRARIES))
"""The programs, and the libraries that they need where the machine has fewer than Debian."""
DOWNLOAD_SECONDS = 600


def unpack(folder, say):
    """Unpack the packages into a folder."""
    if not shutil.which("apt-get"):
        raise MissingError("real nodes are made of Debian packages, and this machine has no apt-get")
    state, archives = folder / "apt", folder / "apt" / "archives"
    for needed in (state / "lists" / "partial", archives / "partial"):
        needed.mkdir(parents=True)
    own = [f"-oDir::State::lists={state / 'lists'}", f"-oDir::Cache={state}", "-oAPT::Sandbox::User=root"]
    say("debian: reading the package lists")
    _run(["apt-get", *own, "-qq", "update"], archives)
    say(f"debian: downloading {len(NAMES)} packages")
    _run(["apt-get", *own, "-qq", "download", *NAMES], archives)
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg", "-x", archive, folder], archives)
    shutil.rmtree(state)


def _run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=DOWNLOAD_SECONDS)
    if done.returncode:
        raise MissingError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
