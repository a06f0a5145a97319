"""The watch over forecasts on a real log, store and registry: it scores, demotes, says so, and takes back."""

import numpy as np
import pytest

from islet.decode.iothub_twins import ServiceTwin
from islet.engine.drift import DriftWatch
from islet.engine.in_force import forecasting
from islet.engine.rulebook import RuleBook
from islet.forecast.personal import as_bytes
from islet.forecast.serving import PERSISTENCE, SHIPPED
from islet.model.ahead import CORRECTION_SHAPE
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import encode_event
from islet.model.events import Meal
from islet.model.people import Device
from islet.model.time import HOUR_US, MINUTE_US, from_us
from islet.model.topics import Topic
from islet.operations.metrics import ForecastCollector, Metrics
from islet.store.devices_base import Address
from tests.web.portal import Site

PEOPLE = 205


def readings(site: Site, levels: list[float]) -> None:
    """The same trace, each person a little higher; the last reading now."""
    rows = [
        ReadingRow(
            f"p-{person}", "cgm", site.now_us - (len(levels) - 1 - k) * 5 * MINUTE_US, tenths, tenths / 10, 0, 0, 0
        )
        for k, level in enumerate(levels)
        for person in range(PEOPLE)
        for tenths in [round(10 * level) + person]
    ]
    site.append(Topic.GLUCOSE_READINGS, readings_batch(rows))


def new_watch(site: Site) -> DriftWatch:
    rules = RuleBook(site.registry)
    return DriftWatch(site.log, site.store, site.registry, site.devices, site.commit, site.now, rules.current)


@pytest.fixture
def watch(site: Site) -> DriftWatch:
    for person in range(PEOPLE):
        site.add_patient(f"p-{person}")
    return new_watch(site)


async def test_a_model_that_does_worse_than_no_change_is_demoted_says_so_and_comes_back(
    site: Site, watch: DriftWatch
) -> None:
    assert watch.is_due()
    readings(site, [130 + (0, 9, 30, 20, -20, -9)[k % 6] for k in range(61)])  # after half an hour all is as it was
    scored = watch.run_once()
    assert scored > 100 and not watch.is_due()
    while watch.errors.of(PERSISTENCE)[1] < 200:  # others of the sample, five minutes later
        site.now_us += 30 * MINUTE_US
        readings(site, [130 + (9, 30, 20, -20, -9, 0)[k % 6] for k in range(6)])
        assert watch.run_once()
    assert watch.errors.of(PERSISTENCE)[0] == pytest.approx(0, abs=0.01)
    demoted = forecasting(site.registry)
    assert demoted.model == "persistence" and "persistence 0.0, ridge" in demoted.why
    assert site.context.rules is not None
    assert site.context.rules.current().plan.foreteller.name == "persistence"  # type: ignore[union-attr]
    async with site.client("admin") as client:
        page = (await client.get("/operations")).text
    assert "Forecasts are made by: No change." in page and "Pooled network" in page

    metrics = Metrics()
    metrics.watch(ForecastCollector(lambda: watch.errors, lambda: forecasting(site.registry).model))
    said = metrics.page().decode()
    assert 'islet_forecast_served{model="persistence"} 1.0' in said
    assert 'islet_forecast_error_mg_dl{model="persistence",sensor="5 min"}' in said

    again = new_watch(site)
    assert again.errors == watch.errors  # kept in the log
    site.now_us += 14 * 24 * 60 * MINUTE_US
    for _ in range(8):
        site.now_us += 6 * HOUR_US
        readings(site, [100 + 2 * k for k in range(60)])
        again.run_once()
    assert forecasting(site.registry).model == "pooled"


async def test_before_anything_has_come_due_the_page_says_so(site: Site) -> None:
    async with site.client("admin") as client:
        page = (await client.get("/operations")).text
    assert "Forecasts are made by: Pooled network." in page and "None has come due yet." in page


async def test_a_sensor_is_named_by_the_type_that_a_service_wrote_in_its_twin(site: Site, watch: DriftWatch) -> None:
    site.registry.create_device(Device(id="cgm", generation_id="1"))
    address = Address("cgm", "1")
    site.devices.report(address, {"sensorType": "what a device says of itself"}, site.now_us)
    levels = [120.0 + (k % 20) for k in range(61)]
    readings(site, levels)
    assert watch.run_once()
    assert {str(one.sensor) for one in watch.errors.errors} == {"5 min"}
    site.devices.change_twin(address, ServiceTwin(tags={"sensorType": " Libre 3 "}), site.now_us)
    site.now_us += 30 * MINUTE_US
    readings(site, levels[:6])
    assert watch.run_once()
    assert {str(one.sensor) for one in watch.errors.errors} == {"5 min", "Libre 3"}
    async with site.client("admin") as client:
        page = (await client.get("/operations")).text
    assert "<td>Libre 3</td>" in page and "<td>5 min</td>" in page
    metrics = Metrics()
    metrics.watch(ForecastCollector(lambda: watch.errors, lambda: forecasting(site.registry).model))
    assert 'islet_forecast_error_mg_dl{model="ridge",sensor="Libre 3"}' in metrics.page().decode()


async def test_forecasts_are_measured_as_they_were_served(site: Site, watch: DriftWatch) -> None:
    readings(site, [120.0 + (k % 20) for k in range(61)])
    ate_us = site.now_us - 50 * MINUTE_US
    meal = encode_event(Meal(time=from_us(ate_us), carbs_g=60)).decode()
    corrected, fed = new_watch(site), new_watch(site)
    assert watch.run_once()
    lines = np.zeros(CORRECTION_SHAPE, np.float32)
    lines[0] = 15
    site.add_lines({f"p-{person}": as_bytes(lines) for person in range(PEOPLE)})
    assert corrected.run_once()
    site.add_lines({})
    site.append(
        Topic.CARE_EVENTS,
        documents_batch([DocumentRow(f"p-{person}", "phone", ate_us, "meal", meal) for person in range(PEOPLE)]),
    )
    assert fed.run_once()
    for other in (corrected, fed):
        changed = other.errors.of(SHIPPED)[0] - watch.errors.of(SHIPPED)[0]
        assert 1 < abs(changed) <= 15.1
        assert other.errors.of(PERSISTENCE) == watch.errors.of(PERSISTENCE)
