"""What was seen once is said in words for one; a rescue is one in pregnancy too."""

import numpy as np
import pytest

from islet.metrics.ranges import PREGNANCY
from islet.model.events import Meal
from islet.patterns import advice_texts, pattern_texts
from islet.patterns.course import Course
from islet.patterns.findings import Advice, Figure, Finding, Priority, Wheel
from islet.patterns.told import advice_told, told
from tests.patterns.person_days import at, flat, person


def finding(pattern: str, n: int, of: int) -> Finding:
    return Finding(
        pattern=pattern,
        wheel=Wheel.GLUCOSE,
        priority=Priority.LOWS,
        severity="mild",
        confidence="low",
        source="",
        n=n,
        of=of,
        figures=(Figure(name="lowest_mg_dl", value=50.0, unit="mg/dL"),),
    )


@pytest.mark.parametrize("pattern", sorted(pattern_texts.ONCE))
def test_a_pattern_seen_once_has_a_sentence_for_one(pattern: str) -> None:
    once, twice = told(finding(pattern, 1, 1), str).sentence, told(finding(pattern, 2, 3), str).sentence
    assert "1" not in once.replace("15", "") and once != twice
    assert "2" in twice


@pytest.mark.parametrize("rule", sorted(advice_texts.ONCE))
def test_an_advice_on_something_seen_once_has_a_sentence_for_one(rule: str) -> None:
    def sentence(n: float, of: float) -> str:
        figures = (Figure(name="n", value=n), Figure(name="of", value=of))
        advice = Advice(
            rule=rule,
            priority=Priority.LOWS,
            confidence="low",
            source="",
            findings=("very_lows",),
            evidence=(),
            figures=figures,
        )
        return advice_told(advice, str).sentence

    assert "1" not in sentence(1.0, 1.0)
    assert "2" in sentence(2.0, 3.0)


def test_what_is_eaten_below_70_is_eaten_against_a_low_in_pregnancy_too() -> None:
    glucose = flat(2)
    glucose[np.arange(144, 148)] = 66.0
    eaten = Meal(time=at(0, 12.25), carbs_g=15.0)
    course = Course(person(glucose, events=[eaten]), PREGNANCY)
    assert course.rescues == frozenset({0})
