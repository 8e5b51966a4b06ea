"""A stand-in for the Hugging Face hub, as far as its own library asks it: revision, tree in pages, resolve.

Large files are answered with a redirect to a second server, whose addresses carry a signature and end at will, and
which calls its versions by names of its own.
"""

import hashlib
import json
from urllib.parse import quote, unquote

from fakes.store_server import Answer, StoreServer, ranged

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PAGE = 3


def git_id(content):
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 git's own


class FakeStorage(StoreServer):
    """Where large files lie. An address is good while its signature is the current one."""

    def __init__(self):
        super().__init__()
        self.contents = {}
        self.signature = 1

    def place(self, digest):
        """A presigned address."""
        return f"{self.address}/xet/{digest}?X-Amz-Signature=signed-{self.signature}"

    def answer(self, asked):
        """Give a range if the signature is right; a token has no business here."""
        assert "authorization" not in asked.headers
        if asked.query.get("X-Amz-Signature") != f"signed-{self.signature}":
            return Answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        return ranged(asked, self.contents[asked.path.rpartition("/")[2]], '"of-the-storage-7"')


class FakeHub(StoreServer):
    """One model with branches; `token` is what a private model wants, `gated` refuses even that."""

    def __init__(self, storage, model="acme/llama", token=None):
        super().__init__()
        self.storage = storage
        self.model = model
        self.token = token
        self.gated = False
        self.revisions = {"main": COMMIT, COMMIT: COMMIT}
        self.files = {}
        self.large = set()

    def add(self, name, content, *, large=False):
        """Commit a file."""
        self.files[name] = content
        if large:
            self.large.add(name)
            self.storage.contents[hashlib.sha256(content).hexdigest()] = content

    def answer(self, asked):
        """Answer as the hub does."""
        if self.gated:
            return _error(403, "GatedRepo", "Access to model is restricted")
        if self.token and asked.headers.get("authorization") != f"Bearer {self.token}":
            return _error(401, "RepoNotFound", "Invalid username or password.")
        path = unquote(asked.path)
        if path.startswith(f"/api/models/{self.model}"):
            return self._api(asked, path.removeprefix(f"/api/models/{self.model}"))
        if path.startswith(f"/{self.model}/resolve/"):
            return self._resolve(asked, *path.removeprefix(f"/{self.model}/resolve/").split("/", 1))
        return _error(404, "RepoNotFound", "Repository not found")

    def _api(self, asked, rest):
        what, _, revision = rest.removeprefix("/").partition("/")
        commit = self.revisions.get(revision or "main")
        if commit is None:
            return _error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if what in {"", "revision"}:
            return _json({"_id": "1", "id": self.model, "modelId": self.model, "sha": commit, "siblings": []})
        return self._tree(asked)

    def _tree(self, asked):
        """List recursively in pages, folders among the files."""
        folders = {name.rpartition("/")[0] for name in self.files} - {""}
        rows = [{"type": "directory", "path": name, "oid": git_id(name.encode()), "size": 0} for name in folders]
        rows.extend(self._row(name, content) for name, content in sorted(self.files.items()))
        start = int(asked.query.get("cursor", "0"))
        headers = {}
        if start + PAGE < len(rows):
            following = f"{self.address}{quote(asked.path)}?recursive=True&cursor={start + PAGE}"
            headers["Link"] = f'<{following}>; rel="next"'
        return _json(rows[start : start + PAGE], headers)

    def _row(self, name, content):
        row = {"type": "file", "path": name, "size": len(content), "oid": git_id(content)}
        if name in self.large:
            row["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return row

    def _resolve(self, asked, revision, name):
        if revision not in self.revisions or name not in self.files:
            return _error(404, "EntryNotFound", "Entry not found")
        content = self.files[name]
        headers = {"X-Repo-Commit": self.revisions[revision]}
        if name not in self.large:
            return ranged(asked, content, f'"{git_id(content)}"', headers)
        digest = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "ETag": f'"{digest}"'}
        return Answer(302, b"Found", {**headers, **linked, "Location": self.storage.place(digest)})


def _json(value, headers=None):
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def _error(status, code, message):
    headers = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
    return Answer(status, json.dumps({"error": message}).encode(), headers)
