"""Runs inside the engine environment: vLLM's verdict on command lines, from everything it looks at before weights.

Reads a JSON list of {config, words, adapter}; writes null where vLLM accepts, else [stage, what it says]. Stages are
those of its API server, in order: the words are parsed and checked, parsers looked up, the configuration made, the
loader chosen, the first rank's share of the model built on the meta device, kernels for groups and the adapter's rank
looked at.
"""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import torch
from engine_side import answer_each, build
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.lora.peft_helper import PEFTHelper
from vllm.model_executor.layers.linear import LinearBase, UnquantizedLinearMethod
from vllm.model_executor.layers.quantization.utils.marlin_utils import check_marlin_supports_layer
from vllm.model_executor.model_loader import get_model_loader
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager
from vllm.usage.usage_lib import UsageContext
from vllm.utils.argparse_utils import FlexibleArgumentParser

# Kernels for fp8 blocks want this set of instructions; whether shapes are legal does not depend on it.
torch.cpu._is_amx_tile_supported = lambda: True

PARSER = make_arg_parser(FlexibleArgumentParser())


class Stages:
    """One server on its way up."""

    def __init__(self, folder, case):
        self.folder, self.case = folder, case

    def arguments(self):
        """Read the command line, as `vllm serve` does."""
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                words = ["--model", str(self.folder), "--enforce-eager", *self.case["words"]]
                self.args = PARSER.parse_args(words)
        except SystemExit as error:
            raise ValueError(said.getvalue().strip().splitlines()[-1]) from error
        validate_parsed_serve_args(self.args)

    def parsers(self):
        """Look both parsers up."""
        if self.args.tool_call_parser:
            ToolParserManager.get_tool_parser(self.args.tool_call_parser)
        if self.args.reasoning_parser:
            ReasoningParserManager.get_reasoning_parser(self.args.reasoning_parser)

    def configuration(self):
        """Make the engine's configuration."""
        asked = AsyncEngineArgs.from_cli_args(self.args)
        self.config = asked.create_engine_config(UsageContext.OPENAI_API_SERVER)

    def loader(self):
        """Choose the loader."""
        get_model_loader(self.config.load_config)

    def model(self):
        """Build the first rank's share."""
        self.built = build(self.config)

    def kernels(self):
        """Ask of four-bit layers what the CUDA build asks; the CPU build does not."""
        group = getattr(self.config.quant_config, "group_size", None)
        for name, layer in self.built.named_modules():
            quantised = isinstance(layer, LinearBase) and not isinstance(layer.quant_method, UnquantizedLinearMethod)
            if group and quantised and not check_marlin_supports_layer(layer, group, allow_tile_padding=True):
                raise ValueError(f"{name}: no kernel for {layer.input_size_per_partition} inputs in groups of {group}")

    def adapter(self):
        """Hold the adapter against the limits."""
        if self.case["adapter"]:
            found = PEFTHelper.from_local_dir(str(self.folder / "adapter"), 4096)
            found.validate_legal(self.config.lora_config)


def verdict(case):
    """Go through the stages until one refuses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(case["config"]))
        write_tokenizer(folder)
        write_adapter(folder / "adapter", case["adapter"])
        stages = Stages(folder, case)
        for stage in ("arguments", "parsers", "configuration", "loader", "model", "kernels", "adapter"):
            try:
                getattr(stages, stage)()
            except Exception as error:  # noqa: BLE001 whatever it is, it is the engine's answer
                return [stage, f"{type(error).__name__}: {error}"[:500]]
    return None


def write_tokenizer(folder):
    """Write one that knows the words that parsers look for."""
    words = {word: number for number, word in enumerate(("<unk>", "<think>", "</think>", "yes", "no"))}
    Tokenizer(WordLevel(words, "<unk>")).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))


def write_adapter(folder, rank):
    """Write what is looked at of an adapter before its weights."""
    if rank:
        folder.mkdir()
        said = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": ["q_proj", "v_proj"]}
        (folder / "adapter_config.json").write_text(json.dumps(said))


if __name__ == "__main__":
    answer_each(verdict)
