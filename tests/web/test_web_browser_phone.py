"""The pages on a telephone: nothing is squeezed, wrapped in the midst of a number, or wider than its card."""

import pytest
from playwright.sync_api import expect

from islet.model.alerts import Severity
from islet.model.people import Role
from tests.web.browser import Open, browser, ended, live, open_page, started, ward
from tests.web.portal import Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures

WIDTH = "(node) => node.getBoundingClientRect().width"


def test_a_change_in_mmol_l_stays_on_one_line(ward: Site, open_page: Open) -> None:
    ward.add_user("doctor", Role.CLINICIAN, "p-1", unit="mmol/L")
    page = open_page("/", "doctor", width=360)
    change = page.locator('tr[data-patient="p-1"] .change')
    expect(change).to_have_text("+0.1")
    lines = (
        "(node) => { const r = document.createRange(); r.selectNodeContents(node); return r.getClientRects().length; }"
    )
    assert change.evaluate(lines) == 1


def test_a_rule_that_is_on_for_a_long_group_leaves_its_description_the_width(ward: Site, open_page: Open) -> None:
    page = open_page("/rules", "admin", width=360)
    rule = page.locator("#few_readings")
    expect(rule.locator(".state")).to_have_text("On for self_measuring")
    assert rule.locator(".what").evaluate(WIDTH) > 0.9 * rule.evaluate(WIDTH)


@pytest.mark.parametrize("width", [320, 360])
def test_a_field_for_a_day_stays_in_its_card(ward: Site, open_page: Open, width: int) -> None:
    page = open_page("/patients/p-1/reports", "admin", width=width)
    spare = "(node) => node.closest('.card').getBoundingClientRect().right - node.getBoundingClientRect().right"
    found = page.locator("input[type=date]").evaluate_all(f"(nodes) => nodes.map({spare})")
    assert len(found) == 2
    assert min(found) >= 10


def test_the_words_of_a_label_are_listed_as_the_language_does(ward: Site, open_page: Open) -> None:
    ward.add_user("manager", Role.ADMINISTRATOR, language="zh-CN")
    for rule in ("low", "high"):
        ended(ward, rule, "p-2", Severity.WARNING, 30)
    page = open_page("/", "manager", width=360)
    expect(page.locator('tr[data-patient="p-2"] .badge')).to_have_attribute("title", "高血糖、低血糖")


def test_the_page_of_alerts_names_the_zone_of_its_times_and_dates_them_as_the_language_does(
    ward: Site, open_page: Open
) -> None:
    ward.add_user("manager", Role.ADMINISTRATOR, language="zh-CN")
    ended(ward, "low", "p-2", Severity.WARNING, 17 * 60)
    page = open_page("/alerts", "manager", width=360, timezone_id="Asia/Shanghai")
    expect(page.locator("#zone")).to_have_text("时区：Asia/Shanghai")
    expect(page.locator("#ended li .quiet").first).to_contain_text("3月1日 23:00")  # of a page of March 2nd, 16:00


def test_the_unit_stands_above_cards_and_in_the_head_of_the_table(ward: Site, open_page: Open) -> None:
    page = open_page("/", "admin", width=360)
    unit = page.locator("main").get_by_text("mg/dL")
    expect(unit.first).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 900})
    expect(unit.first).to_be_hidden()
    expect(unit.last).to_be_visible()


def test_what_is_chosen_is_seen_in_a_users_own_colours(ward: Site, open_page: Open) -> None:
    page = open_page("/patients/p-1", "admin", forced_colors="active")
    live(page)
    paint = "(nodes) => nodes.map((node) => getComputedStyle(node)[%s])"
    hours = page.locator(".hours button").evaluate_all(paint % "'backgroundColor'")
    assert len(set(hours)) == 2
    links = page.locator(".top nav a").evaluate_all(paint % "'borderBottomColor'")
    assert len(set(links)) == 2
