"""Runs inside the engine environment: starts one real engine after another in one process, as the API server would.

Reads a JSON list of {folder, arguments}; writes what each engine made of it: tokens of its cache as it logs them, the
longest context it accepts, bytes of its weights, or the reason why it did not start.
"""

import os

os.environ["VLLM_CPU_KVCACHE_SPACE"] = "1"

from engine_side import answer_each
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.core import EngineCore
from vllm.v1.executor import Executor


def observe(case):
    """Start one engine, look, and end it."""
    said = {"model": case["folder"], "skip_tokenizer_init": True, "enforce_eager": True, "load_format": "safetensors"}
    core = None
    try:
        config = AsyncEngineArgs(**said, **case["arguments"]).create_engine_config(UsageContext.OPENAI_API_SERVER)
        core = EngineCore(config, Executor.get_class(config), log_stats=False)
        cache = config.cache_config
        return {
            # `update_kv_cache_capacity` logs this very number as "CPU KV cache size: ... tokens".
            "kv_tokens": cache.kv_cache_size_tokens,
            "max_model_len": config.model_config.max_model_len,
            "blocks": cache.num_gpu_blocks,
            "dtype": str(config.model_config.dtype),
        }
    except Exception as error:  # noqa: BLE001 whatever it is, it is the engine's answer
        return {"error": f"{type(error).__name__}: {error}"[:800]}
    finally:
        if core is not None:
            core.shutdown()


if __name__ == "__main__":
    answer_each(observe)
