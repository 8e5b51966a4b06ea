"""Documents -> YAML text that reads back the same. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from pulumi_plinth.model.dialects.yaml_events import resolve

_BASE = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_BLOCK = re.compile(r"[^\s\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff][^\x00-\x09\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff]*")


class _Dumper(_BASE):  # type: ignore[misc, valid-type] # chosen at import
    """Quotes what a reader could take for something else than text, and writes long text line by line."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 the library's signature
        """Write everything in full."""
        return True


def _text(dumper: Any, data: str) -> Any:
    block = "\n" in data and _BLOCK.fullmatch(data) and not re.search(r"[ ]\n|[ ]\Z", data)
    style = "|" if block else '"' if not isinstance(resolve(data), str) or not data.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(documents: Iterable[Any]) -> str:
    """Write documents, `---` between them."""
    return "---\n".join(
        yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120) for document in documents
    )
