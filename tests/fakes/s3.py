"""An S3 store: moto's semantics behind a gate that checks signatures of both kinds, and can fail on demand."""

import hashlib
import hmac
import io
import re
import threading
import time
from calendar import timegm
from urllib.parse import quote, unquote

from fakes.store_server import Answer, StoreServer
from moto.s3.models import s3_backends
from moto.server import create_backend_app
from werkzeug.test import run_wsgi_app

ALGORITHM = "AWS4-HMAC-SHA256"
STAMP = "%Y%m%dT%H%M%SZ"
HEADER = re.compile(r"(\w+)=([^,\s]+)")


class FakeS3(StoreServer):
    """A store. `secrets` maps access keys to secret keys; signatures must be for the region."""

    def __init__(self, secrets, region="us-east-1"):
        super().__init__()
        s3_backends.reset()
        self.secrets = secrets
        self.region = region
        self._moto = create_backend_app("s3")
        self._one_at_a_time = threading.Lock()

    def answer(self, asked):
        """Let moto answer what is signed well."""
        code = signature_fault(asked, self.secrets, self.region)
        if code is not None:
            return Answer(403, f"<Error><Code>{code}</Code></Error>".encode())
        with self._one_at_a_time:
            pieces, status, headers = run_wsgi_app(self._moto, _environ(asked), buffered=True)
            return Answer(int(status.split()[0]), b"".join(pieces), dict(headers))


def signature_fault(asked, secrets, region):
    """Check a signature of version 4, in the headers or in the address; gives S3's word for what is wrong."""
    presigned = asked.query.get("X-Amz-Algorithm") == ALGORITHM
    if presigned:
        given = {name.removeprefix("X-Amz-"): value for name, value in asked.query.items()}
        stamp, payload = given.get("Date", ""), "UNSIGNED-PAYLOAD"
        if time.time() > timegm(time.strptime(stamp, STAMP)) + int(given["Expires"]):
            return "AccessDenied"
    else:
        given = dict(HEADER.findall(asked.headers.get("authorization", "")))
        stamp, payload = asked.headers.get("x-amz-date", ""), asked.headers.get("x-amz-content-sha256", "")
    key, *scope = given.get("Credential", "").split("/")
    if key not in secrets:
        return "InvalidAccessKeyId"
    if scope[1:] != [region, "s3", "aws4_request"]:
        return "AuthorizationHeaderMalformed"
    text = "\n".join([ALGORITHM, stamp, "/".join(scope), _digest(_canonical(asked, given["SignedHeaders"], payload))])
    signing = f"AWS4{secrets[key]}".encode()
    for piece in (*scope, text):
        signing = hmac.digest(signing, piece.encode(), "sha256")
    return None if hmac.compare_digest(signing.hex(), given.get("Signature", "")) else "SignatureDoesNotMatch"


def _canonical(asked, signed, payload):
    query = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in asked.query.items()
                   if name != "X-Amz-Signature")  # fmt: skip
    headers = "".join(f"{name}:{asked.headers.get(name, '').strip()}\n" for name in signed.split(";"))
    path = quote(unquote(asked.path), safe="/~")
    return "\n".join(
        [asked.method, path, "&".join(f"{name}={value}" for name, value in query), headers, signed, payload]
    )


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def _environ(asked):
    """The request as programs behind web servers get it."""
    headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in asked.headers.items()}
    host, _, port = asked.headers["host"].partition(":")
    return headers | {
        "REQUEST_METHOD": asked.method,
        "PATH_INFO": unquote(asked.path, "latin-1"),
        "RAW_URI": asked.target,
        "QUERY_STRING": asked.target.partition("?")[2],
        "CONTENT_TYPE": asked.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(asked.body)),
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(asked.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
    }
