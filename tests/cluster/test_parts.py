"""Parts of the test cluster and of the provider's stand-in that need no cluster: images, settings, diffs."""

import hashlib
import json
import tarfile

import pytest
from cluster import images, node_files
from cluster.images import Image
from fakes.kubernetes_diff import changes, replacing
from fakes.kubernetes_objects import keep_ignored
from fakes.kubernetes_values import is_unknown, marked, plain
from pulumi.runtime import rpc


def test_an_image_is_one_layer_with_every_folder(tmp_path):
    """The archive names a layer of the right digest, in which each file has the folders above it and its own mode."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    image = Image("plinth.local/x:1", ("/a/b/run",), {"/a/b/run": program}, host_folders=("/usr", "/opt/engine"))
    with tarfile.open(images.write(image, tmp_path / "image.tar")) as archive:
        (manifest,) = json.load(archive.extractfile("manifest.json"))
        config = json.load(archive.extractfile(manifest["Config"]))
        layer = archive.extractfile("layer.tar").read()
    (tmp_path / "layer.tar").write_bytes(layer)
    assert manifest["RepoTags"] == ["plinth.local/x:1"]
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    assert f"{images.HOST_FOLDERS}=/usr:/opt/engine" in config["config"]["Env"]
    with tarfile.open(tmp_path / "layer.tar") as archive:
        modes = {entry.name: entry.mode for entry in archive}
    assert {"a", "a/b", "opt", "opt/engine", "usr", "tmp"} <= modes.keys()
    assert (modes["a/b/run"], modes["tmp"]) == (0o755, 0o1777)


def test_host_folders_come_before_the_pods_volumes(tmp_path):
    """What stands between containerd and runc adds an image's folders, read-only, and nothing to other images."""
    from cluster.run_container import VARIABLE, main

    assert f"{images.HOST_FOLDERS}=" == VARIABLE
    for variables, added in ((["A=1", f"{VARIABLE}/usr:/opt"], ["/usr", "/opt"]), (["A=1"], [])):
        config = {"process": {"env": variables}, "mounts": [{"destination": "/tmp"}]}
        (tmp_path / "config.json").write_text(json.dumps(config))
        main(["create", "--bundle", str(tmp_path), "id"])
        mounts = json.loads((tmp_path / "config.json").read_text())["mounts"]
        assert [mount["destination"] for mount in mounts] == [*added, "/tmp"]
        assert all("ro" in mount["options"] for mount in mounts[:-1])


def test_only_create_goes_through_python():
    """Of runc's calls only the one that makes a container is looked at; all go on to runc."""
    text = node_files.container_runtime("/packages", "/python")
    assert 'case " $* " in *" create "*)' in text
    assert text.endswith('exec "/packages/usr/sbin/runc" "$@"\n')


@pytest.mark.parametrize(
    ("kind", "old", "new", "paths", "replaced"),
    [
        (("v1", "ConfigMap"), {"data": {"a.b": "1"}}, {"data": {"a.b": "2"}}, {'data["a.b"]': "UPDATE"}, True),
        (("v1", "Service"), {"spec": {"ports": [1]}}, {"spec": {"ports": [1, 2]}}, {"spec.ports[1]": "ADD"}, False),
        (("v1", "Service"), {"spec": {"clusterIP": "None"}}, {"spec": {}}, {"spec.clusterIP": "DELETE"}, True),
        (("apps/v1", "StatefulSet"), {"spec": {"replicas": 1}}, {"spec": {}}, {"spec.replicas": "DELETE"}, False),
        (("apps/v1", "StatefulSet"), {"spec": {}}, {"spec": {"serviceName": "s"}}, {"spec.serviceName": "ADD"}, True),
        (("a/v1", "Own"), {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}, {"metadata.name": "UPDATE"}, True),
        (("a/v1", "Own"), {"spec": {"selector": 1}}, {"spec": {"selector": 2}}, {"spec.selector": "UPDATE"}, False),
        (("a/v1", "Own"), {"spec": {"n": 1}}, {"spec": {"n": 1}}, {}, False),
    ],
)
def test_what_a_change_means(kind, old, new, paths, replaced):
    """Each difference has its path as Pulumi writes it; fields that cannot change make a new object necessary."""
    found = changes(old, new)
    assert found == paths
    assert bool(replacing(found, *kind)) is replaced


def test_secrets_and_unknowns_of_properties():
    """What is secret in the inputs is secret at the same place of the outputs; unknown values are seen at any depth."""
    inputs = marked({"data": {"key": "x"}, "n": 1})
    inputs = inputs.with_value({**inputs.value, "data": inputs.value["data"].with_secret(True)})
    made = marked({"data": {"key": "x"}, "n": 1, "status": {}}, inputs)
    assert (made.value["data"].is_secret, made.value["n"].is_secret) == (True, False)
    assert plain(made) == {"data": {"key": "x"}, "n": 1, "status": {}}
    assert not is_unknown(made)
    assert is_unknown(marked({"a": [{"b": rpc.UNKNOWN}]}))


@pytest.mark.parametrize(
    ("owners", "kept"),
    [({"us": True, "hpa": False}, 5), ({"us": True, "hpa": True}, 5), ({"us": False, "hpa": True}, None)],
    ids=["ours", "shared", "theirs"],
)
def test_ignored_fields_belong_to_their_owner(owners, kept):
    """A field that only somebody else applies is not sent; one of ours is sent as it is now, not as it was written."""
    fields = {True: {"f:spec": {"f:replicas": {}}}, False: {"f:spec": {}}}
    rows = [{"manager": name, "fieldsV1": fields[owns]} for name, owns in owners.items()]
    live = {"metadata": {"managedFields": rows}, "spec": {"replicas": 5}}
    made = keep_ignored({"spec": {"replicas": 1, "other": 2}}, live, "us", ["spec.replicas"])
    assert made["spec"].get("replicas") == kept
    assert made["spec"]["other"] == 2
