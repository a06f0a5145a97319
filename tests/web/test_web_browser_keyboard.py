"""The pages by the keyboard alone: nothing happens by the way, and the focus is not lost."""

import re

import pytest
from playwright.sync_api import expect

from islet.model.alerts import Severity
from islet.model.people import Patient
from islet.notify.recipients import Contact
from tests.web.browser import Open, browser, ended, live, open_page, started, ward
from tests.web.portal import Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures


def test_a_group_is_chosen_with_the_arrow_keys_and_sought_with_the_button(ward: Site, open_page: Open) -> None:
    for number in range(12):
        ward.registry.put_patient(Patient(id=f"w-{number}", label=f"Ward {number}", tags=("er", "icu")[number % 2 :]))
    page = open_page("/", "admin")
    live(page)
    group = page.get_by_label("Group")
    group.focus()
    for tag in ("er", "icu"):
        page.keyboard.press("ArrowDown")
        expect(group).to_have_value(tag)
        expect(group).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("group=icu"))


def test_the_focus_goes_to_what_a_pause_says(ward: Site, open_page: Open) -> None:
    ward.book.put(Contact(id="nurse", channel="email", address="a@b", user="nurse"), by="nurse", at_us=ward.now_us)
    ward.open_alert("urgent_low", "p-1", Severity.URGENT)
    ward.tell()
    page = open_page("/alerts", "nurse")
    live(page)
    alert = page.locator('#active li[data-id^="urgent_low"]')
    alert.locator("summary").press("Enter")
    alert.get_by_role("button", name="30 min").press("Enter")
    expect(alert.get_by_text("Messages are paused until 08:30.")).to_be_focused()


def test_the_button_for_earlier_alerts_keeps_the_focus(ward: Site, open_page: Open) -> None:
    for minutes in range(1, 230):
        ended(ward, "low", "p-1", Severity.NOTICE, 60 * minutes)
    page = open_page("/alerts", "nurse")
    live(page)
    earlier = page.get_by_role("button", name="Earlier alerts")
    earlier.press("Enter")
    expect(page.locator("#recent li")).to_have_count(198)
    expect(earlier).to_be_focused()


@pytest.mark.parametrize("width", [360, 1280])
def test_the_focus_is_never_hidden_by_the_header(ward: Site, open_page: Open, width: int) -> None:
    for number in range(30):
        ward.add_patient(f"w-{number}", f"Ward {number}")
    page = open_page("/", "admin", width=width)
    live(page)
    links = page.locator("tbody a")
    links.last.focus()
    clear = "() => document.activeElement.getBoundingClientRect().top - document.querySelector('.top').offsetHeight"
    for _ in range(links.count() - 1):
        page.keyboard.press("Shift+Tab")
        page.evaluate("() => new Promise(requestAnimationFrame)")
        assert page.evaluate(clear) >= 0
