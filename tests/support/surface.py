"""Builds the engine's real web application without an engine, puts the gate before it, and calls every route of it.

Run by the engine environment's Python with the injected folder on PYTHONPATH, and with every switch that adds routes.
Prints JSON: for each route and method the status without a key, with a wrong one or a wrong token, and with the right
key; "decided" is what the gate's table says.
"""

import asyncio
import json
from types import SimpleNamespace

from plinth_routes import ROUTES
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser

TASKS = (
    "generate", "embed", "classify", "score", "token_embed", "token_classify", "transcription", "translation",
    "realtime", "render",
)  # fmt: skip
"""All that any model could do: whatever routes the engine has, they are there."""

ARGUMENTS = [
    "--middleware", "plinth_middleware.PlinthMiddleware", "--enable-tokenizer-info-endpoint", "--enable-lora",
    "--enable-scale-out", "--enable-fault-tolerance",
    "--profiler-config.profiler", "torch", "--profiler-config.torch_profiler_dir", "/nowhere",
]  # fmt: skip

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


def build(tasks):
    """The application as the engine's server builds it, with its documentation on."""
    parser = make_arg_parser(FlexibleArgumentParser())
    model = SimpleNamespace(get_pooling_task=lambda _tasks: "embed", hf_config=SimpleNamespace(num_labels=1))
    return build_app(parser.parse_args(ARGUMENTS), tasks, model)


def routes_of(app):
    """(path, methods) of every route, those that the documentation leaves out included."""
    found = {path: {method.upper() for method in item} for path, item in app.openapi()["paths"].items()}
    waiting = list(app.routes)
    while waiting:
        route = waiting.pop()
        waiting += getattr(route, "routes", None) or []
        waiting += getattr(getattr(route, "original_router", None), "routes", None) or []
        path = getattr(route, "path", None)
        if path is not None:
            found.setdefault(path or "/", set()).update(getattr(route, "methods", None) or METHODS)
    return found


async def status_of(app, method, path, headers):
    """The status of one call; -1 if the engine's own code was reached and failed for want of an engine."""
    said = []

    async def receive():
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message):
        said.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": b"", "client": ("10.0.0.1", 5),
        "server": ("10.0.0.2", 80), "headers": [(b"content-type", b"application/json"), *headers],
    }  # fmt: skip
    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 as said
        return -1
    return said[0]["status"]


async def main():
    """Walk."""
    app = build(TASKS)
    rows = []
    for path, methods in sorted(routes_of(app).items()):
        concrete = path.replace("{", "").replace("}", "")
        for method in sorted(methods):
            row = {"path": concrete, "method": method, "decided": ROUTES[path][0].name if path in ROUTES else None}
            row["bare"] = await status_of(app, method, concrete, [])
            row["wrong"] = await status_of(app, method, concrete, [(b"authorization", b"Bearer wrong")])
            row["agent"] = await status_of(app, method, concrete, [(b"x-plinth-agent", b"wrong")])
            row["right"] = await status_of(app, method, concrete, [(b"authorization", b"Bearer right")])
            rows.append(row)
    print(json.dumps(rows))


asyncio.run(main())
