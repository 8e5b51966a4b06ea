"""Rules about length: what the model was made for, what stretches it, what one step may compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import CHUNKED_BY_DEFAULT, DYNAMIC_ROPE_IGNORED, release
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.fit.layout import WHOLE_PROMPTS

LENGTH = "--max-model-len"
STRETCHING = ("linear", "dynamic", "yarn", "deepseek_yarn", "ntk")
"""Rope scalings whose factor lengthens the context; longrope and llama3 name the stretched length already."""

LENGTHS: Mapping[str, int] = {"whisper": 448}
"""Model type -> tokens of an answer, where every checkpoint has the same."""

ABSOLUTE = ("bert", "roberta", "xlm-roberta", "gpt2", "opt", "gpt_bigcode", "whisper", "mpnet", "distilbert")
"""Types with a table of positions; beyond its end there is nothing to read."""

ALLOW_LONG = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"


def longest(serving: Serving) -> int:
    """Longest context of the model as it is configured, tokens; 0 where nobody says."""
    stated = _number(serving.config.get("max_position_embeddings"))
    own = _number(serving.config.get("model_max_length"))
    ropes = rope(serving)
    if not stated and not ropes:
        known = serving.card.max_context if serving.card else 0
        return own or known or LENGTHS.get(values.model_type(serving), 0)
    base = stated or (serving.card.max_context if serving.card else 0)
    trained = _number(ropes.get("original_max_position_embeddings")) or base
    factor = float(ropes.get("factor") or 1.0) if ropes.get("rope_type") in STRETCHING else 1.0
    return max(base, int(trained * factor), own)


def rope(serving: Serving) -> Mapping[str, Any]:
    """Return the rope scaling of the configuration: rope_type, factor, original_max_position_embeddings."""
    found = serving.config.get("rope_scaling")
    return found if isinstance(found, Mapping) else {}


def beyond_the_model(subject: Subject) -> Iterator[Verdict]:
    """Hold that a length above the model's own is refused, unless it is stretched or allowed by name."""
    serving = subject.serving
    wanted, limit = values.whole(serving, "max-model-len"), longest(serving)
    allowed = serving.environment.get(ALLOW_LONG, "0").lower() in ("1", "true")
    if allowed and values.model_type(serving) in ABSOLUTE and limit and (wanted or 0) > limit:
        problem = f"{wanted:,} tokens have no positions above {limit:,}: the table of this model ends there"
        yield refuse("context", ALLOW_LONG, problem, f"leave it out and write at most {limit}")
    elif wanted and limit and wanted > limit and not allowed:
        problem = f"{wanted:,} tokens are longer than the {limit:,} the model was made for"
        remedy = f"write at most {limit}, or rope scaling with factor {-(-wanted // limit)} where its maker says so"
        yield refuse("context", LENGTH, problem, remedy)


def ignored_rope(subject: Subject) -> Iterator[Verdict]:
    """Hold that old releases kept the base length under dynamic scaling."""
    serving = subject.serving
    base = _number(serving.config.get("max_position_embeddings"))
    if base and rope(serving).get("rope_type") == "dynamic" and DYNAMIC_ROPE_IGNORED.holds(serving.version):
        problem = f"vLLM {release(serving.version or ())} keeps {base:,} tokens, the model's scaling means more"
        yield warn("rope-scaling", "rope_scaling", problem, f"count on {base}, or take a newer release")


def step_below_length(subject: Subject) -> Iterator[Verdict]:
    """Hold that without chunked prefill one step must hold a whole prompt."""
    serving = subject.serving
    tokens = values.whole(serving, "max-num-batched-tokens")
    length = values.length(serving, longest(serving))
    if tokens and length and tokens < length and not chunked(serving):
        problem = f"{tokens} tokens a step hold no prompt of {length}, chunked prefill is off"
        yield refuse("batched-tokens", "--max-num-batched-tokens", problem, f"write at least {length}, or chunk")


def step_below_sequences(subject: Subject) -> Iterator[Verdict]:
    """Hold that every running request needs a token of the step."""
    tokens, requests = (values.whole(subject.serving, f"max-num-{name}") for name in ("batched-tokens", "seqs"))
    if tokens and requests and tokens < requests:
        problem = f"{tokens} tokens a step are fewer than {requests} requests"
        yield refuse("batched-tokens", "--max-num-batched-tokens", problem, f"write at least {requests}")


def beyond_the_window(subject: Subject) -> Iterator[Verdict]:
    """Hold that a model whose sliding window is switched off ends where its window ends."""
    serving = subject.serving
    window = _number(serving.config.get("sliding_window")) or (serving.card.sliding_window if serving.card else 0)
    wanted = values.whole(serving, "max-model-len")
    if values.switched(serving, "disable-sliding-window") and window and wanted and wanted > window:
        problem = f"{wanted:,} tokens are longer than the window of {window:,}, and sliding is switched off"
        yield refuse("context", LENGTH, problem, f"write at most {window}, or leave --disable-sliding-window out")


def long_prompts(subject: Subject) -> Iterator[Verdict]:
    """Hold that no prompt is longer than the length, so no threshold for long ones can be."""
    threshold, limit = values.whole(subject.serving, "long-prefill-token-threshold"), longest(subject.serving)
    limit = values.length(subject.serving, limit)
    if threshold and limit and threshold > limit:
        problem = f"{threshold} tokens are more than the length of {limit}"
        yield refuse("batched-tokens", "--long-prefill-token-threshold", problem, f"write at most {limit}")


def request_beyond_length(subject: Subject) -> Iterator[Verdict]:
    """Hold that prompt and answer together must fit the length."""
    request, own = subject.serving.cache.request_tokens, longest(subject.serving)
    length = values.length(subject.serving, own)
    if request and length and request > length:
        problem = f"a request of {request:,} tokens does not fit into {length:,}"
        yield refuse("request-length", LENGTH, problem, f"write at least {request}, or send less")


def chunked(serving: Serving) -> bool:
    """Whether prompts may be computed over several steps."""
    said = values.switched(serving, "enable-chunked-prefill")
    if said is None and values.model_type(serving) in WHOLE_PROMPTS:
        return False
    return said if said is not None else CHUNKED_BY_DEFAULT.holds(serving.version, unknown=True)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
