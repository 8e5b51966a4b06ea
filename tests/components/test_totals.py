"""What changes between two deployments, in nodes and dollars."""

import io

import pytest
from rich.console import Console

from pulumi_plinth.deployment.totals import Totals, change
from pulumi_plinth.rendering_plan import show_change


def of(nodes, dollars):
    """Totals with these nodes and this price a month."""
    return Totals((0, 0), nodes, (0.0, 0.0), (dollars, dollars), (0.0, 0.0), ())


A10, H100 = "VM.GPU.A10.1", "BM.GPU.H100.8"


@pytest.mark.parametrize(
    ("kept", "after", "said"),
    [
        ({}, of({}, 0.0), ()),
        ({}, of({H100: (2, 4)}, 116800.0), ("+2 x BM.GPU.H100.8", "+$116,800.00 a month")),
        ({"nodes": {A10: [1.0, 2.0]}, "perMonth": [1460.0, 2920.0]}, of({A10: (1, 2)}, 1460.0), ()),
        (
            {"nodes": {A10: [3, 3]}, "perMonth": [4380.0, 4380.0]},
            of({A10: (1, 1), H100: (1, 1)}, 59860.0),
            ("+1 x BM.GPU.H100.8", "-2 x VM.GPU.A10.1", "+$55,480.00 a month"),
        ),
        (
            {"nodes": {A10: [1, 1]}, "perMonth": [1460.0, 1460.0]},
            of({}, 0.0),
            ("-1 x VM.GPU.A10.1", "-$1,460.00 a month"),
        ),
        ({"nodes": None, "perMonth": "?", "more": 1}, of({A10: (0, 4)}, 0.0), ()),
    ],
)
def test_what_is_added_and_taken_away(kept, after, said):
    """At the fewest replicas; what is the same is not mentioned, and strange values count as nothing."""
    assert change(kept, after) == said


def test_what_is_kept_is_what_is_compared():
    """A stack compared with its own totals has not changed."""
    total = of({A10: (1, 3), H100: (2, 2)}, 118260.0)
    assert change(total.kept(), total) == ()


def test_people_are_told_before_they_confirm():
    """One line; none where nothing is bought, before or after."""
    console = Console(file=io.StringIO(), width=200)
    show_change(console, {}, of({H100: (2, 2)}, 116800.0))
    show_change(console, {}, of({}, 0.0))
    assert console.file.getvalue() == "since the last deployment: +2 x BM.GPU.H100.8, +$116,800.00 a month\n"
