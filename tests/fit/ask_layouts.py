"""Runs inside the engine environment: vLLM's verdict on layouts and contexts, from its configuration alone.

Reads {cases: [{config, tensor, context}], stages: [[layers, pipeline], ...]} on stdin; writes {verdicts: [null or the
reason], stages: [[layers of each stage], ...]}.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"

from vllm.config import ModelConfig
from vllm.distributed.utils import get_pp_indices


def verdict(case):
    """None where vLLM accepts, else what it says."""
    parallel = SimpleNamespace(
        enable_hc_sp=False,
        tensor_parallel_size=case["tensor"],
        pipeline_parallel_size=1,
        enable_expert_parallel=False,
        decode_context_parallel_size=1,
        data_parallel_size=1,
    )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(case["config"]))
        try:
            model = ModelConfig(
                model=folder,
                tokenizer=folder,
                skip_tokenizer_init=True,
                max_model_len=case["context"],
                dtype="bfloat16",
                enforce_eager=True,
            )
            model.verify_with_parallel_config(parallel)
        except ValueError as error:
            return str(error)[:500]
    return None


def stage_sizes(layers, pipeline):
    """Layers of each stage."""
    bounds = [get_pp_indices(layers, rank, pipeline) for rank in range(pipeline)]
    return [end - start for start, end in bounds]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answers = {
        "verdicts": [verdict(case) for case in asked["cases"]],
        "stages": [stage_sizes(*pair) for pair in asked["stages"]],
    }
    json.dump(answers, sys.stdout)
