"""The cone on a patient's page: in words, in both units and languages, live, and gone when it is out of date."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from islet.forecast.personal import as_bytes
from islet.model.ahead import CORRECTION_SHAPE
from islet.model.alerts import Severity
from islet.model.time import MINUTE_US
from tests.web.browser import Open, browser, fits, live, open_page, started, ward
from tests.web.portal import Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures


def test_the_forecast_is_said_in_words_and_follows_the_readings(ward: Site, open_page: Open) -> None:
    page = open_page("/patients/p-1", "nurse")
    live(page)
    box = page.locator("#forecast")
    expect(box).to_contain_text(re.compile(r"in 30 minutes \d+ mg/dL \(\d+ to \d+\), in 60 minutes"))
    expect(box).to_contain_text("Dosing decisions are not to be made from a forecast.")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile("Forecast: in 30 minutes"))
    before = box.text_content()
    ward.now_us += 5 * MINUTE_US
    ward.add_readings("p-1", [90])
    expect(box).not_to_have_text(before or "")
    ward.now_us += 5 * MINUTE_US
    ward.add_readings("p-1", [39])
    expect(box).to_have_text("No forecast: the sensor shows LOW or HIGH, or a value that cannot be.")


@pytest.mark.parametrize("width", [375, 1280])
def test_the_forecast_is_there_in_the_other_unit_and_language_on_every_screen(
    ward: Site, open_page: Open, width: int
) -> None:
    ward.add_user("nurse", ward.registry.user("nurse").role, "p-1", language="zh-CN", unit="mmol/L")  # type: ignore[union-attr]
    page = open_page("/patients/p-1", "nurse", width=width)
    expect(page.locator("#forecast")).to_contain_text(re.compile(r"30 分钟后 \d+\.\d mmol/L"))
    expect(page.locator("#forecast")).to_contain_text("不得根据预测决定用药剂量。")
    assert fits(page)


def test_the_page_says_whether_a_forecast_is_fitted_to_the_person(ward: Site, open_page: Open) -> None:
    page = open_page("/patients/p-1", "nurse")
    box = page.locator("#forecast")
    expect(box).to_contain_text("Dosing decisions")
    expect(box).not_to_contain_text("fitted to this person")
    ward.add_lines({"p-1": as_bytes(np.ones(CORRECTION_SHAPE, np.float32))})
    page.reload()
    expect(box).to_contain_text("It is fitted to this person, by what forecasts missed in the last two weeks.")
    ward.add_user("nurse", ward.registry.user("nurse").role, "p-1", language="zh-CN")  # type: ignore[union-attr]
    page.reload()
    expect(box).to_contain_text("此预测已按本人情况校正")


def test_a_patient_without_readings_has_the_reason_instead(ward: Site, open_page: Open) -> None:
    ward.add_patient("p-3", "Cy Example")
    page = open_page("/patients/p-3", "admin")
    expect(page.locator("#forecast")).to_have_text("No forecast: there is no reading yet.")


def test_an_alert_about_what_comes_carries_the_warning_and_others_do_not(ward: Site, open_page: Open) -> None:
    ward.open_alert("urgent_low_soon", "p-1", Severity.WARNING)
    ward.open_alert("low", "p-1", Severity.WARNING)
    page = open_page("/alerts", "nurse")
    warned = page.locator("#active li", has_text="Dosing decisions are not to be made from a forecast.")
    expect(warned).to_have_count(1)
    expect(warned).to_contain_text("Urgent low soon")
