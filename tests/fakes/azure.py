"""A stand-in for Azure Blob Storage: lists in pages, a shared access signature or a token."""

import base64
import hashlib
from urllib.parse import unquote
from xml.sax.saxutils import escape

from fakes.store_server import Answer, StoreServer, ranged


class FakeAzure(StoreServer):
    """One container. It wants this signature in the address, or this token."""

    def __init__(self, container="models", page=2):
        super().__init__()
        self.container, self.page = container, page
        self.signature = "the-signature"
        self.token = "the-token"
        self.objects = {}

    def answer(self, asked):
        """Answer a list or a blob."""
        by_token = asked.headers.get("authorization") == f"Bearer {self.token}" and "x-ms-version" in asked.headers
        if not by_token and asked.query.get("sig") != self.signature:
            return Answer(403, b"<Error><Code>AuthenticationFailed</Code></Error>")
        if asked.path == f"/{self.container}" and asked.query.get("comp") == "list":
            return self._list(asked)
        name = unquote(asked.path).removeprefix(f"/{self.container}/")
        if name not in self.objects:
            return Answer(404, b"<Error><Code>BlobNotFound</Code></Error>")
        return ranged(asked, self.objects[name], f'"{self._etag(name)}"')

    def _etag(self, name):
        return "0x8D" + hashlib.sha256(self.objects[name]).hexdigest()[:12].upper()

    def _list(self, asked):
        names = sorted(name for name in self.objects if name.startswith(asked.query["prefix"]))
        start = int(asked.query.get("marker", "0"))
        more = str(start + self.page) if start + self.page < len(names) else ""
        blobs = "".join(map(self._row, names[start : start + self.page]))
        text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{more}</NextMarker></EnumerationResults>"
        return Answer(200, text.encode())

    def _row(self, name):
        content = self.objects[name]
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        rows = {"Content-Length": len(content), "Etag": self._etag(name), "Content-MD5": md5}
        properties = "".join(f"<{key}>{value}</{key}>" for key, value in rows.items())
        return f"<Blob><Name>{escape(name)}</Name><Properties>{properties}</Properties></Blob>"
