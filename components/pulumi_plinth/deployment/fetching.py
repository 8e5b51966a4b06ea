"""Models that local servers fetch themselves: what it takes, said before anything is made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_plinth.deployment.facts import FetchFacts, ModelFacts
from pulumi_plinth.errors import Fault
from pulumi_plinth.quantities import human_bytes

MARGIN_PERCENT = 5
"""Beyond the weights: tokenizer and index, and what a file system wants for itself. The fetch keeps the same."""


def missing_bytes(model: ModelFacts, fetch: FetchFacts) -> int:
    """Give the bytes that are still to come, as far as the card tells them."""
    if fetch.is_here or model.card is None:
        return 0
    return model.card.weight_bytes * (100 + MARGIN_PERCENT) // 100


def room_faults(models: Mapping[str, ModelFacts], path: str) -> Iterator[Fault]:
    """Find whether what all fetches need together is more than the disk has. `path`: where models are written."""
    coming = {name: (model, model.fetch) for name, model in models.items() if model.fetch is not None}
    needs = {name: need for name, (model, fetch) in coming.items() if (need := missing_bytes(model, fetch))}
    frees = [fetch.free_bytes for _, fetch in coming.values() if fetch.free_bytes is not None]
    total = sum(needs.values())
    if not needs or not frees or total <= min(frees):
        return
    largest = max(needs, key=lambda name: needs[name])
    sums = " + ".join(f"{name} {human_bytes(need)}" for name, need in sorted(needs.items()))
    _, fetch = coming[largest]
    problem = f"needs {sums} = {human_bytes(total)} in {fetch.cache}, that disk has {human_bytes(min(frees))} free"
    yield Fault(f"{path}.{largest}.storage.uri", fetch.uri, problem, "free space there, or serve fewer models here")


def fetch_reason(model: ModelFacts, fetch: FetchFacts) -> str:
    """Say what will be fetched, from where, into which folder."""
    assert model.card is not None, "a model without a card is not planned"  # noqa: S101 a wall between two rules
    place = f"{fetch.uri} into {fetch.cache}"
    if fetch.is_here:
        return f"{human_bytes(model.total_bytes)}, here already: fetched from {place}, {model.card.architecture}"
    free = f", {human_bytes(fetch.free_bytes)} are free there" if fetch.free_bytes is not None else ""
    size = f"about {human_bytes(missing_bytes(model, fetch))}" if model.card.weight_bytes else "an unknown size"
    return f"{size} from {place}{free}; {model.card.architecture} by {fetch.origin}; verified on arrival"
