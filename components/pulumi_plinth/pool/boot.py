"""What a node does before it joins: cloud-init's parts as one text. Pure; the shell itself is in node_*.sh."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from importlib.resources import files
from typing import Literal

from pulumi_plinth import naming

METADATA_BYTES = 32_000
"""Most bytes of an instance's metadata, user data included (OCI: LaunchInstanceDetails)."""

FAILED = "/run/plinth/disks-failed"
"""Exists on a node whose drives could not be mounted."""

BOUNDARY = "plinth-node-parts"
"""Fixed, so that the same pool gives the same bytes."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What the scripts must know. `kubelet` are arguments for the kubelet beside OKE's own."""

    mode: Literal["managed", "self"]
    nvme: str
    kubelet: tuple[str, ...] = ()
    own: str | None = None
    """Shell lines of the user's, run before the node joins."""


def scripts(boot: Boot) -> dict[str, str]:
    """Write the scripts by file name; cloud-init runs them in the order of their names."""
    disks = {"DRIVES": naming.NODE_DRIVES, "MODELS": naming.NODE_MODELS, "NVME": boot.nvme, "FAILED": FAILED}
    taint = f"{naming.NO_DISK_TAINT}=true:NoSchedule"
    join = {"MODE": boot.mode, "KUBELET": " ".join(boot.kubelet), "FAILED": FAILED, "FAILED_TAINT": taint}
    found = {"10-plinth-disks.sh": _script("node_disks.sh", disks)}
    if boot.own:
        found["50-plinth-own.sh"] = boot.own if boot.own.startswith("#!") else f"#!/usr/bin/env bash\n{boot.own}\n"
    found["90-plinth-join.sh"] = _script("node_join.sh", join)
    return found


def user_data(boot: Boot) -> str:
    """Put the scripts into one MIME message, base64, as instances take it."""
    message = MIMEMultipart(boundary=BOUNDARY)
    for name, text in scripts(boot).items():
        part = MIMEText(text, "x-shellscript", "us-ascii" if text.isascii() else "utf-8")
        part.add_header("Content-Disposition", "attachment", filename=name)
        message.attach(part)
    return base64.b64encode(message.as_bytes()).decode()


def _script(name: str, values: dict[str, str]) -> str:
    body = (files("pulumi_plinth.pool") / name).read_text(encoding="utf-8")
    settings = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    return f"#!/usr/bin/env bash\n{settings}{body}"
