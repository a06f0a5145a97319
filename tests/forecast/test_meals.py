"""What meals add: one-sided, bounded, learnt from people; without meals nothing changes."""

from dataclasses import replace

import numpy as np
import pytest

from islet.errors import BadInput
from islet.forecast.compiled import moves
from islet.forecast.fit import People
from islet.forecast.forecaster import Forecaster
from islet.forecast.grid import Segment
from islet.forecast.learn_meals import eaten_before, fit_meals, forecasts_of, held_out, meals_figures
from islet.forecast.meals import added, no_meals, raised
from islet.forecast.model import Model, from_bytes, to_bytes
from islet.forecast.network import MEDIAN, Array
from islet.forecast.shipped import shipped_model
from islet.model.ahead import EATEN_POINTS
from tests.forecast.test_compiled import hungry, pasts


def plates(n: int) -> Array:
    """Nothing, a little, and more than anybody eats."""
    rng = np.random.default_rng(3)
    eaten = np.where(rng.random((n, EATEN_POINTS)) < 0.1, rng.uniform(1, 2_000, (n, EATEN_POINTS)), 0)
    eaten[: n // 4] = 0
    return eaten.astype(np.float32)


def test_meals_raise_the_middle_and_what_is_above_and_nothing_else() -> None:
    (history, minute), eaten = pasts(200), plates(200)
    plain, risks = moves(shipped_model(), history, minute, hungry(200))
    found, more = moves(shipped_model(), history, minute, eaten)
    expected = raised(plain, added(shipped_model().meals, eaten))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found[:, :, :MEDIAN].tobytes() == plain[:, :, :MEDIAN].tobytes()
    assert more[:, :2].tobytes() == risks[:, :2].tobytes()  # of going below
    assert (more[:, 2:] >= risks[:, 2:]).all() and (more[:, 2:] > risks[:, 2:]).any()
    assert (np.diff(found, axis=2) >= 0).all()


def test_without_a_meal_the_forecast_is_that_of_the_model_without_meals_to_the_last_bit() -> None:
    (history, minute), eaten = pasts(200), plates(200)
    none = eaten.sum(axis=1) == 0
    found, risks = moves(shipped_model(), history, minute, eaten)
    plain, before = moves(replace(shipped_model(), meals=no_meals()), history, minute, eaten)
    assert found[none].tobytes() == plain[none].tobytes() and risks[none].tobytes() == before[none].tobytes()
    assert none.any() and found.tobytes() != plain.tobytes()


def test_no_amount_adds_more_than_the_greatest_weight() -> None:
    weights = shipped_model().meals
    assert 0 < weights.max() < 40 and weights.min() == 0
    assert (added(weights, plates(500) * 1_000) <= weights.max(axis=0) + 1e-3).all()


def test_a_meal_is_told_by_how_long_ago_it_was() -> None:
    at_min = np.array([0, 4, 5, 59, 60, -1])
    found = eaten_before(at_min, [(0, 30.0), (0, 12.0)])
    assert found.sum(axis=1).tolist() == [42, 42, 42, 42, 0, 0]
    assert [int(row.argmax()) for row in found[:4]] == [0, 0, 1, 11]


def after_meals(found: list[Segment]) -> tuple[list[Segment], dict[str, list[tuple[int, float]]]]:
    """The same recordings with 25 mg/dL on top from half an hour after meals that are three hours apart, for an hour."""
    out, meals = [], {}
    for one in found:
        begins = range(60, len(one) - 30, 36)
        extra = np.zeros(len(one), np.float32)
        for begin in begins:
            extra[begin + 6 : begin + 18] += 25
        out.append(replace(one, glucose=one.glucose + extra, held=one.held + extra))
        meals[one.person] = [(one.start_min + 5 * begin, 60.0) for begin in begins]
    return out, meals


def test_what_meals_do_is_learnt_and_takes_off_error_on_people_held_out(model: Model, people: People) -> None:
    found, meals = after_meals(people.learn)
    data = forecasts_of(model, found, meals)
    weights = fit_meals(data)
    assert weights[0, 8] > 5 and weights[0, 8] > 2 * weights[0, 2]  # few people: held towards nought
    figures = meals_figures(data, held_out(data, np.ones(len(data.person), bool)))
    assert figures["the hour after a meal"]["gain_60_low"] > 0
    again = from_bytes(to_bytes(replace(model, meals=weights)))
    said = Forecaster(model=again).forecast(np.full((1, 144), 120, np.float32), np.zeros(1, np.float32))
    assert again.meals.tobytes() == weights.tobytes() and said.reason[0] == 0


def test_meals_of_too_few_people_are_refused(model: Model, people: People) -> None:
    with pytest.raises(BadInput, match="at least 5 people"):
        forecasts_of(model, people.judge[:4], after_meals(people.judge[:4])[1])
