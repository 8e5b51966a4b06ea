"""Lines of bounded length, files of bounded size."""

import os

import pytest

from plinth_runtime.serving.lines import LineSplitter
from plinth_runtime.serving.logs import Log, RotatingFile, StreamSink


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a", b"b\n"], ["ab"]),
        ([b"0%\r50%\r100%\n"], ["0%", "50%", "100%"]),
        ([b"a\r\nb"], ["a", "b"]),
        ([b"\n\n \n"], []),
        ([b"\xff\n"], ["\ufffd"]),
        ([b"x" * 25, b"y\nz\n"], ["x" * 10 + " ...(cut)", "z"]),
        ([b"x" * 10 + b"\n"], ["x" * 10]),
    ],
)
def test_splitting(chunks, lines):
    """Chunks become lines; carriage returns end them, long ones are cut, the rest comes at the end."""
    splitter = LineSplitter(limit=10)
    got = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert got + splitter.flush() == lines


def test_rotation(tmp_path):
    """A full file makes room; no more files are kept than allowed, and only the owner may read them."""
    path = tmp_path / "server.log"
    file = RotatingFile(path, limit=10, kept=3)
    for number in range(6):
        file.write(b"%d-------\n" % number)
    file.close()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["server.log", "server.log.1", "server.log.2"]
    assert path.read_bytes() == b"5-------\n"
    assert (tmp_path / "server.log.2").read_bytes() == b"3-------\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_broken_sink_ends_nothing():
    """Writing into a closed pipe is survived."""
    read, write = os.pipe()
    os.close(read)
    log = Log(StreamSink(write))
    log.say("hello")
    log.close()
    os.close(write)


def test_order_and_prefix():
    """The agent's lines are marked and everything comes in order."""
    read, write = os.pipe()
    log = Log(StreamSink(write))
    log.pass_on("one")
    log.say("two")
    log.close()
    os.close(write)
    assert os.read(read, 100) == b"one\nplinth: two\n"
    os.close(read)
