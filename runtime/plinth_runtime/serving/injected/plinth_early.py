# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""An engine that is started before its weights are there: it imports what it needs, and waits for a file to go on.

Run as `python -m plinth_early FILE MODULE ARGUMENT…`; what follows is `python -m MODULE ARGUMENT…`, some ten seconds
of imports later.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
import time

HEAVY = "vllm.entrypoints.launchers.api_server.entry"
"""What the server imports first; all else that takes long is behind it."""

PAUSE_SECONDS = 0.05


def main() -> None:
    """Import, wait, become the module."""
    file, module, *arguments = sys.argv[1:]
    importlib.import_module(HEAVY)
    while not os.path.exists(file):  # noqa: PTH110 lean
        time.sleep(PAUSE_SECONDS)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
