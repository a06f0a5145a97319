"""The watch over forecasts on a real log, store and registry: it scores, demotes, says so, and takes back."""

import pytest

from islet.decode.iothub_twins import ServiceTwin
from islet.engine.drift import DriftWatch
from islet.engine.rulebook import forecasting
from islet.forecast.serving import PERSISTENCE
from islet.model.batch import ReadingRow, readings_batch
from islet.model.people import Device
from islet.model.time import HOUR_US, MINUTE_US
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


@pytest.fixture
def watch(site: Site) -> DriftWatch:
    for person in range(PEOPLE):
        site.add_patient(f"p-{person}")
    return DriftWatch(site.log, site.store, site.registry, site.devices, site.commit, site.now)


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

    again = DriftWatch(site.log, site.store, site.registry, site.devices, site.commit, site.now)
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
