"""Bytes, files and folders that the tests of weights are about."""

import hashlib
import json
import os
import struct
import subprocess
import sys
import time

from hypothesis import HealthCheck, settings

PART = 1 << 20
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
"""For generated cases: a busy machine takes as long as it takes."""

SHARD = "model-00001-of-00002.safetensors"


def safetensors(tensors, data):
    """A safetensors file of bytes: tensor name -> bytes of it, cut from `data`."""
    header, offset = {}, 0
    for name, size in tensors.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[:offset]


def noise(size, seed=0):
    """Bytes that nobody would take for zeros, the same for the same seed."""
    block = hashlib.shake_256(str(seed).encode()).digest(1 << 16)
    return (block * (size // len(block) + 1))[:size]


def contents(folder):
    """Visible files but the manifest, path to bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != "plinth-manifest.json"
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    }


def flip(path, offset):
    """Flip one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path)


PEAK = """
import re, sys
from plinth_runtime.cli import cli
cli(sys.argv[1:], standalone_mode=False)
print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1], file=sys.stderr)
"""


def fetch_for_memory(address, folder):
    """Fetch in a process of its own. Gives what it said, the most memory it had, and the bytes it wrote to disks."""
    words = [sys.executable, "-c", PEAK, "fetch", address, "--to", str(folder), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        out, err = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, err
    return json.loads(out), int(err) << 10, usage.ru_oublock * 512


def ceiling(row):
    """The memory that a fetch may have, by the streams that it says it had."""
    return 64_000_000 + (row["streams"] << 20)


def settled(origin):
    """The server, when it has written down what it sent: its last words of a request may come after the answer."""
    limit = time.monotonic() + 30
    while origin.open and time.monotonic() < limit:
        time.sleep(0.01)
    return origin
