"""Runs inside the engine environment: what one rank of a layout holds, from vLLM's own model classes.

Reads a JSON list of {config, tensor, pipeline, stage, expert, length, cache}; writes bytes of weights and tokens that
`cache` bytes would be logged as, or the reason why there is no such rank.
"""

import json
import tempfile
from pathlib import Path

from engine_side import answer_each, build, weight_bytes
from vllm.config import get_layers_from_vllm_config
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
from vllm.platforms import current_platform
from vllm.usage.usage_lib import UsageContext
from vllm.v1.core.kv_cache_utils import get_kv_cache_capacity, get_kv_cache_configs


def look(case):
    """Build one rank of one model."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(case["config"]))
        try:
            arguments = AsyncEngineArgs(
                model=folder,
                skip_tokenizer_init=True,
                enforce_eager=True,
                dtype="bfloat16",
                max_model_len=case["length"],
                max_num_batched_tokens=2048,
                tensor_parallel_size=case["tensor"],
                pipeline_parallel_size=case["pipeline"],
                enable_expert_parallel=case["expert"] > 1,
                language_model_only=True,
            )
            config = arguments.create_engine_config(UsageContext.OPENAI_API_SERVER)
            return {"weights": weight_bytes(build(config, case["stage"])), "kv_tokens": tokens(config, case["cache"])}
        except Exception as error:  # noqa: BLE001 whatever it is, it is the engine's answer
            return {"error": f"{type(error).__name__}: {error}"[:500]}


def tokens(config, size):
    """Ask each layer what it keeps, as a worker does, and cut a cache of `size` bytes accordingly."""
    current_platform.update_block_size_for_backend(config)
    config.cache_config.kv_cache_layout = "LBHNC"
    layers = get_layers_from_vllm_config(config, AttentionLayerBase)
    own = {name: layer for name, layer in layers.items() if not getattr(layer, "kv_sharing_target_layer_name", None)}
    specs = {name: spec for name, layer in own.items() if (spec := layer.get_kv_cache_spec(config))}
    (found,) = get_kv_cache_configs(config, [specs], [size])
    return get_kv_cache_capacity(config, found)[0]


if __name__ == "__main__":
    answer_each(look)
