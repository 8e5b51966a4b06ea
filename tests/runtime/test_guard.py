"""Which processes of an engine are still there, when the first thread of one ended before the others."""

import sys

import psutil
import pytest
from cluster.processes import Processes
from support.project import alive, is_free, wait_until

from plinth_runtime.serving import guard

FIRST_THREAD_ENDS = """
import ctypes, socket, threading, time
held = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print(held.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_a_process_is_there_while_a_thread_holds_its_port(tmp_path):
    """Its first thread is a zombie, as for a moment after SIGKILL: what started now would find the port taken."""
    (tmp_path / "logs").mkdir()
    processes = Processes(tmp_path)
    process = processes.start("holder", [sys.executable, "-I", "-S", "-c", FIRST_THREAD_ENDS])
    seen = psutil.Process(process.pid)
    try:
        wait_until(lambda: seen.status() == psutil.STATUS_ZOMBIE, 60, "the end of the first thread")
        port = int(processes.log("holder").read_text())
        assert not is_free(port)
        assert (process.pid in guard.members(process.pid), process.alive(), alive(seen)) == (True, True, True)
    finally:
        processes.kill()
    assert is_free(port)
    assert (process.pid in guard.members(process.pid), process.alive(), alive(seen)) == (False, False, False)
