"""What an excellent component package shows: the behaviours that all components share, by their number.

Those of stores, identities and policies are in test_behaviours_store.py, those of pools in tests/pool.
"""

import inspect

import pulumi
import pulumi_oci
import pytest
from fakes.pulumi_monitor import UNKNOWN, Secret, run, unknown
from support.components import COMPONENTS, cloud, with_value

from pulumi_plinth.errors import SpecError

pytestmark = pytest.mark.processes  # each runs a whole program

ALL = pytest.mark.parametrize("kind", COMPONENTS)
PATHS = [(kind, path) for kind, component in COMPONENTS.items() for path in component.ids]
SECRET = "ocid1.very.secret"


def build(kind, opts=None, *, preview=False, **more):
    """Register one component as `it`."""
    return run(lambda: COMPONENTS[kind].make("it", opts() if opts else None, **more), cloud(preview=preview))


def main_of(monitor, kind):
    """The child that options of the component go to."""
    return next(item for item in monitor.all() if item.name == f"it-{COMPONENTS[kind].main}")


@ALL
def test_behaviour_01_tokens_and_ancestors(kind):
    """Every component has a token plinth:index:<Class>, and everything it makes has it as ancestor."""
    monitor = build(kind)
    component, *children = monitor.all()
    assert component.type == f"plinth:index:{COMPONENTS[kind].cls.__name__}"
    assert children
    for child in children:
        assert "plinth:index:" in child.urn.rsplit("::", 2)[1].rpartition("$")[0]


@ALL
def test_behaviour_02_names_of_children(kind):
    """Every child's name begins with its component's and is another."""
    component, *children = build(kind).all()
    assert all(child.name.startswith(f"{component.name}-") for child in children)


@ALL
def test_behaviour_03_outputs_are_the_annotated_ones(kind):
    """register_outputs is called once, with exactly the public annotated outputs."""
    monitor = build(kind)
    annotated = {name for name in inspect.get_annotations(COMPONENTS[kind].cls) if not name.startswith("_")}
    assert set(monitor.outputs_of("it")) == annotated


@ALL
def test_behaviour_04_two_instances(kind):
    """Two instances with different names have no URN in common (the monitor refuses one that comes twice)."""
    component = COMPONENTS[kind]
    monitor = run(lambda: component.make("one") and component.make("two") and None, cloud())
    assert {item.name.split("-")[0] for item in monitor.all()} == {"one", "two"}


@ALL
def test_behaviour_05_same_inputs_same_bytes(kind):
    """Twice the same, and the same with its arguments in another order: the same bytes."""
    component = COMPONENTS[kind]
    backwards = dict(reversed(component.args.items()))
    monitor = run(lambda: component.cls("it", backwards) and None, cloud())
    assert build(kind).normal() == build(kind).normal() == monitor.normal()


@ALL
def test_behaviour_06_preview_with_everything_unknown(kind):
    """With every cloud output and every id unknown it constructs, and what depends on them is unknown, not None."""
    component = COMPONENTS[kind]

    def program():
        args = component.args
        for path in component.ids:
            args = with_value(args, path, lambda _: unknown())
        component.cls("it", args)

    outputs = run(program, cloud(preview=True)).outputs_of("it")
    assert all(value is not None for value in outputs.values())
    texts = [value for name, value in outputs.items() if name.endswith("_id") and value != ""]
    assert all(value is UNKNOWN for value in texts)


@pytest.mark.parametrize(("kind", "path"), PATHS, ids=lambda value: value if isinstance(value, str) else str(value[-1]))
@pytest.mark.parametrize("how", ["plain", "output", "secret", "unknown"])
def test_behaviour_07_inputs_of_every_sort(kind, path, how):
    """Every id may be plain, an output, a secret or unknown; a secret never shows and an unknown stays one."""
    component = COMPONENTS[kind]
    sorts = {
        "plain": lambda value: value,
        "output": pulumi.Output.from_input,
        "secret": lambda _: pulumi.Output.secret(SECRET),
        "unknown": lambda _: unknown(),
    }
    monitor = run(
        lambda: component.cls("it", with_value(component.args, path, sorts[how])) and None,
        cloud(preview=how == "unknown"),
    )
    assert len(monitor.all()) > 1
    if how in ("plain", "output"):
        assert monitor.normal() == build(kind).normal()
    if how == "secret":
        assert SECRET not in str([_open(item.inputs) for item in monitor.all()])
        assert SECRET not in str(_open(monitor.outputs_of("it")))


def _open(value):
    """The values that are sent without the secret mark."""
    if isinstance(value, Secret):
        return None
    if isinstance(value, dict):
        return {key: _open(item) for key, item in value.items()}
    return [_open(item) for item in value] if isinstance(value, list) else value


@ALL
def test_behaviour_08_wrong_input_is_refused_before_anything(kind):
    """The fault names the component and the argument, says what to write, and nothing is registered."""
    seen = []

    def program():
        with pytest.raises(SpecError) as caught:
            COMPONENTS[kind].make("it", **COMPONENTS[kind].wrong)
        seen.extend(caught.value.faults)

    assert run(program, cloud()).all() == []
    (argument,) = COMPONENTS[kind].wrong
    assert any(fault.path.startswith(f"it.{argument}") for fault in seen)
    assert all(fault.remedy for fault in seen)


@ALL
def test_behaviour_09_options_reach_the_main_child(kind):
    """protect, aliases, ignore_changes, custom_timeouts given to the component hold for the child it stands for."""
    options = pulumi.ResourceOptions(
        protect=True,
        ignore_changes=["freeformTags"],
        custom_timeouts=pulumi.CustomTimeouts(create="7m"),
        aliases=[pulumi.Alias(name="before")],
    )
    monitor = build(kind, lambda: options)
    main = main_of(monitor, kind)
    assert main.protect
    assert "freeformTags" in main.ignore_changes
    assert main.timeouts == {"create": "7m"}
    # The engine works out the aliases of children from the component's: tests/pool/test_programs.py.
    assert monitor.all()[0].aliases == ["before"]


@ALL
def test_behaviour_09_parent_and_dependencies(kind):
    """A component stands under the parent it is given, and waits for what it depends on."""

    def program():
        above = pulumi.ComponentResource("test:index:Above", "above")
        first = pulumi_oci.core.ComputeCluster("first", availability_domain="a", compartment_id="c")
        COMPONENTS[kind].make("it", pulumi.ResourceOptions(parent=above, depends_on=[first]))

    it = next(item for item in run(program, cloud()).all() if item.name == "it")
    assert it.parent == "above"
    assert it.dependencies == ["first"]


@ALL
def test_behaviour_10_an_explicit_provider_is_used_by_all(kind):
    """No child of Oracle's package falls back to the default provider, questions included."""
    providers = []

    def program():
        provider = pulumi_oci.Provider("phoenix", region="us-phoenix-1")
        providers.append(provider)
        COMPONENTS[kind].make("it", pulumi.ResourceOptions(providers=[provider]))

    monitor = run(program, cloud())
    ours = [item for item in monitor.all() if item.type.startswith("oci:")]
    assert ours
    assert all("phoenix" in item.provider for item in ours), [item.name for item in ours if not item.provider]
    assert all("phoenix" in call.provider for call in monitor.cloud.called), monitor.cloud.called
