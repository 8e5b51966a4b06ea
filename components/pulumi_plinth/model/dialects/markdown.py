"""Pages that show documents: those in fenced blocks, and those that lost their indentation on the way. Pure."""

from __future__ import annotations

import re

from pulumi_plinth.model.findings import Finding

_FENCE = re.compile(r"^(?P<indent>[ ]{0,3})(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)[^\n]*$", re.MULTILINE)
_FLAT = re.compile(r"^apiVersion:[^\n]*\nkind:[ \t]*(?P<kind>\w+)[^\n]*\nmetadata:[ \t]*\n(?=[^\s#-])", re.MULTILINE)
_LANGUAGES = frozenset({"", "yaml", "yml", "json", "dockerfile", "modelfile", "text"})


def blocks(text: str) -> list[tuple[int, str]]:
    """Return the fenced blocks that may hold documents, as (line of their first line, text); [] without fences."""
    found: list[tuple[int, str]] = []
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opened is None:
            opened = match
        elif match["mark"].startswith(opened["mark"]) and not match["language"]:
            if opened["language"].lower() in _LANGUAGES:
                start = opened.end() + 1
                found.append((text.count("\n", 0, start) + 1, text[start : match.start()]))
            opened = None
    return found


def lost_indentation(file: str, text: str) -> list[Finding]:
    """Find objects in a text whose `metadata:` is followed by what belongs under it, at the same depth."""
    hint = "indent what belongs to a key by two spaces under it, one document a file or `---` between them"
    return [
        Finding(
            file,
            "",
            None,
            f"has lost the indentation of its {match['kind']}: what belongs to `metadata:` and `spec:` is beside them",
            hint,
            text.count("\n", 0, match.start()) + 1,
        )
        for match in _FLAT.finditer(text.replace("\r\n", "\n"))
    ]
