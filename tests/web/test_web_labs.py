"""HbA1c of one patient beside the GMI of the days before it."""

from typing import Any

import pytest

from islet.model.codec import encode_event
from islet.model.events import Hba1c
from islet.model.topics import Topic
from tests.web.portal import NOW_US, Site
from tests.web.test_web_on_board import ago

DAY_MIN = 1440


def drew(site: Site, days_ago: int, value: float, unit: str = "%") -> None:
    event = Hba1c(time=ago(days_ago * DAY_MIN), value=value, unit=unit)  # type: ignore[arg-type]
    site.add_document(Topic.CARE_EVENTS, "p-1", "hba1c", encode_event(event).decode(), minutes=days_ago * DAY_MIN)


async def asked(site: Site) -> Any:
    async with site.client("nurse") as client:
        answer = await client.get("/api/patients/p-1/hba1c")
    assert answer.status_code == 200
    return answer.json()


async def test_a_value_stands_beside_the_gmi_of_the_days_before_with_the_gap(site: Site) -> None:
    site.add_readings("p-1", [150.0] * (20 * 96), every_min=15)
    drew(site, 0, 7.4)
    (lab,) = (await asked(site))["labs"]
    assert (lab["day"], lab["percent"], lab["mmol_mol"]) == ("2026-03-02", 7.4, 57)
    assert lab["gmi_percent"] == round(3.31 + 0.02392 * 150, 1)
    assert lab["gap"] == pytest.approx(3.31 + 0.02392 * 150 - 7.4, abs=0.051)
    assert lab["days"] == 21 and lab["active_percent"] > 90


async def test_the_newest_comes_first_and_an_old_one_has_no_gmi(site: Site) -> None:
    site.add_readings("p-1", [150.0] * (20 * 96), every_min=15)
    drew(site, 200, 64, "mmol/mol")
    drew(site, 3, 7.0)
    found = await asked(site)
    new, old = found["labs"]
    assert (new["day"], old["day"]) == ("2026-02-27", "2025-08-14")
    assert (old["percent"], old["mmol_mol"], old["gmi_percent"], old["days"]) == (8.0, 64, None, 0)
    assert found["time_us"] == NOW_US - 3 * DAY_MIN * 60 * 1_000_000


async def test_with_few_readings_there_is_no_gmi_and_no_gap(site: Site) -> None:
    site.add_readings("p-1", [150.0] * (5 * 96), every_min=15)
    drew(site, 0, 7.4)
    (lab,) = (await asked(site))["labs"]
    assert (lab["gmi_percent"], lab["gap"]) == (None, None) and lab["days"] > 0


async def test_nobody_entered_anything(site: Site) -> None:
    assert await asked(site) == {"now_us": NOW_US, "time_us": None, "labs": []}
