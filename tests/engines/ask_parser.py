"""Runs inside the engine environment: does vLLM take these command lines? No engine starts.

Reads {model, parsed, configured}: two lists of word lists, and a model folder for the second. Writes a list with None
for each that is taken and the reason for each that is not. `parsed` are put to the parser, the server's own checks and
the registries that are asked when a server starts; `configured` must become a whole engine configuration.
"""

import json
import sys

from vllm.config.attention import AttentionConfig
from vllm.config.load import LoadConfig
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.launchers.launcher import validate_api_server_args
from vllm.model_executor.layers.quantization import DEPRECATED_QUANTIZATION_METHODS, QUANTIZATION_METHODS
from vllm.model_executor.model_loader import get_model_loader
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.utils.argparse_utils import FlexibleArgumentParser


class Refusing(FlexibleArgumentParser):
    """Raises where the original would end the process."""

    def error(self, message):
        """Say why."""
        raise ValueError(message)


def ask(parser, words, model):
    """Ask about one command line; the model tag takes what would otherwise be left over."""
    arguments = parser.parse_args(["some/model", *words])
    if model:
        arguments.model = arguments.tokenizer = model
        AsyncEngineArgs.from_cli_args(arguments).create_engine_config()
    validate_parsed_serve_args(arguments)
    validate_api_server_args(arguments)
    if arguments.tool_call_parser:
        ToolParserManager.get_tool_parser(arguments.tool_call_parser)
    engine = AsyncEngineArgs.from_cli_args(arguments)
    for parser_name in (engine.reasoning_parser, getattr(engine.reasoning_config, "reasoning_parser", "")):
        if parser_name:
            ReasoningParserManager.get_reasoning_parser(parser_name)
    if engine.attention_backend is not None:
        AttentionConfig(backend=engine.attention_backend)
    get_model_loader(LoadConfig(load_format=engine.load_format))
    if engine.quantization is not None:
        if engine.quantization not in QUANTIZATION_METHODS:
            raise ValueError("unknown quantization")
        if engine.quantization in DEPRECATED_QUANTIZATION_METHODS and not engine.allow_deprecated_quantization:
            raise ValueError("deprecated quantization")


def answer(parser, words, model=None):
    """Give the reason of a refusal, or None."""
    try:
        ask(parser, words, model)
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever it raises, it refuses
        return f"{type(error).__name__}: {error}"[:300]
    return None


if __name__ == "__main__":
    parser = make_arg_parser(Refusing())
    asked = json.load(sys.stdin)
    answers = [answer(parser, words) for words in asked["parsed"]]
    answers += [answer(parser, words, asked["model"]) for words in asked["configured"]]
    print(json.dumps(answers))
