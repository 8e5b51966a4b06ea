"""Ends a cluster when the process that started it is gone, however it went: a second process waits for that."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path


@contextlib.contextmanager
def guarded(folder):
    """See to it that a cluster ends when this process is killed: whoever reads our pipe notices."""
    command = [sys.executable, "-m", "cluster", "guard"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "CLUSTER": str(folder)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stderr=subprocess.DEVNULL, env=environment, start_new_session=True) as p:
        try:
            yield
        finally:
            p.stdin.close()
