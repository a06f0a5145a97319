"""Insulin and carbs on board: of what, by which curve, and at instants, whatever the wall clock does."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.model.events import AnyEvent, Insulin, Meal, Note
from islet.model.time import MINUTE_US, to_us
from islet.patterns.diet.carbs_on_board import carbs_left_share
from islet.patterns.insulin.curves import CURVES, left_share
from islet.patterns.on_board import LOOKS_BACK_US, OnBoard, on_board

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
NAMES = ["", "Fiasp", "Novolin R", "Novolin 30R", "Humulin N", "Levemir", "Lantus", "Tresiba"]


def now(*events: AnyEvent) -> OnBoard:
    return on_board(np.array([to_us(NOW)]), events)


def dose(u: float, minutes_ago: float, name: str = "", kind: str = "bolus") -> Insulin:
    return Insulin(time=NOW - timedelta(minutes=minutes_ago), dose_u=u, name=name, kind=kind)  # type: ignore[arg-type]


def test_premixed_insulin_counts_by_its_parts() -> None:
    found = now(dose(20, 60, "Novolin 30R", "premix"))
    assert found.mealtime_u[0] == pytest.approx(6 * left_share(np.array([60.0]), CURVES["regular"])[0])
    assert found.longer_u[0] == pytest.approx(14 * left_share(np.array([60.0]), CURVES["nph"])[0])


def test_a_pumps_basal_rate_is_not_mealtime_insulin_but_acts() -> None:
    found = now(dose(1, 60, "insulin aspart", "basal"))
    assert (found.mealtime_u[0], found.longer_u[0]) == (0.0, 0.0)
    assert found.activity_u_per_h[0] > 0.0


def test_insulin_of_no_known_class_and_meals_without_carbs_are_counted_as_unknown() -> None:
    found = now(dose(8, 60, "", "unknown"), Meal(time=NOW, text="Rice"), Note(time=NOW, text="tired"))
    assert (found.doses, found.meals, found.unknown) == (0, 0, 2)
    assert found.mealtime_u[0] == found.carbs_g[0] == 0.0


def test_what_was_given_longer_ago_than_anything_acts_is_not_looked_at() -> None:
    old = timedelta(microseconds=LOOKS_BACK_US + 1)
    assert now(Insulin(time=NOW - old, dose_u=30, name="Tresiba")).doses == 0
    assert now(Insulin(time=NOW + timedelta(seconds=1), dose_u=3, kind="bolus")).doses == 0


def test_an_hour_that_the_clock_skips_is_no_hour() -> None:
    vienna = ZoneInfo("Europe/Vienna")
    before = datetime(2026, 3, 29, 1, 30, tzinfo=vienna)
    after = datetime(2026, 3, 29, 3, 30, tzinfo=vienna)
    found = on_board(np.array([to_us(after)]), [Insulin(time=before, dose_u=5, kind="bolus")])
    assert found.mealtime_u[0] == pytest.approx(5 * left_share(np.array([60.0]), CURVES["rapid"])[0])


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 3000), st.sampled_from(NAMES)).map(lambda one: dose(*one)),
        max_size=5,
    ),
    st.lists(st.tuples(st.integers(0, 300), st.floats(0, 150)), max_size=4),
)
def test_it_is_never_negative_never_more_than_was_taken_and_falls_when_nothing_is_added(
    doses: list[Insulin], meals: list[tuple[int, float]]
) -> None:
    eaten = [Meal(time=NOW - timedelta(minutes=ago), carbs_g=g) for ago, g in meals]
    at_us = to_us(NOW) + np.arange(0, 3000 * MINUTE_US, 20 * MINUTE_US)
    found = on_board(at_us, [*doses, *eaten])
    whole = found.mealtime_u + found.longer_u
    for column, most in ((whole, sum(one.dose_u for one in doses)), (found.carbs_g, sum(g for _, g in meals))):
        assert column.min() >= -1e-9 and column.max() <= most + 1e-9
        assert all(after <= before + 1e-9 for before, after in pairwise(column.tolist()))
        assert column[-1] == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(st.integers(-300, 300), st.floats(0, 150)), max_size=6))
def test_carbs_add_up_meal_by_meal(meals: list[tuple[int, float]]) -> None:
    eaten = [Meal(time=NOW - timedelta(minutes=ago), carbs_g=g) for ago, g in meals]
    slowly = sum(g * float(carbs_left_share(np.array([float(ago)]))[0]) for ago, g in meals if ago >= 0)
    assert now(*eaten).carbs_g[0] == pytest.approx(slowly)
