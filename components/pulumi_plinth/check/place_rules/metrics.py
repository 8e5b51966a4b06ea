"""What scalers look at: names of vLLM's metrics by release, and what tells nothing. Sources stand with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_rules.probes import start_seconds
from pulumi_plinth.check.subject import Subject

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

TABLE_RELEASE = (0, 32)
"""The release whose own table of names is asked by another rule."""

ENDINGS = ("_total", "_bucket", "_sum", "_count", "_created")


def retired(subject: Subject) -> Iterator[Verdict]:
    """Refuse names that an older release does not show any more: the query returns nothing, and nothing scales."""
    release = (subject.serving.version or TABLE_RELEASE)[:2]
    for metric in subject.place.scaling.metrics if release < TABLE_RELEASE else ():
        gone, instead = RETIRED.get(_plain(metric.removeprefix("vllm:")), (None, ""))
        if gone is not None and release >= gone:
            yield refuse(
                "metric-retired",
                "scaling.metrics",
                f"{metric} is not shown since vLLM {gone[0]}.{gone[1]}",
                f"write vllm:{instead}",
            )


def utilization(subject: Subject) -> Iterator[Verdict]:
    """Warn of scaling on utilization: memory is taken at the start, and a GPU is busy at batch 1 (facts: serving 5)."""
    said = subject.place.scaling.utilization
    if said:
        yield warn(
            "scale-on-utilization",
            "scaling.metrics",
            f"{said} tells little of a server's load: it scales up only, or never",
            "scale on vllm:num_requests_waiting, down on running and waiting requests",
        )


def owned_twice(subject: Subject) -> Iterator[Verdict]:
    """Warn of replicas stated beside a scaler: every deployment sets them back (production-stack#891)."""
    if subject.place.scaling.resets:
        yield warn(
            "replicas-owned-twice",
            "workload.replicas",
            "a scaler changes the number, and every deployment sets it back",
            "leave replicas out where a scaler owns them",
        )


def replica_bounds(subject: Subject) -> Iterator[Verdict]:
    """Compare the bounds of a scaler with each other."""
    scaling = subject.place.scaling
    if scaling.minimum is not None and scaling.maximum is not None and scaling.minimum > scaling.maximum:
        yield refuse(
            "replica-bounds",
            "scaling.minReplicas",
            f"at least {scaling.minimum:g} and at most {scaling.maximum:g} replicas",
            "write a minimum up to the maximum",
        )


def gone_before_ready(subject: Subject) -> Iterator[Verdict]:
    """Refuse an idle time shorter than the start: the pod goes before it was ready (kserve/kserve#1247)."""
    scaling, need = subject.place.scaling, start_seconds(subject)
    if scaling.minimum == 0 and scaling.idle_seconds and scaling.idle_seconds < need:
        yield refuse(
            "gone-before-ready",
            "scaling.cooldownPeriod",
            f"without a server's answer for {scaling.idle_seconds:g} s it goes, and a start takes {need:.0f} s",
            f"keep 1 replica, or wait more than {need:.0f} s",
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
    if name in RETIRED:
        return name
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


RULES = (retired, utilization, owned_twice, replica_bounds, gone_before_ready, from_zero)
