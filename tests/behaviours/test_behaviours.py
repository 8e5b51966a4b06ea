"""What an excellent component package shows: the behaviours that all components share, by their number.

Those of stores, identities and policies are in test_behaviours_store.py, those of pools in tests/pool.
"""

import inspect
import typing
from typing import NotRequired, Required

import pulumi
import pulumi_kubernetes
import pulumi_oci
import pytest
from fakes.pulumi_monitor import UNKNOWN, Secret, run, unknown
from support.components import COMPONENTS, MAIN, OTHERS, WRONG, backwards, cloud, with_value

import pulumi_plinth
from pulumi_plinth.errors import SpecError

pytestmark = pytest.mark.processes  # each runs a whole program

ALL = pytest.mark.parametrize("kind", COMPONENTS)
WITH_MAIN = pytest.mark.parametrize("kind", MAIN)
PATHS = [(kind, path) for kind, component in COMPONENTS.items() for path in component.ids]
SECRET = "ocid1.very.secret"
LATER = {"Output": pulumi.Output, "T": str}
"""What annotations of Pulumi's name and do not import."""


def build(kind, opts=None, *, preview=False, **more):
    """Register one component as `it`."""
    return run(lambda: COMPONENTS[kind].make("it", opts() if opts else None, **more), cloud(preview=preview))


def main_of(monitor, kind):
    """The child that options of the component go to."""
    return next(item for item in monitor.all() if item.name == f"it-{COMPONENTS[kind].main}")


def test_behaviour_01_no_component_is_left_out():
    """Every public component is in the table of these tests, or is made of a plan and has tests of its own."""
    public = {name for name in pulumi_plinth.__all__ if isinstance(getattr(pulumi_plinth, name), type)}
    made = {name for name in public if issubclass(getattr(pulumi_plinth, name), pulumi.ComponentResource)}
    assert made == {component.cls.__name__ for component in COMPONENTS.values()} | set(OTHERS)


@ALL
def test_behaviour_01_tokens_and_ancestors(kind):
    """Every component has a token plinth:index:<Class>, and everything it makes has it as ancestor."""
    monitor = build(kind)
    component, *children = monitor.all()
    assert component.type == f"plinth:index:{COMPONENTS[kind].cls.__name__}"
    assert children or not COMPONENTS[kind].main
    for child in children:
        while child.urn != component.urn:
            child = monitor.registered[child.request.parent]  # noqa: PLW2901 up to the component, or a KeyError


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
    """Twice the same, and the same with mappings and sets in another order, at any depth: the same bytes."""
    component = COMPONENTS[kind]
    monitor = run(lambda: component.cls("it", backwards(component.args)) and None, cloud())
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
    assert monitor.outputs_of("it")
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


def _inputs(annotation, path=()):
    """Paths of everything in an argument type that may be any Input: keys of mappings and places of lists are `*`."""
    if typing.get_origin(annotation) in (NotRequired, Required):
        annotation = typing.get_args(annotation)[0]
    parts = typing.get_args(annotation)
    if typing.is_typeddict(annotation):
        for name, found in typing.get_type_hints(annotation, localns=LATER, include_extras=True).items():
            yield from _inputs(found, (*path, name))
    elif typing.get_origin(annotation) is list:
        yield from _inputs(parts[0], (*path, "*"))
    elif typing.get_origin(annotation) is dict:
        yield from _inputs(parts[1], (*path, "*"))
    elif any(typing.get_origin(part) is pulumi.Output for part in parts):
        yield path


def test_behaviour_07_every_input_is_tried():
    """Whatever argument of whatever component may be an Input has its place in the table."""
    wanted, tried = set(), set()
    for component in COMPONENTS.values():
        of = component.cls.__name__
        kind = typing.get_type_hints(component.cls.__init__, localns=LATER)["args"]
        wanted |= {(of, *path) for path in _inputs(kind)}
        tried |= {(of, *path) for path in component.ids}
    open_ = [path for path in sorted(wanted) if not any(_fits(path, one) for one in tried)]
    assert wanted
    assert open_ == []


def _fits(path, tried):
    return len(path) == len(tried) and all(one in ("*", other) for one, other in zip(path, tried, strict=True))


@pytest.mark.parametrize("kind", WRONG)
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


@WITH_MAIN
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
    """No child of Oracle's package or of Kubernetes' falls back to a default provider, questions included."""

    def program():
        providers = [pulumi_oci.Provider("mine", region="us-phoenix-1"), pulumi_kubernetes.Provider("mine")]
        COMPONENTS[kind].make("it", pulumi.ResourceOptions(providers=providers))

    monitor = run(program, cloud())
    ours = [item for item in monitor.all() if item.type.startswith(("oci:", "kubernetes:"))]
    assert ours or monitor.cloud.called
    homes = ("::mine::", "::it-home-region::")
    assert all(any(home in item.provider for home in homes) for item in ours), [item.name for item in ours]
    assert all("::mine::" in call.provider for call in monitor.cloud.called), monitor.cloud.called
