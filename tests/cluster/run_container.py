"""Stands between containerd and runc, as vendors' runtimes do: adds this machine's folders to images that name them.

    run_container.py ARGUMENTS...    with runc's arguments of `create`; edits the bundle's config.json and ends.

So a pod of a test looks like a pod of production (no hostPath, which restricted admission forbids) although nobody
copies gigabytes of an engine into an image. Standard library only: it runs before every container.
"""

import json
import sys
from pathlib import Path

VARIABLE = "PLINTH_TEST_HOST_FOLDERS="


def main(arguments):
    """Add the folders to the bundle's mounts, before those of the pod, which may lie inside them."""
    bundle = Path(arguments[arguments.index("--bundle") + 1]) / "config.json"
    config = json.loads(bundle.read_text())
    named = [value.removeprefix(VARIABLE) for value in config["process"].get("env", []) if value.startswith(VARIABLE)]
    folders = [folder for value in named for folder in value.split(":")]
    options = ["rbind", "ro", "rprivate"]
    mounts = [{"destination": f, "type": "bind", "source": f, "options": options} for f in folders]
    config["mounts"] = mounts + config["mounts"]
    bundle.write_text(json.dumps(config))


if __name__ == "__main__":
    main(sys.argv[1:])
