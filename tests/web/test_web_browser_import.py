"""Importing in a real browser: dropped files, questions answered with the keyboard, on a phone, and without a script."""

from typing import Any, cast

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.conftest import Missing
from tests.web.browser import AXE, Open, browser, fits, open_page, started, ward
from tests.web.portal import Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures
PAGE = "/patients/p-1/import"
GOOD = "time,glucose (mg/dL)\n2026-02-01 07:05,112\n2026-02-01 07:10,118\n"
TWO_WAYS = "time,glucose (mg/dL)\n03/02/2026 07:05,112\n04/02/2026 07:10,118\n"
WRONG = "time,glucose (mg/dL)\n2026-02-01 07:05,much\n"
DROP = """([node, files]) => {
  const dropped = new DataTransfer();
  for (const [name, text] of files) dropped.items.add(new File([text], name, { type: "text/csv" }));
  for (const type of ["dragenter", "dragover", "drop"])
    node.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: dropped }));
}"""


def file(name: str, content: str) -> FilePayload:
    return cast(FilePayload, {"name": name, "mimeType": "text/csv", "buffer": content.encode()})


def drop(page: Page, *files: tuple[str, str]) -> None:
    page.evaluate(DROP, [page.locator("#drop").element_handle(), list(files)])


def test_dropped_files_are_shown_and_imported_once(ward: Site, open_page: Open) -> None:
    page = open_page("/patients/p-1", "nurse")
    page.get_by_role("link", name="Import files of sensors, meters, pumps and apps").click()
    for new in (2, 0):
        page.goto(page.url.partition("/import")[0] + "/import")
        drop(page, ("good.csv", GOOD), ("wrong.csv", WRONG))
        expect(page.get_by_role("heading", name="good.csv")).to_be_visible()
        expect(page.locator(".export[data-good=yes]")).to_contain_text("sensor readings: 2")
        expect(page.locator(".export[data-good=no]")).to_contain_text("Line 2, column glucose (mg/dL).")
        page.get_by_role("button", name="Import for Ada Example").click()
        expect(page.get_by_role("heading", name="Imported")).to_be_visible()
        expect(page.locator("main")).to_contain_text(f"{new} events are new")
    ward.follow()
    page.get_by_role("link", name="To the patient").click()
    expect(page.locator("h1")).to_have_text("Ada Example")


def test_a_question_is_answered_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page(PAGE, "nurse")
    page.set_input_files("#files", [file("two.csv", TWO_WAYS)])
    page.locator("#files").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Look at the files")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".problem")).to_contain_text("The dates can be read in two ways")
    expect(page.get_by_role("button", name="Import for Ada Example")).to_have_count(0)
    page.get_by_label("Order of dates").focus()
    page.keyboard.type("Day")
    page.get_by_role("button", name="Look again").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".export")).to_contain_text("Feb 3, 2026")
    page.get_by_role("button", name="Import for Ada Example").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("2 events are new")


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(open_page: Open) -> None:
    page = open_page(PAGE, "nurse")
    page.set_input_files("#files", [file("big.csv", "x" * 2_100_000)])
    page.get_by_role("button", name="Look at the files").click()
    expect(page.locator("#problem")).to_contain_text("an upload may hold 2 MB")
    expect(page.locator("#problem")).to_be_focused()


@pytest.mark.parametrize(("width", "scheme", "language"), [(1280, "light", "en"), (390, "dark", "zh-CN")])
def test_the_pages_fit_and_axe_finds_nothing(
    ward: Site, open_page: Open, missing: Missing, width: int, scheme: Any, language: str
) -> None:
    if not AXE.exists():
        missing("axe-core (npm)")
    ward.add_user("nurse", ward.registry.user("nurse").role, "p-1", language=language)  # type: ignore[union-attr]
    page = open_page(PAGE, "nurse", width=width, color_scheme=scheme)
    page.set_input_files(
        "#files",
        [file("good.csv", GOOD), file("two.csv", TWO_WAYS), file(f"{'long' * 30}.csv", WRONG), file("no.csv", "")],
    )
    page.locator("#import button").click()
    expect(page.locator(".file")).to_have_count(4)
    page.evaluate("document.querySelectorAll('.file details').forEach((one) => (one.open = true))")
    assert fits(page)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then((result) => result.violations)")
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []


def test_without_a_script_a_form_does_the_same(ward: Site, browser: Browser) -> None:
    with ward.serve() as address:
        context = browser.new_context(base_url=address, java_script_enabled=False)
        context.add_cookies([{"name": "islet_session", "value": ward.token("nurse"), "url": address}])
        page = context.new_page()
        page.goto(PAGE)
        page.set_input_files("#files", [file("good.csv", GOOD)])
        page.get_by_role("button", name="Look at the files").click()
        page.get_by_role("button", name="Import for Ada Example").click()  # the page refreshes itself until it is there
        expect(page.locator("main")).to_contain_text("2 events are new")
        context.close()
