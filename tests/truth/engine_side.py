"""Runs inside the engine environment: one vLLM process that pretends to be one rank of many. No engine starts.

Models are built by vLLM's own classes on the `meta` device, so sizes and refusals are real and no memory is taken.
"""

import contextlib
import json
import os
import sys

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}

import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import parallel_state
from vllm.model_executor.layers.fused_moe.expert_map_manager import ExpertMapManager
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.utils.network_utils import get_file_store_init_method
from vllm.utils.torch_utils import set_default_torch_dtype

# Only a line of the log: the map is looked through, and on the meta device it has no values.
ExpertMapManager.get_compressed_map_string = lambda _self: ""


class Rank:
    """A group of processes as seen by one of them; everything but size and place is the real group of one."""

    def __init__(self, real, size, place):
        self._real, self.world_size, self.rank_in_group = real, size, place
        self.ranks = list(range(size))
        self.is_first_rank, self.is_last_rank = place == 0, place == size - 1

    def __getattr__(self, name):
        return getattr(self._real, name)


def join(config):
    """Form the groups of one process, once."""
    if parallel_state.model_parallel_is_initialized():
        return
    with set_current_vllm_config(config):
        parallel_state.init_distributed_environment(1, 0, get_file_store_init_method(), 0, "gloo")
        parallel_state.initialize_model_parallel(1, 1)


@contextlib.contextmanager
def pretended(tensor, pipeline, stage):
    """Make vLLM believe that it is the first rank of a tensor group in one stage of a pipeline."""
    names = {"_TP": Rank(parallel_state._TP, tensor, 0), "_PP": Rank(parallel_state._PP, pipeline, stage)}
    names["_EP"] = Rank(parallel_state._EP or parallel_state._DP, tensor, 0)
    real = {name: getattr(parallel_state, name) for name in names}
    for name, group in names.items():
        setattr(parallel_state, name, group)
    try:
        yield
    finally:
        for name, group in real.items():
            setattr(parallel_state, name, group)


def build(config, stage=0):
    """Build one rank's share of the model on the meta device."""
    parallel = config.parallel_config
    join(config)
    config.compilation_config.static_forward_context.clear()
    layout = (parallel.tensor_parallel_size, parallel.pipeline_parallel_size, stage)
    with pretended(*layout), set_default_torch_dtype(config.model_config.dtype), torch.device("meta"):
        return initialize_model(config)


def weight_bytes(model):
    """Bytes of all parameters, tied ones once."""
    return sum(each.numel() * each.element_size() for each in {id(each): each for each in model.parameters()}.values())


def answer_each(answer):
    """Read a JSON list of cases from stdin, write the list of answers to stdout; anything else goes to stderr."""
    out, sys.stdout = sys.stdout, sys.stderr
    json.dump([answer(case) for case in json.load(sys.stdin)], out)
