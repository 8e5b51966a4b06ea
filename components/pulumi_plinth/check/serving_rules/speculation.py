"""Rules about draft tokens: how many a drafter can make, what a runner of the engine can do with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.subject import Subject

CONFIG = "--speculative-config"
RUNNER = "VLLM_USE_V2_MODEL_RUNNER"
WITHOUT_RUNNER_2 = ("ngram", "ngram_gpu", "draft_model")
"""Methods that the second model runner refuses (0.32, `_get_v2_model_runner_unsupported_features`)."""


def speculative_config(serving: Serving) -> Mapping[str, Any]:
    """Return --speculative-config as a mapping; {} where it is none."""
    try:
        found = json.loads(serving.arguments.get("speculative-config") or serving.arguments.get(DRAFTS) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


DRAFTS = "num-speculative-tokens"
"""Where facts put a mapping that describes drafts."""


def whole_rounds(subject: Subject) -> Iterator[Verdict]:
    """Hold that a drafter of several layers makes all of its tokens each round (SpeculativeConfig, `n_predict`)."""
    serving = subject.serving
    made = serving.config.get("n_predict")
    wanted = speculative_config(serving).get("num_speculative_tokens") or values.whole(serving, DRAFTS)
    if isinstance(made, int) and isinstance(wanted, int) and wanted > made > 0 and wanted % made:
        problem = f"{wanted} draft tokens are no multiple of the {made} that the drafter makes at once"
        yield refuse("speculative-tokens", CONFIG, problem, f"write {made}, or {-(-wanted // made) * made}")


def second_runner(subject: Subject) -> Iterator[Verdict]:
    """Hold that the second model runner, asked for by name, refuses some ways to draft."""
    serving = subject.serving
    asked = serving.environment.get(RUNNER, "").lower() in ("1", "true")
    method = str(speculative_config(serving).get("method", ""))
    if asked and method in WITHOUT_RUNNER_2:
        problem = f"the second model runner does not draft by {method}"
        yield refuse("speculative-runner", RUNNER, problem, "leave it out: the engine takes the first runner itself")
