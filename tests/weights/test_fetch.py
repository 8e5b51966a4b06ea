"""From an address to a folder, when all goes well."""

import json

from weights.making import contents


def test_a_published_model_arrives_verified(origin, get, weights, published):
    """A model with a manifest arrives whole and verified, its manifest letter for letter, READY beside it."""
    result = get(origin.address)
    assert contents(result.folder) == contents(weights)
    assert result.state == "verified"
    text = (result.folder / "plinth-manifest.json").read_bytes()
    assert text == (published / "plinth-manifest.json").read_bytes()
    ready = json.loads((result.folder / ".plinth/READY").read_text())
    assert (ready["state"], ready["manifest"]) == ("verified", result.manifest)
    assert not list((result.folder / ".plinth/partial").iterdir())
