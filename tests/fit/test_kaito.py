"""KAITO's estimator: the numbers its own documents and tests give."""

import pytest

from pulumi_plinth.fit.kaito import (
    KaitoModel,
    KaitoNodes,
    KaitoRefusalError,
    bytes_per_token,
    estimate,
    kaito_model,
    startup_seconds,
)
from pulumi_plinth.model.catalogue import load_catalogue
from pulumi_plinth.quantities import GIB


@pytest.fixture(scope="module")
def catalogue():
    """The models known by name."""
    return load_catalogue()


def node(gpus, gib, *, mig=False):
    """A node of that many GPUs."""
    return KaitoNodes(gpus, gib * GIB, mig)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("llama-3.1-8b-instruct", 131_072), ("llama-3.3-70b-instruct", 327_680), ("deepseek-v3-0324", 70_272)],
)
def test_bytes_of_a_token(catalogue, name, expected):
    """Two bytes an element, all layers, a latent once."""
    assert bytes_per_token(catalogue.find(name).card()) == expected


@pytest.mark.parametrize(
    ("name", "nodes", "layout"),
    [
        ("llama-3.1-8b-instruct", 1, (1, 1, 8)),
        ("llama-3.3-70b-instruct", 1, (8, 1, 1)),
        ("deepseek-v3-0324", 2, (8, 2, 1)),
    ],
)
def test_parallelism_on_eight_gpus_of_80(catalogue, name, nodes, layout):
    """Replicas when they fit twice, the node's GPUs together, then stages over nodes."""
    plan = estimate(kaito_model(catalogue.find(name).card()), node(8, 80))
    assert (plan.nodes, plan.tensor, plan.pipeline, plan.data) == (nodes, *layout)


@pytest.mark.parametrize(
    ("model", "where", "context", "gpus", "nodes"),
    [
        # W 15.2592, usable 20.16, reserve 2.3 + 0.25, room 16.771: one GPU
        (KaitoModel("14.96", 131_072), (1, 24), None, 1, 1),
        # reserve 2.3 + 4 = 6.3, room 13.2: 15.2592 / 13.2 = 1.156, two GPUs on two nodes
        (KaitoModel("14.96", 131_072), (1, 24), 32_768, 2, 2),
        # W 134.0484, usable 67.2, reserve 2.3 + 0.078, room 61.735: 2.17, three GPUs
        (KaitoModel("131.42", 327_680), (8, 80), None, 3, 1),
        # on one GPU a node: reserve 2.3 + 0.625, room 61.214: 2.19, three nodes
        (KaitoModel("131.42", 327_680), (1, 80), None, 3, 3),
        # W 654.126, reserve 2.3 + 0.0168, room 61.794: 10.59, eleven GPUs
        (KaitoModel("641.30", 70_272), (8, 80), None, 11, 2),
    ],
)
def test_counts_computed_by_hand(model, where, context, gpus, nodes):
    """GPUs are floor(W / room) + 1, nodes the quotient rounded up."""
    plan = estimate(model, node(*where), context)
    assert (plan.min_gpus, plan.nodes) == (gpus, nodes)


def test_disk_is_the_size_and_eighty_cut_down():
    """The sum is cut, not rounded."""
    assert estimate(KaitoModel("14.96", 131_072), node(1, 80)).disk_gib == 94


@pytest.mark.parametrize(("gib", "seconds"), [(1, 1800), (50, 1800), (61.0, 1998), (131.42, 3265), (641.3, 10_800)])
def test_startup_budget_is_clamped(gib, seconds):
    """15 minutes and 18 seconds per GiB, at least 30 and at most 180 minutes."""
    assert startup_seconds(gib) == seconds


@pytest.mark.parametrize(("slice_gib", "fits"), [(24, True), (47, True), (12, False), (10, False)])
def test_a_slice_holds_the_model_or_nothing(slice_gib, fits):
    """8 GiB need 8.16 + 2.3 + 0.408 = 10.868 GiB; 0.84 of 12 are 10.08."""
    model = KaitoModel("8.00", 0)
    if fits:
        assert estimate(model, node(1, slice_gib, mig=True)).nodes == 1
        return
    with pytest.raises(
        KaitoRefusalError, match=r"model needs 10\.9 GiB \(weights 8\.2 GiB \+ overhead 2\.7 GiB\)"
    ) as no:
        estimate(model, node(1, slice_gib, mig=True))
    assert no.value.needed_gib == pytest.approx(10.868)
    assert no.value.available_gib == pytest.approx(0.84 * slice_gib)


def test_a_gpu_smaller_than_the_reserve_is_refused_with_both_numbers():
    """2 GiB hold nothing; neither does a GPU whose cache alone is larger."""
    with pytest.raises(KaitoRefusalError, match=r"2\.0 GiB is too small, needs at least 2\.3 GiB"):
        estimate(KaitoModel("1.00", 0), node(1, 2))
    with pytest.raises(KaitoRefusalError, match=r"KV cache 16\.0 GiB"):
        estimate(KaitoModel("14.96", 131_072), node(1, 16), 131_072)


def test_the_size_is_the_printed_one():
    """KAITO stores two decimals; what is lost there is lost here too."""
    assert KaitoModel("0.25", 1).size == GIB // 4
    assert KaitoModel("14.96", 1).size == -(-1496 * GIB // 100)
