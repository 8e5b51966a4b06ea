# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""The entry of an engine that has no API: a follower in a group of nodes. Runs in the engine's process.

The module that other engines are started by knows no `--headless`; the engine's script `vllm serve` does, but asks the
package metadata for a distribution called vllm, which a build of another name has not. This does what that script does.
"""

from __future__ import annotations


def main() -> None:
    """Serve as the arguments say."""
    # Of the engine: to be imported where it is installed, which is not where this file is checked.
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
    from vllm.entrypoints.serve.utils.api_utils import cli_env_setup
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    cli_env_setup()
    arguments = make_arg_parser(FlexibleArgumentParser(description="vLLM without an API")).parse_args()
    validate_parsed_serve_args(arguments)
    ServeSubcommand.cmd(arguments)


if __name__ == "__main__":  # the engine's own children import this file too
    main()
