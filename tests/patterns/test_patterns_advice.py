"""Advice: rests on evidence that is in the data, goes when that goes, and never contradicts itself."""

import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.metrics.ranges import OLDER, PREGNANCY, PRESETS, STANDARD
from islet.model.events import AnyEvent, Exercise, Insulin, Meal
from islet.model.time import from_us, to_us
from islet.patterns.advice.foods import CUISINES, foods_to_choose, is_allowed
from islet.patterns.advice.rules import RULES
from islet.patterns.advice_texts import ADVICE
from islet.patterns.advise import advise
from islet.patterns.find import find
from islet.patterns.findings import Advice, Finding, PersonDays, Preferences, Priority, Wheel
from islet.patterns.label_texts import UNITS
from islet.patterns.pattern_texts import CONFOUNDERS, PATTERNS
from islet.patterns.told import advice_told, told
from tests.patterns.person_days import at, bump, flat, hill, person

DAYS = 7
people = st.builds(
    lambda seed, low, high, log, insulin, sport: _somebody(seed, low, high, log, insulin, sport),
    st.integers(0, 10_000),
    st.integers(0, 6),
    st.integers(0, 12),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


def _somebody(seed: int, lows: int, highs: int, log: bool, insulin: bool, sport: bool) -> PersonDays:
    """Some lows and highs at random hours, gaps, and perhaps meals, insulin and sport."""
    rng = np.random.default_rng(seed)
    glucose = flat(DAYS, float(rng.uniform(90.0, 170.0))) + rng.normal(0.0, 4.0, DAYS * 288)
    events: list[AnyEvent] = []
    for _ in range(highs):
        hill(glucose, int(rng.integers(DAYS)), rng.uniform(0.0, 20.0), rng.uniform(40.0, 200.0))
    for _ in range(lows):
        bump(
            glucose, int(rng.integers(DAYS)), rng.uniform(0.0, 23.0), rng.uniform(10.0, 200.0), rng.uniform(40.0, 69.0)
        )
    if rng.random() < 0.5:
        bump(glucose, int(rng.integers(DAYS)), 0.0, rng.uniform(60.0, 5000.0), float("nan"))
    for day in range(DAYS):
        for hour in (7.0, 12.5, 18.5):
            when = at(day, hour + rng.normal(0.0, 0.7))
            if log:
                events.append(Meal(time=when, text=str(rng.choice(["rice 100 g", "noodles", "tofu\nspinach", "egg"]))))
            if insulin:
                events.append(
                    Insulin(time=from_us(to_us(when) + int(rng.uniform(-1, 2) * 10**9)), dose_u=6, kind="bolus")
                )
        if sport and day % 2:
            events.append(Exercise(time=at(day, 16.0), duration_min=40, kind="run"))
    return person(glucose, events, diabetes="type_1" if insulin else "type_2")


def advised(one: PersonDays, goals: str = "standard") -> tuple[list[Finding], list[Advice]]:
    found = find(one, PRESETS[goals])
    return found, advise(found, one, PRESETS[goals])


@settings(max_examples=8)
@given(people, st.sampled_from(sorted(PRESETS)))
def test_every_piece_of_evidence_is_in_the_data(one: PersonDays, goals: str) -> None:
    found, advice = advised(one, goals)
    instants = {to_us(event.time) for event in one.events}
    times = one.series.time_us
    things: list[Finding | Advice] = [*found, *advice]
    for thing in things:
        for evidence in thing.evidence:
            assert evidence.from_us <= evidence.to_us
            if evidence.kind in ("meal", "insulin", "exercise", "medication"):
                assert evidence.from_us in instants
                continue
            inside = (times >= evidence.from_us) & (times <= evidence.to_us)
            values = one.series.glucose_mg_dl[inside]
            if evidence.kind == "gap":
                assert inside.sum() == 2
            elif evidence.kind == "low":
                assert evidence.value == pytest.approx(float(values.min()), abs=0.1)
            elif evidence.kind == "high":
                assert evidence.value == pytest.approx(float(values.max()), abs=0.1)
            elif evidence.kind in ("night", "reading"):
                assert len(values)


@settings(max_examples=8)
@given(people, st.sampled_from(sorted(PRESETS)))
def test_no_advice_is_without_evidence_and_none_pulls_against_another(one: PersonDays, goals: str) -> None:
    found, advice = advised(one, goals)
    assert [a.priority for a in advice] == sorted(a.priority for a in advice)  # lows before highs
    known = {f.pattern for f in found}
    shown = {e for f in found for e in f.evidence}
    directions: dict[str, int] = {}
    rules = {rule.name: rule for rule in RULES}
    for a in advice:
        assert a.evidence and set(a.evidence) <= shown
        assert set(a.findings) <= known
        assert a.confidence != "not_enough" and a.source
        for part, direction in rules[a.rule].does:
            assert directions.setdefault(part.format(subject=a.subject), direction) == direction


@settings(max_examples=8)
@given(people)
def test_without_its_finding_no_advice_is_given(one: PersonDays) -> None:
    found, advice = advised(one)
    for a in advice:
        rest = [f for f in found if not (f.pattern == a.findings[0] and f.subject == a.subject)]
        assert (a.rule, a.subject) not in {(b.rule, b.subject) for b in advise(rest, one)}
        bare = [f if f in rest else _without_evidence(f) for f in found]
        assert (a.rule, a.subject) not in {(b.rule, b.subject) for b in advise(bare, one)}


def _without_evidence(finding: Finding) -> Finding:
    bare: Finding = msgspec.convert({**msgspec.structs.asdict(finding), "evidence": ()}, Finding)
    return bare


def _lifted(one: PersonDays, advice: Advice) -> PersonDays:
    """The person without what an advice shows: its lows lifted to 100 mg/dL, its highs pressed down to it, its events
    forgotten."""
    glucose = one.series.glucose_tenths.copy()
    gone = set()
    for evidence in advice.evidence:
        if evidence.kind in ("low", "high", "reading", "night", "day"):
            inside = (one.series.time_us >= evidence.from_us) & (one.series.time_us <= evidence.to_us)
            glucose[inside] = 1000
        gone.add(evidence.from_us)
    events = tuple(event for event in one.events if to_us(event.time) not in gone)
    return replace(one, series=replace(one.series, glucose_tenths=glucose), events=events)


@settings(max_examples=6)
@given(people)
def test_without_its_evidence_in_the_data_no_advice_about_lows_is_given(one: PersonDays) -> None:
    of_lows = ("very_low_plan", "night_low_review", "long_low_alarm", "unnoticed_low_check", "low_time_review")
    for a in advised(one)[1]:
        if a.rule in of_lows:
            assert a.rule not in {b.rule for b in advised(_lifted(one, a))[1]}


@pytest.mark.parametrize(
    ("rule", "draw"),
    [
        ("walk_after_meals", lambda glucose, day: hill(glucose, day, 12.0, 100.0)),
        ("fasting_review", lambda glucose, day: bump(glucose, day, 6.0, 120, 170.0)),
        ("high_time_review", lambda glucose, day: bump(glucose, day, 10.0, 600, 220.0)),
        ("night_low_review", lambda glucose, day: bump(glucose, day, 2.0, 90, 62.0)),
    ],
)
def test_an_advice_comes_with_its_evidence_and_goes_with_it(
    rule: str, draw: Callable[[np.ndarray[tuple[int, ...], np.dtype[np.float64]], int], None]
) -> None:
    glucose = flat(DAYS)
    meals = [Meal(time=at(day, hour)) for day in range(DAYS) for hour in (8.0, 12.0)]
    assert rule not in {a.rule for a in advised(person(glucose, meals))[1]}
    for day in range(DAYS):
        draw(glucose, day)
    one = person(glucose, meals)
    advice = next(a for a in advised(one)[1] if a.rule == rule)
    assert rule not in {a.rule for a in advised(_lifted(one, advice))[1]}


def test_lows_silence_advice_that_would_make_more_of_them() -> None:
    glucose = flat(DAYS)
    for day in range(DAYS):
        bump(glucose, day, 12.0, 600, 220.0)
    high = {a.rule for a in advised(person(glucose))[1]}
    for day in range(DAYS):
        bump(glucose, day, 2.0, 90, 50.0)
    both = {a.rule for a in advised(person(glucose))[1]}
    assert "high_time_review" in high
    assert "low_time_review" in both and "high_time_review" not in both


def test_goals_decide_which_advice_is_given() -> None:
    glucose = flat(DAYS)
    for day in range(DAYS):
        bump(glucose, day, 14.0, 40, 62.0)
        bump(glucose, day, 16.0, 400, 200.0)
    rules = {
        goals.name: {a.rule for a in advised(person(glucose), goals.name)[1]} for goals in (STANDARD, OLDER, PREGNANCY)
    }
    assert "low_time_review_older" in rules["older"] and "low_time_review_older" not in rules["standard"]
    glucose = flat(DAYS, 150.0)
    assert "pregnancy_highs_soon" in {a.rule for a in advised(person(glucose), "pregnancy")[1]}
    assert "pregnancy_highs_soon" not in {a.rule for a in advised(person(glucose))[1]}


def food(name: str) -> Finding:
    return Finding(
        pattern="food_small",
        wheel=Wheel.DIET,
        priority=Priority.FACTS,
        severity="none",
        confidence="low",
        source="",
        n=3,
        of=3,
        subject=name,
    )


def test_foods_are_the_persons_own_liked_ones_first_without_what_they_must_not_or_will_not_eat() -> None:
    own = [food(name) for name in ("cheese omelette", "tofu", "beer", "lentil soup", "spinach", "almond cake")]
    wishes = Preferences(likes=("Spinach",), dislikes=("tofu",), allergies=("dairy", "nuts"))
    assert foods_to_choose(own, wishes) == ("spinach", "lentil soup")
    assert foods_to_choose([food("tofu")], Preferences(allergies=("soy",), cuisine="chinese")) == (
        "leafy vegetables",
        "steamed fish",
        "buckwheat noodles",
    )


@settings(max_examples=30)
@given(st.sampled_from(sorted(CUISINES)), st.lists(st.sampled_from(["milk", "egg", "gluten", "soy", "nut", "fish"])))
def test_no_food_that_somebody_is_allergic_to_is_named(cuisine: str, allergies: list[str]) -> None:
    wishes = Preferences(cuisine=cuisine, allergies=tuple(allergies))  # type: ignore[arg-type]
    assert all(is_allowed(one, wishes) for one in foods_to_choose([], wishes))


def test_no_advice_names_a_dose_and_what_is_about_medicines_asks_for_a_clinician() -> None:
    assert {rule.name for rule in RULES} == set(ADVICE)
    for rule in RULES:
        text = ADVICE[rule.name]
        assert not re.search(r"\d+ ?(U\b|units|mg\b(?!/dL))", text), rule.name
        if re.search(r"insulin|medicine|glucagon", text, re.IGNORECASE):
            assert rule.clinician or rule.name == "missed_bolus_reminder", rule.name


@settings(max_examples=8)
@given(people, st.sampled_from(["mg/dL", "mmol/L"]))
def test_everything_can_be_said_in_both_units_and_nothing_is_left_open(one: PersonDays, unit: str) -> None:
    found, advice = advised(one)
    said = [told(f, str, unit) for f in found] + [advice_told(a, str, unit) for a in advice]
    for words in said:
        assert words.title and words.sentence
        assert not re.search(r"[{}]|nan|None", words.title + words.sentence)
    assert {f.pattern for f in found} <= set(PATTERNS)
    assert {name for f in found for name in f.confounders} <= set(CONFOUNDERS)
    assert {figure.unit for f in found for figure in f.figures} <= {*UNITS, "", "%", "mg/dL", "mg/dL·h"}
