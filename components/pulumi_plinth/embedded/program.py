"""The child process that runs the user's program against the engine. Executed as a file, by its path.

It reads one JSON line of settings from stdin, so that secrets stand neither in arguments nor in the environment.
It imports Pulumi and nothing of ours: it may run before our package would even be importable.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_GARBAGE_OBJECTS = 50_000
"""Objects after which Python looks for garbage. A program imports and builds up, throws little away, and ends soon:
looking each 700 objects, Python's default, takes a tenth and more of the imports."""


def main() -> int:
    """Run the program; returns the exit status."""
    gc.set_threshold(_GARBAGE_OBJECTS)
    import pulumi  # before the settings arrive: importing is the slow part
    import pulumi.runtime

    line = sys.stdin.readline()
    if not line:
        return 1  # the engine went away before it had anything to run
    settings: dict[str, Any] = json.loads(line)
    pulumi.runtime.set_all_config(settings["config"], settings["secretKeys"])
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            monitor=settings["monitor"],
            engine=settings["engine"] if settings["debug"] else _Quiet(settings["engine"]),
            project=settings["project"],
            stack=settings["stack"],
            parallel=settings["parallel"],
            dry_run=settings["dryRun"],
            organization="organization",
            root_directory=settings["root"],
        )
    )
    root = settings["root"]
    sys.argv, sys.path = [root], [root, *sys.path]
    # Pulumi programs leave futures unobserved when a deployment stops early; asyncio would complain about each.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    # Every registration waits in a thread; with fewer threads than registrations, independent ones would queue.
    loop.set_default_executor(ThreadPoolExecutor(max_workers=settings["parallel"] + 8))
    try:
        entry = str(Path(root) / "__main__.py")
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _execute(entry)))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
    except Exception:  # noqa: BLE001 - whatever the program raises is reported, with the program's own lines
        pulumi.log.error(traceback.format_exc())
    else:
        return 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 1


class _Quiet:
    """The engine, spared what the SDK says for its own debugging: several calls a resource, and it waits for each."""

    def __init__(self, address: str) -> None:
        import grpc
        from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

        self._stub, self._debug = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address)), engine_pb2.DEBUG

    def Log(self, request: Any) -> None:  # noqa: N802 - the protocol's name
        """Tell the engine what people may read."""
        if request.severity != self._debug:
            self._stub.Log(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stub, name)


async def _execute(entry: str) -> None:
    runpy.run_path(entry, run_name="__main__")
    # Without a registration that has begun, the SDK would wait for outputs, looking through all of them each time one
    # is there: a quarter of its work where there are thousands. So let registrations begin, which it awaits in turn.
    await asyncio.sleep(0)


if __name__ == "__main__":
    sys.exit(main())
