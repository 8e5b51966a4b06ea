"""Resource plugins found on PATH, spoken to by Pulumi's provider protocol."""

import json

import pytest

from pulumi_plinth import embedded

pytestmark = pytest.mark.processes

THINGS = """
    import pulumi

    class Thing(pulumi.CustomResource):
        serial: pulumi.Output[float]
        token: pulumi.Output[str]
        def __init__(self, name, opts=None, **props):
            super().__init__("thing:index:Thing", name, {"serial": None, "token": None, **props}, opts)

    class Provider(pulumi.ProviderResource):
        def __init__(self, name, opts=None, **props):
            super().__init__("thing", name, props, opts)
"""


def _calls(log, method):
    return [call for name, call in map(json.loads, log.read_text().splitlines()) if name == method]


@pytest.fixture
def things(box, plugin_on_path):
    """A project whose things are made by the plugin."""
    box.write("things.py", THINGS)
    box.log = plugin_on_path
    return box


def test_default_provider_with_version(things):
    """Things of a version use a default provider named after it, configured from the package's configuration."""
    things.program("""
        from things import Thing
        import pulumi
        t = Thing("t", kind="a", opts=pulumi.ResourceOptions(version="1.2.3", additional_secret_outputs=["token"]))
        pulumi.export("serial", t.serial)
        pulumi.export("token", t.token)
    """)
    things.write("Pulumi.dev.yaml", "config:\n  thing:region: here\n")
    preview = things.run("preview")
    assert preview.outputs == {"serial": None, "token": None}
    result = things.up(preview=True)
    assert result.outputs == {"serial": 1, "token": "s3same"}
    assert result.secret_output_names == {"token"}
    provider = things.resource("default_1_2_3")
    assert provider["inputs"] == {"region": "here", "version": "1.2.3"}
    assert _calls(things.log, "Configure")[-1]["variables"] == {"thing:config:region": "here"}
    assert "the thing plugin is configured" in things.messages("info")
    assert not things.up().has_changes
    things.program(
        'from things import Thing\nimport pulumi\nThing("t", kind="b", opts=pulumi.ResourceOptions(version="1.2.3"))'
    )
    assert things.up().changes == {"same": 1, "replace": 1}
    assert [e.keys for e in things.events if isinstance(e, embedded.StepFinished) and e.op == "replace"] == [("kind",)]


def test_secrets_go_to_a_plugin_that_knows_them(things, monkeypatch):
    """A plugin that accepts secrets gets them marked."""
    things.program('from things import Thing\nimport pulumi\nThing("t", kind=pulumi.Output.secret("hush-hush"))')
    things.up()
    (create,) = _calls(things.log, "Create")
    assert create["properties"]["kind"]["value"] == "hush-hush"
    assert "hush-hush" not in things.checkpoint.read_text()


def test_explicit_provider_and_its_replacement(things):
    """Resources follow their provider: a replaced one replaces them, and old ones are deleted through the old one."""
    program = """
        from things import Provider, Thing
        import pulumi
        p = Provider("p", region="REGION")
        Thing("t", kind="a", opts=pulumi.ResourceOptions(provider=p))
    """
    things.program(program.replace("REGION", "east"))
    things.up()
    assert things.resource("t")["provider"].startswith(things.resource("p")["urn"] + "::")
    things.program(program.replace("REGION", "west"))
    assert things.up().changes == {"same": 1, "replace": 2}
    assert [r["inputs"]["region"] for r in things.latest["resources"] if r["type"].startswith("pulumi:prov")] == [
        "west"
    ]
    assert things.run("destroy").changes == {"delete": 3}


def test_unknown_provider_configuration_in_a_preview(things):
    """A provider whose configuration comes from a resource not made yet is not asked anything in a preview."""
    things.program("""
        from boxes import Box
        from things import Provider, Thing
        import pulumi
        b = Box("b", "text")
        p = Provider("p", region=b.size.apply(str))
        Thing("t", kind="a", opts=pulumi.ResourceOptions(provider=p))
    """)
    assert things.run("preview").changes == {"create": 4}
    assert things.up(preview=True).changes == {"create": 4}
    assert things.resource("p")["inputs"] == {"region": "4"}


def test_functions(things):
    """A function call reaches the plugin and its answer the program."""
    things.program("""
        import pulumi
        answer = pulumi.runtime.invoke("thing:index:echo", {"n": 3, "s": "x"})
        pulumi.export("answer", answer.value["n"])
    """)
    assert things.up().outputs == {"answer": 3}


def test_half_made_resources_are_kept(things):
    """A resource that exists but did not become healthy is in the state, and the next up updates it."""
    things.program('from things import Thing\nThing("t", kind="a", fault="half")')
    with pytest.raises(embedded.DeploymentFailed, match="still pending"):
        things.up()
    made = things.resource("t")
    assert (made["id"], made["initErrors"]) == ("thing-half", ["still pending"])
    things.program('from things import Thing\nThing("t", kind="a")')
    assert things.up().changes == {"same": 1, "update": 1}
    assert "initErrors" not in things.resource("t")


def test_a_missing_plugin_refuses_before_anything_is_made(things, monkeypatch):
    """Where the plugin is gone, up and destroy say what to install, and nothing is made or deleted."""
    things.program('from things import Thing\nThing("t", kind="a")')
    things.up()
    before = things.checkpoint.read_bytes()
    monkeypatch.setenv("PATH", "/nonexistent")
    things.program('from boxes import Box\nBox("b", "1")')
    for kind in ("up", "destroy", "refresh"):
        with pytest.raises(embedded.PluginMissing, match="pulumi plugin install resource thing"):
            things.run(kind)
    assert things.checkpoint.read_bytes() == before
    assert things.files() == {}


def test_a_plugin_that_does_not_start(box, tmp_path, monkeypatch):
    """A plugin that prints no port ends the run with its name, and its own words as events."""
    script = tmp_path / "bin/pulumi-resource-thing"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho broken >&2\nexit 4\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    box.write("things.py", THINGS)
    box.program('from things import Thing\nThing("t", kind="a")')
    with pytest.raises(embedded.DeploymentFailed, match="pulumi-resource-thing printed no port"):
        box.up()
    assert "broken" in box.messages("info")
