"""Storage URIs: where a model's weights come from, as one line of text. Pure.

One row of `FORMS` per way to write one; the row is the grammar, the parser, the printer and the help text. What is
parsed prints back letter for letter. Nothing is decoded and nothing is looked up: whether a bucket exists is found out
by whoever fetches from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

MAX_LENGTH = 2048
"""Longest URI read, in characters; longer than any object name that a store allows (1024)."""

_SEGMENT = r"[^/\\\x00-\x1f\x7f]+"
_PATH = rf"{_SEGMENT}(?:/{_SEGMENT})*/?"
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

_PARTS = MappingProxyType(
    {
        "namespace": r"[A-Za-z0-9][A-Za-z0-9_-]*",
        "kubernetesNamespace": _LABEL,
        "claim": r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?",
        "bucket": r"[A-Za-z0-9_.-]{1,256}",
        "region": r"[a-z0-9]+(?:-[a-z0-9]+)*",
        "prefix": _PATH,
        "path": rf"/?{_PATH}",
        "subpath": _PATH,
        "object": _PATH,
        "blob": _PATH,
        "model": r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)?",
        "revision": r"[A-Za-z0-9_][A-Za-z0-9_.+/-]*",
        "tag": r"[A-Za-z0-9_][A-Za-z0-9_.+-]*",
        "digest": r"sha256:[0-9a-f]{64}",
        "registry": r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?",
        "repository": r"[a-z0-9][a-z0-9._/-]*",
        "vendor": _NAME,
        "type": _NAME,
        "account": r"[a-z0-9]{3,24}",
        "container": r"[a-z0-9$](?:[a-z0-9-]{0,61}[a-z0-9])?",
        "owner": _NAME,
        "repo": _NAME,
        "host": r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9-]+)*(?::[0-9]{1,5})?",
    }
)
"""What each part may be made of."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a URI. `[…]` is optional, `{name}` is a part."""

    scheme: str
    name: str
    grammar: str
    example: str


FORMS = (
    Form("oci", "object", "oci://n/{namespace}/b/{bucket}/o/{prefix}", "oci://n/ns/b/models/o/llama-3"),
    Form("oci", "region", "oci://{namespace}@{region}/{bucket}/{prefix}", "oci://ns@us-phoenix-1/models/llama-3"),
    Form("oci", "artifact", "oci://{registry}/{repository}:{tag}", "oci://registry.example/llama:3"),
    Form("oci", "digest", "oci://{registry}/{repository}@{digest}", "oci://registry.example/llama@sha256:…"),
    Form("oci", "bucket", "oci://{bucket}/{prefix}", "oci://models/llama-3"),
    Form("ocios", "object", "ocios://n/{namespace}/b/{bucket}/o/{prefix}", "ocios://n/ns/b/models/o/llama-3"),
    Form("ocios", "region", "ocios://{namespace}@{region}/{bucket}/{prefix}", "ocios://ns@us-phoenix-1/models/llama-3"),
    Form("ocios", "bucket", "ocios://{bucket}/{prefix}", "ocios://models/llama-3"),
    Form("hf", "model", "hf://{model}[@{revision}]", "hf://meta-llama/Llama-3.1-8B-Instruct@main"),
    Form("pvc", "claim", "pvc://[{kubernetesNamespace}:]{claim}/{subpath}", "pvc://models/llama-3"),
    Form("local", "path", "local://{path}", "local:///mnt/models/llama-3"),
    Form("vendor", "path", "vendor://{vendor}/{type}/{path}", "vendor://acme/models/llama-3"),
    Form("s3", "bucket", "s3://{bucket}[@{region}][/{prefix}]", "s3://models@us-east-1/llama-3"),
    Form(
        "az", "host", "az://{account}.blob.core.windows.net/{container}[/{blob}]", "az://acct.blob.core.windows.net/c/l"
    ),
    Form("az", "account", "az://{account}/{container}[/{blob}]", "az://acct/models/llama-3"),
    Form("gs", "bucket", "gs://{bucket}[/{object}]", "gs://models/llama-3"),
    Form("github", "release", "github://{owner}/{repo}[@{tag}]", "github://acme/llama@v1"),
    Form("https", "url", "https://{host}/{path}", "https://models.example/llama-3"),
)
"""Every form, the stricter one of a scheme first."""

SCHEMES = tuple(dict.fromkeys(form.scheme for form in FORMS))
DEFAULTS = MappingProxyType({"hf": ("revision", "main"), "github": ("tag", "latest")})
"""What a part means when it is left out. It is not written into the URI, so that it prints back as it was."""

_REPO_LIMIT = 96
_BLOCKED_SEGMENTS = frozenset({".", ".."})


class UriError(ValueError):
    """A URI is refused. The message is `problem; remedy`, the remedy shows the grammar. Never retried."""


@dataclass(frozen=True, slots=True)
class StorageUri:
    """A parsed URI. `parts` holds what was written, by the names of the grammar, in its order."""

    form: Form
    parts: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> StorageUri:
        """Read a URI. Raises UriError with what is wrong and the grammar."""
        scheme = _scheme(text)
        _refuse_unsafe(scheme, text)
        for form in _forms(scheme):
            if (match := _pattern(form.grammar).fullmatch(text)) is not None:
                found = match.groupdict()
                uri = cls(form, tuple((name, value) for name, value in found.items() if value is not None))
                _refuse_meaning(uri)
                return uri
        raise UriError(f"is not a {scheme}:// address; write {grammar(scheme)}")

    @property
    def scheme(self) -> str:
        """The kind of store."""
        return self.form.scheme

    def get(self, part: str) -> str | None:
        """Return a part as written, or its documented default, or None."""
        default = DEFAULTS.get(self.scheme, ("", None))
        return dict(self.parts).get(part, default[1] if default[0] == part else None)

    def __str__(self) -> str:
        """Print it as it was read."""
        found = dict(self.parts)
        text = re.sub(
            r"\[([^\[\]]*)\]", lambda option: option[1] if _names(option[1]) <= found.keys() else "", self.form.grammar
        )
        return re.sub(r"\{(\w+)\}", lambda part: found[part[1]], text)


def grammar(scheme: str) -> str:
    """Return all forms of a scheme, ready to be shown."""
    return " or ".join(form.grammar for form in _forms(scheme))


def expression(scheme: str) -> str:
    """Return one regular expression for all forms of a scheme, without named groups, for readers in other languages."""
    return "|".join(re.sub(r"\?P<\w+>", "?:", _pattern(form.grammar).pattern) for form in _forms(scheme))


def _scheme(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator:
        raise UriError(f"has no scheme; start it with {', '.join(f'{name}://' for name in SCHEMES)}")
    if scheme not in SCHEMES:
        lower = scheme.lower()
        meant = lower if lower in SCHEMES else "https" if lower == "http" else ""
        raise UriError(f"has an unknown scheme; write {meant or ', '.join(SCHEMES)}://…")
    if len(text) > MAX_LENGTH:
        raise UriError(f"is longer than {MAX_LENGTH} characters; write {grammar(scheme)}")
    if not rest:
        raise UriError(f"is empty behind the scheme; write {grammar(scheme)}")
    return scheme


def _refuse_unsafe(scheme: str, text: str) -> None:
    """Refuse what no form may hold. Messages never repeat the text: it may hold a password."""
    rest = text.partition("://")[2]
    segments = [segment.replace("%2e", ".").replace("%2E", ".") for segment in rest.split("/")]
    if _BLOCKED_SEGMENTS & set(segments) or "%2f" in rest.lower():
        raise UriError(f"steps out of its folder ('.' or '..'); write {grammar(scheme)}")
    if scheme == "https" and ("@" in rest.partition("/")[0] or "?" in rest or "#" in rest):
        raise UriError(f"holds a user, query or fragment; keep credentials in a secret and write {grammar(scheme)}")
    body = rest.removeprefix("/") if scheme == "local" else rest
    if any(not segment for segment in body.removesuffix("/").split("/")):
        raise UriError(f"has an empty part; write {grammar(scheme)}")
    if body != body.strip():
        raise UriError(f"begins or ends with a space; write {grammar(scheme)}")


def _refuse_meaning(uri: StorageUri) -> None:
    """Refuse what fits a form but cannot be meant."""
    if uri.scheme == "hf":
        model = uri.get("model") or ""
        if len(model) > _REPO_LIMIT or any(part[0] in ".-" or part[-1] in ".-" for part in model.split("/")):
            raise UriError(f"is not a model id on the hub; write {grammar('hf')}, such as {uri.form.example}")
        if "--" in model or ".." in model:
            raise UriError(f"has '--' or '..' in the model id; write {grammar('hf')}, such as {uri.form.example}")
        if ".." in (uri.get("revision") or ""):
            raise UriError(f"has '..' in the revision; write {grammar('hf')}")
    if uri.scheme in {"oci", "ocios"} and uri.form.name == "bucket" and _lost_markers(str(uri)):
        raise UriError(f"lacks the markers n, b and o; write {grammar(uri.scheme)}")


def _lost_markers(text: str) -> bool:
    """Tell whether the long form was meant: a bucket is never called `n`, and two markers are no accident."""
    segments = [*text.partition("://")[2].lower().split("/"), "", "", "", "", ""]
    return segments[0] == "n" or (segments[2], segments[4]) == ("b", "o")


def _forms(scheme: str) -> Iterator[Form]:
    return (form for form in FORMS if form.scheme == scheme)


def _names(template: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", template))


@lru_cache(maxsize=len(FORMS))
def _pattern(template: str) -> re.Pattern[str]:
    """Turn a grammar into the expression that reads it."""
    pattern = ""
    for piece in re.findall(r"\{\w+\}|\[|\]|[^\[\]{}]+", template):
        if piece == "[":
            pattern += "(?:"
        elif piece == "]":
            pattern += ")?"
        elif piece.startswith("{"):
            pattern += f"(?P<{piece[1:-1]}>{_PARTS[piece[1:-1]]})"
        else:
            pattern += re.escape(piece)
    return re.compile(pattern)
