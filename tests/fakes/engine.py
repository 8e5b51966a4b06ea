"""A process that behaves like vLLM's server as far as the agent can see: log lines, /health, signals, faults.

Run by the real guard in place of an engine's interpreter, so it takes and mostly ignores vLLM's arguments. FAKE_FAULTS
names the faults, separated by commas; FAKE_DIR is where it may leave notes. Standard library only, starts in 50 ms.
"""

import http.server
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

FAULTS = set(filter(None, os.environ.get("FAKE_FAULTS", "").split(",")))
NOTES = Path(os.environ.get("FAKE_DIR", "."))
LAST_LINES = {
    "bad-arguments": ("api_server.py: error: unrecognized arguments: --no-such", 2),
    "oom": ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", 1),
    "corrupt": ("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer", 1),
    "die-loading": ("RuntimeError: something unknown", 1),
}


def say(text):
    """Log as vLLM does."""
    print(f"(APIServer pid={os.getpid()}) INFO 01-01 00:00:00 [fake.py:1] {text}", flush=True)


def option(name):
    """Value of a command-line argument."""
    return sys.argv[sys.argv.index(name) + 1]


if "--node-rank" in sys.argv:
    NOTES = NOTES / f"rank-{option('--node-rank')}"
    NOTES.mkdir(exist_ok=True)

BEGAN = time.monotonic()
ANSWERED = [0]
STREAMS = set()


def metrics():
    """The counters that tell whether an engine moves: `busy` always does, `still` has work and never does."""
    if "no-metrics" in FAULTS:
        return ""
    running = int(bool({"busy", "still"} & FAULTS))
    steps = time.monotonic() if "busy" in FAULTS else ANSWERED[0]
    return (
        f'vllm:num_requests_running{{engine="0"}} {running}\nvllm:iteration_tokens_total_count{{engine="0"}} {steps}\n'
    )


def frozen():
    """Whether no request is answered: `busy` for ever, `freeze-once` in the first engine, from a moment on."""
    once = "freeze-once" in FAULTS and (NOTES / "starts").read_text() == "1" and time.monotonic() - BEGAN > 1
    return once or "busy" in FAULTS


class Handler(http.server.BaseHTTPRequestHandler):
    """/health, /metrics, probes, and a stream that lasts one second."""

    def do_POST(self):
        """Answer a probe, or never."""
        (NOTES / "probes").write_text(self.path + self.headers["x-plinth-agent"])
        while frozen():
            time.sleep(0.05)
        ANSWERED[0] += 1
        self.send_response(404 if "no-completions" in FAULTS and "embed" not in self.path else 200)
        self.end_headers()

    def do_GET(self):
        """Answer."""
        self.send_response(200)
        self.end_headers()
        if self.path == "/metrics":
            self.wfile.write(metrics().encode())
        if self.path == "/plinth/open":
            self.wfile.write(json.dumps({"open": len(STREAMS)}).encode())
        if self.path == "/stream":
            STREAMS.add(self)
            for number in range(10):
                self.wfile.write(f"data: {number}\n\n".encode())
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(b"data: [DONE]\n\n")
            STREAMS.discard(self)

    def log_message(self, *_):
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Waits for open streams when closed."""

    daemon_threads = False
    block_on_close = True


def spawn_children():
    """Children that would stay behind: one in the group, one that left it."""
    for name, leaves in (("child", False), ("runaway", True))[: 1 if "child" in FAULTS else 2]:
        child = subprocess.Popen(["sleep", "300"], start_new_session=leaves)
        (NOTES / name).write_text(str(child.pid))


HELD = []


def take_semaphore():
    """A named semaphore, as vLLM's processes share them: one that is killed cannot remove it."""
    HELD.append(multiprocessing.get_context("spawn").Lock())
    (NOTES / "semaphore").write_text(f"/dev/shm/sem.{HELD[-1]._semlock.name[1:]}")


def count_start():
    """Number of starts so far, this one included."""
    path = NOTES / "starts"
    count = int(path.read_text()) + 1 if path.exists() else 1
    path.write_text(str(count))
    return count


def compile_model():
    """Use what is in the cache, or put it there; say which."""
    if "VLLM_CACHE_ROOT" in os.environ:
        code = Path(os.environ["VLLM_CACHE_ROOT"]) / "torch_compile_cache/code"
        say(f"Compiled code: {code.read_text() if code.exists() else 'none'}")
        code.parent.mkdir(parents=True, exist_ok=True)
        code.write_text("of an earlier start")


def wait_for_weights():
    """Wait as an engine does that was started early; one with the fault `early` dies of it."""
    if "plinth_early" in sys.argv:
        (NOTES / "early").touch()
        if "early" in FAULTS:
            sys.exit(1)
        while not Path(option("plinth_early")).exists():
            time.sleep(0.02)


def main():
    """Live the life of an engine."""
    wait_for_weights()
    starts = count_start()
    (NOTES / "pid").write_text(str(os.getpid()))
    if "ignore-term" in FAULTS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if {"child", "children"} & FAULTS:
        spawn_children()
    if "VLLM_RPC_BASE_PATH" in os.environ:
        HELD.append(socket.socket(socket.AF_UNIX))
        HELD[-1].bind(os.environ["VLLM_RPC_BASE_PATH"] + "/core")
    if "semaphore" in FAULTS:
        take_semaphore()
    say("Initializing a V1 LLM engine (v0) with config")
    say("Starting to load model x...")
    sys.stdout.write("Loading safetensors checkpoint shards:   0% Completed | 0/2\r")
    sys.stdout.write("Loading safetensors checkpoint shards: 100% Completed | 2/2\n")
    for fault, (line, code) in LAST_LINES.items():
        if fault in FAULTS or (fault + "-once" in FAULTS and starts == 1):
            print(line, flush=True)
            sys.exit(code)
    while "hang" in FAULTS:
        time.sleep(60)
    say("Loading weights took 0.1 seconds")
    compile_model()
    if "--headless" in sys.argv:
        signal.pause()
    serve(starts)


def serve(starts):
    """Answer until told to end."""
    server = Server((option("--host"), int(option("--port"))), Handler)
    if "ignore-term" not in FAULTS:
        signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    if "die-ready-once" in FAULTS and starts == 1:
        threading.Timer(1.0, lambda: (say("EngineDeadError: EngineCore encountered an issue."), os._exit(0))).start()
    say("Application startup complete.")
    server.serve_forever(0.02)
    server.server_close()
    say("bye")


if "-c" in sys.argv:
    print(json.dumps({"vllm": "0"}))  # asked for the versions of its packages
else:
    main()
