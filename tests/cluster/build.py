"""Builds the programs of the test cluster once, into folders that are named by the hash of what they are made from.

`built(KUBE)` is the program or folder where it lies, whether it is there or not; only `build` makes it.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import packages
from cluster.errors import ClusterError
from cluster.toolchain import find_go

TOOLS = Path(__file__).parent / "tools"
HOME = Path(os.environ.get("CLUSTER_TOOLS") or Path(__file__).parents[2] / ".plinth" / "cluster-tools").absolute()
GO_VERSION = (1, 26)
PROGRESS_SECONDS = 15


@dataclass(frozen=True)
class Part:
    """One thing to build: its program's name, the folder of its Go module, and the package that is the program."""

    name: str
    module: str
    package: str = "."

    def sources(self):
        """What it is made from."""
        return sorted(path for path in (TOOLS / self.module).iterdir() if path.is_file())

    def make(self, folder, say):
        """Compile it into a folder."""
        go = find_go(GO_VERSION, HOME, say)
        flags = ["-trimpath", "-buildvcs=false", f"-ldflags={self.linker_flags()}"]
        command = [go, "build", "-v", *flags, "-o", str(folder / self.name), self.package]
        _compile(command, TOOLS / self.module, self.name, say)

    def linker_flags(self):
        """Neither symbols nor debugging tables; Kubernetes must know its version, or no component trusts another."""
        found = re.search(r"k8s.io/kubernetes v(\d+)\.(\d+)\S*", (TOOLS / self.module / "go.mod").read_text())
        if not found:
            return "-s -w"
        version = {"gitVersion": found[0].split()[1], "gitMajor": found[1], "gitMinor": found[2]}
        settings = [f"-X k8s.io/component-base/version.{name}={value}" for name, value in version.items()]
        return " ".join(["-s -w", *settings, "-X k8s.io/component-base/version.gitTreeState=clean"])


@dataclass(frozen=True)
class Packages:
    """The programs of a node that come from Debian, unpacked and not installed."""

    name: str = "debian"

    def sources(self):
        """What decides about the content."""
        return [Path(packages.__file__)]

    def make(self, folder, say):
        """Download and unpack."""
        packages.unpack(folder, say)


KUBE = Part("kube", "kubernetes")
KWOK = Part("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok")
COREDNS = Part("coredns", "coredns")
PAUSE = Part("pause", "pause")
DEBIAN = Packages()
CONTROL = (KUBE,)
FAKE = (KWOK,)
NODE = (DEBIAN, COREDNS, PAUSE)


def built(part):
    """Where a part is: its program, or its folder where it is many."""
    digest = hashlib.sha256()
    for path in part.sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    folder = HOME / f"{part.name}-{digest.hexdigest()[:16]}"
    return folder / part.name if isinstance(part, Part) else folder


def build(part, say):
    """Make a part unless it is there; whoever comes second waits for the first."""
    target = built(part)
    folder = target.parent if isinstance(part, Part) else target
    HOME.mkdir(parents=True, exist_ok=True)
    with _locked(HOME / f"{part.name}.lock"):
        if folder.exists():
            return target
        started, partial = time.monotonic(), folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        say(f"{part.name}: building")
        part.make(partial, say)
        partial.rename(folder)
        say(f"{part.name}: built in {time.monotonic() - started:.0f} s")
    return target


@contextmanager
def _locked(path):
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _compile(command, folder, name, say):
    """Run the compiler, counting packages aloud: a first build takes minutes."""
    environment = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    started = told = time.monotonic()
    words, packages_done, downloads = [], 0, 0
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=pipe, text=True) as compiler:
        for line in compiler.stderr:
            words = [*words[-20:], line]
            downloads += line.startswith("go: downloading")
            packages_done += not line.startswith("go: ")
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"{name}: {downloads} modules, {packages_done} packages, {told - started:.0f} s")
    if compiler.returncode:
        raise ClusterError(f"{name} could not be built:\n{''.join(words)}")
