"""Runs inside the engine environment: bytes of weights on one rank of a layout, from vLLM's own model classes.

Reads a JSON list of {config, tensor, pipeline, stage, expert}; writes bytes, or the reason why there is no such rank.
"""

import json
import tempfile
from pathlib import Path

from engine_side import answer_each, build, weight_bytes
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.usage.usage_lib import UsageContext


def share(case):
    """Build one rank of one model."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(case["config"]))
        try:
            arguments = AsyncEngineArgs(
                model=folder,
                skip_tokenizer_init=True,
                enforce_eager=True,
                dtype="bfloat16",
                max_model_len=1024,
                tensor_parallel_size=case["tensor"],
                pipeline_parallel_size=case["pipeline"],
                enable_expert_parallel=case["expert"] > 1,
                language_model_only=True,
            )
            config = arguments.create_engine_config(UsageContext.OPENAI_API_SERVER)
            return weight_bytes(build(config, case["stage"]))
        except Exception as error:  # noqa: BLE001 whatever it is, it is the engine's answer
            return f"{type(error).__name__}: {error}"[:500]


if __name__ == "__main__":
    answer_each(share)
