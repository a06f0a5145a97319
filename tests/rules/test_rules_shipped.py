"""The shipped rule files: every one is documented, in the subset, and enabled for whom it should be."""

import pytest

from islet.engine.rules import Rule, load_rules, plan

RULES = load_rules()


def test_the_five_first_rules_are_shipped() -> None:
    assert [rule.name for rule in RULES] == ["high", "low", "no_data", "seed_demonstration", "urgent_low"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_says_where_its_numbers_come_from(rule: Rule) -> None:
    assert rule.sources and all(len(source) > 20 for source in rule.sources)


def test_severities_are_those_of_the_portal() -> None:
    assert {rule.name: str(rule.severity) for rule in RULES} == {
        "urgent_low": "urgent",
        "low": "warning",
        "high": "warning",
        "no_data": "technical",
        "seed_demonstration": "notice",
    }


def test_the_demonstration_is_for_simulated_patients_only_and_urgent_low_for_everybody() -> None:
    ready = plan(RULES)
    names = [rule.name for rule in RULES]
    seed, urgent = 1 << names.index("seed_demonstration"), 1 << names.index("urgent_low")
    assert ready.mask([]) & seed == 0
    assert ready.mask(["simulated"]) & seed
    assert ready.mask([]) & urgent and ready.mask(["simulated"]) & urgent


def test_the_reference_names_only_patients_that_differ() -> None:
    ready = plan(RULES)
    reference = ready.reference({"p1": [], "p2": ["simulated", "other"]})
    assert list(reference.masks) == ["p2"]
    assert reference.mask("p1") == reference.mask("somebody new") == ready.mask([])
