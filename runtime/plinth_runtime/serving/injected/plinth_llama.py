# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""The contract of `/generate`, as the llama-2 service of old had it: a body in, a wish or every fault out. Pure.

Standard library only. Two kinds of refusal: 422 lists what has the wrong form, 400 says in one sentence what cannot be
done. Differences to the old service, all of them refusals where it ignored or cut in silence: the documented bounds of
`max_seq_len` and `max_gen_len` are enforced, and `max_batch_size` may be lowered by a request.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

TEMPERATURE, TOP_P = 0.6, 0.9
LONGEST = 2048
"""Most tokens of prompt and answer together, whatever the model could."""

LARGEST_BATCH = 32
LARGEST_NUMBER = sys.float_info.max
PARAMETERS = {"temperature": False, "top_p": False, "max_gen_len": True, "max_seq_len": True, "max_batch_size": True}
"""Names, and whether a whole number is meant. Others are ignored, as they always were."""

EMPTY = "Prompts are required and should be an array"
FAILED = "Request Failed: "


class RefusedError(Exception):
    """What to answer instead: a status and its `detail`."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Wish:
    """What is asked for. Lengths are in tokens; `max_gen_len` is as given or as long as the sequence allows."""

    prompts: tuple[str, ...]
    temperature: float
    top_p: float
    max_gen_len: int
    max_seq_len: int

    def room(self, prompt_tokens: int) -> int | None:
        """How many tokens the answer to a prompt of this length may have; None if the prompt is too long."""
        left = self.max_seq_len - prompt_tokens
        return None if left < 0 else min(left, self.max_gen_len)


Faults = list[dict[str, Any]]


def read_wish(body: bytes, model_length: int) -> Wish:
    """Read a request. Raises RefusedError; faults of form are all reported at once."""
    document = _parse(body)
    faults: Faults = []
    prompts = _prompts(document, faults)
    given = _parameters(document, faults)
    if faults:
        raise RefusedError(422, faults)
    if not prompts:
        raise RefusedError(400, EMPTY)
    return _wish(prompts, given, min(LONGEST, model_length))


def fault(place: list[str | int], message: str, kind: str) -> dict[str, Any]:
    """Describe a fault of form as the framework of old did."""
    return {"loc": ["body", *place], "msg": message, "type": kind}


def _parse(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        place: list[str | int] = [getattr(error, "pos", 0)]
        raise RefusedError(422, [fault(place, str(error), "value_error.jsondecode")]) from error
    if not isinstance(document, dict):
        raise RefusedError(422, [fault([], "value is not a valid dict", "type_error.dict")])
    return document


def _prompts(document: dict[str, Any], faults: Faults) -> tuple[str, ...]:
    prompts = document.get("prompts")
    if "prompts" not in document:
        faults.append(fault(["prompts"], "field required", "value_error.missing"))
    elif not isinstance(prompts, list):
        faults.append(fault(["prompts"], "value is not a valid list", "type_error.list"))
    else:
        faults += [
            fault(["prompts", index], "str type expected", "type_error.str")
            for index, prompt in enumerate(prompts)
            if not isinstance(prompt, str)
        ]
        return tuple(prompts)
    return ()


def _parameters(document: dict[str, Any], faults: Faults) -> dict[str, float]:
    parameters = document.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        faults.append(fault(["parameters"], "value is not a valid dict", "type_error.dict"))
        return {}
    given = {}
    for name, whole in PARAMETERS.items():
        value = parameters.get(name)
        if value is None:
            continue
        if _is_number(value, whole=whole):
            given[name] = value
        else:
            kind = "integer" if whole else "float"
            faults.append(fault(["parameters", name], f"value is not a valid {kind}", f"type_error.{kind}"))
    return given


def _is_number(value: Any, *, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if not abs(value) <= LARGEST_NUMBER:  # also true of what is no number
        return False
    return not whole or value == int(value)


def _wish(prompts: tuple[str, ...], given: dict[str, float], longest: int) -> Wish:
    sequence, answer = given.get("max_seq_len"), given.get("max_gen_len")
    batch = int(given.get("max_batch_size", LARGEST_BATCH))
    if sequence is not None and not 1 <= sequence <= LONGEST:
        raise RefusedError(400, f"{FAILED}max_seq_len must be between 1 and {LONGEST}, not {sequence}")
    if answer is not None and not 1 <= answer <= LONGEST:
        raise RefusedError(400, f"{FAILED}max_gen_len must be between 1 and {LONGEST}, not {answer}")
    if sequence is not None and answer is not None and sequence + answer > LONGEST:
        raise RefusedError(400, f"{FAILED}max_seq_len + max_gen_len must be at most {LONGEST}, not {sequence + answer}")
    if batch < 1:
        raise RefusedError(400, f"{FAILED}max_batch_size must be at least 1, not {batch}")
    if len(prompts) > min(batch, LARGEST_BATCH):
        raise RefusedError(400, f"{FAILED}{(len(prompts), min(batch, LARGEST_BATCH))}")
    temperature, top_p = float(given.get("temperature", TEMPERATURE)), float(given.get("top_p", TOP_P))
    greedy = temperature <= 0 or top_p <= 0
    return Wish(
        prompts=prompts,
        temperature=0.0 if greedy else temperature,
        top_p=1.0 if greedy else min(top_p, 1.0),
        max_gen_len=int(longest - 1 if answer is None else answer),
        max_seq_len=int(longest if sequence is None else min(sequence, longest)),
    )
