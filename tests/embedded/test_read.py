"""Resources that others own: outputs of other stacks, reading by id, and taking over what exists."""

import json

import pytest

from pulumi_plinth import embedded
from pulumi_plinth.embedded.crypto import PassphraseCrypter

pytestmark = pytest.mark.processes

INFRA = """
    import pulumi
    pulumi.export("cluster", "ocid1.cluster.oc1..aaaa")
    pulumi.export("subnets", ["one", "two"])
    pulumi.export("token", pulumi.Output.secret("tr0ub4dor-and-3"))
"""
APPS = """
    import pulumi
    from boxes import Box
    infra = pulumi.StackReference("organization/infra/prod")
    Box("a", infra.require_output("cluster"))
    Box("b", infra.require_output("token"))
    pulumi.export("first", infra.get_output("subnets").apply(lambda subnets: subnets[0]))
"""
THINGS = """
    import pulumi
    class Thing(pulumi.CustomResource):
        serial: pulumi.Output[int]
        def __init__(self, name, kind=None, opts=None):
            super().__init__("thing:index:Thing", name, {"kind": kind, "serial": None}, opts)
"""


@pytest.fixture
def infra(box, tmp_path_factory):
    """Another project in the same backend as `box`, deployed."""
    other = type(box)(tmp_path_factory.mktemp("infra"))
    other.write("Pulumi.yaml", f"name: infra\nruntime: python\nbackend:\n  url: file://{box.root}\n")
    other.write("Pulumi.prod.yaml", json.dumps({"encryptionsalt": PassphraseCrypter("correct horse").salt}))
    other.program(INFRA)

    def up(text=INFRA):
        other.program(text)
        options = embedded.Options(passphrase="correct horse", preview=False)
        return embedded.up(other.project, "prod", options=options)

    up()
    return up


def test_outputs_of_another_stack(box, infra):
    """They arrive in preview and up, secrets stay secret in the state, and a changed one changes what uses it."""
    box.config(encryptionsalt=PassphraseCrypter("correct horse").salt)
    box.program(APPS)
    assert box.run("preview").outputs == {"first": "one"}
    assert box.up().changes == {"create": 3}
    assert box.files() == {"a": "ocid1.cluster.oc1..aaaa", "b": "tr0ub4dor-and-3"}
    assert "tr0ub4dor-and-3" not in box.checkpoint.read_text()
    reference = box.resource("organization/infra/prod")
    assert (reference["external"], reference["id"]) == (True, "organization/infra/prod")
    assert reference["outputs"]["secretOutputNames"] == ["token"]
    before = box.checkpoint.read_bytes()
    assert box.up().changes == {"same": 3}
    assert box.steps("read") == ["organization/infra/prod"]
    assert box.checkpoint.read_bytes() == before
    infra(INFRA.replace("aaaa", "bbbb"))
    assert box.up().changes == {"same": 2, "update": 1}
    assert box.files()["a"] == "ocid1.cluster.oc1..bbbb"


def test_destroy_forgets_a_reference(box, infra):
    """The other stack is not touched."""
    box.config(encryptionsalt=PassphraseCrypter("correct horse").salt)
    box.program(APPS)
    box.up()
    box.run("destroy")
    assert "resources" not in box.latest
    other = json.loads((box.root / ".pulumi/stacks/infra/prod.json").read_text())
    assert other["checkpoint"]["latest"]["resources"]


def test_a_reference_needs_the_same_passphrase(box, infra):
    """A passphrase that does not open the other stack's secrets is named as what is wrong."""
    box.program("import pulumi\npulumi.StackReference('infra/prod')\n")
    with pytest.raises(embedded.DeploymentFailed, match="passphrase"):
        box.up(passphrase="another")


@pytest.mark.parametrize("remade", [False, True])
def test_get_reads_and_never_owns(box, plugin_on_path, remade):
    """A resource read by id gives its outputs; a destroy forgets it; one that was ours before is deleted."""
    box.write("things.py", THINGS)
    if remade:
        box.program("from things import Thing\nThing('x', 'narrow')\n")
        box.up()
    box.program("""
        import pulumi
        from things import Thing
        x = Thing("x", opts=pulumi.ResourceOptions(id="thing-outside"))
        pulumi.export("serial", x.serial)
    """)
    result = box.up()
    assert result.outputs["serial"] == 77
    assert box.steps("delete-replaced") == (["x"] if remade else [])
    assert box.resource("x")["external"]
    box.run("destroy")
    deleted = [json.loads(line)[1]["id"] for line in plugin_on_path.read_text().splitlines() if '"Delete"' in line]
    assert deleted == (["thing-1"] if remade else [])


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("id='thing-0'", "no resource of this type has the id 'thing-0'"),
        ("import_='thing-0'", "nothing of this type with the id 'thing-0' exists to import"),
    ],
)
def test_what_is_not_there(box, plugin_on_path, option, problem):
    """An id that nothing has is an error with that id, read or imported."""
    box.write("things.py", THINGS)
    box.program(f"import pulumi\nfrom things import Thing\nThing('x', opts=pulumi.ResourceOptions({option}))\n")
    with pytest.raises(embedded.DeploymentFailed, match=problem):
        box.up()


def test_import_takes_over_what_the_program_says(box, plugin_on_path):
    """It becomes the stack's own without being made; later runs find it the same, whether or not the option is gone."""
    box.write("things.py", THINGS)
    program = "import pulumi\nfrom things import Thing\nThing('x', 'wide', {})\n"
    option = "pulumi.ResourceOptions(import_='thing-outside')"
    box.program(program.format(option))
    assert box.run("preview").changes == {"create": 1, "import": 1}
    assert box.up().changes == {"create": 1, "import": 1}
    assert (box.resource("x")["id"], box.resource("x")["outputs"]["serial"]) == ("thing-outside", 77)
    assert box.up().changes == {"same": 2}
    box.program(program.format("None"))
    assert box.up().changes == {"same": 2}
    assert '"Create"' not in plugin_on_path.read_text()
    assert box.run("destroy").changes == {"delete": 2}
    assert '"Delete"' in plugin_on_path.read_text()


def test_import_of_something_else_is_refused(box, plugin_on_path):
    """What differs from the program is named, and nothing is taken over."""
    box.write("things.py", THINGS)
    option = "pulumi.ResourceOptions(import_='thing-outside')"
    box.program(f"import pulumi\nfrom things import Thing\nThing('x', 'narrow', {option})\n")
    with pytest.raises(embedded.DeploymentFailed, match=r"do not match the existing resource \(kind\)"):
        box.up()
    assert not [r for r in box.latest.get("resources", []) if r["urn"].endswith("::x")]


def test_resources_as_inputs(box):
    """A resource given as an input reaches a provider that knows no references as its id."""
    box.program('from boxes import Box\nBox("b", "x", path=Box("a", "y"))\n')
    box.up()
    assert box.resource("b")["inputs"]["path"] == "a"
    assert not box.up().has_changes
