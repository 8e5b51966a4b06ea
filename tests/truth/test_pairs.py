"""What the planner refuses vLLM refuses, what the planner passes vLLM takes: pairs, judged in one engine process."""

import shlex

import pytest
from truth.pairs import PAIRS, UNRULED

from plinth_runtime.contract.card import CardError, card_of_config
from pulumi_plinth.check.core import Severity, judge
from pulumi_plinth.check.serving import Adapter, Serving
from pulumi_plinth.check.serving_rules import SERVING_RULES
from pulumi_plinth.check.subject import Subject
from pulumi_plinth.engines.arguments import check_arguments
from pulumi_plinth.engines.table import load_table

TABLE = load_table("vllm", "0.32.0")
LEAST_PAIRS = 25


def refusals(pair, side):
    """Rules of the planner that refuse this side, and the words that its table of the engine does not know."""
    words, config = shlex.split(side.words), pair.model | side.config
    checked = check_arguments(words, TABLE)
    flags = {argument.word.removeprefix("--"): " ".join(argument.values) for argument in checked.arguments}
    try:
        card = card_of_config(config, 10_000_000, 20_000_000, None)
    except CardError as error:
        return {"card": str(error)}
    serving = Serving(card=card, adapter=Adapter(rank=side.adapter), version=(0, 32, 0), arguments=flags)
    found = [verdict for verdict in judge(Subject(serving), SERVING_RULES) if verdict.severity is Severity.REFUSE]
    return {verdict.rule: str(verdict) for verdict in found} | {
        fault.path if fault.value is None else str(fault.value).split()[0]: str(fault) for fault in checked.faults
    }


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_planner_refuses_one_and_passes_its_twin(pair):
    """By the rule that is named, or by the flag."""
    assert any(pair.rule in rule for rule in refusals(pair, pair.wrong)), refusals(pair, pair.wrong)
    assert refusals(pair, pair.right) == {}


@pytest.mark.engine
@pytest.mark.timeout(300)
def test_vllm_agrees_in_every_pair(ask, tell):
    """Before it loads a weight, it refuses one side and takes the other."""
    sides = [(pair, right) for pair in (*PAIRS, *UNRULED) for right in (False, True)]
    verdicts = ask("ask_verdicts.py", [case(pair, pair.right if right else pair.wrong) for pair, right in sides])
    found = dict(zip([(pair.name, right) for pair, right in sides], verdicts, strict=True))
    refused = [stage[0] for (_, right), stage in found.items() if stage and not right]
    told = ", ".join(f"{refused.count(stage)} by its {stage}" for stage in dict.fromkeys(refused))
    tell(
        "pairs, one side wrong",
        f"{len(PAIRS)} of {len(found) // 2} refused",
        f"{len(refused)} refused: {told}",
        unruled(),
    )
    assert len(PAIRS) >= LEAST_PAIRS
    assert {key: verdict for key, verdict in found.items() if (verdict is None) != key[1]} == {}


def case(pair, side):
    """One side, as `ask_verdicts.py` takes it."""
    return {"config": pair.model | side.config, "words": shlex.split(side.words), "adapter": side.adapter}


def unruled():
    """Name what the planner lets pass."""
    passed = [pair.name for pair in UNRULED if not refusals(pair, pair.wrong)]
    return f"no rule for: {', '.join(passed)}" if passed else "every one has its rule"
