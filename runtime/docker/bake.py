"""Makes an image that carries a model servable: checks the weights and writes the launch file. Run while it is built.

`python bake.py WEIGHTS TARGET`; the rest comes from its environment: the build arguments of `runtime/Dockerfile`.
"""  # noqa: INP001 a script

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from plinth_runtime.contract.launch import LaunchConfig
from plinth_runtime.contract.manifest import MANIFEST_NAME
from plinth_runtime.errors import RuntimeFault
from plinth_runtime.weights.inspect import FolderFacts, check_folder, make_manifest, write_manifest

GIB = 1 << 30
API_PORT, MANAGEMENT_PORT = 5000, 9000
MODEL_TYPE = re.compile(r"(?P<name>[a-z0-9][a-z0-9.-]*)-(?P<kind>completion|chat)")
BATCH = 32
"""Prompts that one `/generate` may carry, so as many are computed at once."""


class BakeError(Exception):
    """A build argument cannot be used; the message says which and what to write."""


def check_weights(folder: Path) -> tuple[str, FolderFacts]:
    """Check the folder against its manifest, or write one; return its digest and what was found."""
    if not (folder / MANIFEST_NAME).is_file():
        write_manifest(folder, make_manifest(folder, "baked into an image"))
    facts = check_folder(folder)
    return file_digest(folder / MANIFEST_NAME), facts


def file_digest(path: Path) -> str:
    """Give the sha256 of a small file."""
    from hashlib import sha256

    return sha256(path.read_bytes()).hexdigest()


def launch_of(arguments: Mapping[str, str], folder: Path, digest: str, longest: int) -> LaunchConfig:
    """Give the launch file: open to who reaches the port, as the llama-2 services were. Raises BakeError."""
    kind = MODEL_TYPE.fullmatch(arguments["MODEL_TYPE"])
    if kind is None:
        wanted = "write NAME-completion, which also answers /generate, or NAME-chat"
        raise BakeError(f"MODEL_TYPE is {arguments['MODEL_TYPE']!r}; {wanted}")
    name = kind["name"].replace(".", "-")
    return LaunchConfig.model_validate(
        {
            "deployment": name,
            "model": {
                "servedName": arguments["MODEL_TYPE"],
                "folder": str(folder),
                "manifestDigest": digest,
                "maxModelLen": min(number(arguments, "MAX_MODEL_LEN"), longest),
            },
            "engine": {
                "python": arguments["ENGINE_PYTHON"],
                "device": arguments["ENGINE_DEVICE"],
                "kvCacheBytes": number(arguments, "KV_CACHE_GIB") * GIB,
                "maxNumSeqs": BATCH,
            },
            "api": {"host": "0.0.0.0", "port": API_PORT, "generate": kind["kind"] == "completion"},  # noqa: S104 a pod
            "management": {"host": "0.0.0.0", "port": MANAGEMENT_PORT},  # noqa: S104 a pod's, for the kubelet
        }
    )


def number(arguments: Mapping[str, str], name: str) -> int:
    """Read a whole number above zero. Raises BakeError."""
    if not arguments[name].isdecimal() or not int(arguments[name]):
        raise BakeError(f"{name} is {arguments[name]!r}; write a whole number above zero")
    return int(arguments[name])


def main(words: list[str]) -> None:
    """Check, write, and say what was made; end with one line where something is wrong."""
    folder, target = map(Path, words)
    try:
        digest, facts = check_weights(folder)
        launch = launch_of(os.environ, folder, digest, facts.card.max_context)
    except (RuntimeFault, BakeError, ValueError) as fault:
        sys.exit(f"WEIGHTS_PATH: {fault}" if isinstance(fault, RuntimeFault) else str(fault))
    (target / "launch.json").write_text(launch.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (target / "version.txt").write_text(os.environ["VERSION"] + "\n", encoding="utf-8")
    print(f"{launch.model.served_name}: {facts.card.architecture}, {facts.message}; launch {launch.digest()}")


if __name__ == "__main__":
    main(sys.argv[1:])
