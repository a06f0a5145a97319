"""Reports in the portal: for whom, in which form, with whose trace; and HbA1c that people enter."""

import json

import pytest

from islet.model.people import Role
from islet.model.topics import Topic
from tests.web.portal import NOW_US, Site

SEVEN = "/patients/p-1/reports/seven-day"
MEAL = '{"type":"meal","time":"2026-03-02T07:00:00Z","carbs_g":45}'


@pytest.fixture
def worn(site: Site) -> Site:
    """Ada has worn a sensor for fifteen days, and eaten once."""
    site.add_readings("p-1", [150.0] * 288 * 15)
    site.add_document(Topic.CARE_EVENTS, "p-1", "meal", MEAL, minutes=60)
    return site


def trail(site: Site) -> list[tuple[str, str, str]]:
    return [(line.by, line.action, line.id) for line in site.registry.audit()]


async def test_a_report_opens_from_the_patients_page_and_leaves_a_line_in_the_trail(worn: Site) -> None:
    nurse = worn.client("nurse")
    assert f'href="{SEVEN}.html"' in (await nurse.get("/patients/p-1")).text
    answer = await nurse.get(f"{SEVEN}.html")
    assert answer.status_code == 200
    assert "Ada Example" in answer.text
    assert "<style>" in answer.text
    assert "sha256-" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert trail(worn) == [("nurse", "read report seven-day", "p-1")]


@pytest.mark.parametrize(
    "path", ["/patients/p-2/reports", "/patients/p-2/reports/seven-day.html", "/patients/none/reports"]
)
async def test_nobody_sees_a_report_of_a_stranger_and_only_the_refusal_is_noted(worn: Site, path: str) -> None:
    assert (await worn.client("nurse").get(path)).status_code == 403
    assert (await worn.client().get(path)).status_code == 303
    assert (await worn.client("nurse").get("/api/patients/p-2/reports/seven-day")).status_code == 403
    said = [action for _, action, _ in trail(worn)]
    assert said == ["refused: this patient is not assigned to the one who asks"] * 2


async def test_numbers_are_for_programs_and_have_no_label(worn: Site) -> None:
    worn.add_user("mirror", Role.APPLICATION, "p-1")
    answer = await worn.client("mirror").get("/api/patients/p-1/reports/seven-day?days=14&target=older")
    found = json.loads(answer.text)
    assert (found["id"], found["label"], found["target"]) == ("p-1", "", "older")
    assert found["glucose"]["gmi_percent"] == pytest.approx(3.31 + 0.02392 * 150)
    assert found["period"] == {"first": "2026-02-17", "last": "2026-03-02", "time_zone": "UTC"}
    assert [len(day["acts"]) for day in found["days"]][-1] == 1
    months = json.loads((await worn.client("mirror").get("/api/patients/p-1/reports/programme")).text)
    assert (months["report"], len(months["rolling"])) == ("programme", 77)


async def test_days_unit_language_and_goals_are_what_was_chosen(worn: Site) -> None:
    admin = worn.client("admin")
    chosen = await admin.get(
        "/patients/p-1/reports?kind=seven-day&form=html&to=2026-02-28&days=14&target=pregnancy&unit=mmol%2FL&language=zh-CN"
    )
    assert chosen.status_code == 303
    page = (await admin.get(chosen.headers["location"])).text
    assert "3.5–7.8 mmol/L" in page
    assert 'lang="zh-CN"' in page
    assert "2026年2月15日 – 2026年2月28日" in page


@pytest.mark.parametrize(
    "query", ["days=9", "to=yesterday", "to=9999-01-01", "target=me", "unit=stone", "language=xx", "language=../.."]
)
async def test_what_is_not_on_offer_is_refused(worn: Site, query: str) -> None:
    assert (await worn.client("admin").get(f"{SEVEN}.html?{query}")).status_code == 400
    assert (await worn.client("admin").get("/patients/p-1/reports/diary.html")).status_code == 400
    assert (await worn.client("admin").get(f"{SEVEN}.docx")).status_code == 400


async def test_a_csv_is_a_file_to_keep(worn: Site) -> None:
    answer = await worn.client("nurse").get(f"{SEVEN}.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="p-1_seven-day_2026-03-02.csv"'
    assert answer.headers["content-type"].startswith("text/csv")
    assert "Ada" not in answer.text


async def test_somebody_without_a_reading_has_a_report_that_says_so(site: Site) -> None:
    page = (await site.client("admin").get("/patients/p-2/reports/seven-day.html")).text
    assert "No readings in this period." in page
    assert "Mar 2, 2026" in page


async def test_hba1c_is_an_event_in_the_log_and_stands_in_reports(worn: Site) -> None:
    nurse = worn.client("nurse")
    form = {"value": "7,4", "unit": "%", "drawn": "2026-02-20"}
    answer = await nurse.post("/patients/p-1/hba1c", data=form, headers={"sec-fetch-site": "same-origin"})
    assert answer.headers["location"] == "/patients/p-1/reports?said=kept"
    assert "The value is saved." in (await nurse.get(answer.headers["location"])).text
    worn.follow()
    (document,) = [one for one in worn.store.documents(Topic.CARE_EVENTS, "p-1", 0, NOW_US) if one.type == "hba1c"]
    assert json.loads(document.body) == {"type": "hba1c", "time": "2026-02-20T12:00:00Z", "value": 7.4, "unit": "%"}
    months = json.loads((await nurse.get("/patients/p-1/reports/programme.json")).text)
    assert months["labs"][0]["lab"] == {"day": "2026-02-20", "percent": 7.4}
    assert ("nurse", "entered HbA1c", "p-1") in trail(worn)


@pytest.mark.parametrize(
    "form",
    [
        {"value": "74", "unit": "%", "drawn": "2026-02-20"},
        {"value": "7.4", "unit": "g", "drawn": "2026-02-20"},
        {"value": "nan", "unit": "%", "drawn": "2026-02-20"},
        {"value": "7.4", "unit": "%", "drawn": "2026-03-03"},
        {"value": "7.4", "unit": "%", "drawn": ""},
        {"value": "", "unit": "%", "drawn": "2026-02-20"},
    ],
)
async def test_a_value_that_cannot_be_is_not_kept(worn: Site, form: dict[str, str]) -> None:
    answer = await worn.client("nurse").post(
        "/patients/p-1/hba1c", data=form, headers={"sec-fetch-site": "same-origin"}
    )
    assert answer.headers["location"].endswith("?said=value")
    worn.follow()
    assert [one.type for one in worn.store.documents(Topic.CARE_EVENTS, "p-1", 0, NOW_US)] == ["meal"]


async def test_only_who_cares_for_a_patient_enters_values_and_only_from_our_own_page(worn: Site) -> None:
    form = {"value": "7.4", "unit": "%", "drawn": "2026-02-20"}
    worn.add_user("mirror", Role.APPLICATION, "p-1")
    for user, status in (("mirror", 403), ("nurse", 303)):
        answer = await worn.client(user).post(
            "/patients/p-1/hba1c", data=form, headers={"sec-fetch-site": "same-origin"}
        )
        assert answer.status_code == status
    stranger = await worn.client("nurse").post(
        "/patients/p-2/hba1c", data=form, headers={"sec-fetch-site": "same-origin"}
    )
    foreign = await worn.client("nurse").post(
        "/patients/p-1/hba1c", data=form, headers={"sec-fetch-site": "cross-site"}
    )
    assert (stranger.status_code, foreign.status_code) == (403, 403)
