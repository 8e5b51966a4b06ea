"""Models to fetch: small, many-parted, published with checksums; and the server that they come from."""

import json

import pytest
from fakes.object_server import ObjectServer
from weights.making import PART, noise, safetensors

from plinth_runtime.weights.board import Patience
from plinth_runtime.weights.fetch import FetchOptions, fetch
from plinth_runtime.weights.offer import Wishes
from plinth_runtime.weights.plan_fetch import How
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.shelf import FolderShelf
from plinth_runtime.weights.sources.opening import open_source, open_store

QUICK = Patience(silence=0.6, no_progress=3.0, first_backoff=0.01, longest_backoff=0.1, longest_retry_after=0.3)


@pytest.fixture
def weights(tmp_path):
    """A model folder with two shards of several parts and an index."""
    root = tmp_path / "weights"
    root.mkdir()
    (root / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (root / "model-00001-of-00002.safetensors").write_bytes(safetensors({"a": 3 * PART + 77}, noise(4 * PART, 1)))
    (root / "model-00002-of-00002.safetensors").write_bytes(safetensors({"b": 2 * PART, "c": 9}, noise(4 * PART, 2)))
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    names["c"] = names["b"]
    (root / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return root


@pytest.fixture
def published(weights, tmp_path):
    """The same model, published with checksums of parts of 1 MiB."""
    root = tmp_path / "published"
    publish(weights, open_store(str(root)), PublishOptions(part_size=PART), lambda _: None)
    return root


@pytest.fixture
def origin(published):
    """A server of the published model."""
    with ObjectServer(published) as server:
        yield server


@pytest.fixture
def bare_origin(weights):
    """A server of the model without a manifest, which lists its files."""
    with ObjectServer(weights, listing=True) as server:
        yield server


@pytest.fixture
def get(tmp_path):
    """A function that fetches an address into a folder, quickly impatient; returns the result."""

    def run(address, folder=None, **settings):
        wishes = Wishes(frozenset(settings.pop("expected", ())), settings.pop("allow_pickle", False))
        patience = settings.pop("patience", QUICK)
        watch = settings.pop("watch", lambda _: None)
        shelf = FolderShelf(folder or tmp_path / "out")
        return fetch(open_source(address), shelf, FetchOptions(wishes, How(**settings), patience), watch)

    return run
