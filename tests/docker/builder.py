"""Executes a Dockerfile's steps in overlays over this host's own root, and runs what came out: no daemon needed.

The host stands in for the base image, so what is tested is everything that the file adds to one. Needs root and overlay
mounts. A copy of the context is taken as a builder takes it: without what `.dockerignore` names.
"""

import fnmatch
import os
import shutil
import stat
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from docker.dockerfile import expand, parse

RUN_SECONDS = 500
DEVICES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
CHROOT = shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "chroot"
"""Administrators' programs are not on everybody's PATH."""
PASSED_ON = ("PIP_", "SSL_", "REQUESTS_", "HTTP", "NO_PROXY")
"""How this host reaches package registries: its network, as a builder's host lends it."""


@dataclass(frozen=True)
class Image:
    """Layers, the last one first, and the settings that a container starts with."""

    layers: tuple
    environment: dict = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    entrypoint: tuple = ()
    command: tuple = ()
    volumes: tuple = ()
    labels: dict = field(default_factory=dict)


@dataclass
class Builder:
    """Builds images below a folder; `close` unmounts all."""

    context: Path
    place: Path
    mounts: ExitStack = field(default_factory=ExitStack)
    roots: int = 0
    built: dict = field(default_factory=dict)

    def __post_init__(self):
        """Layers need a file system of their own: on the host's they would lie inside the lowest one."""
        self.place.mkdir()
        self.bind(["mount", "-t", "tmpfs", "none", self.place], self.place)

    def close(self):
        """Unmount."""
        self.mounts.close()

    @contextmanager
    def mounted(self):
        """What is mounted within is unmounted after it: a layer below others must not be in use."""
        outer, self.mounts = self.mounts, ExitStack()
        try:
            yield
        finally:
            self.mounts.close()
            self.mounts = outer

    def base(self):
        """This host as an image: its Python is in front, and other users may reach it."""
        python = Path(getattr(sys, "_base_executable", sys.executable))
        with self.mounted():
            root = self.mount(("/",))
            for parent in python.parents[:-1]:
                inside = root / parent.relative_to("/")
                inside.chmod(inside.stat().st_mode | 0o755)
        search = f"{python.parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Image((str(root.parent / "upper"), "/"), {"PATH": search})

    def mount(self, layers):
        """A root of these layers with a new one on top."""
        self.roots += 1
        parts = {name: self.place / str(self.roots) / name for name in ("upper", "work", "root")}
        for part in parts.values():
            part.mkdir(parents=True)
        options = f"lowerdir={':'.join(layers)},upperdir={parts['upper']},workdir={parts['work']}"
        self.bind(["mount", "-t", "overlay", "overlay", "-o", options, parts["root"]], parts["root"])
        return parts["root"]

    def bind(self, command, place):
        """Mount something now and unmount it at the end."""
        subprocess.run(command, check=True, capture_output=True)
        self.mounts.callback(subprocess.run, ["umount", "--lazy", place], check=False)

    def build(self, file, arguments):
        """Execute the last stage and those it needs. Raises subprocess.CalledProcessError with a step's own words."""
        before, stages = parse(file.read_text())
        given = {name: arguments.get(name, value) for step in before for name, value in step.pairs().items()}
        known = {stage.name: stage for stage in stages if stage.name}
        return self._stage(stages[-1], known, arguments | given)

    def _stage(self, stage, known, given):
        """A stage's image, built once for the same arguments."""
        base = expand(stage.base, given)
        own = {name: given.get(name) for step in stage.steps if step.keyword == "ARG" for name in step.pairs()}
        key = (stage.name, base, *sorted(own.items()))
        if key not in self.built:
            below = self._stage(known[base], known, given) if base in known else self.base()
            with self.mounted():
                root = self.mount(below.layers)
                above = replace(below, layers=(str(root.parent / "upper"), *below.layers))
                self.built[key] = self._steps(stage, root, above, (known, given))
        return self.built[key]

    def _steps(self, stage, root, image, surroundings):
        known, given = surroundings
        values = {}
        for step in stage.steps:
            if step.keyword == "ARG":
                values |= {name: given.get(name, value) for name, value in step.pairs().items()}
            elif step.keyword == "COPY" and "from" in step.flags:
                self.copy(step, self.mount(self._stage(known[step.flags["from"]], known, given).layers), root, image)
            elif step.keyword == "COPY":
                self.copy(replace(step, text=expand(step.text, values)), self.context, root, image)
            elif step.keyword == "RUN":
                self.execute(step.text, root, image, values)
            else:
                image = settings(image, step, image.environment | values)
                (root / image.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return image

    def copy(self, step, origin, root, image):
        """COPY, of the context or of another stage's root."""
        *sources, target = step.words()
        place = root / os.path.join(image.folder, target).lstrip("/")  # noqa: PTH118 an absolute target wins
        ignored = self.ignored() if origin == self.context else None
        for name in sources:
            source = origin / name.strip("/")
            if source.is_dir():
                shutil.copytree(source, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
            else:
                inside = place / source.name if target.endswith("/") or len(sources) > 1 else place
                inside.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, inside)
        if "chown" in step.flags:
            subprocess.run(["chown", "-R", step.flags["chown"], place], check=True)

    def ignored(self):
        """What `shutil.copytree` leaves out: the patterns of `.dockerignore`, by path or by name."""
        patterns = [
            line for line in (self.context / ".dockerignore").read_text().splitlines() if line[:1] not in {"", "#"}
        ]

        def leave_out(folder, names):
            relative = Path(folder).relative_to(self.context)
            paths = {name: (relative / name).as_posix() for name in names}
            return [
                name
                for name, path in paths.items()
                if any(fnmatch.fnmatch(path, p) or (p[:3] == "**/" and fnmatch.fnmatch(name, p[3:])) for p in patterns)
            ]

        return leave_out

    def execute(self, text, root, image, values):
        """RUN, as the user and in the folder of the moment."""
        passed = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        environment = passed | image.environment | {name: value for name, value in values.items() if value is not None}
        command = [CHROOT, f"--userspec={image.user}", root, "/usr/bin/env", "-i", *setting(environment)]
        self.devices(root)
        self.bind(["mount", "-t", "proc", "proc", root / "proc"], root / "proc")
        script = f"cd {image.folder} && {text}"
        subprocess.run(
            [*command, "/bin/sh", "-c", script], check=True, capture_output=True, text=True, timeout=RUN_SECONDS
        )

    def container(self, image, visible=None):
        """A read-only root of an image: only its volumes can be written, and they belong to whom the image says.

        A folder of this host stays visible even where a volume, such as /tmp, would hide it.
        """
        root = self.mount(image.layers)
        for volume in image.volumes:
            inside = root / volume.lstrip("/")
            owner = inside.stat()
            options = f"uid={owner.st_uid},gid={owner.st_gid},mode={owner.st_mode & 0o7777:o}"
            self.bind(["mount", "-t", "tmpfs", "-o", options, "none", inside], inside)
        if visible is not None and not (root / str(visible).lstrip("/")).exists():
            inside = root / str(visible).lstrip("/")
            inside.mkdir(parents=True)
            self.bind(["mount", "--bind", visible, inside], inside)
        self.devices(root)
        self.bind(["mount", "--bind", "-o", "ro", "/sys", root / "sys"], root / "sys")
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        return root

    def devices(self, root):
        """The few devices that a container has, and shared memory of its own."""
        folder = root / "dev"
        self.bind(["mount", "-t", "tmpfs", "-o", "mode=755", "none", folder], folder)
        for name, minor in DEVICES.items():
            os.mknod(folder / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            (folder / name).chmod(0o666)
        (folder / "fd").symlink_to("/proc/self/fd")
        (folder / "shm").mkdir()
        (folder / "shm").chmod(0o1777)


PLAIN = {"USER": "user", "WORKDIR": "folder"}
LISTS = {"ENTRYPOINT": "entrypoint", "CMD": "command", "VOLUME": "volumes"}


def settings(image, step, values):
    """An image after an instruction that changes no file."""
    step = replace(step, text=expand(step.text, values))
    match step.keyword:
        case "ENV":
            change = {"environment": image.environment | step.pairs()}
        case "LABEL":
            change = {"labels": image.labels | step.pairs()}
        case "USER" | "WORKDIR":
            change = {PLAIN[step.keyword]: step.text}
        case "ENTRYPOINT" | "CMD" | "VOLUME":
            change = {LISTS[step.keyword]: tuple(step.words())}
        case _:
            change = {}
    return replace(image, **change)


def setting(environment):
    """NAME=value words for env(1)."""
    return [f"{name}={value}" for name, value in environment.items()]


def run_words(root, image, command=None):
    """What runs a container's command as process 1, in process, mount and network spaces of its own."""
    words = [*image.entrypoint, *(image.command if command is None else command)]
    inside = [CHROOT, f"--userspec={image.user}", root, "/usr/bin/env", "-i", *setting(image.environment)]
    script = 'ip link set lo up && exec "$@"'
    folder = ["/bin/sh", "-c", f'cd {image.folder} && exec "$@"', "sh"]
    spaces = ["unshare", "--pid", "--net", "--mount", "--fork", "--kill-child", f"--mount-proc={root}/proc"]
    return [str(word) for word in [*spaces, "/bin/sh", "-c", script, "sh", *inside, *folder, *words]]
