"""Forecasts in the engine: the same whatever the order, the cuts and the restarts; none with a reason."""

import pickle
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from islet.engine.foresee import FRESH_US
from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.rules import Plan, load_rules, plan
from islet.engine.shard import Shard
from islet.forecast.baselines import apply_lines
from islet.forecast.features import features
from islet.forecast.forecaster import Forecaster
from islet.forecast.gather import histories
from islet.forecast.network import MEDIAN
from islet.forecast.serving import PERSISTENCE, RIDGE, SHADOWS, columns, served, shipped
from islet.model.ahead import COLUMNS, EATEN_POINTS, POINTS, UNKNOWN, Corrections
from islet.model.alerts import AlertChange
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_event
from islet.model.events import AnyCareEvent, Insulin, Meal, Note, Withdrawal
from islet.model.time import HOUR_US, MINUTE_US, from_us, to_us
from islet.model.topics import Topic

NAMES = ("low_soon", "urgent_low_soon", "low", "urgent_low")
PLAN = plan([rule for rule in load_rules() if rule.name in NAMES], foreteller=shipped())
EVERYBODY = references(PLAN, NO_LAYERS, [])
LATENESS_US = 2 * HOUR_US
LOW, HIGH = 390, 4010
HUNGRY = np.zeros((1, EATEN_POINTS), np.float32)


class Kept:
    """A foreteller that keeps what it was asked and what it said."""

    name = "kept"

    def __init__(self) -> None:
        self.said: dict[bytes, bytes] = {}

    def __call__(
        self,
        history: NDArray[np.float32],
        minute: NDArray[np.float32],
        eaten: NDArray[np.float32],
        corrections: Corrections | None = None,
    ) -> NDArray[np.int32]:
        found = shipped()(history, minute, eaten, corrections)
        for row, at, food, what in zip(history, minute, eaten, found, strict=True):
            self.said[row.tobytes() + at.tobytes() + food.tobytes()] = what.tobytes()
        return found


def shard(planned: Plan = PLAN) -> Shard:
    return Shard(planned, EVERYBODY, lateness_us=LATENESS_US)


def batch(rows: list[tuple[str, int, int]], received_after_us: int = 0) -> pa.RecordBatch:
    """patient, minute, tenths; of a sensor that says LOW below 40 mg/dL and HIGH above 400."""
    ranges = [-1 if tenths <= LOW else 1 if tenths >= HIGH else 0 for _, _, tenths in rows]
    return pa.record_batch(
        {
            "patient": pa.array([row[0] for row in rows], pa.utf8()),
            "device": pa.array(["cgm"] * len(rows), pa.utf8()),
            "time_us": pa.array([row[1] * MINUTE_US for row in rows], pa.int64()),
            "glucose_tenths": pa.array([row[2] for row in rows], pa.int32()),
            "received_at_us": pa.array([row[1] * MINUTE_US + received_after_us for row in rows], pa.int64()),
            "range": pa.array(ranges, pa.int8()),
        }
    )


def diary(rows: list[tuple[str, int, float]]) -> pa.RecordBatch:
    """patient, minute, carbs in g."""
    meals = [Meal(time=from_us(minute * MINUTE_US), carbs_g=carbs_g) for _, minute, carbs_g in rows]
    told = [
        DocumentRow(patient, "phone", minute * MINUTE_US, "meal", encode_event(meal).decode())
        for (patient, minute, _), meal in zip(rows, meals, strict=True)
    ]
    batch = documents_batch(told)
    return batch.append_column("received_at_us", batch.column("time_us"))


def take(one: Shard, rows: list[tuple[str, int, int]], received_after_us: int = 0) -> list[AlertChange]:
    taken = one.take_in({Topic.GLUCOSE_READINGS: batch(rows, received_after_us)})
    return [change for output in taken.outputs for change in output.changes]


def standing(changes: list[AlertChange]) -> dict[str, tuple[int, int | None]]:
    """Episodes by id after all changes: onset and end."""
    known: dict[str, tuple[int, int | None]] = {}
    for change in changes:
        if change.change == "retracted":
            known.pop(change.id, None)
        else:
            known[change.id] = (change.onset_us, change.at_us if change.change == "cleared" else None)
    return known


def falling(patient: str = "p") -> list[tuple[str, int, int]]:
    """Three hours around 150 mg/dL, then down by 1.6 mg/dL a minute to 50, and up again."""
    level = [1500 + round(60 * np.sin(k / 3)) for k in range(36)]
    level += [1500 - 80 * k for k in range(1, 13)] + [540 + 90 * k for k in range(1, 9)]
    return [(patient, 5 * k, tenths) for k, tenths in enumerate(level)]


def test_a_fall_is_foretold_before_it_is_there() -> None:
    changes = take(shard(), falling())
    onset = {change.rule: change.onset_us for change in changes if change.change == "opened"}
    assert onset["low_soon"] < onset["low"]
    assert onset["urgent_low_soon"] < onset["urgent_low"]
    assert {change.rule for change in changes if change.change == "cleared"} == set(NAMES)


def test_the_engine_asks_with_the_same_history_as_the_page() -> None:
    asked = Kept()
    one = Shard(plan(PLAN.rules, foreteller=asked), EVERYBODY, lateness_us=LATENESS_US)
    rows = [row for row in falling() if row[1] not in (60, 65, 100)]
    take(one, rows)
    times = np.array([[row[1] * MINUTE_US for row in rows]])
    tenths = np.array([[row[2] for row in rows]], np.int32)
    newest = histories(times, tenths, np.array([len(rows)]))[0]
    minute = np.float32(rows[-1][1])
    assert newest.tobytes() + minute.tobytes() + HUNGRY.tobytes() in asked.said


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_order_cuts_and_restarts_change_nothing(data: st.DataObject) -> None:
    kept = data.draw(st.lists(st.booleans(), min_size=56, max_size=56))
    rows = [row for row, stays in zip(falling("p"), kept, strict=True) if stays or row[1] % 25]
    rows += [("q", minute + 2, max(tenths - 90, LOW) if minute < 225 else LOW) for _, minute, tenths in falling()]
    rows.sort(key=lambda row: row[1])
    straight, said = Kept(), Kept()
    expected = standing(take(Shard(plan(PLAN.rules, foreteller=straight), EVERYBODY, lateness_us=LATENESS_US), rows))
    late = data.draw(st.lists(st.integers(0, 60), min_size=len(rows), max_size=len(rows)))
    shuffled = [row for _, row in sorted(zip(late, rows, strict=True), key=lambda pair: pair[0] + pair[1][1])]
    one = Shard(plan(PLAN.rules, foreteller=said), EVERYBODY, lateness_us=LATENESS_US)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    changes: list[AlertChange] = []
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        changes += take(one, shuffled[begin:end])
        if data.draw(st.booleans()):
            again = Shard(one.plan, EVERYBODY, lateness_us=LATENESS_US)
            assert again.load(one.dump())
            one = again
    assert standing(changes) == expected
    assert {key: said.said.get(key) for key in straight.said} == straight.said


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_meals_and_readings_in_any_order_give_the_same_forecasts(data: st.DataObject) -> None:
    rows = falling("p") + falling("q")
    meals = data.draw(st.lists(st.tuples(st.sampled_from("pq"), st.integers(0, 280), st.integers(1, 90)), max_size=8))
    straight, said = Kept(), Kept()
    one = Shard(plan(PLAN.rules, foreteller=straight), EVERYBODY, lateness_us=LATENESS_US)
    one.take_in({Topic.CARE_EVENTS: diary([*meals])})
    expected = standing(take(one, sorted(rows, key=lambda row: row[1])))
    entries: list[tuple[int, bool, int]] = [(row[1], False, k) for k, row in enumerate(rows)]
    entries += [(meal[1], True, k) for k, meal in enumerate(meals)] * 2  # each is sent twice
    late = data.draw(st.lists(st.integers(0, 60), min_size=len(entries), max_size=len(entries)))
    order = [entry for _, entry in sorted(zip(late, entries, strict=True), key=lambda pair: pair[0] + pair[1][0])]
    one = Shard(plan(PLAN.rules, foreteller=said), EVERYBODY, lateness_us=LATENESS_US)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=6)))
    changes: list[AlertChange] = []
    for begin, end in zip([0, *cuts], [*cuts, len(order)], strict=True):
        ate = [meals[k] for _, meal, k in order[begin:end] if meal]
        if ate:
            given_here = one.take_in({Topic.CARE_EVENTS: diary([*ate])})
            changes += [change for output in given_here.outputs for change in output.changes]
        changes += take(one, [rows[k] for _, meal, k in order[begin:end] if not meal])
        if data.draw(st.booleans()):
            again = Shard(one.plan, EVERYBODY, lateness_us=LATENESS_US)
            assert again.load(one.dump())
            one = again
    assert standing(changes) == expected
    assert {key: said.said.get(key) for key in straight.said} == straight.said


def test_a_meal_that_is_entered_later_has_the_readings_after_it_judged_again() -> None:
    rules = plan([one for one in load_rules() if one.name in ("high", "high_soon")], foreteller=shipped())
    mine = references(rules, NO_LAYERS, [])
    mine = {name: replace(one, otherwise=replace(one.otherwise, mask=1)) for name, one in mine.items()}
    one = Shard(rules, mine, lateness_us=LATENESS_US)
    rows = [("p", 5 * k, 2460 - 10 * (35 - k)) for k in range(36)]
    assert not take(one, rows)
    taken = one.take_in({Topic.CARE_EVENTS: diary([("p", 168, 90)])})
    opened = [change for output in taken.outputs for change in output.changes]
    assert [(change.rule, change.change) for change in opened] == [("high_soon", "opened")]
    assert opened[0].onset_us == 170 * MINUTE_US
    other = Shard(rules, mine, lateness_us=LATENESS_US)
    other.take_in({Topic.CARE_EVENTS: diary([("p", 168, 90)])})
    assert standing(take(other, rows)) == standing(opened)


@pytest.mark.parametrize(
    "instead",
    [
        Withdrawal(time=from_us(177 * MINUTE_US), id="1"),
        Insulin(time=from_us(168 * MINUTE_US), dose_u=9.0, id="1", revision=1),
        Note(time=from_us(168 * MINUTE_US), text="no", id="1", revision=1),
        Meal(time=from_us(168 * MINUTE_US), carbs_g=1.0, id="1", revision=1),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_meal_that_was_otherwise_takes_back_what_was_foretold_from_it(instead: AnyCareEvent) -> None:
    rules = plan([one for one in load_rules() if one.name in ("high", "high_soon")], foreteller=shipped())
    mine = references(rules, NO_LAYERS, [])
    mine = {name: replace(one, otherwise=replace(one.otherwise, mask=1)) for name, one in mine.items()}
    meal = Meal(time=from_us(168 * MINUTE_US), carbs_g=90.0, id="1")
    for order in ((meal, instead), (instead, meal), (meal, instead, meal)):
        one, changes = Shard(rules, mine, lateness_us=LATENESS_US), list[AlertChange]()
        changes += take(one, [("p", 5 * k, 2460 - 10 * (35 - k)) for k in range(36)])
        for event in order:
            row = DocumentRow("p", "phone", to_us(event.time), "any", encode_event(event).decode())
            batch = documents_batch([row])
            taken = one.take_in({Topic.CARE_EVENTS: batch.append_column("received_at_us", batch.column("time_us"))})
            changes += [change for output in taken.outputs for change in output.changes]
        assert standing(changes) == {}
        assert bool(changes) == (order[0] is meal)


def test_there_is_no_alarm_about_what_comes_from_too_little_history_or_after_a_gap() -> None:
    few = [("p", 5 * k, 1200 - 130 * k) for k in range(5)]
    assert not [change for change in take(shard(), few) if change.rule.endswith("soon")]
    gap = [("p", minute if minute < 150 else minute + 60, tenths) for _, minute, tenths in falling()][:33]
    assert not [change for change in take(shard(), gap) if change.rule.endswith("soon")]


def test_an_alarm_about_what_comes_ends_where_nothing_is_foretold_any_more() -> None:
    one, rows = shard(), falling()
    opened: list[AlertChange] = []
    while not any(change.rule == "low_soon" for change in opened):
        row, *rows = rows
        opened += take(one, [row])
    after = take(one, [("p", row[1] + 120, 1200)])
    assert [(change.rule, change.change) for change in after if change.rule == "low_soon"] == [("low_soon", "cleared")]


@pytest.mark.parametrize(("limit", "rule"), [(LOW, "urgent_low_soon"), (HIGH, "high_soon")])
def test_nothing_is_foretold_from_low_or_high_and_what_was_is_over(limit: int, rule: str) -> None:
    asked = Kept()
    rules = plan([one for one in load_rules() if one.name in (rule, rule.removesuffix("_soon"))], foreteller=asked)
    everybody = references(rules, NO_LAYERS, [])
    everybody = {name: replace(one, otherwise=replace(one.otherwise, mask=1)) for name, one in everybody.items()}
    one = Shard(rules, everybody, lateness_us=LATENESS_US)
    slope, start = (-60, 470) if limit == LOW else (120, 2_450)
    rows = [("p", 5 * k, start - slope * (35 - k) if k > 20 else start - slope * 15) for k in range(36)]
    assert [c.change for c in take(one, rows) if c.rule == rule] == ["opened"]
    assert [c.change for c in take(one, [("p", 180, limit)]) if c.rule == rule] == ["cleared"]
    newest = np.frombuffer(list(asked.said)[-1][: 4 * POINTS], np.float32)
    assert newest[-1] == (-np.inf if limit == LOW else np.inf) and newest[-2] == start / 10
    assert set(np.frombuffer(list(asked.said.values())[-1], np.int32).tolist()) == {UNKNOWN}
    take(one, [("p", 185, start)])  # back in its range: what the sensor told stands in the past
    newest = np.frombuffer(list(asked.said)[-1][: 4 * POINTS], np.float32)
    assert newest[-2:].tolist() == pytest.approx([limit / 10, start / 10])
    assert UNKNOWN not in np.frombuffer(list(asked.said.values())[-1], np.int32)[:30]


def test_readings_that_came_a_day_late_raise_no_alarm_about_what_comes() -> None:
    assert {c.rule for c in take(shard(), falling(), FRESH_US + 1)} == {"low", "urgent_low"}
    assert {c.rule for c in take(shard(), falling(), FRESH_US)} == set(NAMES)


@pytest.mark.parametrize("name", SHADOWS)
def test_a_simple_calculation_serves_the_same_columns_without_quantiles_and_risks(name: str) -> None:
    history = np.linspace(150, 100, 144, dtype=np.float32)[None]
    shadow, network = (model(history, np.zeros(1, np.float32), HUNGRY) for model in (served(name), shipped()))
    assert served(name).name == name
    assert shadow.shape == network.shape == (1, len(COLUMNS))
    assert (shadow[0, :30].reshape(5, 6) == shadow[0, :6]).all()
    assert (shadow[0, 30:] == UNKNOWN).all()
    assert (shadow[0, :6] == 1000).all() == (name == PERSISTENCE)
    assert (network[0, :30] > 0).all()


def test_the_ridge_that_serves_is_the_line_that_was_fitted() -> None:
    rng = np.random.default_rng(8)
    history = (120 + rng.normal(0, 3, (5, 144)).cumsum(axis=1)).astype(np.float32)
    minute = rng.uniform(0, 1440, 5).astype(np.float32)
    line = history[:, -1:] + apply_lines(shipped().forecaster.model.ridge, features(history, minute))
    told = served(RIDGE).forecast(history, minute).quantiles[:, :, MEDIAN]
    assert np.allclose(told, line, atol=0.01)


def test_columns_say_what_the_forecast_says() -> None:
    rng = np.random.default_rng(5)
    history = (120 + rng.normal(0, 3, (4, 144)).cumsum(axis=1)).astype(np.float32)
    history[1, -1] = np.nan
    found = Forecaster(model=shipped().forecaster.model).forecast(history, np.full(4, 600, np.float32))
    table = columns(found)
    assert (table[1] == UNKNOWN).all()
    place = {name: k for k, name in enumerate(COLUMNS)}
    for row in (0, 2, 3):
        assert table[row, place["glucose_in_20_min_mg_dl"]] == pytest.approx(found.quantiles[row, 3, 2] * 10, abs=0.51)
        assert table[row, place["glucose_in_60_min_p5_mg_dl"]] == pytest.approx(
            found.quantiles[row, 11, 0] * 10, abs=0.51
        )
        assert table[row, place["glucose_in_10_min_p95_mg_dl"]] == pytest.approx(
            found.quantiles[row, 1, 4] * 10, abs=0.51
        )
        risk = found.risks[row, 3, 1]
        assert np.isnan(risk) or table[row, place["risk_above_250_in_60_min_percent"]] == pytest.approx(
            risk * 1000, abs=0.51
        )


def test_a_plan_with_its_model_can_be_sent_to_another_process() -> None:
    again: Plan = pickle.loads(pickle.dumps(PLAN))
    history, minute = np.linspace(90, 160, 144, dtype=np.float32)[None], np.zeros(1, np.float32)
    assert again.foreteller is not None
    assert again.foreteller(history, minute, HUNGRY).tolist() == shipped()(history, minute, HUNGRY).tolist()
    assert standing(take(shard(again), falling())) == standing(take(shard(), falling()))


def test_a_late_reading_is_judged_by_the_same_twelve_hours_after_what_is_older_was_forgotten() -> None:
    rows = [("p", 17 * k, 1200 + 30 * (k % 7)) for k in range(80)]  # of every past of 12 h, a point lies before it
    straight, said = Kept(), Kept()
    take(Shard(plan(PLAN.rules, foreteller=straight), EVERYBODY, lateness_us=LATENESS_US), rows)
    one = Shard(plan(PLAN.rules, foreteller=said), EVERYBODY, lateness_us=LATENESS_US)
    late = rows.pop(-8)
    for row in rows:
        take(one, [row])
    again = Shard(one.plan, EVERYBODY, lateness_us=LATENESS_US)
    again.load(one.dump())  # forgets what lies before the lateness bound and twelve hours
    take(again, [late])
    assert {key: said.said.get(key) for key in straight.said} == straight.said
