"""Configurations that the rules were not written for: other numbers, pairs just at a border, strangers' threads."""

import pytest
from support.pages import read_page

from pulumi_plinth.check.core import judge
from pulumi_plinth.check.facts import all_rules, load_known, subject_of_facts
from pulumi_plinth.check.serving_rules import SERVING_RULES

PAGES = ("test_serving_variations.yaml", "test_strangers.yaml")
CASES = [case for page in PAGES for case in read_page(__file__, page)]


@pytest.fixture(scope="module")
def known():
    """Catalogue, shapes and the engine's table."""
    return load_known()


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case[2])[:90])
def test_variation(case, known):
    """The verdict is the expected one, and the rule that knows why is among those that speak."""
    wanted, rule, facts = case
    verdicts = judge(subject_of_facts(facts, known).subject, all_rules(known))
    assert (verdicts[0].severity.value if verdicts else "accept") == wanted, [str(verdict) for verdict in verdicts]
    assert rule is None or rule in {verdict.rule for verdict in verdicts}


@pytest.mark.slow
def test_every_rule_speaks(known):
    """A rule that no configuration, real or invented, makes speak could be wrong without anybody noticing."""
    real = read_page(__file__, "misconfigurations.yaml")
    facts = [*(entry["facts"] for entry in real), *(case[2] for case in CASES)]
    subjects = [subject_of_facts(each, known).subject for each in facts]
    silent = [rule.__name__ for rule in SERVING_RULES if not any(any(rule(subject)) for subject in subjects)]
    assert silent == []
