"""The real SDK against the engine: programs in, files and state out."""

import json

import pytest

from pulumi_plinth import embedded
from pulumi_plinth.embedded.crypto import PassphraseCrypter

pytestmark = pytest.mark.processes

TWO = """
    import pulumi
    from boxes import Box
    c = pulumi.Config()
    a = Box("a", c.require("a"))
    b = Box("b", pulumi.Output.concat("a has ", a.size.apply(int).apply(str)))
    pulumi.export("size", b.size)
"""


@pytest.fixture
def crypter(box):
    """A crypter for the stack file of `box`."""
    return PassphraseCrypter("correct horse")


def test_the_recorded_demo_end_to_end(box, traces, crypter):
    """The program of the recordings: preview with unknown outputs, up, nothing to do, replace, refresh, destroy."""
    box.write("demo.py", (traces / "demo.py.txt").read_text())
    box.program((traces / "program.py.txt").read_text())
    (box.root / "out").mkdir()
    values = {"a": "out/a", "b": "out/b", "solo": "out/s", "shape": {"gpus": 8}, "encryptionsalt": crypter.salt}
    values["content"] = {"secure": crypter.encrypt("tr0ub4dor-and-3")}
    box.write(
        "Pulumi.yaml",
        "name: box\nruntime:\n  name: python\n  options: {virtualenv: .venv}\nbackend: {url: 'file://.'}\n",
    )
    box.config(**values)
    preview = box.run("preview")
    assert preview.changes == {"create": 5}
    assert preview.has_changes
    assert preview.outputs == {"first": "out/a", "secret": "tr0ub4dor-and-3", "solo": None}
    assert not box.checkpoint.exists()
    assert not list((box.root / "out").iterdir())
    result = box.up(preview=True)
    assert (result.outputs["solo"], result.secret_output_names) == (4, {"secret"})
    before = box.checkpoint.read_bytes()
    again = box.up()
    assert (again.changes, again.has_changes) == ({"same": 5}, False)
    assert box.checkpoint.read_bytes() == before
    box.config(**values | {"a": "out/a2"})
    assert box.up().changes == {"same": 3, "update": 1, "replace": 1}
    assert sorted(box.files()) == ["a2", "b", "s"]
    (box.root / "out/s").unlink()
    assert box.run("refresh").changes == {"same": 2, "delete": 1}
    assert box.up().changes == {"same": 4, "create": 1}
    box.config(**values | {"a": "out/a2", "protect": "true"})
    box.up()
    with pytest.raises(embedded.DeploymentFailed, match=r"solo[\s\S]*protected"):
        box.run("destroy")
    assert sorted(box.files()) == ["s"]
    box.config(**values)
    box.up()
    assert box.run("destroy").changes == {"delete": 5}
    assert box.files() == {}
    assert "resources" not in box.latest
    everything = b"".join(p.read_bytes() for p in (box.root / ".pulumi").rglob("*") if p.is_file())
    assert b"tr0ub4dor-and-3" not in everything


def test_failing_create_then_continue(box):
    """A failed create names the resource and the reason, keeps what was made, and the next up goes on."""
    box.program(TWO)
    box.config(a="fail")
    with pytest.raises(embedded.DeploymentFailed) as raised:
        box.up()
    (failure,) = raised.value.failures
    assert failure.urn.endswith("::a")
    assert failure.message == "RuntimeError: the shelf is full"
    assert not any("Traceback" in message for message in box.messages("error"))
    assert "pending_operations" not in box.latest
    box.config(a="fine")
    assert box.up().changes == {"same": 1, "create": 2}
    assert box.files() == {"a": "fine", "b": "a has 4"}


def test_program_errors_are_told_with_the_programs_lines(box):
    """A program that raises ends the run with its own traceback as a diagnostic and a short failure."""
    box.program("import pulumi\nprint('hello there')\nraise LookupError('no such thing')\n")
    with pytest.raises(embedded.DeploymentFailed, match="the program failed: LookupError: no such thing"):
        box.up()
    assert any("__main__.py" in message for message in box.messages("error"))
    assert "hello there" in box.messages("info")


def test_failed_checks_name_the_property(box):
    """A provider's Check failures name property and reason."""
    box.program(
        'from boxes import Box\nimport pulumi\nBox("x", "text", path=pulumi.Output.from_input("").apply(str))\n'
    )
    with pytest.raises(embedded.DeploymentFailed, match="path: must not be empty"):
        box.up()


def test_removed_resources_go_dependents_first(box):
    """What the program no longer asks for is deleted, in reverse order of dependency, and nothing else."""
    box.program("""
        from boxes import Box
        import pulumi
        a = Box("a", "1")
        b = Box("b", "2", opts=pulumi.ResourceOptions(depends_on=[a]))
        Box("c", "3", opts=pulumi.ResourceOptions(depends_on=[b]))
    """)
    box.up()
    assert box.resource("c")["dependencies"] == [box.resource("b")["urn"]]
    box.program('from boxes import Box\nBox("d", "4")\n')
    assert box.up().changes == {"create": 1, "delete": 3, "same": 1}
    assert box.steps("delete") == ["c", "b", "a"]
    assert box.files() == {"d": "4"}


def test_options_of_resources(box):
    """Options retainOnDelete and deletedWith delete nothing outside, protect refuses replacement, timeouts are kept."""
    program = """
        from boxes import Box
        import pulumi
        o = pulumi.ResourceOptions
        a = Box("kept", "1", opts=o(retain_on_delete=True))
        b = Box("host", "2", opts=o(custom_timeouts=pulumi.CustomTimeouts(create="10m")))
        Box("guest", "3", opts=o(deleted_with=b))
        Box("safe", "4", path=PATH, opts=o(protect=True))
        Box("told", "5", opts=o(additional_secret_outputs=["size"]))
    """
    box.program(program.replace("PATH", "'p'"))
    box.up()
    assert box.resource("host")["customTimeouts"] == {"create": 600.0}
    assert "ciphertext" in box.resource("told")["outputs"]["size"]
    box.program(program.replace("PATH", "'q'"))
    with pytest.raises(embedded.DeploymentFailed, match="is protected and cannot be replaced"):
        box.up()
    box.program(program.replace("PATH", "'p'").replace("protect=True", "protect=False"))
    box.up()
    box.run("destroy")
    assert sorted(box.files()) == ["guest", "kept"]


def test_protected_removal_is_refused_by_the_preview(box):
    """A protected resource that left the program stops the run before anything is made."""
    box.program('from boxes import Box\nimport pulumi\nBox("p", "1", opts=pulumi.ResourceOptions(protect=True))\n')
    box.up()
    box.program('from boxes import Box\nBox("n", "1")\n')
    with pytest.raises(embedded.DeploymentFailed, match="is protected and cannot be deleted"):
        box.up(preview=True)
    assert sorted(box.files()) == ["p"]


def test_aliases_keep_resources(box):
    """Renames with aliases, of a component and its children too, change nothing outside."""
    program = """
        from boxes import Box
        import pulumi
        class Shelf(pulumi.ComponentResource):
            def __init__(self, name, opts=None):
                super().__init__("box:index:Shelf", name, None, opts)
                Box(f"{name}-in", "1", path="in", opts=pulumi.ResourceOptions(parent=self))
        Shelf("NEW", pulumi.ResourceOptions(aliases=ALIAS))
        one = Box("N1", "2", path="one", opts=pulumi.ResourceOptions(aliases=ALIAS1))
        Box("last", "3", opts=pulumi.ResourceOptions(depends_on=[one]))
    """
    old = program.replace("ALIAS1", "[]").replace("ALIAS", "[]")
    box.program(old.replace("NEW", "old").replace("N1", "o1"))
    box.up()
    renamed = program.replace("ALIAS1", '[pulumi.Alias(name="o1")]').replace("ALIAS", '[pulumi.Alias(name="old")]')
    box.program(renamed)
    result = box.up()
    assert result.changes == {"same": 5}
    urns = [r["urn"] for r in box.latest["resources"]]
    assert not any(urn.endswith(("::old", "::old-in", "::o1")) for urn in urns)
    assert box.resource("last")["dependencies"] == [box.resource("N1")["urn"]]
    assert sorted(box.files()) == ["in", "last", "one"]
    assert box.run("destroy").changes == {"delete": 5}


def test_delete_before_replace_takes_dependents_along(box):
    """A resource that is deleted first takes those with it whose replaced inputs come from it."""
    program = """
        from boxes import Box
        import pulumi
        a = Box("a", "1", path=PATH, opts=pulumi.ResourceOptions(delete_before_replace=True))
        Box("b", "2", path=a.path.apply(lambda p: f"beside-{p}"))
        Box("c", a.path)
    """
    box.program(program.replace("PATH", "'x'"))
    box.up()
    box.program(program.replace("PATH", "'y'"))
    result = box.up()
    assert result.changes == {"same": 1, "replace": 2, "update": 1}
    steps = box.steps()
    assert steps[1:4] == [("delete-replaced", "b"), ("delete-replaced", "a"), ("replace", "a")]
    assert sorted(steps[4:]) == [("replace", "b"), ("update", "c")]
    assert box.files() == {"y": "1", "beside-y": "2", "c": "y"}


def test_a_sticky_delete_keeps_the_state_and_ends(box):
    """A failing delete keeps that resource in the state, and what it needs."""
    box.program('from boxes import Box\nBox("s", "sticky")\nBox("t", "loose")\n')
    box.up()
    with pytest.raises(embedded.DeploymentFailed, match="it sticks"):
        box.run("destroy")
    assert {r["urn"].rpartition("::")[2] for r in box.latest["resources"]} == {"box-dev", "default", "s"}


def test_a_dead_plugin_leaves_a_pending_operation(box):
    """When the plugin dies in a create, the operation stays pending; the next run says so and goes on."""
    box.program(TWO)
    box.config(a="die")
    with pytest.raises(embedded.DeploymentFailed, match=r"ended during the call \(exit 9\)"):
        box.up()
    assert [o["type"] for o in box.latest["pending_operations"]] == ["creating"]
    box.config(a="fine")
    box.up()
    assert any("interrupted while creating" in message for message in box.messages("warning"))
    assert "pending_operations" not in box.latest


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ('pulumi.StackReference("organization/other/dev")', "organization/other/dev does not exist in .*; deploy it"),
        ('pulumi.StackReference("acme/other/dev")', "'acme/other/dev' names no stack; write organization/"),
        ('pulumi.CustomResource("absent:b:C", "x", {}, pulumi.ResourceOptions(id="7"))', "pulumi-resource-absent"),
        ('Box("x", "1", opts=pulumi.ResourceOptions(transforms=[lambda a: None]))', "option 'transforms'"),
        (
            (
                'h = pulumi.ResourceHook("h", lambda a: None)\n'
                'Box("x", "1", opts=pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_create=[h])))'
            ),
            "resource hook",
        ),
        ('pulumi.ComponentResource("a:b:C", "x", {}, None, remote=True)', "remote component"),
        ('Box("x", pulumi.StringAsset("text"))', "asset"),
        ('pulumi.export("x", pulumi.runtime.invoke("absent:index:f", {}).value)', "pulumi-resource-absent is not on"),
        ('pulumi.CustomResource("absent:index:X", "x", {})', "pulumi-resource-absent is not on PATH"),
    ],
)
def test_refused_by_name(box, program, named):
    """What only the Pulumi CLI does is refused with its name, before anything is made."""
    box.program(f'import pulumi\nfrom boxes import Box\nBox("first", "1")\n{program}\n')
    with pytest.raises(embedded.DeploymentFailed, match=named):
        box.up(preview=True)
    assert not box.checkpoint.exists()
    assert box.files() == {}
    assert not any("Traceback" in message for message in box.messages("error") + box.messages("info"))
    assert not any("grpc" in message or "chttp2" in message for message in box.messages("info"))


def test_duplicate_names_are_refused(box):
    """Two resources of one type and name are told apart by nobody."""
    box.program('from boxes import Box\nBox("x", "1")\nBox("x", "2", path="y")\n')
    with pytest.raises(embedded.DeploymentFailed, match="give each its own name"):
        box.up()


def test_secrets_stay_out_of_sight(box, crypter):
    """Secret configuration, nested too, reaches program and provider, and no file or event shows it."""
    box.program("""
        from boxes import Box
        import pulumi
        c = pulumi.Config()
        deep = c.require_secret_object("deep").apply(lambda d: d["list"][0]["key"])
        pulumi.log.info("the key is " + c.require("key"))
        print("printed", c.require("key"))
        Box("x", pulumi.Output.concat(c.require_secret("key"), deep))
        pulumi.export("deep", deep)
    """)
    secure = {"secure": crypter.encrypt("nested-s3cret")}
    key = {"secure": crypter.encrypt("tr0ub4dor-and-3")}
    box.config(key=key, deep={"list": [{"key": secure}], "plain": 1}, encryptionsalt=crypter.salt)
    result = box.up(preview=True)
    assert result.outputs == {"deep": "nested-s3cret"}
    assert box.files() == {"x": "tr0ub4dor-and-3nested-s3cret"}
    (box.root / "out/x").unlink()
    seen = repr(box.events) + "".join(p.read_text() for p in box.root.rglob(".pulumi/**/*") if p.is_file())
    assert "tr0ub4dor" not in seen
    assert "nested-s3cret" not in seen
    assert "the key is [secret]" in seen
    assert embedded.outputs(box.project, "dev") == {"deep": "[secret]"}
    shown = embedded.Options(passphrase="correct horse")
    assert embedded.outputs(box.project, "dev", show_secrets=True, options=shown) == {"deep": "nested-s3cret"}
    exported = embedded.export(box.project, "dev")
    assert exported["version"] == 3
    assert exported["deployment"]["resources"][0]["type"] == "pulumi:pulumi:Stack"


def test_wrong_passphrase(box, monkeypatch):
    """Another passphrase is refused before the program runs, and so is none."""
    box.program('from boxes import Box\nBox("x", "1")\n')
    box.up()
    with pytest.raises(embedded.PassphraseError, match="PULUMI_CONFIG_PASSPHRASE"):
        box.up(passphrase="wrong")
    with pytest.raises(embedded.PassphraseError, match="set PULUMI_CONFIG_PASSPHRASE"):
        box.up(passphrase=None)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(box.write("secret.txt", "correct horse\n")))
    assert not box.up(passphrase=None).has_changes


def test_progress_of_providers_arrives_while_they_work(box):
    """A line that a provider prints is an event before its step ends."""
    box.program('from boxes import Box\nBox("x", "1")\n')
    box.up()
    kinds = [getattr(e, "message", None) or f"{type(e).__name__} {e.name}" for e in box.events]
    assert kinds.index("StepStarted x") < kinds.index("making x") < kinds.index("StepFinished x")


@pytest.mark.parametrize("debug", [False, True])
def test_debugging_messages_come_on_request_only(box, debug):
    """What the SDK says for its own debugging is an event if asked for; what the program says always is."""
    box.program('import pulumi\nfrom boxes import Box\npulumi.log.info("told", resource=Box("x", "1"))\n')
    box.run("preview", debug=debug)
    assert box.messages("info") == ["told"]
    assert any("registering resource" in line for line in box.messages("debug")) is debug
    assert bool(box.messages("debug")) is debug


def test_update_history_is_kept_as_pulumi_does(box):
    """Each update leaves a history entry with its checkpoint, and a backup when the state changed."""
    box.program('from boxes import Box\nBox("x", "1")\n')
    box.config(plain="text")
    box.up()
    box.up()
    entries = sorted((box.root / ".pulumi/history/box/dev").glob("*.history.json"))
    first = json.loads(entries[0].read_text())
    assert (first["kind"], first["result"], first["config"]) == ("update", "succeeded", {"box:plain": "text"})
    assert first["resourceChanges"] == {"create": 2}
    assert len(entries) == 2
    assert len(list((box.root / ".pulumi/backups/box/dev").glob("*.json"))) == 1
    assert all(path.with_name(path.name + ".attrs").exists() for path in entries)


def test_many_resources_at_once(box):
    """Sixty independent resources are made in parallel, each once, and a dependent of all of them last."""
    box.program("""
        from boxes import Box
        import pulumi
        many = [Box(f"n{i}", "x") for i in range(60)]
        Box("last", pulumi.Output.all(*[m.size for m in many]).apply(lambda s: str(int(sum(s)))))
    """)
    assert box.up(parallel=4).changes == {"create": 62}
    assert box.files()["last"] == "60"
    before = box.checkpoint.read_bytes()
    assert not box.up().has_changes
    assert box.checkpoint.read_bytes() == before
    assert box.run("destroy").changes == {"delete": 62}


def test_a_failed_run_counts_what_it_did(box):
    """The error of a failed run carries what was done before it."""
    box.program('from boxes import Box\nimport pulumi\na = Box("a", "1")\nBox("b", a.size.apply(lambda _: "fail"))\n')
    with pytest.raises(embedded.DeploymentFailed) as raised:
        box.up()
    assert raised.value.result.changes == {"create": 2}


def test_destroy_forgets_what_it_reported(box):
    """A create that was interrupted is reported by destroy and then forgotten: the state ends empty."""
    box.program('from boxes import Box\nBox("a", "die")\n')
    with pytest.raises(embedded.DeploymentFailed):
        box.up()
    box.run("destroy")
    assert any("interrupted while creating" in message for message in box.messages("warning"))
    assert not {"resources", "pending_operations"} & box.latest.keys()


def test_state_under_another_salt(box, crypter):
    """A stack file with a salt of its own takes the state over: it is read with the old and written with the new."""
    box.program('from boxes import Box\nimport pulumi\nBox("a", pulumi.Output.secret("s3cr3t"))\n')
    box.up()
    old = box.latest["secrets_providers"]["state"]["salt"]
    box.config(encryptionsalt=crypter.salt, new="value")
    assert box.up().changes == {"same": 2}
    assert box.latest["secrets_providers"]["state"]["salt"] == crypter.salt != old
    shown = embedded.Options(passphrase="correct horse")
    assert embedded.outputs(box.project, "dev", show_secrets=True, options=shown) == {}
    assert not box.up().has_changes


def test_refresh_with_dependents(box):
    """A vanished resource leaves no reference behind; the next up makes it again and keeps its dependents."""
    box.program(TWO)
    box.config(a="text")
    box.up()
    (box.root / "out/a").unlink()
    (box.root / "out/b").write_text("edited")
    result = box.run("refresh")
    assert (result.changes, result.outputs) == ({"delete": 1, "update": 1}, {"size": 7})
    assert "dependencies" not in box.resource("b")
    assert box.resource("b")["outputs"]["content"] == "edited"
    assert box.up().changes == {"same": 1, "create": 1, "update": 1}
    assert box.files() == {"a": "text", "b": "a has 4"}
