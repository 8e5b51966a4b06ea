"""Web servers as sources: `https://`, and `http://` on this machine.

A web server has no list. So it is looked for, in this order: the address itself as one file, a manifest, a page that
lists files (nginx, Apache, Python), the files that every model has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urljoin, urlsplit

from pydantic import ValidationError

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest
from plinth_runtime.weights.sources import Listing, NotFoundError, RefusedError, RemoteObject
from plinth_runtime.weights.sources.answers import Wanted
from plinth_runtime.weights.sources.wire import HttpBody, Wire, WireSettings

LIST_STREAMS = 8
MAX_FOLDERS = 1000
PAGE_LIMIT_BYTES = 16 << 20
INDEX_NAME = "model.safetensors.index.json"
FILE_NAME = re.compile(r"\.(safetensors|gguf|json|txt|model|jinja|md|bin|pt|pth)$")
LIST_TITLE = re.compile(r"<title>\s*(Index of|Directory listing for)\b", re.IGNORECASE)
LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"'#?]+)["']""", re.IGNORECASE)
WELL_KNOWN = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
    "preprocessor_config.json", "processor_config.json", "README.md", "LICENSE",
    "model.safetensors", INDEX_NAME, "adapter_config.json", "adapter_model.safetensors",
)  # fmt: skip
"""Files that are looked for where nothing lists them. Shards come from the index."""


def open_source(address: str, settings: WireSettings | None = None) -> WebFolder:
    """Give the web folder at an address."""
    return WebFolder(address, settings or WireSettings())


class WebFolder:
    """One folder, or one file, of a web server; a `Source`."""

    def __init__(self, address: str, settings: WireSettings) -> None:
        self._address = quote(address.rstrip("/"), safe=":/%[]@!$&'()*+,;=~")
        self._settings = settings

    def describe(self) -> str:
        """Name the address."""
        return self._address

    def list_objects(self) -> Listing:
        """Find out what lies there."""
        wire = Wire(self._settings)
        try:
            return self._list(wire)
        finally:
            wire.close()

    def session(self) -> WebSession:
        """Give a stream."""
        return WebSession(Wire(self._settings))

    def _list(self, wire: Wire) -> Listing:
        name = unquote(self._address.rpartition("/")[2])
        if FILE_NAME.search(name) and (row := self._look(wire, name, self._address)) is not None:
            return Listing((row,))
        if (text := _maybe(wire, self._url(MANIFEST_NAME))) is not None:
            return Listing(tuple(self._manifest_rows(text)), manifest=text)
        names = self._crawl(wire) or self._well_known(wire)
        if not names:
            raise NotFoundError(f"{self._address} has no {MANIFEST_NAME}, no list of files and no config.json")
        return Listing(tuple(self._look_all(names)))

    def _url(self, name: str) -> str:
        return f"{self._address}/{quote(name)}"

    def _manifest_rows(self, text: bytes) -> Iterator[RemoteObject]:
        try:
            manifest = WeightManifest.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "document"
            raise RefusedError(f"{self._url(MANIFEST_NAME)} is not a manifest: {where}: {first['msg']}") from error
        return (RemoteObject(file.path, file.size, self._url(file.path)) for file in manifest.files)

    def _crawl(self, wire: Wire) -> list[str]:
        """Follow the server's own pages of files, folder by folder, and never above the address."""
        found: list[str] = []
        folders = [""]
        for seen in range(MAX_FOLDERS):
            if seen >= len(folders):
                return found
            page = _maybe(wire, self._url(folders[seen]), PAGE_LIMIT_BYTES)
            names = _links(page, self._url(folders[seen])) if page else []
            found.extend(folders[seen] + name for name in names if not name.endswith("/"))
            folders.extend(folders[seen] + name for name in names if name.endswith("/"))
        raise RefusedError(f"{self._address} has more than {MAX_FOLDERS} folders")

    def _well_known(self, wire: Wire) -> list[str]:
        text = _maybe(wire, self._url(INDEX_NAME))
        shards: set[str] = set()
        if text is not None:
            try:
                shards = {str(shard) for shard in json.loads(text)["weight_map"].values()}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RefusedError(f"{self._url(INDEX_NAME)} is not an index") from error
        rows = self._look_all(WELL_KNOWN)
        return sorted({row.name for row in rows} | shards)

    def _look_all(self, names: Iterable[str]) -> list[RemoteObject]:
        """Ask for size and version of each, several at a time; those that are not there are left out."""
        from concurrent.futures import ThreadPoolExecutor

        chosen = list(names)
        shares = [chosen[lane::LIST_STREAMS] for lane in range(LIST_STREAMS)]
        wires = [Wire(self._settings) for _ in shares]
        with ThreadPoolExecutor(LIST_STREAMS) as pool:
            try:
                rows = [row for share in pool.map(self._look_share, wires, shares) for row in share]
            except BaseException:
                for wire in wires:
                    wire.abort()
                raise
        return sorted(rows, key=lambda row: row.name)

    def _look_share(self, wire: Wire, names: list[str]) -> list[RemoteObject]:
        try:
            rows = [self._look(wire, name, self._url(name)) for name in names]
        finally:
            wire.close()
        return [row for row in rows if row is not None]

    def _look(self, wire: Wire, name: str, url: str) -> RemoteObject | None:
        try:
            headers = wire.head(url)
        except NotFoundError:
            return None
        size = headers.get("Content-Length", "")
        if not size.isdecimal():
            raise RefusedError(f"{url}: the server does not say how many bytes it has")
        return RemoteObject(name, int(size), url, headers.get("ETag") or _time_tag(headers.get("Last-Modified")))


class WebSession:
    """One stream; a `Session`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def open_range(self, target: RemoteObject, start: int, length: int) -> HttpBody:
        """Ask for a range."""
        return self._wire.get_range(target.key, Wanted(target.name, target.size, start, length, target.etag))

    def abort(self) -> None:
        """Cut the connection."""
        self._wire.abort()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()


def _time_tag(modified: str | None) -> str | None:
    """Make a weak tag of a time of change: good to know a file again, never sent to the server."""
    return f'W/"{modified}"' if modified else None


def _maybe(wire: Wire, url: str, limit: int | None = None) -> bytes | None:
    try:
        return wire.get_small(url) if limit is None else wire.get_small(url, limit=limit)
    except NotFoundError:
        return None


def _links(page: bytes, url: str) -> list[str]:
    """Read the names directly below a folder out of its page; a page that lists nothing gives none."""
    text = page.decode("utf-8", "replace")
    if LIST_TITLE.search(text) is None:
        return []
    from html import unescape

    base = urlsplit(url.rstrip("/") + "/").path
    names = []
    for link in LINK.findall(text):
        path = urlsplit(urljoin(url.rstrip("/") + "/", unescape(link))).path
        name = unquote(path.removeprefix(base))
        if path.startswith(base) and name and not name.startswith(".") and "/" not in name.rstrip("/"):
            names.append(name)
    return list(dict.fromkeys(names))
