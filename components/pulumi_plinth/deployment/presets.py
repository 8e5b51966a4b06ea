"""KAITO's llama-2 presets: which kind of workload runs each, on how many GPUs. Pure.

From the table of seed 004 and the presets' own figures (facts: kaito 3.6).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pulumi_plinth.deployment.pod_spec import WorkloadKind
from pulumi_plinth.model.spec import ModelSpec

_NAME = re.compile(r"llama-?2-(7b|13b|70b)(-chat)?")


@dataclass(frozen=True, slots=True)
class Preset:
    """A preset's workload. `gpus` are its ranks, over all nodes."""

    workload: WorkloadKind
    gpus: int

    @property
    def distributed(self) -> bool:
        """Whether several ranks serve one model."""
        return self.gpus > 1


PRESETS = {"7b": Preset("deployment", 1), "13b": Preset("stateful-set", 2), "70b": Preset("stateful-set", 8)}


def preset_of(model: ModelSpec) -> Preset | None:
    """Return the workload that KAITO gives a model; None for those it does not fix."""
    match = _NAME.fullmatch(model.preset.name.lower()) if model.preset else None
    return PRESETS[match[1]] if match else None
