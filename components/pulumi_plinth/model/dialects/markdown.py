"""Pages and scripts that show documents: in fenced blocks, in here-documents, and without their indentation. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.model.findings import Finding

Block = tuple[int, str]
"""A text inside another, and the line on which it begins."""

_FENCE = re.compile(r"^(?P<indent>[ ]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<language>[\w+-]*)[^\n]*$", re.MULTILINE)
_FLAT = re.compile(r"^apiVersion:[^\n]*\nkind:[ \t]*(?P<kind>\w+)[^\n]*\nmetadata:[ \t]*\n(?=[^\s#-])", re.MULTILINE)
_HERE = re.compile(r"<<-?[ \t]{0,9}(?P<quote>['\"]?)(?P<end>\w{1,40})(?P=quote)")
_PRINTED = re.compile(r"^apiVersion:.*?(?=^\$ |\Z)", re.MULTILINE | re.DOTALL)
_PLAIN = frozenset({"", "yaml", "yml", "json", "dockerfile", "modelfile", "text", "txt"})
_SHELL = frozenset({"bash", "sh", "shell", "console", "zsh", "shellsession"})


def blocks(text: str) -> list[Block]:
    """Return what may hold documents of a page: its fenced blocks, and what shell blocks write or print."""
    found: list[Block] = []
    opened: re.Match[str] | None = None
    line, counted = 1, 0
    for match in _FENCE.finditer(text):
        if opened is None:
            opened = match
        elif match["mark"].startswith(opened["mark"]) and not match["language"]:
            start, language = opened.end() + 1, opened["language"].lower()
            body = _dedented(text[start : match.start()], len(opened["indent"]))
            line, counted = line + text.count("\n", counted, start), start
            if language in _PLAIN:
                found.append((line, body))
            elif language in _SHELL:
                found.extend(here_documents(body, line) or _printed(body, line))
            opened = None
    return found


def here_documents(script: str, line: int = 1) -> list[Block]:
    """Return the here-documents of a script whose first line is `line`. Looks at each line once."""
    found: list[Block] = []
    end, start, body = "", 0, list[str]()
    for number, row in enumerate(script.split("\n"), line):
        if end and row.strip() == end:
            found.append((start, "\n".join(body) + "\n"))
            end = ""
        elif end:
            body.append(row)
        elif (match := _HERE.search(row)) is not None:
            end, start, body = match["end"], number + 1, []
    return found


def _printed(text: str, line: int) -> Iterator[Block]:
    counted = 0
    for match in _PRINTED.finditer(text):
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        yield line, match[0]


def _dedented(text: str, indent: int) -> str:
    """Take away what the fence itself is indented by, as in a list."""
    return re.sub(rf"^[ ]{{1,{indent}}}", "", text, flags=re.MULTILINE) if indent else text


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
