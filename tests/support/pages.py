"""Cases that lie in a file beside their test."""

from pathlib import Path

import yaml


def read_page(test, name):
    """The cases of a YAML file beside a test's own file; the quick loader, as every run collects them."""
    text = Path(test).with_name(name).read_text(encoding="utf-8")
    return yaml.load(text, Loader=yaml.CSafeLoader)
