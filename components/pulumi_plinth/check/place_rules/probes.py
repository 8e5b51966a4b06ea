"""Time limits around start and end: probes, deadlines, grace. Sources stand with each rule."""

from __future__ import annotations

from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.place_rules.common import argument, weight_bytes
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.disk import ENGINE_START_SECONDS, SOURCE_BYTES_PER_SECOND
from pulumi_plinth.quantities import human_bytes

EAGER_START_SECONDS = 94.0
"""Imports and initialisation alone, without compilation and graphs (Tensorfuse, Llama-3.1-8B on L40S)."""

LARGE_BYTES = 100e9
"""Weights that a launcher's default of 1200 s (SkyServe) does not suffice for: they alone take 300 s at 0.33 GB/s."""

TEARDOWN_SECONDS = 10.0
"""The engine takes 6 s more after the last answer (measured, facts: serving 2.4)."""


def start_seconds(subject: Subject) -> float:
    """Return what a start takes at least: weights / read rate + compile + graphs, weights 0 where unknown."""
    engine = EAGER_START_SECONDS if argument(subject, "enforce-eager") is not None else ENGINE_START_SECONDS
    said = subject.place.weights.download_seconds
    return engine + said if said else engine + (weight_bytes(subject) or 0) / SOURCE_BYTES_PER_SECOND


def _arithmetic(subject: Subject) -> str:
    need, size = start_seconds(subject), weight_bytes(subject)
    if subject.place.weights.download_seconds:
        return f"{need:.0f} s with the download"
    if not size:
        return f"{need:.0f} s of imports, compilation and graphs alone"
    engine = need - size / SOURCE_BYTES_PER_SECOND
    return f"{engine:.0f} s + {human_bytes(size)} at {human_bytes(SOURCE_BYTES_PER_SECOND)}/s = {need:.0f} s"


def killed_while_loading(subject: Subject) -> Iterator[Verdict]:
    """Compare the time until a restart with the start; liveness alone counts from the container's start
    (kserve/kserve#5062, kaito#1567).
    """
    probes, need = subject.place.pod.container.probes, start_seconds(subject)
    startup, liveness = probes.startup, probes.liveness
    if startup is not None and startup.present:
        name, probe = "startupProbe", startup
    elif liveness is not None and liveness.present and startup is not None:
        name, probe = "livenessProbe", liveness
    else:
        return
    if probe.budget_seconds < need:
        yield refuse(
            "killed-while-loading",
            f"pod.container.{name}",
            f"{probe.delay_seconds:g} + {probe.period_seconds:g} x {probe.failures:g} = {probe.budget_seconds:g} s "
            f"until the restart, and a start takes {_arithmetic(subject)}",
            f"write a startupProbe with periodSeconds 10 and failureThreshold {-(-3 * need // 10):.0f}",
        )


def start_budget(subject: Subject) -> Iterator[Verdict]:
    """Compare a launcher's budget with the start, provisioning and download (skypilot-org/skypilot#5301)."""
    granted, need = subject.place.download.start_seconds, start_seconds(subject)
    large = subject.place.weights.large or (weight_bytes(subject) or 0) > LARGE_BYTES
    if granted == 0 and large:
        yield warn(
            "start-budget-default",
            "readiness.initialDelaySeconds",
            "the default budget covers provisioning, image pull, download and load of a large model",
            f"state the budget: at least {_arithmetic(subject)}, and node and image before it",
        )
    elif granted and granted < need:
        yield refuse(
            "start-budget",
            "readiness.initialDelaySeconds",
            f"{granted:g} s are granted, and a start takes {_arithmetic(subject)}",
            f"write at least {2 * need:.0f}",
        )


def progress_deadline(subject: Subject) -> Iterator[Verdict]:
    """Compare the rollout's deadline with the start; Knative takes late revisions away (KServe's manual)."""
    deadline, need = subject.place.workload.progress_seconds, start_seconds(subject)
    if deadline and deadline < need:
        yield refuse(
            "progress-deadline",
            "workload.progressDeadlineSeconds",
            f"{deadline:g} s, and a start takes {_arithmetic(subject)}",
            f"write at least {3 * need:.0f}",
        )


def keyed_probes(subject: Subject) -> Iterator[Verdict]:
    """Refuse probes below /v1 where a key is set: they get 401 (skypilot#3549; facts: serving 2.5)."""
    serving, probes = subject.serving, subject.place.pod.container.probes
    if argument(subject, "api-key") is None and "VLLM_API_KEY" not in serving.environment:
        return
    for name, probe in (("startup", probes.startup), ("liveness", probes.liveness), ("readiness", probes.readiness)):
        if probe is not None and (probe.path or "").startswith(("/v1", "/v2")):
            yield refuse(
                "probe-needs-key",
                f"pod.container.{name}Probe.httpGet.path",
                f"{probe.path} answers 401 without the key, and probes carry none",
                "probe /health",
            )


def grace(subject: Subject) -> Iterator[Verdict]:
    """Compare the grace, after which the pod is killed, with what the end takes (facts: serving 2.4)."""
    pod = subject.place.pod
    text = argument(subject, "shutdown-timeout") or ""
    shutdown = float(text) if text.isdecimal() else pod.shutdown_seconds
    if pod.grace_seconds is None or (shutdown is None and pod.pre_stop_seconds is None):
        return
    need = (pod.pre_stop_seconds or 0) + (shutdown or 0)
    if pod.grace_seconds < need + TEARDOWN_SECONDS:
        tell = refuse if pod.grace_seconds < need else warn
        yield tell(
            "grace-too-short",
            "pod.terminationGracePeriodSeconds",
            f"preStop {pod.pre_stop_seconds or 0:g} + shutdown {shutdown or 0:g} + {TEARDOWN_SECONDS:g} s of teardown "
            f"= {need + TEARDOWN_SECONDS:g} s > {pod.grace_seconds:g} s",
            f"write at least {need + TEARDOWN_SECONDS:g}",
        )


RULES = (killed_while_loading, start_budget, progress_deadline, keyed_probes, grace)
