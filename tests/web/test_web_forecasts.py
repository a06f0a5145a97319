"""The forecast of one patient: as the engine's rules have it, or the reason why there is none."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from islet.engine.lookback import past
from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.retrospect import episodes
from islet.engine.rulebook import forecast_by
from islet.engine.rules import load_rules, plan
from islet.engine.shard import Shard
from islet.forecast.personal import as_bytes
from islet.forecast.serving import Choice, shipped
from islet.model.ahead import COLUMNS, CORRECTION_SHAPE, UNKNOWN, Corrections
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.events import Meal
from islet.model.people import Patient
from islet.model.time import HOUR_US, MINUTE_US, from_us, to_us
from islet.model.topics import Topic
from tests.web.portal import Site

LINES = as_bytes(np.random.default_rng(3).normal(0, 4, CORRECTION_SHAPE).astype(np.float32))
DAY = [120 + (i % 40) for i in range(200)]


async def asked(site: Site, patient: str = "p-1", user: str = "nurse", status: int = 200) -> Any:
    async with site.client(user) as client:
        answer = await client.get(f"/api/patients/{patient}/forecast")
    assert answer.status_code == status
    return answer.json()


async def test_the_forecast_has_its_quantiles_its_risks_its_model_and_the_warning(site: Site) -> None:
    site.add_readings("p-1", DAY)
    found = await asked(site)
    assert found["model"] == "pooled" and found["reason"] == ""
    assert found["time_us"] == site.now_us
    assert found["minutes"] == list(range(5, 61, 5))
    assert found["quantiles_percent"] == [5, 25, 50, 75, 95]
    assert all(row == sorted(row) for row in found["glucose_tenths"])
    assert {(risk["side"], risk["mg_dl"], risk["within_min"]) for risk in found["risks"]} == {
        (side, line, within)
        for side, line in (("below", 70), ("below", 54), ("above", 180), ("above", 250))
        for within in (30, 60)
    }
    assert found["note"] == "Dosing decisions are not to be made from a forecast."


def made_up(seed: int, now_us: int) -> list[ReadingRow]:
    """Six hours of a sensor that reads every 1 to 14 minutes and knows 40 to 400 mg/dL, the newest now."""
    rng = np.random.default_rng(seed)
    times_us = now_us - np.cumsum(rng.integers(1, 15, 60))[::-1] * MINUTE_US
    times_us += now_us - times_us[-1]
    level = rng.uniform(60, 380) + 25 * np.cumsum(rng.normal(0, 1, 60))
    return [
        ReadingRow("p-1", "cgm", int(at), round(10 * shown), shown, 0, int(value > 400) - int(value < 40), 0)
        for at, value in zip(times_us, level, strict=True)
        for shown in [round(float(np.clip(value, 40, 400)), 1)]
    ]


def eaten(seed: int, now_us: int) -> pa.RecordBatch:
    """Meals of the last two hours, one of them told twice in other words, and one just now; of every third seed none."""
    rng = np.random.default_rng(seed)
    times_us = [now_us, *(now_us - rng.integers(0, 120, 4) * MINUTE_US).tolist()]
    meals = [Meal(time=from_us(at), carbs_g=round(rng.uniform(1, 80), 1)) for at in times_us] if seed % 3 else []
    told = [*meals, *(Meal(time=one.time, carbs_g=one.carbs_g, text="rice") for one in meals[:1])]
    return documents_batch(
        [DocumentRow("p-1", "phone", to_us(one.time), "meal", encode_event(one).decode()) for one in told]
    )


@pytest.mark.parametrize("personal", [False, True])
async def test_page_and_engine_foretell_the_same_of_the_same_readings(site: Site, personal: bool) -> None:
    site.registry.put_patient(Patient(id="p-1", label="Ada", time_zone="Asia/Shanghai"))
    if personal:
        site.add_lines({"p-1": LINES})
    rules = site.context.rules.current()  # type: ignore[union-attr]
    said: list[NDArray[np.int32]] = []

    class Kept:
        name = "kept"

        def __call__(
            self,
            history: NDArray[np.float32],
            minute: NDArray[np.float32],
            eaten: NDArray[np.float32],
            corrections: Corrections | None = None,
        ) -> NDArray[np.int32]:
            said.append(shipped()(history, minute, eaten, corrections))
            return said[-1]

    planned = plan(load_rules(), foreteller=Kept())
    reasons = set()
    for seed in range(12):
        site.now_us += 24 * HOUR_US
        rows = readings_batch(made_up(seed, site.now_us))
        site.append(Topic.GLUCOSE_READINGS, rows)
        ate = eaten(seed, site.now_us)
        site.append(Topic.CARE_EVENTS, ate)
        found = await asked(site)
        known = references(planned, NO_LAYERS, site.registry.patients(), lines=rules.lines)
        engine = Shard(planned, known, lateness_us=2 * HOUR_US)
        engine.take_in({Topic.GLUCOSE_READINGS: rows.append_column("received_at_us", rows.column("time_us"))})
        engine.take_in({Topic.CARE_EVENTS: ate.append_column("received_at_us", ate.column("time_us"))})
        newest = dict(zip(COLUMNS, said[-1][-1].tolist(), strict=True))
        reasons.add(found["reason"])
        assert found["personal"] == (personal and not found["reason"])
        assert (found["reason"] == "") == (newest["glucose_in_30_min_mg_dl"] != UNKNOWN)
        for minutes, row in zip(found["minutes"], found["glucose_tenths"], strict=True):
            for percent, tenths in zip(found["quantiles_percent"], row, strict=True):
                name = f"glucose_in_{minutes}_min{'' if percent == 50 else f'_p{percent}'}_mg_dl"
                assert newest.get(name, tenths) == tenths
        risks = {(r["side"], r["mg_dl"], r["within_min"]): 10 * r["percent"] for r in found["risks"]}
        for (side, line, within), permille in risks.items():
            assert newest[f"risk_{side}_{line}_in_{within}_min_percent"] == pytest.approx(permille, abs=1)
    assert reasons == {"", "out_of_range"}


def test_in_the_past_nothing_is_foretold_from_low_either(site: Site) -> None:
    levels = [110.0] * 20 + [110 - 6 * k for k in range(1, 12)] + [40.0] * 6 + [50.0 + 4 * k for k in range(10)]
    begin_us = site.now_us - 5 * len(levels) * MINUTE_US
    rows = readings_batch(
        [
            ReadingRow("p-1", "cgm", begin_us + 5 * k * MINUTE_US, round(10 * mg_dl), mg_dl, 0, -int(mg_dl == 40), 0)
            for k, mg_dl in enumerate(levels)
        ]
    )
    site.append(Topic.GLUCOSE_READINGS, rows)
    planned = plan([one for one in load_rules() if one.name in ("low", "urgent_low_soon")], foreteller=shipped())
    everybody = references(planned, NO_LAYERS, [])
    engine = Shard(planned, everybody, lateness_us=2 * HOUR_US)
    taken = engine.take_in({Topic.GLUCOSE_READINGS: rows.append_column("received_at_us", rows.column("time_us"))})
    live = {(c.rule, c.onset_us, c.at_us) for out in taken.outputs for c in out.changes if c.change == "cleared"}
    seen = past(site.store, "p-1", begin_us, site.now_us)
    looked_at = {(one.rule, one.onset_us, one.end_us) for one in episodes(planned, everybody, seen.values)}
    assert looked_at == live
    assert ("urgent_low_soon", begin_us + 5 * 31 * MINUTE_US) in {(rule, end_us) for rule, _, end_us in live}


async def test_in_the_past_meals_are_known_too(site: Site) -> None:
    begin_us = site.now_us - 175 * MINUTE_US
    levels = [246.0 - (35 - k) for k in range(36)]
    site.add_readings("p-1", levels)
    meal = Meal(time=from_us(begin_us + 168 * MINUTE_US), carbs_g=90)
    site.append(
        Topic.CARE_EVENTS,
        documents_batch([DocumentRow("p-1", "phone", to_us(meal.time), "meal", encode_event(meal).decode())]),
    )
    planned = plan([one for one in load_rules() if one.name in ("high", "high_soon")], foreteller=shipped())
    mine = references(planned, NO_LAYERS, [])
    mine = {name: replace(one, otherwise=replace(one.otherwise, mask=1)) for name, one in mine.items()}
    seen = past(site.store, "p-1", begin_us, site.now_us + 1)
    assert not episodes(planned, mine, seen.values)
    found = episodes(planned, mine, seen.values, seen.context)
    assert [(one.rule, one.onset_us - begin_us) for one in found] == [("high_soon", 170 * MINUTE_US)]


@pytest.mark.parametrize(
    ("values", "minutes_ago", "reason"),
    [
        ([], 0, "no_reading"),
        (DAY, 11, "too_old"),
        (DAY[:5], 0, "too_little_history"),
        ([*DAY, 39], 0, "out_of_range"),
        ([*DAY, 401], 0, "out_of_range"),
        (DAY, 10, ""),
        (DAY[:6], 0, ""),
    ],
)
async def test_without_a_forecast_there_is_a_reason(
    site: Site, values: list[float], minutes_ago: int, reason: str
) -> None:
    site.add_readings("p-1", values, end_us=site.now_us - minutes_ago * MINUTE_US)
    found = await asked(site)
    assert found["reason"] == reason
    assert bool(found["glucose_tenths"]) == (reason == "")


async def test_a_forecast_is_for_those_who_may_see_the_patient(site: Site) -> None:
    site.add_readings("p-2", DAY)
    await asked(site, "p-2", "nurse", 403)
    assert (await asked(site, "p-2", "admin"))["reason"] == ""


async def test_where_the_model_is_demoted_the_damped_slope_forecasts_without_bounds(site: Site) -> None:
    site.add_readings("p-1", DAY)
    forecast_by(site.registry, Choice(model="damped_slope", since_us=site.now_us), by="admin")
    found = await asked(site)
    assert found["model"] == "damped_slope" and found["quantiles_percent"] == [50] and found["risks"] == []


async def test_a_forecast_is_fitted_to_the_person_by_lines_of_the_model_that_serves(site: Site) -> None:
    site.add_readings("p-1", DAY)
    pooled = await asked(site)
    assert pooled["personal"] is False
    site.add_lines({"p-1": LINES}, model="another")
    assert await asked(site) == pooled
    site.add_lines({"p-1": LINES})
    mine = await asked(site)
    assert mine["personal"] is True and mine["risks"] == pooled["risks"]
    moved = np.subtract(mine["glucose_tenths"], pooled["glucose_tenths"])
    assert moved.any() and np.abs(moved).max() <= 201
    assert np.ptp(moved, axis=1).max() <= 1  # all quantiles alike, but for rounding
    forecast_by(site.registry, Choice(model="ar2", since_us=site.now_us), by="admin")
    assert (await asked(site))["personal"] is False


async def test_lines_are_shown_to_nobody_and_whether_there_are_any_to_who_may_see_the_forecast(site: Site) -> None:
    site.add_readings("p-2", DAY)
    site.add_lines({"p-2": LINES})
    assert (await asked(site, "p-2", "admin"))["personal"] is True
    assert "personal" not in await asked(site, "p-2", "nurse", 403)
