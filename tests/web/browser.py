"""A ward in a real browser: what the tests of pages share. No page may complain."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright

from islet.model.alerts import AlertChange, Severity
from islet.model.people import Device, Patient
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from tests.conftest import Missing
from tests.web.night import last_night
from tests.web.portal import Site

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WEB = ROOT / "src" / "islet" / "web"
CHART = WEB / "static" / "vendor" / "uPlot.esm.js"
QUIET = (
    "--no-sandbox --headless --disable-gpu --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
)
PAGES = (
    "/",
    "/patients/p-1",
    "/patients/p-1/diary",
    "/patients/p-1/policy",
    "/patients/p-1/reports",
    "/patients/p-1/reports/seven-day.html",
    "/patients/p-1/reports/programme.html",
    "/patients/p-1/import",
    "/patients/p-1/files",
    "/?search=example",
    "/alerts",
    "/cohorts",
    "/account",
    "/operations",
    "/rules",
    "/rules/groups/ward-3",
    "/patients/p-1/rules",
    "/patients/p-1/erase",
    "/permissions",
    "/people",
    "/people/nurse",
    "/groups",
    "/audit",
    "/device-jobs",
    "/registry",
    "/registry/cgm-1",
    "/hub-policies",
)
Open = Callable[..., Page]
expect.set_options(timeout=20_000)  # a page that is slow on a busy machine is no fault


@pytest.fixture(scope="module")
def started() -> Iterator[Browser | None]:
    if not CHROMIUM.exists():
        yield None
        return
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield chromium
        chromium.close()


@pytest.fixture
def browser(started: Browser | None, missing: Missing) -> Browser:
    if started is None:
        missing("Chromium")
    if not CHART.exists():
        missing("uPlot (python -m tools.assets)")
    return started


@pytest.fixture
def ward(site: Site) -> Site:
    """A day of one patient, some hours of another with a gap, who is of a group, and things that happened."""
    site.registry.put_patient(Patient(id="p-2", label="Ben Example", tags=("ward-3",)))
    site.add_readings("p-1", [120 + (i % 40) for i in range(288)])
    site.add_readings("p-2", [250 - i for i in range(20)], end_us=site.now_us - 90 * MINUTE_US)
    site.add_readings("p-2", [210, 205, 200, 195, 190])
    site.add_document(Topic.CARE_EVENTS, "p-1", "meal", '{"type":"meal","carbs_g":45,"text":"Rice"}', minutes=80)
    site.add_document(Topic.CARE_EVENTS, "p-1", "insulin", '{"type":"insulin","dose_u":4.5}', minutes=75)
    site.add_document(Topic.CARE_EVENTS, "p-1", "exercise", '{"type":"exercise","duration_min":30}', minutes=60)
    site.open_alert("seed_demonstration", "p-1", Severity.NOTICE, minutes=40, mg_dl=118)
    site.add_file("2026/11/a name of some length.csv")
    site.registry.create_device(Device(id="cgm-1", patient="p-1", created_us=site.now_us))
    last_night(site, ["p-1", "p-2"], odd=["p-2"], changed=["p-1"])
    return site


@pytest.fixture
def open_page(browser: Browser, ward: Site) -> Iterator[Open]:
    """Open a path as a user; at the end no page may have complained."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def complain(message: ConsoleMessage) -> None:
        refused = "status of 400" in message.text  # a form's answer: browsers note it, and the page says why
        if message.type in ("error", "warning") and not refused:
            complaints.append(message.text)

    def failed(error: Error) -> None:
        complaints.append(str(error))

    with ward.serve() as address:

        def open_one(path: str, user: str = "", width: int = 1280, **options: Any) -> Page:
            context = browser.new_context(base_url=address, viewport={"width": width, "height": 900}, **options)
            contexts.append(context)
            if user:
                context.add_cookies([{"name": "islet_session", "value": ward.token(user), "url": address}])
            page = context.new_page()
            page.on("console", complain)
            page.on("pageerror", failed)
            page.goto(path)
            return page

        yield open_one
        for context in contexts:
            context.close()
    assert not complaints, complaints


def live(page: Page) -> None:
    """Wait until the page follows the stream."""
    expect(page.locator("#connection")).to_have_text(re.compile("Live|实时"))


def fits(page: Page) -> bool:
    """Whether nothing stands wider than the window, once the page's styles are there."""
    page.wait_for_load_state("load")
    window = page.viewport_size
    return window is not None and page.evaluate("document.documentElement.scrollWidth") <= window["width"]


def ended(ward: Site, rule: str, patient: str, severity: Severity, minutes: int) -> None:
    """An alert of so many minutes ago that lasted for five."""
    ward.open_alert(rule, patient, severity, minutes=minutes)
    onset_us = ward.now_us - minutes * MINUTE_US
    over = AlertChange(change="cleared", rule=rule, patient=patient, onset_us=onset_us, at_us=onset_us + 5 * MINUTE_US)
    ward.add_change(over)
