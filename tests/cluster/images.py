"""Container images as archives that `ctr images import` takes: one layer, made here, without a daemon or a registry."""

import hashlib
import io
import json
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SEARCH = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
FOLDERS = ("/tmp", "/etc", "/proc", "/sys", "/dev", "/run")
HOST_FOLDERS = "PLINTH_TEST_HOST_FOLDERS"
"""A variable of an image that names folders of this machine: containers find them as if they were in the image."""


@dataclass(frozen=True)
class Image:
    """What an image holds. `files` maps a path in the image to one here, `links` to where a link leads.

    `host_folders` are this machine's, mounted read-only by `run_container.py` at the same path in each container.
    """

    name: str
    entrypoint: tuple = ()
    files: dict = field(default_factory=dict)
    links: dict = field(default_factory=dict)
    folders: tuple = ()
    environment: dict = field(default_factory=dict)
    host_folders: tuple = ()
    user: str = ""


def write(image, target):
    """Write an image's archive."""
    layer = _layer(image)
    variables = (
        SEARCH | image.environment | ({HOST_FOLDERS: ":".join(image.host_folders)} if image.host_folders else {})
    )
    settings = {
        "Entrypoint": list(image.entrypoint) or None,
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "WorkingDir": "/",
        "User": image.user,
    }
    roots = {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": settings, "rootfs": roots}).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [image.name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as archive:
        for path, content in ((name, config), ("layer.tar", layer), ("manifest.json", manifest)):
            _add(archive, path, content, mode=0o644)
    return target


def _layer(image):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for folder in _folders(image):
            _add(archive, folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder == "/tmp" else 0o755)
        for path, source in sorted(image.files.items()):
            _add(archive, path, Path(source).read_bytes(), mode=stat.S_IMODE(Path(source).stat().st_mode))
        for path, goal in sorted(image.links.items()):
            _add(archive, path, kind=tarfile.SYMTYPE, link=goal)
    return raw.getvalue()


def _folders(image):
    """Every folder, those above before those in them."""
    paths = [*(PurePosixPath(path).parent for path in [*image.files, *image.links]), *map(PurePosixPath, FOLDERS)]
    paths += map(PurePosixPath, (*image.folders, *image.host_folders))
    return sorted({str(part) for path in paths for part in (path, *path.parents) if str(part) != "/"})


def _add(archive, name, content=b"", *, mode=0o755, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name.lstrip("/"))
    entry.mode, entry.type, entry.linkname, entry.size = mode, kind, link, len(content)
    archive.addfile(entry, io.BytesIO(content))
