"""Pages that are left open: many at once, through a sleep, under updates, and with more people than a list shows."""

import re
from urllib.parse import unquote

import pytest
from msgspec import structs
from playwright.sync_api import Browser, Page, Route, expect

from islet.log.base import Append
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_change
from islet.model.time import HOUR_US, MINUTE_US
from islet.model.topics import Topic
from islet.web import snapshot
from tests.web.browser import Open, browser, ended, live, open_page, started, ward
from tests.web.portal import Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures
TAB = """
let seen = "visible";
Object.defineProperty(document, "visibilityState", { get: () => seen });
window.look = (state) => { seen = state; document.dispatchEvent(new Event("visibilitychange")); };
"""  # a browser without a window shows all its pages
SLEEP = """
const date = Date.now;
let slept = 0;
Date.now = () => date() + slept;
window.sleep = (ms) => { slept += ms; };
"""  # the clock of `performance` stands meanwhile


def test_more_tabs_than_a_browser_has_connections_load_and_come_back_to_life(ward: Site, browser: Browser) -> None:
    with ward.serve() as address:
        context = browser.new_context(base_url=address)
        context.add_cookies([{"name": "islet_session", "value": ward.token("admin"), "url": address}])
        context.add_init_script(TAB)
        tabs = list[Page]()
        for path in ["/", *["/patients/p-1"] * 8]:
            tabs.append(context.new_page())
            tabs[-1].goto(path)
            live(tabs[-1])
            tabs[-1].evaluate("look('hidden')")
        assert ward.live.viewers <= 2
        ward.add_readings("p-1", [53], end_us=ward.now_us + MINUTE_US)
        expect(tabs[0].locator('tr[data-patient="p-1"] .value .number')).to_have_text("53")  # the one that goes on
        expect(tabs[4].locator("#now .number")).to_have_text("127")
        tabs[4].evaluate("look('visible')")
        expect(tabs[4].locator("#now .number")).to_have_text("53")
        context.close()


def test_a_page_that_nobody_looks_at_counts_in_its_title(ward: Site, open_page: Open) -> None:
    page = open_page("/login", "admin")
    page.add_init_script("window.requestAnimationFrame = () => 0")  # as in a tab behind others
    for path in ("/", "/alerts"):
        page.goto(path)
        live(page)
        unseen = int(page.locator("#unseen").text_content() or 0)
        ward.open_alert("low" if unseen else "urgent_low", "p-1", Severity.URGENT)
        expect(page).to_have_title(re.compile(rf"^\({unseen + 1}\) "))


def test_after_a_sleep_old_values_do_not_look_like_new_ones(ward: Site, open_page: Open) -> None:
    page = open_page("/login", "admin")
    page.add_init_script(SLEEP)
    page.goto("/")
    live(page)
    row = page.locator('tr[data-patient="p-1"]')
    expect(row).to_have_attribute("data-age", "fresh")
    page.evaluate(f"sleep({3 * HOUR_US // 1000})")
    expect(row).to_have_attribute("data-age", "stale", timeout=8_000)  # before the stream says anything
    expect(row.locator(".age")).to_contain_text("3 h ago")


@pytest.mark.parametrize(("path", "other"), [("/alerts", "p-2"), ("/patients/p-1", "p-1")])
def test_a_press_counts_for_the_alert_that_it_was_made_on(ward: Site, open_page: Open, path: str, other: str) -> None:
    mine = ward.open_alert("low", "p-1", Severity.WARNING)
    page = open_page(path, "admin")
    live(page)
    page.get_by_role("button", name="Acknowledge: Low glucose, Ada Example").hover()
    page.mouse.down()
    ward.open_alert("urgent_low", other, Severity.URGENT)
    expect(page.locator("li", has_text="Urgent low")).to_be_visible()
    with page.expect_response("**/acknowledge") as answer:
        page.mouse.up()
    assert mine in unquote(answer.value.url)


def test_new_alerts_are_shown_while_another_one_has_the_focus(ward: Site, open_page: Open) -> None:
    ward.open_alert("low", "p-1", Severity.WARNING)
    page = open_page("/patients/p-1", "admin")
    live(page)
    low = page.locator("#alerts li", has_text="Low glucose")
    low.get_by_role("button").focus()
    ward.open_alert("urgent_low", "p-1", Severity.URGENT, minutes=4)
    expect(page.locator("#alerts li", has_text="Urgent low")).to_be_visible()
    expect(low.get_by_role("button")).to_be_focused()


def test_the_focus_goes_on_from_an_alert_that_has_left_its_list(ward: Site, open_page: Open) -> None:
    for patient in ("p-1", "p-2"):
        ended(ward, "low", patient, Severity.WARNING, 30)
    page = open_page("/alerts", "admin")
    live(page)
    items = page.locator("#ended li")
    items.first.get_by_role("button").press("Enter")
    expect(items).to_have_count(1)
    expect(items).to_be_focused()  # and no button of it, which a key that is held down would press


def test_a_row_in_use_keeps_the_focus_while_others_move_past_it(ward: Site, open_page: Open) -> None:
    for number in range(3, 7):
        ward.add_patient(f"p-{number}", f"Patient {number}")
    page = open_page("/", "admin")
    live(page)
    rows = page.locator("tbody tr")
    page.get_by_role("link", name="Patient 4").focus()
    ward.open_alert("low", "p-6", Severity.WARNING)
    ward.open_alert("urgent_low", "p-5", Severity.URGENT)
    expect(rows.first).to_have_attribute("data-patient", "p-5")
    expect(page.get_by_role("link", name="Patient 4")).to_be_focused()


def test_what_comes_together_is_announced_as_one_by_its_most_urgent(ward: Site, open_page: Open) -> None:
    page = open_page("/", "admin")
    live(page)
    low, high = opened(ward, "urgent_low", "p-2", Severity.URGENT), opened(ward, "high", "p-1", Severity.WARNING)
    together(ward, low, high)
    expect(page.locator("#announcement")).to_have_text("Urgent: Urgent low, Ben Example And 1 more.")


def test_somebody_who_was_not_urgent_enough_for_the_list_comes_onto_it_with_an_alarm(
    ward: Site, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "LIST_LIMIT", 1)
    page = open_page("/", "admin")
    live(page)
    rows = page.locator("tbody tr")
    expect(rows).to_have_attribute("data-patient", "p-1")
    with page.expect_response("**/api/patients"):  # the store does not know of it yet
        together(ward, opened(ward, "urgent_low", "p-2", Severity.URGENT))
    ward.follow()
    expect(rows).to_have_attribute("data-patient", "p-2", timeout=10_000)


@pytest.mark.parametrize("first", ["stream", "answer"])
def test_of_two_who_acknowledge_at_once_the_first_is_named(ward: Site, open_page: Open, first: str) -> None:
    ward.open_alert("low", "p-1", Severity.WARNING)
    page = open_page("/alerts", "nurse")
    live(page)
    low = page.locator("#active li", has_text="Low glucose")
    admins = structs.replace(opened(ward, "low", "p-1", Severity.WARNING), change="acknowledged", by="admin")
    admins = structs.replace(admins, onset_us=ward.now_us - 5 * MINUTE_US)

    def meanwhile(route: Route) -> None:
        together(ward, admins)
        if first == "stream":
            expect(low).to_contain_text("Seen by admin")
            route.continue_()
        else:
            route.fulfill(json={"id": "", "by": "nurse"})

    page.route("**/acknowledge", meanwhile)
    with page.expect_response("**/acknowledge"):
        low.get_by_role("button", name="Acknowledge").click()
    expect(low.locator(".seen")).to_contain_text("Seen by admin")
    page.get_by_role("heading", name="Active").click()
    expect(low.locator(".seen")).to_contain_text("Seen by admin")


def opened(ward: Site, rule: str, patient: str, severity: Severity) -> AlertChange:
    now_us = ward.now_us
    return AlertChange(change="opened", rule=rule, patient=patient, onset_us=now_us, at_us=now_us, severity=severity)


def together(ward: Site, *changes: AlertChange) -> None:
    """Changes in one commit, which the store has not taken in."""
    rows = [DocumentRow(one.patient, "", one.at_us, one.change, encode_change(one).decode()) for one in changes]
    ward.commit.commit(appends=[Append(topic=Topic.ALERTS, batch=documents_batch(rows))])
