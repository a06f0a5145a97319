"""The pages in a real browser: live values, alarms, acknowledgement, layout, accessibility, and no policy violations."""

import re

import pytest
from msgspec import structs
from playwright.sync_api import Browser, expect

from islet.access.sas import new_key
from islet.model.alerts import AlertChange, Severity
from islet.model.people import Device, Patient, Role
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from tests.conftest import Missing
from tests.web.browser import (
    AXE,
    PAGES,
    Open,
    browser,
    fits,
    live,
    open_page,
    started,
    ward,
)
from tests.web.night import last_night
from tests.web.portal import PASSWORD, Site

__all__ = ["browser", "open_page", "started", "ward"]  # fixtures


def test_log_in_see_a_value_change_see_an_alarm_acknowledge_it(ward: Site, open_page: Open) -> None:
    page = open_page("/")
    page.get_by_label("Name").fill("nurse")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    row = page.locator('tr[data-patient="p-1"]')
    expect(row.locator(".value .number")).to_have_text("127")
    live(page)

    ward.now_us += 3 * MINUTE_US
    ward.add_readings("p-1", [52])
    expect(row.locator(".value .number")).to_have_text("52")
    expect(row.locator(".value")).to_contain_text("Very low")
    expect(row.locator(".change")).to_have_text("−75")
    expect(row.locator(".age")).to_have_text("just now")

    ward.open_alert("urgent_low", "p-1", Severity.URGENT, minutes=0, mg_dl=52)
    expect(row.locator(".badge").first).to_have_text("Urgent low")
    expect(page.locator("#unseen")).to_have_text("1")
    expect(page.locator("#announcement")).to_have_text("Urgent: Urgent low, Ada Example")
    expect(page).to_have_title(re.compile(r"^\(1\) "))

    row.get_by_role("link").click()
    page.get_by_role("button", name="Acknowledge: Urgent low, Ada Example").click()
    expect(page.locator("#alerts")).to_contain_text("Seen by nurse")
    ward.follow()
    page.goto("/alerts")
    alert = page.locator("#active li", has_text="Urgent low")
    expect(alert).to_contain_text("Active")
    expect(alert).to_contain_text("Seen by nurse")
    expect(page.locator("#unseen")).to_be_hidden()


def test_a_list_of_who_is_sought_stays_live_and_others_do_not_come_onto_it(ward: Site, open_page: Open) -> None:
    for number in range(12):
        ward.registry.put_patient(
            Patient(id=f"w-{number}", label=f"Ward {number}", tags=("icu",) if number < 2 else ())
        )
    page = open_page("/", "admin")
    page.get_by_label("Group").select_option("icu")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Name or id").fill("ward 1")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    live(page)
    ward.add_readings("w-1", [101])
    ward.add_readings("p-2", [55])
    ward.open_alert("urgent_low", "p-2", Severity.URGENT)
    expect(page.locator('tr[data-patient="w-1"] .value .number')).to_have_text("101")
    expect(page.locator("#unseen")).to_have_text("1")
    expect(page.locator("#summary")).to_have_text("Patients: 1; with an active alert: 0")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Show everybody").click()
    expect(page.locator("tbody tr")).to_have_count(14)
    expect(page.locator("tbody tr").first).to_have_attribute("data-patient", "p-2")


def test_an_acknowledgement_shows_on_everybodys_page(ward: Site, open_page: Open) -> None:
    ward.open_alert("low", "p-1", Severity.WARNING)
    nurse, admin = open_page("/alerts", "nurse"), open_page("/alerts", "admin")
    live(nurse)
    live(admin)
    nurse.get_by_role("button", name="Acknowledge: Low glucose, Ada Example").click()
    expect(admin.locator("#active li", has_text="Low glucose")).to_contain_text("Seen by nurse")


def test_an_alert_that_clears_or_is_retracted_changes_live(ward: Site, open_page: Open) -> None:
    page = open_page("/alerts", "admin")
    live(page)
    seed = page.locator("li", has_text="Demonstration rule")
    expect(page.locator("#active").locator(seed)).to_have_count(1)
    onset = ward.now_us - 40 * MINUTE_US
    cleared = AlertChange(change="cleared", rule="seed_demonstration", patient="p-1", onset_us=onset, at_us=ward.now_us)
    ward.add_change(cleared)
    expect(page.locator("#recent").locator(seed)).to_contain_text("Ended")
    ward.add_change(structs.replace(cleared, change="retracted"))
    expect(seed).to_have_count(0)


def test_an_old_value_is_struck_through_and_never_shown_as_the_present_one(ward: Site, open_page: Open) -> None:
    page = open_page("/", "admin")
    live(page)
    row = page.locator('tr[data-patient="p-1"]')
    expect(row).to_have_attribute("data-age", "fresh")
    ward.now_us += 7 * MINUTE_US
    page.reload()
    expect(row).to_have_attribute("data-age", "late")
    ward.now_us += 9 * MINUTE_US
    page.reload()
    expect(row).to_have_attribute("data-age", "stale")
    expect(row.locator("s.number")).to_have_text("127")
    expect(row.locator(".age")).to_contain_text("Out of date")
    expect(row.locator(".trend")).to_contain_text("Trend unknown")


def test_rows_are_in_order_of_urgency_but_the_one_in_use_stays(ward: Site, open_page: Open) -> None:
    page = open_page("/", "admin")
    live(page)
    rows = page.locator("tbody tr")
    expect(rows.first).to_have_attribute("data-patient", "p-1")  # it has an alert
    page.get_by_role("link", name="Ada Example").focus()
    ward.open_alert("urgent_low", "p-2", Severity.URGENT)
    expect(page.locator('tr[data-patient="p-2"] .badge')).to_have_text("Urgent low")
    expect(rows.first).to_have_attribute("data-patient", "p-1")
    page.get_by_role("link", name="Ada Example").blur()
    expect(rows.first).to_have_attribute("data-patient", "p-2")


def test_a_lost_connection_is_shown_and_taken_up_again(ward: Site, browser: Browser) -> None:
    with ward.serve() as address:
        context = browser.new_context(base_url=address)
        context.add_cookies([{"name": "islet_session", "value": ward.token("nurse"), "url": address}])
        page = context.new_page()
        page.goto("/")
        live(page)
        page.route("**/live?*", lambda route: route.abort())  # what is open stays; what is opened again fails
        ward.live.close()
        expect(page.locator("#lost")).to_contain_text("The values shown may be old")
        expect(page.locator("#connection")).to_have_text("Not connected")
        context.close()


def test_the_chart_shows_what_its_summary_and_table_say(ward: Site, open_page: Open) -> None:
    page = open_page("/patients/p-2", "admin")
    live(page)
    chart = page.get_by_role("img", name=re.compile("Glucose of the last 6 hours"))
    expect(chart).to_have_attribute("aria-label", re.compile("25 readings from 190 to 250 mg/dL.*; gaps: 1"))
    expect(chart.locator("canvas")).to_be_visible()
    page.get_by_role("button", name="3 h", exact=True).click()
    expect(page.get_by_role("button", name="3 h", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_text("Show as a table").click()
    expect(page.locator("#values tbody tr").first).to_contain_text("190")
    ward.add_readings("p-2", [77], end_us=ward.now_us + MINUTE_US)
    expect(page.locator("#values tbody tr").first).to_contain_text("77")
    expect(page.locator("#now .number")).to_have_text("77")
    ward.add_document(Topic.CARE_EVENTS, "p-2", "meal", '{"type":"meal","carbs_g":33}')
    expect(page.locator("#events")).to_contain_text("33 g")


def test_unit_and_language_can_be_changed_with_the_keyboard(ward: Site, open_page: Open) -> None:
    page = open_page("/", "nurse")
    page.locator("details.menu summary").focus()
    page.keyboard.press("Enter")
    page.get_by_label("简体中文").check()
    page.get_by_label("mmol/L").check()
    page.get_by_role("button", name="Save").press("Enter")
    expect(page.locator("h1")).to_have_text("患者")
    expect(page.locator('tr[data-patient="p-1"] .value .number')).to_have_text("7.0")
    expect(page.locator(".badge")).to_have_text("演示规则")
    page.locator("details.menu summary").click()
    page.keyboard.press("Escape")
    expect(page.locator(".panel")).to_be_hidden()


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_no_page_is_wider_than_the_screen(ward: Site, open_page: Open, language: str) -> None:
    ward.add_user("manager", Role.ADMINISTRATOR, language=language, unit="mmol/L")
    ward.add_patient("p-1", "Maximiliane-Alexandrina von Hohenstein-Unterberg")
    for minutes in range(12):
        ward.open_alert("compression_low", "p-1", Severity.WARNING, minutes=minutes)
    page = open_page("/login", "manager")
    for path in PAGES:
        page.goto(path)
        for width in (320, 360, 768, 840, 900, 960, 1040, 1280):  # a wide screen at 150 and 200 %, too
            page.set_viewport_size({"width": width, "height": 900})
            assert fits(page), (path, width)


def test_a_long_label_without_a_space_is_broken(ward: Site, open_page: Open) -> None:
    ward.add_patient("p-1", "L" * 200)
    ward.open_alert("low", "p-1", Severity.WARNING)
    page = open_page("/login", "admin", width=360)
    of_patient = [f"/patients/p-1{one}" for one in ("", "/rules", "/policy", "/reports", "/import", "/erase")]
    for path in ("/", "/alerts", *of_patient, "/patients/p-1/reports/seven-day.html"):
        page.goto(path)
        assert fits(page), path


def test_a_limit_is_adjusted_refused_at_its_field_saved_and_taken_back(ward: Site, open_page: Open) -> None:
    ward.add_user("doctor", Role.CLINICIAN, "p-1", unit="mmol/L")
    page = open_page("/patients/p-1", "doctor", width=390)
    page.get_by_role("link", name="All rules for this patient").click()
    rule = page.locator("#low")
    expect(rule).to_contain_text("ends 0.28 mmol/L above it")
    rule.get_by_text("Adjust").click()
    rule.get_by_label("Low alarm limit (mmol/L)").fill("2.1")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        rule.get_by_role("button", name="Save").click()
    assert answer.value.status == 400
    expect(rule.get_by_role("alert")).to_have_text("Enter a number from 3.3 to 6.7 mmol/L with at most 1 decimals.")
    rule.get_by_label("Low alarm limit (mmol/L)").fill("4.5")
    rule.get_by_role("button", name="Save").click()
    expect(rule.get_by_role("status")).to_contain_text("Saved")
    expect(rule.locator("dd")).to_have_text(re.compile(r"4\.5\s+mmol/L\s+set for this patient · default 3\.9"))
    rule.get_by_text("Adjust").click()
    rule.get_by_role("button", name="Take back what is set here").click()
    expect(rule.locator("dd")).to_have_text(re.compile(r"3\.9\s+mmol/L\s*$"))
    ward.follow()
    assert [line.action for line in ward.registry.audit() if line.kind == "rule_setting"] == ["added", "removed"]


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_choice_of_hours_stays_on_one_line(ward: Site, open_page: Open, language: str) -> None:
    ward.add_user("manager", Role.ADMINISTRATOR, language=language)
    page = open_page("/patients/p-1", "manager", width=360)
    texts = "(buttons) => buttons.map((b) => { const r = document.createRange(); r.selectNodeContents(b);"
    lines = page.locator(".hours button").evaluate_all(f"{texts} return r.getClientRects().length; }})")
    assert lines == [1] * len(lines)
    assert lines
    assert fits(page)


def test_a_cohorts_day_is_a_picture_with_its_words_a_table_and_its_people(ward: Site, open_page: Open) -> None:
    page = open_page("/cohorts", "admin", width=360)
    cohort = page.locator("article", has_text="Steady")
    name = "Steady: mean 120 mg/dL; night 120, morning 120, afternoon 120, evening 120"
    expect(cohort.get_by_role("img", name=name)).to_be_visible()
    cohort.get_by_text("Show as a table").click()
    expect(cohort.locator("tbody tr")).to_have_count(24)
    expect(cohort.locator("tbody tr").first).to_have_text(re.compile(r"00:00\s*120\s*110–130"))
    cohort.get_by_text("Patients", exact=True).click()
    assert fits(page)
    cohort.get_by_role("link", name="Ada Example").click()
    expect(page.locator("h1")).to_have_text("Ada Example")


def test_people_side_by_side_are_ordered_by_the_column_that_is_chosen(ward: Site, open_page: Open) -> None:
    page = open_page("/cohorts", "admin", width=390)
    table = page.locator(".comparison")
    expect(table.locator("tbody tr").nth(1)).to_contain_text("Ben Example")
    table.get_by_role("link", name="Hours with readings").click()
    expect(table.locator("[aria-sort]")).to_have_text("Hours with readings")
    expect(table.locator("tbody tr").nth(1)).to_contain_text("Ada Example")
    expect(table).to_be_in_viewport()
    assert fits(page)


def test_three_hundred_people_in_cohorts_fit_on_a_telephone(ward: Site, open_page: Open) -> None:
    people = [f"bed-{i:03d}-north-wing" for i in range(300)]
    for id in people:
        ward.add_patient(id)
    last_night(ward, people, odd=people[:40], changed=people[:100])
    page = open_page("/cohorts", "admin", width=360)
    for summary in page.locator("article summary").all():
        summary.click()
    expect(page.locator(".members li")).to_have_count(260)
    for width in (360, 768, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert fits(page)


def test_of_alerts_with_one_onset_the_urgent_one_is_listed_first(ward: Site, open_page: Open) -> None:
    ward.open_alert("low", "p-1", Severity.WARNING)
    ward.open_alert("urgent_low", "p-1", Severity.URGENT)
    page = open_page("/patients/p-1", "nurse")
    expect(page.locator("#alerts strong")).to_have_text(["Urgent low", "Low glucose", "Demonstration rule"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_any_page(ward: Site, open_page: Open, scheme: str, missing: Missing) -> None:
    if not AXE.exists():
        missing("axe-core (npm)")
    ward.open_alert("urgent_low", "p-1", Severity.URGENT)
    onset_us = ward.now_us - 5 * MINUTE_US
    for patient in ("p-1", "p-2"):
        ward.open_alert("high", patient, Severity.WARNING)
        over = AlertChange(change="cleared", rule="high", patient=patient, onset_us=onset_us, at_us=ward.now_us)
        ward.add_change(over)
    ward.add_document(Topic.DEAD_LETTERS, "", "unit", '{"reason":"unit","message":"unit: expected one of mg/dL"}')
    more = {"rules": {"target-size": {"enabled": True}}}  # of WCAG 2.2
    options = more if scheme == "light" else {"runOnly": ["color-contrast"]}  # all that a scheme changes
    page = open_page("/login", color_scheme=scheme)
    for path in ("/login", *PAGES):
        if path != "/login":
            page.context.add_cookies([{"name": "islet_session", "value": ward.token("admin"), "url": page.url}])
            page.goto(path)
        if path in ("/", "/patients/p-1", "/alerts"):
            live(page)
        page.evaluate("document.querySelectorAll('.rule details, .acts details').forEach((one) => (one.open = true))")
        page.evaluate(AXE.read_text())
        found = page.evaluate("(options) => axe.run(options).then((result) => result.violations)", options)
        assert [(path, one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []


def test_without_the_chart_the_rest_of_the_page_works(ward: Site, browser: Browser) -> None:
    with ward.serve() as address:
        context = browser.new_context(base_url=address)
        context.add_cookies([{"name": "islet_session", "value": ward.token("nurse"), "url": address}])
        page = context.new_page()
        page.route("**/vendor/uPlot.esm.js", lambda route: route.abort())
        page.goto("/patients/p-1")
        expect(page.locator("#now .number")).to_have_text("127")
        expect(page.locator("#chart-summary")).to_contain_text("could not be loaded")
        live(page)
        context.close()


def test_a_devices_key_is_renewed_on_a_phone_and_its_whole_connection_string_is_there(
    ward: Site, open_page: Open
) -> None:
    ward.registry.create_device(Device(id="pump-1", patient="p-1", primary_key=new_key(), secondary_key=new_key()))
    page = open_page("/registry?search=pump", "admin", width=360)
    page.get_by_role("link", name="pump-1").click()
    page.get_by_role("button", name="Renew the secondary key").click()
    device = ward.registry.device("pump-1")
    assert device is not None
    expect(page.locator("code")).to_contain_text(f"SharedAccessKey={device.secondary_key}")
    assert fits(page)
    page.get_by_label("Reason").fill("lost")
    page.get_by_role("button", name="Disable").click()
    expect(page.locator(".facts")).to_contain_text("disabled lost")
    expect(page.locator("code")).to_have_count(0)
