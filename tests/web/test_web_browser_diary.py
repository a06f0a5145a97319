"""Entries that are corrected and withdrawn, in a browser: on the diary's page, and on a patient's page that is open."""

from datetime import datetime, timedelta

from playwright.sync_api import expect

from islet.log.base import Append
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_event
from islet.model.events import AnyCareEvent, Insulin, Withdrawal
from islet.model.people import Patient
from islet.model.time import to_us
from islet.model.topics import Topic
from tests.web.browser import Open, browser, live, open_page, started, ward
from tests.web.portal import Site
from tests.web.test_web_on_board import ago

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures


def logged(ward: Site, event: AnyCareEvent) -> None:
    """In the log; the store does not know of it yet."""
    body = encode_event(event).decode()
    row = DocumentRow("p-1", "phone", to_us(event.time), str(event.__struct_config__.tag), body)
    ward.commit.commit(appends=[Append(topic=Topic.CARE_EVENTS, batch=documents_batch([row]))])


def test_an_open_page_asks_seldom_while_the_store_is_behind_a_withdrawal(ward: Site, open_page: Open) -> None:
    logged(ward, Insulin(time=ago(60), id="1", dose_u=4, kind="bolus"))
    ward.follow()
    page = open_page("/patients/p-1", "nurse")
    live(page)
    doses = page.locator("#events li[data-type=insulin]")
    expect(doses.first).to_be_visible()
    there = doses.count()
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if "/series?" in request.url else None)
    with page.expect_response("**/series?*"):
        for _ in range(3):
            logged(ward, Withdrawal(time=ago(0), id="1"))
    page.wait_for_timeout(3_000)
    assert len(asked) <= 3
    ward.follow()
    expect(doses).to_have_count(there - 1)


def test_a_correction_and_a_withdrawal_are_made_with_the_keyboard(ward: Site, open_page: Open) -> None:
    logged(ward, Insulin(time=ago(60), id="1", dose_u=60, kind="bolus"))
    ward.follow()
    page = open_page("/patients/p-1/diary", "nurse")
    entries = page.locator("ul.files > li", has_text="60 U")
    entries.locator("summary", has_text="Correct").press("Enter")
    entries.get_by_label("Dose (U)").fill("6")
    entries.get_by_label("Dose (U)").press("Enter")
    expect(page.locator("p.saved")).to_contain_text("The entry is corrected.")


def test_the_time_that_nobody_has_touched_is_the_present_on_a_page_that_stayed_open(
    ward: Site, open_page: Open
) -> None:
    ward.registry.put_patient(Patient(id="p-1", time_zone="Asia/Kolkata"))
    page = open_page("/patients/p-1/diary", "nurse")
    page.clock.install()
    page.reload()
    was = page.locator("#when-meal").input_value()
    page.locator("summary", has_text="Insulin").press("Enter")
    page.locator("#when-insulin").fill("2026-03-01T07:15")
    page.clock.fast_forward("03:00:00")
    page.locator("summary", has_text="Meal").press("Enter")
    later = datetime.fromisoformat(was) + timedelta(hours=3)
    shown = datetime.fromisoformat(page.locator("#when-meal").input_value())
    assert timedelta(0) <= shown - later <= timedelta(minutes=1)
    assert page.locator("#when-insulin").input_value() == "2026-03-01T07:15"
