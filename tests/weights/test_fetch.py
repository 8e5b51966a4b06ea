"""From an address to a folder, when all goes well."""

import json
import re

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


def test_the_page_names_real_tests(project_root):
    """Each word of the page's table of faults is part of a test's name here."""
    table = (project_root / "docs/weights.md").read_text().partition("## Faults")[2].partition("## To add")[0]
    words = [word for row in re.findall(r"\| ([^|]+) \|$", table, re.MULTILINE) for word in re.findall(r"`(\w+)`", row)]
    source = "".join(path.read_text() for path in (project_root / "tests/weights").glob("test_*.py"))
    assert len(words) > 15
    assert [word for word in words if not re.search(rf"def test_\w*{word}", source)] == []
