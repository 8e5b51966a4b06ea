"""The end of a server that works: open streams, and the hard limit. Last of all that share a server, as it ends it."""

import json
import signal
import threading
import time

import pytest
from support.engine import PROMPT, wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]


def test_open_stream_survives_sigterm(server):
    """SIGTERM: new requests are told to go elsewhere, the open stream ends whole, then all is gone with exit code 0."""
    server.wait_ready()
    text = []

    def stream():
        body = PROMPT | {"max_tokens": 200, "ignore_eos": True, "stream": True}
        text.append(server.call("/v1/completions", body)[1])

    assert any(path.is_socket() for path in server.run_dir.sockets.iterdir())
    client = threading.Thread(target=stream)
    client.start()
    time.sleep(1.5)
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.call("/readyz", management=True)[0] == 503, 2)
    wait_until(server.run_dir.draining.exists, 2)
    code, refusal = server.call("/v1/completions", PROMPT)
    assert (code, json.loads(refusal)["error"]["code"]) == (503, "draining")
    client.join(60)
    assert text[0].count("data: {") == 200
    assert '"finish_reason":"length"' in text[0]
    assert text[0].endswith("data: [DONE]\n\n")
    assert server.process.wait(40) == 0
    assert not server.engine_processes()
    assert not server.run_dir.sockets.exists()


@pytest.mark.exhaustive
def test_drain_longer_than_the_timeout(start, record_property):
    """Work that takes longer than allowed is cut off, never told to be complete, and all is gone in time."""
    server = start({"lifecycle": {"shutdownTimeoutSeconds": 2, "killAfterSeconds": 10}})
    server.wait_ready()
    text = []
    body = PROMPT | {"max_tokens": 1000, "ignore_eos": True, "stream": True}
    client = threading.Thread(target=lambda: text.append(server.call("/v1/completions", body)[1]))
    client.start()
    time.sleep(1.5)
    code, seconds = server.stop()
    client.join(30)
    assert code == 0
    record_property("until all was gone, s", round(seconds, 2))
    assert seconds < 12  # two seconds for the work, and never more than ten for the end
    assert '"finish_reason":"length"' not in text[0]
    assert '"finish_reason":"stop"' not in text[0]
    assert not server.engine_processes()


@pytest.mark.exhaustive
def test_eight_streams_survive_sigterm(server):
    """Eight open streams are all delivered whole."""
    server.wait_ready()
    texts = []
    body = PROMPT | {"max_tokens": 100, "ignore_eos": True, "stream": True}
    clients = [threading.Thread(target=lambda: texts.append(server.call("/v1/completions", body)[1])) for _ in range(8)]
    for client in clients:
        client.start()
    time.sleep(2)
    server.process.send_signal(signal.SIGTERM)
    for client in clients:
        client.join(60)
    assert [text.count("data: {") for text in texts] == [100] * 8
    assert all('"finish_reason":"length"' in text and text.endswith("data: [DONE]\n\n") for text in texts)
    assert server.process.wait(40) == 0
