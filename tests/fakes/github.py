"""A stand-in for GitHub's releases: the newest and tagged ones, assets in pages, a redirect to where they lie."""

import hashlib
import json

from fakes.hub import FakeStorage
from fakes.store_server import Answer, StoreServer


class FakeGithub(StoreServer):
    """One repository with one release; `token` is what a private one wants."""

    def __init__(self, storage: FakeStorage, token=None):
        super().__init__()
        self.storage = storage
        self.token = token
        self.assets = {}

    def add(self, name, content, *, digest=True):
        """Upload an asset; older ones have no digest."""
        self.assets[name] = (content, digest)
        self.storage.contents[hashlib.sha256(content).hexdigest()] = content

    def answer(self, asked):
        """Answer as the interface does: what one may not see is not there."""
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return Answer(404)
        base = "/repos/acme/llama/releases"
        if asked.path in {f"{base}/latest", f"{base}/tags/v1"}:
            return Answer(200, json.dumps({"id": 7, "tag_name": "v1"}).encode())
        if asked.path == f"{base}/7/assets":
            size, page = int(asked.query["per_page"]), int(asked.query["page"])
            rows = [self._row(name) for name in self.assets]
            return Answer(200, json.dumps(rows[(page - 1) * size : page * size]).encode())
        if asked.path.startswith(f"{base}/assets/") and asked.headers["accept"] == "application/octet-stream":
            content = list(self.assets.values())[int(asked.path.rpartition("/")[2])][0]
            return Answer(302, b"", {"Location": self.storage.place(hashlib.sha256(content).hexdigest())})
        return Answer(404)

    def _row(self, name):
        content, has_digest = self.assets[name]
        number = list(self.assets).index(name)
        url = f"{self.address}/repos/acme/llama/releases/assets/{number}"
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}" if has_digest else None
        return {"id": number, "name": name, "size": len(content), "url": url, "digest": digest, "updated_at": "now"}
