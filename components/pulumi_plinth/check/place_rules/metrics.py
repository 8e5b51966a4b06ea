"""Metrics that scalers ask for, by vLLM release. Names of 0.32 are those of its own source. Sources with each table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.errors import nearest

RETIRED: Mapping[str, tuple[tuple[int, int], str]] = {
    "gpu_cache_usage_perc": ((0, 11), "kv_cache_usage_perc"),
    "gpu_prefix_cache_queries": ((0, 11), "prefix_cache_queries"),
    "gpu_prefix_cache_hits": ((0, 11), "prefix_cache_hits"),
    "time_per_output_token_seconds": ((0, 12), "inter_token_latency_seconds"),
    "num_requests_swapped": ((0, 9), "num_preemptions"),
    "cpu_cache_usage_perc": ((0, 9), "kv_cache_usage_perc"),
    "cpu_prefix_cache_hit_rate": ((0, 9), "prefix_cache_hits"),
    "gpu_prefix_cache_hit_rate": ((0, 9), "prefix_cache_hits"),
    "time_in_queue_requests": ((0, 9), "request_queue_time_seconds"),
    "model_forward_time_milliseconds": ((0, 9), "request_inference_time_seconds"),
    "model_execute_time_milliseconds": ((0, 9), "request_inference_time_seconds"),
    "avg_prompt_throughput_toks_per_s": ((0, 8), "prompt_tokens_total"),
    "avg_generation_throughput_toks_per_s": ((0, 8), "generation_tokens_total"),
}
"""Name: first release that does not show it, and what took its place (vllm-project/vllm#15458, #18354, #24110, #29330;
kubernetes-sigs/inference-perf#277)."""

CURRENT = frozenset({
    "admission_rejections", "cache_config_info", "corrupted_requests", "e2e_request_latency_seconds",
    "engine_sleep_state", "external_prefix_cache_hits", "external_prefix_cache_queries", "generation_tokens",
    "inter_token_latency_seconds", "iteration_tokens_total", "kv_cache_usage_perc", "lora_requests_info",
    "mm_cache_hits", "mm_cache_queries", "num_preemptions", "num_requests_running", "num_requests_waiting",
    "num_requests_waiting_by_reason", "prefix_cache_hits", "prefix_cache_queries", "prompt_tokens",
    "prompt_tokens_by_source", "prompt_tokens_cached", "prompt_tokens_cached_by_source", "request_decode_time_seconds",
    "request_generation_tokens", "request_inference_time_seconds", "request_max_num_generation_tokens",
    "request_num_preemptions", "request_params_max_tokens", "request_params_n", "request_prefill_kv_computed_tokens",
    "request_prefill_time_seconds", "request_prompt_tokens", "request_queue_time_seconds", "request_success",
    "request_time_per_output_token_seconds", "spec_decode_num_accepted_tokens",
    "spec_decode_num_accepted_tokens_per_pos", "spec_decode_num_draft_tokens", "spec_decode_num_drafts",
    "time_to_first_token_seconds", "tool_call_parser_invocations_total", "watermark_requests",
})  # fmt: skip
"""What a server of 0.32 shows without connectors of its own names."""

CONNECTORS = ("nixl_", "kv_offload_", "kv_block_", "hf3fs_", "hisparse_", "mooncake_", "simple_kv_", "rl_", "diffusion",
              "sleep_mode_", "websocket_", "estimated_", "num_requests_kv_fetch")  # fmt: skip
ENDINGS = ("_total", "_bucket", "_sum", "_count", "_created")
READ_RELEASE = (0, 32)


def metric_names(subject: Subject) -> Iterator[Verdict]:
    """Refuse names that the release does not show: the query returns nothing, and nothing scales."""
    release = (subject.serving.version or READ_RELEASE)[:2]
    for metric in subject.place.scaling.metrics:
        name = _plain(metric.removeprefix("vllm:"))
        gone, instead = RETIRED.get(name, (None, ""))
        if gone is not None and release >= gone:
            yield refuse(
                "metric-retired",
                "scaling.metrics",
                f"{metric} is not shown since vLLM {gone[0]}.{gone[1]}",
                f"write vllm:{instead}",
            )
        elif gone is None and release >= READ_RELEASE and name not in CURRENT and not name.startswith(CONNECTORS):
            yield refuse(
                "metric-unknown",
                "scaling.metrics",
                f"{metric} is not shown by vLLM {release[0]}.{release[1]}",
                nearest(name, CURRENT) or "take a name from the server's /metrics",
            )


def from_zero(subject: Subject) -> Iterator[Verdict]:
    """Refuse to scale from zero on the engine's own metrics, which vanish with the last pod (facts: serving 5)."""
    scaling = subject.place.scaling
    if scaling.minimum == 0 and scaling.metrics:
        yield refuse(
            "scale-from-zero-metric",
            "scaling.minReplicas",
            f"0 replicas, and {', '.join(scaling.metrics)} comes from the servers themselves: it stays at 0",
            "keep 1 replica, or add a trigger from the router",
        )


def _plain(name: str) -> str:
    if name in CURRENT or name in RETIRED:
        return name
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


RULES = (metric_names, from_zero)
