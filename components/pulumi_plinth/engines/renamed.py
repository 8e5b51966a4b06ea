"""Flags and variables that vLLM had and has no more, and what says the same today. Pure.

Only what people still write and what a search for similar names would get wrong. A test holds it against the table:
none of the old names is known, every new one is.
"""

from __future__ import annotations

from collections.abc import Mapping

FLAGS: Mapping[str, str] = {
    "--cuda-graph-sizes": "--cudagraph-capture-sizes",
    "--disable-log-requests": "--no-enable-log-requests",
    "--disable-mm-preprocessor-cache": "--mm-processor-cache-gb 0",
    "--enable-multimodal-encoder-data-parallel": "--mm-encoder-tp-mode data",
    "--enable-reasoning": "--reasoning-parser alone",
    "--guided-decoding-backend": "--structured-outputs-config.backend",
    "--max-seq-len-to-capture": "--max-cudagraph-capture-size",
    "--num-speculative-tokens": "--speculative-config.num_speculative_tokens",
    "--override-pooler-config": "--pooler-config",
    "--rope-scaling": "--hf-overrides.rope_parameters",
    "--rope-theta": "--hf-overrides.rope_parameters.rope_theta",
    "--speculative-model": "--speculative-config.model",
    "--task": "--runner pooling, and --convert embed or classify for a model that was made to generate",
    "--worker-use-ray": "--distributed-executor-backend ray",
}

VARIABLES: Mapping[str, str] = {
    "VLLM_ALL2ALL_BACKEND": "--all2all-backend",
    "VLLM_ATTENTION_BACKEND": "--attention-backend",
    "VLLM_FLASH_ATTN_VERSION": "--attention-config.flash_attn_version",
    "VLLM_TORCH_PROFILER_DIR": "--profiler-config.torch_profiler_dir",
}
