"""The command `plinth-runtime bench`: reads options, measures, prints. It decides nothing.

Why not the engine's own benchmark (`vllm bench serve`): it runs only where the engine is installed (5 GB, ten seconds
of imports), wants the model's tokenizer beside it, and takes a key from the environment only. A server is measured
from where its clients are, and there is neither. The definitions are the same (`figures.py`), and a test on the real
engine compares the two.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from plinth_runtime.bench import wish as defaults

if TYPE_CHECKING:
    from plinth_runtime.bench.figures import Figures
    from plinth_runtime.bench.wish import Outcome, Server, Wish

PORTS = {"http": 80, "https": 443}
POSITIVE = click.IntRange(min=1)


@click.command()
@click.argument("url")
@click.option("--model", help="The model to ask for. Default: the first that the server lists.")
@click.option(
    "--key-file", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="A file with the key in it."
)
@click.option("--clients", type=POSITIVE, default=defaults.CLIENTS, show_default=True, help="Asking at the same time.")
@click.option("--requests", type=POSITIVE, default=defaults.REQUESTS, show_default=True, help="Of all clients.")
@click.option("--prompt-tokens", type=POSITIVE, default=defaults.PROMPT_TOKENS, show_default=True, help="Of each.")
@click.option("--max-tokens", type=POSITIVE, default=defaults.MAX_TOKENS, show_default=True, help="Of each answer.")
@click.option("--json", "as_json", is_flag=True, help="The benchmark file, to standard output.")
def bench(url: str, model: str | None, key_file: Path | None, as_json: bool, **load: int) -> None:
    """Measure the server at URL: time to first token, between tokens, whole answers, throughput.

    Exit code 1: the server cannot be measured, or a request failed; the figures are of those that did not.

    \b
    Examples:
      plinth-runtime bench http://127.0.0.1:8000 --key-file key --clients 8
      plinth-runtime bench https://models.example/v1 --json > bench.json
    """
    from plinth_runtime.bench.client import BenchError, Client

    server = read_url(url, _key(key_file))
    try:
        with closing(Client(server)) as client:
            wish = defaults.Wish(model or client.models()[0], **load)
        figures = _measure(server, wish)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    _print(figures, server, as_json=as_json)
    sys.exit(bool(figures.failed))


def read_url(url: str, key: str) -> Server:
    """Read an address as people write it: with or without `/v1` at its end. Raises click.BadParameter."""
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError) as error:
        raise click.BadParameter(f"{url!r} is no address; write http://HOST:PORT", param_hint="URL") from error
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise click.BadParameter(f"{url!r} is no base address; write http://HOST:PORT", param_hint="URL")
    prefix = parts.path.rstrip("/").removesuffix("/v1")
    return defaults.Server(parts.scheme == "https", parts.hostname, port, prefix, key)


def _key(file: Path | None) -> str:
    if file is None:
        return ""
    key = file.read_text(encoding="utf-8").strip()
    if not key or not key.isascii() or len(key.split()) > 1:
        raise click.BadParameter(f"{file} must hold one key and nothing else", param_hint="--key-file")
    return key


def _measure(server: Server, wish: Wish) -> Figures:
    from plinth_runtime.bench.figures import figures_of
    from plinth_runtime.bench.load import measure, warm_up

    warm_up(server, wish)
    failed = 0
    with click.progressbar(length=wish.requests, label="requests", file=sys.stderr, show_pos=True) as bar:

        def seen(outcome: Outcome) -> None:
            nonlocal failed
            failed += bool(outcome.error)
            bar.label = f"requests, {failed} failed" if failed else "requests"
            bar.update(1)

        return figures_of(wish, measure(server, wish, seen))


def _print(figures: Figures, server: Server, *, as_json: bool) -> None:
    from plinth_runtime.bench.chart import lines_of
    from plinth_runtime.bench.figures import benchmark_file

    if as_json:
        measured_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        click.echo(json.dumps(benchmark_file(figures, server, measured_at), indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines_of(figures)))
