"""The command line `plinth-runtime`: reads options, calls one function each, and turns a fault into an exit code.

Imports of weight are inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from plinth_runtime import cli_convert, cli_node, cli_weights
from plinth_runtime.bench.cli_bench import bench

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
EXAMPLES = """\b
Examples:
  plinth-runtime fetch hf://HuggingFaceTB/SmolLM2-135M-Instruct --to models/smollm2-135m
  plinth-runtime manifest models/smollm2-135m --source "where they came from"
  plinth-runtime verify models/smollm2-135m
  plinth-runtime print-command --config launch.json
  plinth-runtime serve --config launch.json --run-dir run --log-file run/server.log
  plinth-runtime bench http://127.0.0.1:8000 --key-file key
"""


@click.group(epilog=EXAMPLES, context_settings={"max_content_width": 120})
@click.version_option(package_name="plinth-runtime")
def cli() -> None:
    """Fetch and check weights; start, watch, drain and end one inference engine, truthfully."""


@cli.command()
@click.option("--config", type=FILE, required=True, help="The launch file (JSON).")
@click.option("--run-dir", type=FOLDER, help="Lock, status and termination go here. Default: the launch file's folder.")
@click.option("--log-file", type=FILE, help="Log here (10 MiB, three files) instead of to standard output.")
def serve(config: Path, run_dir: Path | None, log_file: Path | None) -> None:
    """Serve one model until SIGTERM, which lets open requests finish; a second one does not."""
    from plinth_runtime import server

    sys.exit(server.serve(server.ServerOptions(config, run_dir, log_file)))


@cli.command()
@click.option("--run-dir", type=FOLDER, required=True, help="The run directory of a server that was killed.")
def sweep(run_dir: Path) -> None:
    """End what is left of an engine whose agent and guard were killed; a living server is not touched."""
    from plinth_runtime import server
    from plinth_runtime.contract.rundir import RunDir

    server.sweep(RunDir(run_dir.resolve()))


@cli.command()
@click.argument("folder", type=FOLDER)
@click.option("--source", default="", help="Where the weights came from, for people.")
def manifest(folder: Path, source: str) -> None:
    """Write FOLDER/plinth-manifest.json: every file with size and sha256. Prints the manifest's own sha256."""
    from plinth_runtime.weights.inspect import make_manifest, write_manifest

    click.echo(write_manifest(folder, make_manifest(folder, source)))


@cli.command()
@click.argument("folder", type=FOLDER)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def inspect(folder: Path, as_json: bool) -> None:
    """Print the card of the model in FOLDER: architecture, parameters, layers, context."""
    from plinth_runtime.weights.inspect import inspect_folder

    card = inspect_folder(folder).model_dump(mode="json")
    lines = [
        f"{name:<16} {value:,}" if isinstance(value, int) else f"{name:<16} {value}" for name, value in card.items()
    ]
    click.echo(json.dumps(card) if as_json else "\n".join(lines))


@cli.command("print-command")
@click.option("--config", type=FILE, required=True, help="The launch file (JSON).")
@click.option("--run-dir", type=FOLDER, help="As for serve.")
def print_command(config: Path, run_dir: Path | None) -> None:
    """Print, as JSON, the engine's argv and environment as `serve` would use them here."""
    from plinth_runtime import server
    from plinth_runtime.contract.rundir import RunDir

    launch = server.load_launch(config)
    command = server.command_for(
        launch, RunDir((run_dir or config.parent).resolve()), launch.model.adapters, server.find_own_seat(launch)
    )
    click.echo(json.dumps({"argv": command.argv, "environment": dict(sorted(command.environment.items()))}, indent=2))


@cli.group()
def cache() -> None:
    """Ship what an engine compiled to other nodes: torch's and Triton's code, for one launch on one kind of device."""


@cache.command("export")
@click.option("--config", type=FILE, required=True, help="The launch file (JSON) with engine.cache.")
@click.option("--to", "target", type=FILE, required=True, help="The bundle to write.")
def cache_export(config: Path, target: Path) -> None:
    """Copy what a server of this launch has kept here to a bundle."""
    from plinth_runtime import bundles

    click.echo(bundles.export(config, target))


@cache.command("import")
@click.option("--config", type=FILE, required=True, help="The launch file (JSON) with engine.cache.")
@click.argument("bundle", type=FILE)
def cache_import(config: Path, bundle: Path) -> None:
    """Check a bundle against this launch, engine and device, and take it in for the next start."""
    from plinth_runtime import bundles

    click.echo(bundles.take_in(config, bundle))


for command in (cli_weights.fetch, cli_weights.verify, cli_weights.publish, cli_convert.convert, bench, cli_node.node):
    cli.add_command(command)


def main() -> None:
    """Run the command line; the only place where a fault becomes an exit code."""
    from plinth_runtime.errors import RuntimeFault

    try:
        cli()
    except RuntimeFault as fault:
        click.echo(f"plinth-runtime: {fault}\n{fault.hint}", err=True)
        sys.exit(fault.exit_code)
