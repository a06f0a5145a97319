"""The forecast of one patient: as the engine's rules have it, or the reason why there is none."""

from typing import Any

import numpy as np
import pytest

from islet.engine.rulebook import forecast_by
from islet.forecast.serving import Choice, shipped
from islet.model.ahead import AHEAD_MIN
from islet.model.people import Patient
from islet.model.time import MINUTE_US
from tests.web.portal import Site

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


async def test_it_is_what_the_engine_foretells(site: Site) -> None:
    site.registry.put_patient(Patient(id="p-1", label="Ada", time_zone="Asia/Shanghai"))
    site.add_readings("p-1", DAY)
    found = await asked(site)
    history = np.array([DAY[-144:]], np.float32)
    told = shipped()(history, np.array([16 * 60], np.float32))[0]  # 8:00 UTC
    middle = dict(zip(found["minutes"], (row[2] for row in found["glucose_tenths"]), strict=True))
    assert [middle[minutes] for minutes in AHEAD_MIN] == pytest.approx(told[: len(AHEAD_MIN)].tolist(), abs=1)


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
