"""Which shape, at what price, with what disk: order, reasons, arithmetic."""

import dataclasses
import itertools
import json

import pytest

from pulumi_plinth.fit.choice import Limits, rank, startup_seconds
from pulumi_plinth.fit.concurrency import fit_many, in_flight
from pulumi_plinth.fit.disk import node_needs
from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Wish
from pulumi_plinth.fit.price import Range, Terms, capacity_misfit, hourly, price_of
from pulumi_plinth.fit.report import tell
from pulumi_plinth.fit.shapes import plain_shape, select
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.fit.storage import Kept, load_unit_prices, storage_cost
from pulumi_plinth.quantities import GIB


@pytest.fixture
def ranked(cards, shapes):
    """Rank Oracle's shapes for a model."""

    def do(name, context=None, **limits):
        return rank(Sizer(cards[name]), select(shapes.values(), "oci", None), Wish(context), Limits(**limits))

    return do


def test_the_cheapest_of_what_fits_comes_first(ranked):
    """An A10 serves Llama 3.1 8B at 8192 tokens for two dollars an hour."""
    first, *others = ranked("llama-3.1-8b-instruct", 8192)
    assert (first.shape.name, first.usd_per_hour, first.reason) == ("VM.GPU.A10.1", 2.0, "cheapest of what fits")
    prices = [option.usd_per_hour for option in others if option.fits and option.usd_per_hour is not None]
    inside = [option for option in others if option.fits and option.outcome.layout.gpus_per_copy <= option.shape.gpus]
    assert [option.usd_per_hour for option in inside if option.usd_per_hour] == sorted(
        option.usd_per_hour for option in inside if option.usd_per_hour
    )
    assert min(prices) >= 2.0


def test_every_loser_has_a_reason(ranked):
    """Too small, too dear, or dearer than the first."""
    options = ranked("deepseek-v3-0324", nodes=1, usd_per_hour=100.0)
    reasons = {option.shape.name: option.reason for option in options}
    assert all(reasons.values())
    assert "GiB are needed on each GPU" in reasons["BM.GPU.H100.8"]
    assert reasons["BM.GPU.B200.8"] == "over the budget: $112.00 an hour of $100.00"
    assert next(option.shape.name for option in options if option.fits) == "BM.GPU.MI300X.8"


def test_copies_inside_a_node_come_before_copies_over_slow_networks(ranked):
    """Five A10 nodes are cheaper than one A100 node and come later."""
    names = [option.shape.name for option in ranked("llama-3.3-70b-instruct") if option.fits]
    assert names.index("BM.GPU4.8") < names.index("VM.GPU.A10.1")
    slow = next(option for option in ranked("llama-3.3-70b-instruct") if option.shape.name == "VM.GPU.A10.1")
    assert "nodes without established RDMA" in slow.reason


def test_only_allowed_shapes_are_looked_at(ranked):
    """A quota names them."""
    allowed = frozenset({"BM.GPU.H200.8", "BM.GPU.A10.4"})
    assert {option.shape.name for option in ranked("phi-4", allowed=allowed)} == allowed


def test_the_order_of_the_table_does_not_matter(cards, shapes):
    """Sorted by what is said, not by how it came."""
    sizer, table = Sizer(cards["phi-4"]), list(shapes.values())
    assert rank(sizer, table, Wish()) == rank(sizer, reversed(table), Wish())


def test_price_by_hour_and_month(shapes):
    """Two nodes of eight H100 at $10 a GPU: $160 an hour, 730 hours a month; one to three replicas."""
    price = price_of(shapes["BM.GPU.H100.8"], 2, Terms(Range(1, 3)))
    assert price.per_hour == (160.0, 480.0)
    assert price.per_month == (116_800.0, 350_400.0)
    assert price.preemptible_per_hour is None  # not on bare metal
    assert price.reserved_unused_per_hour == (136.0, 408.0)
    assert price.per_million_tokens is None
    assert price.source
    assert price.date


def test_preemptible_machines_cost_half(shapes):
    """Virtual machines of Oracle only."""
    assert price_of(shapes["VM.GPU.A10.2"], 1).preemptible_per_hour == (2.0, 2.0)
    assert price_of(shapes["p5.48xlarge"], 1).preemptible_per_hour is None


@pytest.mark.parametrize(
    ("shape", "capacity", "expected"),
    [
        ("VM.GPU.A10.1", "on-demand", (2.0, 6.0)),
        ("VM.GPU.A10.1", "preemptible", (1.0, 3.0)),
        ("VM.GPU.A10.1", "reserved", (5.4, 6.0)),  # 2 used + 2 x 2 unused at 85 %
        ("BM.GPU.H100.8", "preemptible", None),  # not offered
        ("p5.48xlarge", "preemptible", None),  # not established
        ("p5.48xlarge", "reserved", None),
    ],
)
def test_the_kind_of_capacity_makes_the_price(shapes, capacity, shape, expected):
    """One to three replicas; what nobody established is no number."""
    found = hourly(shapes[shape], 1, Terms(Range(1, 3), capacity))
    assert found == (None if expected is None else pytest.approx(expected))
    assert (capacity_misfit(shapes[shape], capacity) is None) == (expected is not None)


def test_a_stated_price_holds_for_any_capacity():
    """Who declares a shape says what is paid."""
    own = dataclasses.replace(plain_shape(2, 80), usd_per_gpu_hour=3.0)
    assert hourly(own, 1, Terms(capacity="preemptible")) == (6.0, 6.0)


def test_storage_is_priced_where_prices_are_established(shapes):
    """Boot volumes at $0.0425 a GiB and month; weights lie on NVMe where there is some; a bucket is paid once."""
    prices = load_unit_prices()
    small = storage_cost(shapes["VM.GPU.A10.1"], 1, Kept(15 * GIB), prices)
    assert (small.volumes, small.bucket) == (pytest.approx(64 * 0.0425), 0)
    large = storage_cost(shapes["BM.GPU.H100.8"], 2, Kept(15 * GIB, in_bucket=True), prices)
    assert (large.volumes, large.bucket) == (pytest.approx(2 * 46 * 0.0425), pytest.approx(15 * 0.0255))
    assert "NVMe" in large.reason.text
    assert storage_cost(shapes["p5.48xlarge"], 1, Kept(15 * GIB), prices) is None
    price = price_of(shapes["BM.GPU.H100.8"], 2, Terms(Range(1, 3)), large)
    assert price.storage_per_month == (
        round(large.volumes + large.bucket, 2),
        round(3 * large.volumes + large.bucket, 2),
    )
    assert all(unit.source and unit.date for unit in prices.values())


def test_a_shape_that_serves_too_few_at_once_loses(ranked, cards, shapes):
    """One A10 holds one request of full length; eight want more, and a larger tensor-parallel size may serve them."""
    first, *others = ranked("llama-3.1-8b-instruct", 16_384, requests=8)
    assert in_flight(first.outcome) >= 8
    small = next(option for option in others if option.shape.name == "VM.GPU.A10.1")
    assert small.reason == "serves 1 requests of 16,384 tokens at once in a replica, 8 are wanted"
    sizer, nodes = Sizer(cards["qwen3-32b"]), Nodes(shapes["BM.GPU.H100.8"])
    usual = fit_many(sizer, nodes, Wish(40_960), None)
    many = fit_many(sizer, nodes, Wish(40_960), in_flight(usual) + 1)
    assert many.layout.tensor > usual.layout.tensor
    assert in_flight(many) > in_flight(usual)
    (layout, *_) = tell(sizer, nodes, Wish(40_960), many).reasons
    assert f"TP{usual.layout.tensor} has room too, and serves fewer requests at once" in layout.text


def test_equal_prices_are_ordered_by_headroom(ranked):
    """The larger one of two shapes that cost the same comes first."""
    options = [option for option in ranked("deepseek-v3-0324") if option.fits and option.usd_per_hour is not None]
    for one, two in itertools.pairwise(options):
        if one.usd_per_hour == two.usd_per_hour and one.outcome.nodes == two.outcome.nodes:
            assert one.outcome.headroom >= two.outcome.headroom


def test_a_slow_network_makes_a_longer_start(cards):
    """A gigabit brings 125 MB a second, less than a reader could take."""
    slow = dataclasses.replace(plain_shape(1, 80), network_gbps=1.0)
    weight = cards["qwen3-8b"].weight_bytes
    assert startup_seconds(weight, slow) == node_needs(weight, 1, 125e6).startup_seconds
    assert startup_seconds(weight, plain_shape(1, 80)) == node_needs(weight, 1).startup_seconds


def test_a_price_of_tokens_needs_a_throughput(shapes):
    """$2 an hour at 500 tokens a second: 1.8 million an hour."""
    assert price_of(shapes["VM.GPU.A10.1"], 1, Terms(tokens_per_second=500)).per_million_tokens == pytest.approx(1.1111)


def test_an_unknown_price_stays_unknown(shapes):
    """No zero, no guess."""
    assert price_of(shapes["a3-highgpu-8g"], 1) is None


def test_disk_start_and_memory_of_a_node():
    """15 GiB of weights: 54 / 0.85 GiB of disk, 3 x (200 + 16.1 GB / 0.33 GB/s) s, 4 + 2.2 + 1 GiB of memory."""
    needs = node_needs(15 * GIB, 1)
    assert needs.disk_gib == 64
    assert needs.startup_seconds == 747
    assert needs.memory_bytes / GIB == pytest.approx(7.2, abs=0.01)
    assert needs.shared_bytes == GIB
    assert node_needs(15 * GIB, 8).shared_bytes == 9 * GIB
    assert node_needs(15 * GIB, 1, 3e9).startup_seconds == 617
    json.dumps(dataclasses.asdict(needs))
