"""A stand-in for Google Cloud Storage: lists in pages, objects by generation, a token."""

import base64
import hashlib
import json
from urllib.parse import unquote

import google_crc32c
from fakes.store_server import Answer, StoreServer, ranged


class FakeGcs(StoreServer):
    """One bucket. `objects` maps names to content and generation; `token` is what is wanted, if any."""

    def __init__(self, bucket="models", page=2, token=None):
        super().__init__()
        self.bucket, self.page, self.token = bucket, page, token
        self.objects = {}

    def add(self, name, content, generation=1):
        """Store an object."""
        self.objects[name] = (content, generation)

    def answer(self, asked):
        """Answer a list of the JSON interface or an object of the other one."""
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401)
        if asked.path.startswith("/storage/v1/"):
            return self._list(asked) if asked.path == f"/storage/v1/b/{self.bucket}/o" else Answer(404)
        name = unquote(asked.path).removeprefix(f"/{self.bucket}/")
        if name not in self.objects:
            return Answer(404)
        content, generation = self.objects[name]
        if asked.headers.get("x-goog-if-generation-match", str(generation)) != str(generation):
            return Answer(412)
        return ranged(asked, content, '"an-etag-of-its-own"')

    def _list(self, asked):
        names = sorted(name for name in self.objects if name.startswith(asked.query["prefix"]))
        start = int(asked.query.get("pageToken", "0"))
        page = {"items": [self._row(name) for name in names[start : start + self.page]]}
        if start + self.page < len(names):
            page["nextPageToken"] = str(start + self.page)
        return Answer(200, json.dumps(page if names else {}).encode())

    def _row(self, name):
        content, generation = self.objects[name]
        crc = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        return {"name": name, "size": str(len(content)), "generation": str(generation), "crc32c": crc, "md5Hash": md5}
