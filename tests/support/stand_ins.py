"""Stand-ins of Pulumi's provider plugins on PATH, and projects that are previewed against them."""

import shutil
import sys
from pathlib import Path

from fakes.oci_provider import Cloud, put_on_path

ROOT = Path(__file__).resolve().parents[2]


def stand_ins(folder, environment):
    """Put `pulumi-resource-oci` and `pulumi-resource-kubernetes` on PATH of an environment; returns the cloud."""
    put_on_path(folder, environment)
    script = folder / "bin" / "pulumi-resource-kubernetes"
    tests = ROOT / "tests"
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH="{tests}" exec "{sys.executable}" -u "{tests}/fakes/kubernetes_provider.py" "$@"\n'
    )
    script.chmod(0o755)
    return Cloud(folder)


def project(folder, stacks=None):
    """Make a project of the program and the given stack files (all unless given), its state below the folder."""
    shutil.copy(ROOT / "__main__.py", folder)
    settings = (ROOT / "Pulumi.yaml").read_text()
    (folder / "Pulumi.yaml").write_text(settings)
    if stacks is None:
        shutil.copytree(ROOT / "stacks", folder / "stacks")
    else:
        (folder / "stacks").mkdir()
        for name, text in stacks.items():
            (folder / "stacks" / f"Pulumi.{name}.yaml").write_text(text)
    return folder
