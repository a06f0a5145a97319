"""The shipped rule files: every one is documented, in the subset, and enabled for whom it should be."""

import re

import pytest

from islet.engine.parameters import NO_LAYERS, resolved
from islet.engine.references import references
from islet.engine.rules import Rule, load_rules, plan
from islet.model.people import Patient

RULES = load_rules()
PLAN = plan(RULES)
BY_NAME = {rule.name: rule for rule in RULES}


def test_the_rules_that_are_promised_are_shipped() -> None:
    assert set(BY_NAME) == {
        "battery_low", "cgm_use_low", "compression_low", "diastolic_high", "falling_2", "falling_3",
        "falling_with_insulin", "few_readings", "high", "high_soon", "impossible_jump", "low", "low_after_exercise", "low_soon", "missed_bolus",
        "missed_prompt", "night_low", "no_data", "no_data_followers", "pulse_high", "pulse_low", "rising_2", "rising_3",
        "seed_demonstration", "sensor_fault", "sticky_high", "stuck_sensor", "systolic_high", "systolic_low", "tir_drop",
        "urgent_low", "urgent_low_soon",
    }  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_says_where_its_numbers_come_from(rule: Rule) -> None:
    assert rule.sources and all(len(source) > 20 for source in rule.sources)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_speaks_to_people_in_both_languages(rule: Rule) -> None:
    texts = [rule.titles["zh-CN"], rule.descriptions["zh-CN"], *(p.labels["zh-CN"] for p in rule.parameters.values())]
    assert rule.description and all(p.label for p in rule.parameters.values())
    assert all(re.search("[\u4e00-\u9fff]", text) for text in texts)


def test_severities_are_those_of_the_portal() -> None:
    of = {str(rule.severity): set[str]() for rule in RULES}
    for rule in RULES:
        of[str(rule.severity)].add(rule.name)
    assert of["urgent"] == {"urgent_low", "night_low"}
    assert of["warning"] == {
        "urgent_low_soon", "low", "high", "pulse_high", "pulse_low", "systolic_high", "systolic_low", "diastolic_high",
    }  # fmt: skip
    assert of["technical"] == {
        "no_data", "no_data_followers", "sensor_fault", "battery_low", "stuck_sensor", "impossible_jump",
    }  # fmt: skip


def test_only_urgent_low_can_be_switched_off_by_nobody() -> None:
    assert [rule.name for rule in RULES if rule.switch_off == "nobody"] == ["urgent_low"]


def test_rates_are_off_until_somebody_wants_them() -> None:
    assert {rule.name for rule in RULES if rule.enabled == "nobody"} == {
        "rising_2",
        "rising_3",
        "falling_2",
        "falling_3",
        "high_soon",
    }


def test_the_demonstration_is_for_simulated_patients_only_and_urgent_low_for_everybody() -> None:
    real, simulated = (resolved(PLAN, NO_LAYERS, Patient(id="p1", tags=tags)).enabled for tags in ((), ("simulated",)))
    assert simulated["seed_demonstration"] and not real["seed_demonstration"]
    assert simulated["urgent_low"] and real["urgent_low"]


def test_windows_over_values_are_short_enough_for_the_memory_of_a_million_patients() -> None:
    assert PLAN.streams["glucose_mg_dl"].features.window_us <= 2 * 3_600_000_000


def test_the_reference_names_only_patients_that_differ() -> None:
    patients = [Patient(id="p1"), Patient(id="p2", tags=("simulated", "other")), Patient(id="p3", tags=("other",))]
    glucose = references(PLAN, NO_LAYERS, patients)["glucose_mg_dl"]
    assert list(glucose.patients) == ["p2"]
    assert glucose.of("p1") == glucose.of("somebody new") == glucose.otherwise
