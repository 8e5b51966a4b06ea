"""Rules about the words of the command: flags, parsers and metrics that a release knows. They need its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pulumi_plinth.check.core import Rule, Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving, Version
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.architectures import speaks_for
from pulumi_plinth.check.serving_rules.releases import release
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.engines.arguments import check_arguments, metric_fault
from pulumi_plinth.engines.table import EngineTable

GONE: Mapping[str, Version] = {
    "disable-log-requests": (0, 17), "enable-reasoning": (0, 10), "engine-use-ray": (0, 6), "worker-use-ray": (0, 10),
    "guided-decoding-backend": (0, 12), "num-scheduler-steps": (0, 11), "num-lookahead-slots": (0, 12),
    "preemption-mode": (0, 11), "speculative-model": (0, 9), "num-speculative-tokens": (0, 9), "swap-space": (0, 18),
    "use-v2-block-manager": (0, 12), "rope-scaling": (0, 14), "rope-theta": (0, 14), "task": (0, 13),
    "disable-log-stats-requests": (0, 1), "max-seq-len-to-capture": (0, 12),
    "speculative-draft-tensor-parallel-size": (0, 9), "ngram-prompt-lookup-max": (0, 9), "cuda-graph-sizes": (0, 13),
}  # fmt: skip
"""Flags that there were, and the first release without them (for some, the latest that can be)."""

ADDED: Mapping[str, Version] = {
    "all2all-backend": (0, 11, 1), "async-scheduling": (0, 10), "compilation-config": (0, 6, 4),
    "cpu-offload-gb": (0, 5, 3),
    "data-parallel-size": (0, 8, 2), "decode-context-parallel-size": (0, 10, 2), "enable-auto-tool-choice": (0, 5, 5),
    "enable-expert-parallel": (0, 8), "enable-log-requests": (0, 10), "hf-overrides": (0, 6, 4),
    "kv-cache-memory-bytes": (0, 10, 2), "kv-transfer-config": (0, 6, 4), "limit-mm-per-prompt": (0, 5, 5),
    "mm-processor-cache-gb": (0, 10), "nnodes": (0, 11, 1), "reasoning-parser": (0, 7),
    "shutdown-timeout": (0, 18), "structured-outputs-config": (0, 10, 2), "tool-call-parser": (0, 5, 5),
}  # fmt: skip
"""Flags, and the first release that has them (for some, the earliest that can be)."""

NEEDING = ("enable-auto-tool-choice",)
"""Switches that need another flag beside them."""

NAMES = ("tool-call-parser", "reasoning-parser", "kv-cache-dtype", "load-format", "attention-backend")
"""Flags whose values are judged wherever they stand, not only in a command line."""


def flag_rules(table: EngineTable) -> tuple[Rule, ...]:
    """Return the rules that ask a release's table."""

    def known_words(subject: Subject) -> Iterator[Verdict]:
        serving = subject.serving
        if serving.engine != "vllm" or not speaks_for(table, serving):
            return
        for fault in check_arguments(_words(serving), table, "arguments").faults:
            problem = f"{fault.value or ''} {fault.problem}".strip()
            yield refuse("flag", fault.path, problem, fault.remedy)

    def known_metrics(subject: Subject) -> Iterator[Verdict]:
        for name in subject.place.scaling.metrics:
            fault = metric_fault(name, table, "metric") if speaks_for(table, subject.serving) else None
            if fault:
                yield refuse("metric", fault.path, f"{name} {fault.problem}", fault.remedy)

    return (known_words, known_metrics, of_its_time, rendered_for_newer)


def of_its_time(subject: Subject) -> Iterator[Verdict]:
    """Hold that a command line has no flag from before or after the release."""
    version = subject.serving.version
    if version is None or version == (0,):
        return
    for flag in _written(subject.serving):
        last, first = GONE.get(flag), ADDED.get(flag)
        if last and version >= last:
            problem = f"--{flag} is gone since {release(last)}, this is {release(version)}"
            yield refuse("flag", f"--{flag}", problem, "leave it out, or see `vllm serve --help`")
        if first and version < first:
            problem = f"--{flag} arrived in {release(first)}, this is {release(version)}"
            yield refuse("flag", f"--{flag}", problem, f"leave it out, or take release {release(first)} or later")


def rendered_for_newer(subject: Subject) -> Iterator[Verdict]:
    """Hold that an image older than what rendered its flags does not know them."""
    serving = subject.serving
    if serving.arguments and serving.version == (0,):
        shown = ", ".join(f"--{flag}" for flag in list(serving.arguments)[:3])
        verdict = refuse if serving.engine == "router" else warn
        yield verdict("flag", "image", f"the image is older than {shown}", "take the image of the chart's release")


def _written(serving: Serving) -> list[str]:
    """Return the flags that stand in a command line, not those that fields of other tools are named like."""
    flags = (word[2:].partition("=")[0].replace("_", "-") for word in serving.words if word.startswith("--"))
    return list(dict.fromkeys(flags))


def _words(serving: Serving) -> list[str]:
    """Return the command line, or where there is none the fields whose names can be wrong."""
    if serving.words:
        return list(serving.words)
    judged = NAMES if serving.version is None else (*NAMES, "quantization")
    named = [(flag, serving.arguments[flag]) for flag in judged if flag in serving.arguments]
    words = [word for flag, value in named for word in (f"--{flag}", value)]
    return [*words, *(f"--{flag}" for flag in NEEDING if values.switched(serving, flag))]
