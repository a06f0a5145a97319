"""Patterns of food, insulin, drugs, exercise and habits: found where they were drawn, with their numbers."""

import re

import numpy as np
import pytest

from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Medication
from islet.model.insulins import InsulinClass, insulin_parts
from islet.model.time import DAY_US
from islet.patterns import advice_texts, pattern_texts
from islet.patterns.diet.carbs_on_board import carbs_left_share
from islet.patterns.diet.foods import foods_in
from islet.patterns.diet.responses import meal_responses
from islet.patterns.findings import Advised
from islet.patterns.insulin.action import on_board_u
from islet.patterns.insulin.curves import CURVES, Curve, activity_per_min, left_share
from islet.patterns.insulin.names import drug_class
from islet.web.languages import catalogue_path
from tests.patterns.person_days import START_US, at, bump, course, flat, found, hill, person


def test_a_meal_has_its_baseline_rise_peak_and_area() -> None:
    glucose = flat(3)
    hill(glucose, 1, 12.0, 60.0)
    (one,) = meal_responses(course(person(glucose, [Meal(time=at(1, 12.0), carbs_g=50, text="rice")])))
    assert one.excluded == ""
    assert (one.baseline_mg_dl, one.rise_mg_dl, one.peak_min) == pytest.approx((110.0, 60.0, 90.0))
    assert one.at_1_h_mg_dl == pytest.approx(110.0 + 60.0 * np.sin(np.pi / 3), abs=0.1)
    assert one.iauc_180_mg_dl_h == pytest.approx(60.0 * 3 * 2 / np.pi, rel=0.01)  # a half wave
    assert one.iauc_120_mg_dl_h == pytest.approx(60.0 * 3 / np.pi * 1.5, rel=0.01)  # 1 - cos(120°) of it
    assert one.recovery_percent == pytest.approx(100.0 * (1 - np.cos(np.pi / 3)), abs=0.5)


def test_area_below_the_baseline_counts_nothing() -> None:
    glucose = flat(3)
    hill(glucose, 1, 12.0, -30.0)
    (one,) = meal_responses(course(person(glucose, [Meal(time=at(1, 12.0))])))
    assert one.iauc_180_mg_dl_h == pytest.approx(0.0, abs=1e-6)


def test_where_glucose_crosses_the_baseline_the_area_is_a_triangle() -> None:
    glucose = flat(3)
    bump(glucose, 1, 12.1, 60, 80.0)
    bump(glucose, 1, 13.1, 150, 140.0)  # five minutes after the last 80
    (one,) = meal_responses(course(person(glucose, [Meal(time=at(1, 12.0))])))
    whole_steps = np.count_nonzero(glucose[288 + 144 : 288 + 181] == 140.0) - 1
    assert one.iauc_180_mg_dl_h == pytest.approx(30.0 * whole_steps / 12 + 30.0 * 2.5 / 60 / 2, abs=0.01)


def test_meals_that_overlap_that_treat_a_low_or_that_lack_readings_are_left_out_with_the_reason() -> None:
    glucose = flat(4)
    bump(glucose, 1, 9.5, 20, 60.0)
    bump(glucose, 2, 12.5, 90, float("nan"))
    meals = [(0, 8.0), (0, 10.5), (1, 9.75), (2, 12.0), (3, 12.0)]
    reasons = [
        one.excluded for one in meal_responses(course(person(glucose, [Meal(time=at(*when)) for when in meals])))
    ]
    assert reasons == ["overlap", "overlap", "rescue", "gap", ""]


def test_a_meal_that_began_high_and_rose_little_is_no_concern_of_that_time_of_day() -> None:
    glucose, meals = flat(10, 190.0), [Meal(time=at(day, 18.5)) for day in range(10)]
    dinner = found(person(glucose, meals), "meal_slot", "dinner")
    assert dinner is not None and dinner.severity == "none"
    for day in range(10):
        hill(glucose, day, 18.5, 60.0)
    dinner = found(person(glucose, meals), "meal_slot", "dinner")
    assert dinner is not None and dinner.severity == "moderate"


def test_what_is_written_down_within_a_quarter_of_an_hour_is_one_meal() -> None:
    meals = [Meal(time=at(1, 12.0), carbs_g=30, text="rice"), Meal(time=at(1, 12.2), carbs_g=15, text="apple")]
    (one,) = meal_responses(course(person(flat(3), meals)))
    assert (one.carbs_g, one.text) == (45.0, "rice\napple")


def test_foods_are_ranked_within_their_time_of_day() -> None:
    glucose, meals = flat(12), list[AnyEvent]()
    for day in range(12):
        food, rise = (("noodles", 90.0), ("lentils", 20.0))[day % 2]
        hill(glucose, day, 12.0, rise)
        meals.append(Meal(time=at(day, 12.0), text=f"{food} 100 g\ntea 1 cup"))
    one = person(glucose, meals)
    high, small = found(one, "food_high", "noodles"), found(one, "food_small", "lentils")
    assert high is not None and small is not None
    assert (high.n, high.figures[0].value, small.figures[0].value) == (6, 90.0, 20.0)
    assert found(one, "food_high", "tea") is None


def test_foods_are_told_from_amounts_in_english_and_chinese() -> None:
    assert foods_in("Egg 60 g\nBoiled vegetable 114 g, 2 slices bread") == ("egg", "boiled vegetable", "bread")
    assert foods_in("米饭 100克；青菜（50 克）") == ("米饭", "青菜")


@pytest.mark.parametrize("kind", list(CURVES))
def test_insulin_acts_wholly_within_its_duration_and_never_backwards(kind: InsulinClass) -> None:
    curve: Curve = CURVES[kind]
    minutes = np.arange(0.0, curve.duration_min + 1.0)
    left, active = left_share(minutes, curve), activity_per_min(minutes, curve)
    assert (left[0], left[-1]) == pytest.approx((1.0, 0.0), abs=1e-9)
    assert np.all(np.diff(left) <= 1e-12)
    assert left[:-1] - left[1:] == pytest.approx((active[:-1] + active[1:]) / 2, abs=1e-5)
    if curve.peak_min is not None:
        assert minutes[active.argmax()] == pytest.approx(curve.peak_min, abs=1.0)


def test_insulin_on_board_adds_up_over_doses_and_leaves_out_what_comes_later() -> None:
    doses = [Insulin(time=at(0, 8.0 + hours), dose_u=4, kind="bolus") for hours in (0, 1, 3)]
    now = np.array([START_US + 10 * DAY_US // 24])
    shares = left_share(np.array([120.0, 60.0]), CURVES["rapid"])
    assert on_board_u(now, doses)[0] == pytest.approx(4 * float(shares.sum()))


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("Novolin R", {"regular": 1.0}),
        ("Novolin 30R", {"regular": 0.3, "nph": 0.7}),
        ("Gansulin 40R ", {"regular": 0.4, "nph": 0.6}),
        ("SciLin M30", {"regular": 0.3, "nph": 0.7}),
        ("Humulin 70/30", {"regular": 0.3, "nph": 0.7}),
        ("insulin aspart 70/30", {"rapid": 0.3, "nph": 0.7}),
        ("insulin aspart 50/50", {"rapid": 0.5, "nph": 0.5}),
        ("insulin glarigine", {"glargine": 1.0}),
        ("insulin degludec", {"degludec": 1.0}),
        ("Fiasp", {"ultra_rapid": 1.0}),
        ("甘精胰岛素", {"glargine": 1.0}),
        ("mystery", {}),
    ],
)
def test_insulins_are_known_by_the_names_of_charts(name: str, parts: dict[str, float]) -> None:
    assert dict(insulin_parts(Insulin(time=at(0, 0), dose_u=1, name=name))) == parts


def test_drugs_are_known_by_the_names_of_charts() -> None:
    names = [
        "acarbose",
        "gliclazide",
        "repaglinide",
        "sitagliptin",
        "dapagliflozin",
        "liraglutide",
        "格列美脲",
        "water",
    ]
    assert [drug_class(name) for name in names] == [
        "alpha_glucosidase_inhibitor",
        "sulfonylurea",
        "glinide",
        "dpp_4_inhibitor",
        "sglt_2_inhibitor",
        "glp_1_agonist",
        "sulfonylurea",
        None,
    ]


def test_carbs_are_absorbed_in_time_and_never_come_back() -> None:
    left = carbs_left_share(np.arange(-10.0, 200.0))
    assert left[0] == 1.0 and left[-1] == 0.0
    assert np.all(np.diff(left) <= 0.0)


def test_a_correction_on_top_of_insulin_before_a_low_is_stacked() -> None:
    glucose, events = flat(10), list[AnyEvent]()
    for day in range(6):
        events += [Insulin(time=at(day, hour), dose_u=5, kind="bolus") for hour in (14.0, 15.5)]
    bump(glucose, 2, 17.0, 30, 60.0)
    stacked = found(person(glucose, events), "stacked_insulin")
    assert stacked is not None
    assert (stacked.n, stacked.of) == (1, 6)


def test_late_insulin_and_meals_without_any_are_told_apart() -> None:
    glucose, events = flat(12), list[AnyEvent]()
    for day in range(12):
        hill(glucose, day, 12.0, 100.0)
        events.append(Meal(time=at(day, 12.0)))
        if day < 8:
            events.append(Insulin(time=at(day, 12.0 + (0.5 if day % 2 else 0.0)), dose_u=5, kind="bolus"))
    one = person(glucose, events)
    late, missed = found(one, "late_bolus"), found(one, "meal_without_bolus")
    assert late is not None and missed is not None
    assert (late.n, late.of, late.figures[1].value) == (4, 8, 30.0)
    assert (missed.n, missed.of) == (4, 12)


def test_a_drug_is_compared_with_the_same_meals_without_it() -> None:
    glucose, events = flat(12), list[AnyEvent]()
    for day in range(12):
        hill(glucose, day, 12.0, 80.0 if day % 2 else 40.0, minutes=240.0)
        events.append(Meal(time=at(day, 12.0)))
        if day % 2 == 0:
            events.append(Medication(time=at(day, 12.0), name="acarbose"))
    effect = found(person(glucose, events), "drug_effect", "alpha_glucosidase_inhibitor")
    assert effect is not None
    assert effect.figures[0].name == "difference_2_h_mg_dl"
    assert effect.figures[0].value == pytest.approx(-40.0, abs=1.0)


def test_what_goes_with_meals_is_compared_with_meals_also_when_they_come_later() -> None:
    glucose, events = flat(12), list[AnyEvent]()
    for day in range(12):
        hour = 12.0 if day % 2 else 13.5
        hill(glucose, day, hour, 60.0, minutes=240.0)
        events.append(Meal(time=at(day, hour)))
        if day % 2:
            events.append(Medication(time=at(day, hour), name="acarbose"))
    effect = found(person(glucose, events), "drug_effect", "alpha_glucosidase_inhibitor")
    assert effect is not None
    assert effect.figures[0].value == pytest.approx(0.0, abs=1.0)


def test_four_doses_are_not_enough_data() -> None:
    events = [Medication(time=at(day, 12.0), name="acarbose") for day in range(4)]
    one = person(flat(12), events)
    effect, impact = (found(one, name, "alpha_glucosidase_inhibitor") for name in ("drug_effect", "impact_medication"))
    assert effect is not None and impact is not None
    assert (effect.confidence, impact.confidence) == ("not_enough", "not_enough")
    assert effect.figures == impact.figures == ()


def test_exercise_shows_its_fall_and_lows_after_it() -> None:
    glucose, events = flat(14, 140.0), list[AnyEvent]()
    for day in range(0, 14, 2):
        bump(glucose, day, 17.0, 180, 100.0 if day else 65.0)
        events.append(Exercise(time=at(day, 17.0), duration_min=45, kind="Run"))
    one = person(glucose, events)
    change, low = found(one, "exercise_change", "run"), found(one, "low_after_exercise")
    assert change is not None and low is not None
    during = change.figure("change_during_mg_dl")
    assert during is not None and during.value == -40.0
    assert (low.n, low.of, low.evidence[0].from_us) == (1, 7, START_US + 17 * DAY_US // 24)


def test_nights_after_exercise_are_compared_with_other_nights() -> None:
    glucose, events = flat(14), list[AnyEvent]()
    for day in range(0, 12, 2):
        events.append(Exercise(time=at(day, 17.0), duration_min=45))
        bump(glucose, day + 1, 3.0, 30, 60.0)
    night = found(person(glucose, events), "night_low_after_exercise")
    assert night is not None
    assert (night.n, night.of) == (6, 6)


def test_gaps_days_without_meals_and_irregular_breakfasts_are_habits() -> None:
    glucose = flat(14)
    for day in (3, 4, 5, 6, 7):
        bump(glucose, day, 0.0, 1440, float("nan"))
    meals = [Meal(time=at(day, 7.0 if day % 3 else 10.0)) for day in range(3)]
    one = person(glucose, meals)
    wear, logging = found(one, "wear"), found(one, "logging")
    assert wear is not None and logging is not None
    assert (wear.severity, wear.n, wear.evidence[0].value) == ("moderate", 1, 120.1)
    assert (logging.severity, logging.n, logging.of) == ("mild", 6, 9)
    rocky = person(flat(14), [Meal(time=at(day, (6.0, 8.0, 11.0)[day % 3])) for day in range(14)])
    regular = found(rocky, "meal_regularity")
    assert regular is not None and regular.severity == "mild"


def test_runs_of_days_on_goal_and_progress_are_counted() -> None:
    glucose = flat(14)
    for day in range(7):
        bump(glucose, day, 12.0, 600 + 30 * (day % 3), 220.0)
    one = person(glucose)
    streak, progress = found(one, "streak"), found(one, "goal_progress")
    assert streak is not None and progress is not None
    assert streak.figures[0].value == 7
    assert progress.figures[0].value == pytest.approx(43.5, abs=1.0)
    assert progress.severity == "none"


def test_what_changed_since_an_advice_was_taken_up_is_told() -> None:
    glucose = flat(28)
    for day in range(14):
        bump(glucose, day, 12.0, 600 + 30 * (day % 3), 220.0)
    advised = (Advised(rule="walk_after_meals", at_us=START_US + 14 * DAY_US),)
    response = found(person(glucose, advised=advised), "advice_response", "walk_after_meals")
    assert response is not None
    assert response.figures[0].value == pytest.approx(43.6, abs=1.0)
    assert (response.figures[0].low or 0) > 40.0


def test_no_text_of_a_finding_says_that_one_thing_causes_another() -> None:
    texts = [*advice_texts.ADVICE.values(), *pattern_texts.CONFOUNDERS.values()]
    texts += [text for pair in pattern_texts.PATTERNS.values() for text in pair]
    assert not [text for text in texts if "caus" in text.lower().replace("do it because of their glucose", "")]


def test_two_readings_are_no_sensor_that_is_surely_worn() -> None:
    glucose = flat(3)
    glucose[2:] = np.nan
    seen = found(person(glucose), "wear")
    assert seen is not None and seen.confidence == "not_enough"
    glucose = flat(7)
    glucose[np.arange(len(glucose)) % 288 > 96] = np.nan  # eight hours of each day
    seen = found(person(glucose), "wear")
    assert seen is not None and (seen.severity, seen.confidence) == ("moderate", "high")


def test_no_text_in_chinese_says_that_one_thing_causes_another() -> None:
    """Of all pages and messages, not only of findings."""
    catalogue = catalogue_path("zh-CN").read_text(encoding="utf-8")
    assert "关联" in catalogue
    assert not re.findall("导致|引起|造成|致使", catalogue)
