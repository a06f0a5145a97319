"""Insulin and carbs on board, and HbA1c, on a patient's page: in words, in both languages, and live."""

import re

import pytest
from playwright.sync_api import expect

from islet.model.codec import encode_event
from islet.model.events import Hba1c, Insulin, Meal
from islet.model.people import Role
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from tests.web.browser import Open, browser, fits, live, open_page, started, ward
from tests.web.portal import Site
from tests.web.test_web_on_board import ago, did

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures
INSULIN_ROW = "document.querySelector('#chart canvas').height"


def test_what_is_on_board_is_said_in_words_as_an_estimate_and_drawn_and_follows_events(
    ward: Site, open_page: Open
) -> None:
    page = open_page("/patients/p-1", "nurse")
    live(page)
    box = page.locator("#on-board")
    expect(box).to_be_hidden()
    plain = page.evaluate(INSULIN_ROW)
    did(ward, Insulin(time=ago(60), dose_u=4, kind="bolus"))
    expect(box).to_contain_text("Insulin on board now (IOB): 3.1 U (model estimate of mealtime insulin")
    expect(box).to_contain_text("Not a dose, and not for deciding on one.")
    expect(box).not_to_contain_text("Carbs on board")
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(r"Insulin on board now \(IOB\): 3\.1 U"))
    one = page.evaluate(INSULIN_ROW)
    did(ward, Meal(time=ago(30), carbs_g=60))
    expect(box).to_contain_text(re.compile(r"Carbs on board now \(COB\): 5\d g \(model estimate"))
    assert plain < one < page.evaluate(INSULIN_ROW)


def test_what_was_worked_out_long_ago_is_not_shown_as_the_present(ward: Site, open_page: Open) -> None:
    did(ward, Insulin(time=ago(60), dose_u=4, kind="bolus"))
    page = open_page("/patients/p-1", "nurse")
    live(page)
    expect(page.locator("#on-board")).to_contain_text("3.1 U")
    page.route("**/on-board", lambda route: route.fulfill(status=400, body="{}"))
    ward.now_us += 11 * MINUTE_US
    ward.add_readings("p-1", [120])
    expect(page.locator("#on-board")).to_be_hidden(timeout=10_000)


@pytest.mark.parametrize("width", [375, 1280])
def test_it_is_there_in_chinese_on_every_screen(ward: Site, open_page: Open, width: int) -> None:
    ward.add_user("nurse", Role.CLINICIAN, "p-1", language="zh-CN", unit="mmol/L")
    did(ward, Insulin(time=ago(60), dose_u=4, kind="bolus"))
    page = open_page("/patients/p-1", "nurse", width=width)
    expect(page.locator("#on-board")).to_contain_text("当前活性胰岛素（IOB）：3.1 U")
    expect(page.locator("#on-board")).to_contain_text("这不是用药剂量")
    assert fits(page)


def test_hba1c_stands_among_the_events_with_the_gap_to_gmi(ward: Site, open_page: Open) -> None:
    ward.add_readings("p-1", [150.0] * (20 * 96), every_min=15)
    page = open_page("/patients/p-1", "nurse")
    live(page)
    expect(page.locator("#labs")).to_be_hidden()
    event = Hba1c(time=ago(60), value=7.4, unit="%")
    ward.add_document(Topic.CARE_EVENTS, "p-1", "hba1c", encode_event(event).decode(), minutes=60)
    item = page.locator("#labs li")
    expect(item).to_have_count(1)
    expect(item).to_contain_text("HbA1c 7.4 % (57 mmol/mol)")
    expect(item).to_contain_text(re.compile(r"GMI of the \d+ days before: 6\.\d %, gap −0\.\d"))
