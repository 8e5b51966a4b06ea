"""A stand-in for OCI Object Storage: RSA signatures with their dates, lists by key, ranges, checksums, uploads."""

import base64
import email.utils
import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from urllib.parse import unquote

import google_crc32c
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from fakes.store_server import Answer, StoreServer, ranged

SIGNATURE_SECONDS = 300
BODY_HEADERS = {"content-length", "content-type", "x-content-sha256"}
PATH = re.compile(r"/n/(?P<namespace>[^/]+)/b/(?P<bucket>[^/]+)/(?P<kind>[ou])(?:/(?P<name>[^/]+))?")


def base64_text(raw):
    """Bytes as headers have them."""
    return base64.b64encode(raw).decode()


def crc32c_text(content):
    """The checksum as OCI writes it."""
    return base64_text(google_crc32c.value(content).to_bytes(4, "big"))


@dataclass
class Stored:
    """One object. `part_size` is that of its upload, `crc` whether the uploader asked for one."""

    content: bytes
    part_size: int | None = None
    crc: bool = True
    etag: str = field(default="")

    def __post_init__(self):
        self.etag = self.etag or hashlib.sha256(self.content).hexdigest()[:32]

    def sums(self):
        """The headers that tell of the content."""
        found = {"opc-content-crc32c": crc32c_text(self.content)} if self.crc else {}
        if self.part_size is None:
            return found | {"Content-MD5": base64_text(hashlib.md5(self.content).digest())}  # noqa: S324 as OCI does
        pieces = [self.content[at : at + self.part_size] for at in range(0, len(self.content), self.part_size)]
        joined = b"".join(hashlib.md5(piece).digest() for piece in pieces)  # noqa: S324
        return found | {"opc-multipart-md5": f"{base64_text(hashlib.md5(joined).digest())}-{len(pieces)}"}  # noqa: S324


class FakeObjectStorage(StoreServer):
    """One namespace with one bucket. `keys` maps key ids to public keys; `forgotten` ids are refused."""

    def __init__(self, namespace="ns", bucket="models", page=1000):
        super().__init__()
        self.namespace, self.bucket, self.page = namespace, bucket, page
        self.objects = {}
        self.uploads = {}
        self.keys = {}
        self.forgotten = set()
        self.tolerated_seconds = SIGNATURE_SECONDS

    def answer(self, asked):
        """Answer as OCI does: who is not known may not even know what is there."""
        if not self._is_signed(asked):
            return _error(401, "NotAuthenticated")
        if asked.path == "/n":
            return _json(self.namespace)
        match = PATH.fullmatch(asked.path)
        if match is None or (match["namespace"], match["bucket"]) != (self.namespace, self.bucket):
            return _error(404, "BucketNotFound")
        name = unquote(match["name"]) if match["name"] else None
        if match["kind"] == "u":
            return self._upload(asked, name)
        return self._list(asked) if name is None else self._object(asked, name)

    def _is_signed(self, asked):
        given = dict(re.findall(r'(\w+)="([^"]*)"', asked.headers.get("authorization", "")))
        key = self.keys.get(given.get("keyId"))
        if key is None or given["keyId"] in self.forgotten or "date" not in asked.headers:
            return False
        age = abs(time.time() - email.utils.parsedate_to_datetime(asked.headers["date"]).timestamp())
        names = given["headers"].split()
        if age > self.tolerated_seconds or not {"date", "(request-target)", "host"} <= set(names):
            return False
        values = {**asked.headers, "(request-target)": f"{asked.method.lower()} {asked.target}"}
        text = "\n".join(f"{name}: {values.get(name, '')}" for name in names)
        try:
            key.verify(base64.b64decode(given["signature"]), text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        digest = base64_text(hashlib.sha256(asked.body).digest())
        return asked.headers.get("x-content-sha256", digest) == digest

    def _list(self, asked):
        query = asked.query
        names = sorted(name for name in self.objects if name.startswith(query.get("prefix", "")))
        names = [name for name in names if name >= query.get("start", "")]
        limit = min(self.page, int(query.get("limit", "1000")))
        rows = [self._row(name, query.get("fields", "name").split(",")) for name in names[:limit]]
        return _json({"objects": rows, "nextStartWith": names[limit] if len(names) > limit else None})

    def _row(self, name, fields):
        stored = self.objects[name]
        sums = stored.sums()
        md5 = sums.get("Content-MD5", sums.get("opc-multipart-md5"))
        row = {"name": name, "size": len(stored.content), "etag": stored.etag, "md5": md5}
        return {field: row[field] for field in fields}

    def _object(self, asked, name):
        if asked.method == "PUT":
            return self._put(asked, name)
        if name not in self.objects:
            return _error(404, "ObjectNotFound")
        if asked.method == "DELETE":
            del self.objects[name]
            return Answer(204)
        stored = self.objects[name]
        return ranged(asked, stored.content, stored.etag, stored.sums())

    def _put(self, asked, name):
        if asked.headers.get("opc-content-crc32c", crc32c_text(asked.body)) != crc32c_text(asked.body):
            return _error(400, "UnmatchedContentCRC32C")
        self.objects[name] = Stored(asked.body, crc="opc-checksum-algorithm" in asked.headers)
        return Answer(200, b"", {"ETag": self.objects[name].etag})

    def _upload(self, asked, name):
        if name is None:
            begun = json.loads(asked.body)["object"]
            upload = f"upload-{len(self.uploads)}"
            self.uploads[upload] = {}
            return _json({"uploadId": upload, "object": begun, "bucket": self.bucket, "namespace": self.namespace})
        if asked.query["uploadId"] not in self.uploads:
            return _error(404, "NoSuchUpload")
        parts = self.uploads[asked.query["uploadId"]]
        if asked.method == "PUT":
            if asked.headers.get("opc-content-crc32c") != crc32c_text(asked.body):
                return _error(400, "UnmatchedContentCRC32C")
            etag = f"part-{asked.query['uploadPartNum']}"
            parts[int(asked.query["uploadPartNum"])] = (etag, asked.body)
            return Answer(200, b"", {"ETag": etag})
        if asked.method == "DELETE":
            del self.uploads[asked.query["uploadId"]]
            return Answer(204)
        wanted = json.loads(asked.body)["partsToCommit"]
        content = b"".join(parts[row["partNum"]][1] for row in wanted if parts[row["partNum"]][0] == row["etag"])
        stored = self.objects[name] = Stored(content, part_size=len(parts[1][1]))
        return Answer(200, b"", {"ETag": stored.etag, **stored.sums()})


def _json(value):
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _error(status, code):
    body = json.dumps({"code": code, "message": f"Either it does not exist or you may not: {code}"}).encode()
    return Answer(status, body, {"Content-Type": "application/json"})
