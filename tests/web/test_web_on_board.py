"""Insulin and carbs on board of one patient, as programs and the patient's page ask for them."""

from typing import Any

import numpy as np
import pytest

from islet.model.codec import encode_event
from islet.model.events import AnyEvent, Insulin, Meal
from islet.model.people import Role
from islet.model.time import HOUR_US, MINUTE_US, from_us
from islet.model.topics import Topic
from islet.patterns.diet.carbs_on_board import carbs_left_share
from islet.patterns.insulin.curves import CURVES, left_share
from tests.web.portal import NOW_US, Site


def did(site: Site, event: AnyEvent, patient: str = "p-1") -> None:
    minutes = round((NOW_US - event.time.timestamp() * 1e6) / MINUTE_US)
    kind = str(event.__struct_config__.tag)
    site.add_document(Topic.CARE_EVENTS, patient, kind, encode_event(event).decode(), minutes=minutes)


def ago(minutes: float) -> Any:
    return from_us(NOW_US - round(minutes * MINUTE_US))


async def asked(site: Site, user: str = "nurse", query: str = "", status: int = 200) -> Any:
    async with site.client(user) as client:
        answer = await client.get(f"/api/patients/p-1/on-board{query}")
    assert answer.status_code == status
    return answer.json()


async def test_what_is_on_board_is_that_of_the_curves_and_says_that_it_is_an_estimate(site: Site) -> None:
    did(site, Insulin(time=ago(60), dose_u=4, kind="bolus"))
    did(site, Insulin(time=ago(600), dose_u=20, kind="basal", name="Lantus"))
    did(site, Meal(time=ago(55), carbs_g=60))
    found = await asked(site, query="?hours=3")
    assert (len(found["at_us"]), found["at_us"][-1], found["time_us"]) == (37, NOW_US, NOW_US - 55 * MINUTE_US)
    assert found["mealtime_u"][-1] == pytest.approx(4 * left_share(np.array([60.0]), CURVES["rapid"])[0], abs=0.01)
    assert found["longer_u"][-1] == pytest.approx(20 * left_share(np.array([600.0]), CURVES["glargine"])[0], abs=0.01)
    assert found["carbs_g"][-1] == pytest.approx(60 * carbs_left_share(np.array([55.0]))[0], abs=0.1)
    assert found["activity_u_per_h"][-1] > 0
    before = found["at_us"].index(NOW_US - 65 * MINUTE_US)
    assert (found["mealtime_u"][before], found["carbs_g"][before]) == (0, 0)
    assert (found["doses"], found["meals"], found["unknown"]) == (2, 1, 0)
    assert found["insulin_model"] == {"name": "exponential", "rapid_duration_min": 360, "rapid_peak_min": 75}
    assert "never a dose" in found["note"]


async def test_what_is_not_understood_is_left_out_and_counted(site: Site) -> None:
    did(site, Insulin(time=ago(60), dose_u=4))
    did(site, Meal(time=ago(55), text="Rice"))
    site.add_document(Topic.CARE_EVENTS, "p-1", "meal", '{"type":"meal"}', minutes=5)
    found = await asked(site)
    assert (found["doses"], found["meals"], found["unknown"]) == (0, 0, 2)
    assert set(found["mealtime_u"]) == set(found["carbs_g"]) == {0}


async def test_a_dose_of_the_day_before_yesterday_counts_where_it_still_acts(site: Site) -> None:
    did(site, Insulin(time=ago(40 * 60), dose_u=30, kind="basal", name="Tresiba"))
    assert (await asked(site, query="?hours=1"))["longer_u"][-1] > 0.1


async def test_it_is_for_those_who_may_see_the_patient(site: Site) -> None:
    site.add_user("other", Role.CLINICIAN, "p-2")
    await asked(site, "other", status=403)


@pytest.mark.parametrize("hours", ["0", "337", "x", "-1", "1.5", ""])
async def test_other_spans_are_refused(site: Site, hours: str) -> None:
    await asked(site, query=f"?hours={hours}", status=400)


async def test_nothing_written_down_is_nothing_on_board(site: Site) -> None:
    found = await asked(site)
    assert found["time_us"] is None and len(found["at_us"]) == 24 * HOUR_US // (5 * MINUTE_US) + 1
    assert found["doses"] == found["meals"] == 0


@pytest.mark.parametrize("hours", ["0", "337", "nan", "-1", "9" * 5000, "١٢"])
async def test_hours_that_cannot_be_are_refused_however_long(site: Site, hours: str) -> None:
    assert "expected a whole number from 1 to 336" in (await asked(site, query=f"?hours={hours}", status=400))["error"]
