"""All metrics of a patient over HTTP: the same numbers as the command's, for whom they may be."""

import pytest

from islet.log.base import Append
from islet.metrics.table import METRICS
from islet.model.batch import METHOD_CODES, ReadingRow, readings_batch
from islet.model.people import Role
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from tests.web.portal import NOW_US, Site

PATH = "/api/patients/p-1/metrics"


async def test_a_program_gets_every_metric_with_its_definition(site: Site) -> None:
    site.add_readings("p-1", [150.0] * 288 * 15)
    site.add_user("mirror", Role.APPLICATION, "p-1")
    told = (await site.client("mirror").get(PATH)).json()
    assert told["period"] == {
        "from": "2026-02-16T08:00:00.000001Z",
        "to": "2026-03-02T08:00:00.000001Z",
        "time_zone": "UTC",
    }
    (one,) = told["people"]
    assert set(one["metrics"]) == {metric.name for metric in METRICS} == set(told["definitions"])
    assert one["metrics"]["gmi_percent"] == pytest.approx(3.31 + 0.02392 * 150)
    assert (one["id"], one["sufficiency"]["readings"], one["sufficiency"]["enough"]) == ("p-1", 14 * 288, True)


async def test_fingersticks_are_not_counted_as_a_sensors_readings(site: Site) -> None:
    site.add_readings("p-1", [150.0] * 10)
    meter = METHOD_CODES.index("capillary")
    fingers = [ReadingRow("p-1", "m", NOW_US - i * MINUTE_US - 1, 3000, 300.0, 0, 0, meter) for i in range(40)]
    site.commit.commit([Append(topic=Topic.GLUCOSE_READINGS, batch=readings_batch(fingers))])
    site.follow()
    (one,) = (await site.client("nurse").get(PATH)).json()["people"]
    assert (one["sufficiency"]["readings"], one["sufficiency"]["step_min"]) == (10, 5)
    assert one["metrics"]["greatest_mg_dl"] == 150.0


async def test_days_end_and_goals_are_what_was_asked(site: Site) -> None:
    site.add_readings("p-1", [150.0] * 288 * 5)
    told = (await site.client("nurse").get(f"{PATH}?days=2&to=2026-02-28&goals=pregnancy")).json()
    assert told["period"] == {"from": "2026-02-27T00:00:00Z", "to": "2026-03-01T00:00:00Z", "time_zone": "UTC"}
    assert told["people"][0]["sufficiency"]["readings"] == 2 * 288
    assert told["people"][0]["goals"]["name"] == "pregnancy"


async def test_without_readings_there_are_no_numbers(site: Site) -> None:
    told = (await site.client("admin").get("/api/patients/p-2/metrics")).json()
    assert told["people"][0]["metrics"]["mean_mg_dl"] is None


@pytest.mark.parametrize("query", ["days=0", "days=367", "days=two", "days=1e1", "to=yesterday", "goals=mine"])
async def test_what_is_not_on_offer_is_refused(site: Site, query: str) -> None:
    assert (await site.client("nurse").get(f"{PATH}?{query}")).status_code == 400


async def test_nobody_has_a_strangers_numbers(site: Site) -> None:
    assert (await site.client("nurse").get("/api/patients/p-2/metrics")).status_code == 403
    assert (await site.client().get(PATH)).status_code == 401
