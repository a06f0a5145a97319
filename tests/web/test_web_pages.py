"""Pages and JSON: who sees what, and what they are told when they may not."""

import io
import json
import zipfile

import pytest

from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import change_documents, encode_change
from islet.model.people import Patient, Role
from islet.model.permissions import Permission, Verb
from islet.model.time import HOUR_US, MINUTE_US
from islet.model.topics import Topic
from islet.store.grants import grant
from tests.web.portal import NOW_US, Site

PAGES = ("/", "/patients/p-1", "/alerts", "/cohorts", "/operations")
JSON = ("/api/clock", "/api/patients", "/api/alerts", "/api/patients/p-1/series", "/api/log/alerts", "/live")


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_without_a_session_leads_to_the_log_in_and_back(site: Site, path: str) -> None:
    answer = await site.client().get(path)
    assert answer.status_code == 303
    wanted = "" if path == "/" else "?next=" + path.replace("/", "%2F")
    assert answer.headers["location"] == "/login" + wanted


@pytest.mark.parametrize("path", JSON)
async def test_json_without_a_session_is_401(site: Site, path: str) -> None:
    answer = await site.client().get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.ADMINISTRATOR, {"/patients/p-1": 200, "/patients/p-2": 200, "/patients/p-9": 404, "/operations": 200}),
        (Role.CLINICIAN, {"/patients/p-1": 200, "/patients/p-2": 403, "/patients/p-9": 403, "/operations": 403}),
        (Role.CARE_PARTNER, {"/patients/p-1": 200, "/patients/p-2": 403, "/patients/p-9": 403, "/operations": 403}),
        (Role.PATIENT, {"/patients/p-1": 200, "/patients/p-2": 403, "/patients/p-9": 403, "/operations": 403}),
    ],
)
async def test_each_role_sees_its_own_pages(site: Site, role: Role, statuses: dict[str, int]) -> None:
    site.add_user("someone", role, "p-1")
    client = site.client("someone")
    assert {path: (await client.get(path)).status_code for path in statuses} == statuses


async def test_a_refused_page_says_why_in_the_readers_language(site: Site) -> None:
    site.add_user("yisheng", Role.CLINICIAN, "p-1", language="zh-CN")
    assert "This patient is not assigned to you." in (await site.client("nurse").get("/patients/p-2")).text
    assert "该患者未分配给您。" in (await site.client("yisheng").get("/patients/p-2")).text


async def test_an_address_that_nothing_has_is_a_page_in_a_browser_and_a_line_for_a_program(site: Site) -> None:
    site.add_user("yisheng", Role.CLINICIAN, "p-1", language="zh-CN")
    browser = {"accept": "text/html,application/xhtml+xml"}
    for client, told in ((site.client("yisheng"), "页面不存在"), (site.client(), "There is nothing here")):
        answer = await client.get("/patient", headers=browser)
        assert (answer.status_code, told in answer.text) == (404, True)
    answer = await site.client("nurse").get("/patient")
    assert (answer.status_code, answer.text) == (404, "Not Found")


async def test_past_alerts_come_in_pages_of_those_one_may_see(site: Site) -> None:
    for minutes in range(1, 121):
        site.open_alert("low", "p-1", Severity.WARNING, minutes=minutes)
        site.open_alert("low", "p-2", Severity.WARNING, minutes=minutes)
    nurse = site.client("nurse")
    first = (await nurse.get(f"/api/alerts/past?until={site.now_us}")).json()
    assert ({one["patient"] for one in first["alerts"]}, first["more"], len(first["alerts"])) == ({"p-1"}, True, 100)
    onsets = [one["onset_us"] for one in first["alerts"]]
    second = (await nurse.get(f"/api/alerts/past?until={onsets[-1]}&patient=p-1")).json()
    assert (second["more"], len(second["alerts"]), second["labels"]) == (False, 21, {"p-1": "Ada Example"})
    assert (await nurse.get("/api/alerts/past?until=1&patient=p-2")).status_code == 403
    assert (await nurse.get("/api/alerts/past?until=-1")).status_code == 400


@pytest.mark.parametrize("role", [Role.PATIENT, Role.CARE_PARTNER])
async def test_who_sees_one_patient_at_home_is_led_to_their_page(site: Site, role: Role) -> None:
    site.add_user("one", role, "p-1")
    client = site.client("one")
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/patients/p-1")
    assert "All patients" not in (await client.get("/patients/p-1")).text


async def test_a_patient_who_is_not_there_any_more_is_not_led_in_a_circle(site: Site) -> None:
    site.add_user("gone", Role.PATIENT, "p-9")
    assert (await site.client("gone").get("/")).status_code == 200


async def test_a_clinician_of_one_patient_has_a_list(site: Site) -> None:
    assert (await site.client("nurse").get("/")).status_code == 200
    assert "All patients" in (await site.client("nurse").get("/patients/p-1")).text


async def test_lists_hold_only_the_patients_one_may_see(site: Site) -> None:
    for patient in ("p-1", "p-2"):
        site.add_readings(patient, [100, 110])
        site.open_alert("low", patient, Severity.WARNING)
    nurse, admin = site.client("nurse"), site.client("admin")
    assert [row["id"] for row in (await nurse.get("/api/patients")).json()["patients"]] == ["p-1"]
    assert {row["id"] for row in (await admin.get("/api/patients")).json()["patients"]} == {"p-1", "p-2"}
    assert {alert["patient"] for alert in (await nurse.get("/api/alerts")).json()["active"]} == {"p-1"}
    assert "Ben Example" not in (await nurse.get("/")).text


async def test_somebody_without_patients_sees_an_empty_list(site: Site) -> None:
    site.add_user("new", Role.CLINICIAN)
    answer = await site.client("new").get("/")
    assert answer.status_code == 200
    assert "No patients yet" in answer.text


async def test_an_application_gets_no_labels(site: Site) -> None:
    site.add_user("mirror", Role.APPLICATION, "*")
    site.open_alert("low", "p-1", Severity.WARNING)
    client = site.client("mirror")
    assert {row["label"] for row in (await client.get("/api/patients")).json()["patients"]} == {""}
    assert (await client.get("/api/alerts")).json()["labels"] == {}


async def test_pages_and_files_show_an_application_no_labels(site: Site) -> None:
    site.add_user("mirror", Role.APPLICATION, "*")
    site.open_alert("low", "p-1", Severity.WARNING)
    site.registry.put_patient(Patient(id="p-1", label="Ada Example", tags=("icu",)))
    client = site.client("mirror")
    of_patient = [f"/patients/p-1{page}" for page in ("", "/rules", "/policy", "/patterns", "/files", "/reports")]
    for path in ("/", "/?search=ada", "/alerts", *of_patient, "/patients/p-1/reports/seven-day.html"):
        answer = await client.get(path)
        assert (answer.status_code, "p-1" in answer.text, "Ada" in answer.text) == (200, True, False), path
    archive = zipfile.ZipFile(io.BytesIO((await client.get("/patients/p-1/export.zip")).content))
    assert json.loads(archive.read("about.json"))["patient"]["label"] == ""


async def test_who_looks_after_the_installation_reads_there_the_names_of_their_own_patients_alone(site: Site) -> None:
    site.add_user("operator", Role.CLINICIAN, "p-2")
    leave = Permission(id="", issued_to="user/operator", action=Verb.VIEW, filter=("operations",))
    grant(site.registry, leave, by="admin", at_us=site.now_us)
    for patient in ("p-1", "p-2"):
        site.open_alert("low", patient, Severity.WARNING)
    page = (await site.client("operator").get("/operations")).text
    assert ("Ada Example" in page, "Ben Example" in page) == (False, True)
    assert "Ada Example" in (await site.client("admin").get("/operations")).text


async def test_the_list_begins_with_the_most_urgent(site: Site) -> None:
    for i, value in enumerate([100, 190, 300, 65], start=1):
        site.add_patient(f"u-{i}")
        site.add_readings(f"u-{i}", [value])
    site.open_alert("high", "u-3", Severity.WARNING)
    site.open_alert("urgent_low", "p-2", Severity.URGENT)
    rows = (await site.client("admin").get("/api/patients")).json()["patients"]
    assert [row["id"] for row in rows] == ["p-2", "u-3", "u-2", "u-4", "u-1", "p-1"]


async def test_a_series_comes_in_columns_with_its_events_and_alerts(site: Site) -> None:
    site.add_readings("p-1", [39, 70, 401])
    site.add_document(Topic.CARE_EVENTS, "p-1", "meal", '{"type":"meal","carbs_g":40}', minutes=30)
    site.open_alert("high", "p-1", Severity.WARNING)
    answer = (await site.client("nurse").get("/api/patients/p-1/series?hours=3")).json()
    assert answer["points"]["glucose_tenths"] == [390, 700, 4010]
    assert answer["points"]["range"] == [-1, 0, 1]
    assert answer["points"]["time_us"][-1] == site.now_us == answer["now_us"]
    assert [mark["body"]["carbs_g"] for mark in answer["care"]] == [40]
    assert [alert["rule"] for alert in answer["alerts"]] == ["high"]


async def test_a_list_is_of_who_is_sought_by_a_part_of_the_label_or_the_id_or_by_a_group(site: Site) -> None:
    for id, label, tags in (("w-1", "Ward One", ("icu",)), ("w-2", "", ("icu", "night")), ("x-3", "Øre ICU", ())):
        site.registry.put_patient(Patient(id=id, label=label, tags=tags))
    site.open_alert("low", "p-1", Severity.WARNING)
    for query, wanted in (
        ("", {"p-1", "p-2", "w-1", "w-2", "x-3"}),
        ("?search=W-", {"w-1", "w-2"}),
        ("?search=+ward+", {"w-1"}),
        ("?search=ØRE", {"x-3"}),
        ("?group=icu", {"w-1", "w-2"}),
        ("?group=night&search=one", set()),
        ("?search=%25", set()),
    ):
        found = (await site.client("admin").get(f"/api/patients{query}")).json()
        assert ({row["id"] for row in found["patients"]}, found["total"]) == (wanted, len(wanted)), query
        assert (found["everybody"], found["groups"]) == (5, ["icu", "night"])
        assert [alert["patient"] for alert in found["alerts"]] == ["p-1"]  # the number beside Alerts is of everybody
    assert "Nobody is found." in (await site.client("admin").get("/?search=%22%3E%3Cscript%3E")).text
    seen = (await site.client("nurse").get("/api/patients?search=w-")).json()
    assert (seen["patients"], seen["everybody"], seen["groups"]) == ([], 1, [])


async def test_an_application_finds_nobody_by_a_label(site: Site) -> None:
    site.add_user("mirror", Role.APPLICATION, "p-1", "p-2")
    found = (await site.client("mirror").get("/api/patients?search=ada")).json()
    assert ([row["id"] for row in found["patients"]], found["groups"]) == (["p-1", "p-2"], [])


@pytest.mark.parametrize("hours", ["0", "-1", "400", "nan", "x"])
async def test_hours_outside_of_what_is_shown_are_refused(site: Site, hours: str) -> None:
    answer = await site.client("nurse").get(f"/api/patients/p-1/series?hours={hours}")
    assert answer.status_code == 400


async def test_an_old_reading_is_still_given_so_that_its_age_can_be_shown(site: Site) -> None:
    site.add_readings("p-1", [123], end_us=site.now_us - 30 * HOUR_US)
    rows = (await site.client("nurse").get("/api/patients")).json()["patients"]
    assert rows[0]["points"]["glucose_tenths"] == [1230]
    series = (await site.client("nurse").get("/api/patients/p-1/series")).json()
    assert series["points"]["glucose_tenths"] == [1230]


async def test_the_first_acknowledgement_stays_and_a_second_one_is_in_the_log_for_who_pages_again(site: Site) -> None:
    alert = site.open_alert("urgent_low", "p-1", Severity.URGENT)
    first_us = site.now_us
    for user in ("nurse", "admin"):
        url, same = f"/api/alerts/{alert}/acknowledge", {"sec-fetch-site": "same-origin"}
        answer = await site.client(user).post(url, headers=same)
        assert (answer.status_code, answer.json()) == (200, {"id": alert, "by": "nurse"})
        site.follow()
        site.now_us += MINUTE_US
    stored = site.store.alert(alert)
    assert stored is not None
    assert (stored.acknowledged_by, stored.acknowledged_us, stored.active) == ("nurse", first_us, True)
    assert sum(site.log.end(Topic.ALERTS)) == 3


async def test_only_those_responsible_may_acknowledge(site: Site) -> None:
    alert = site.open_alert("urgent_low", "p-2", Severity.URGENT)
    site.add_user("mirror", Role.APPLICATION, "p-2")
    same = {"sec-fetch-site": "same-origin"}
    assert (await site.client("nurse").post(f"/api/alerts/{alert}/acknowledge", headers=same)).status_code == 403
    assert (await site.client("mirror").post(f"/api/alerts/{alert}/acknowledge", headers=same)).status_code == 403
    assert (await site.client().post(f"/api/alerts/{alert}/acknowledge", headers=same)).status_code == 401
    assert (await site.client("nurse").post("/api/alerts/none/acknowledge", headers=same)).status_code == 404
    assert sum(site.log.end(Topic.ALERTS)) == 1


async def test_operations_shows_dead_letters_without_their_payload(site: Site) -> None:
    body = '{"reason":"unit","message":"unit: expected one of mg/dL","payload_base64":"c2VjcmV0"}'
    site.add_document(Topic.DEAD_LETTERS, "", "unit", body)
    answer = await site.client("admin").get("/operations")
    assert "unit: expected one of mg/dL" in answer.text
    assert "c2VjcmV0" not in answer.text


async def test_a_label_cannot_break_out_of_the_page(site: Site) -> None:
    site.add_patient("p-1", "</script><script>alert(1)</script>")
    for path in ("/", "/patients/p-1", "/alerts"):
        assert "<script>alert" not in (await site.client("nurse").get(path)).text


async def test_the_clock_and_the_schema_are_published(site: Site) -> None:
    assert (await site.client("nurse").get("/api/clock")).json() == {"now_us": site.now_us, "speed": 1.0}
    schema = (await site.client().get("/schema/event.json")).json()
    assert schema["title"] == "Islet event, version 1"


async def test_every_page_says_what_the_product_is_not(site: Site) -> None:
    for path in ("/login", *PAGES):
        text = (await site.client("admin" if path != "/login" else "").get(path)).text
        assert "Not a medical device." in text, path
        assert "Dosing decisions should not be made based on this device." in text, path


async def test_language_and_unit_are_kept_for_the_user_and_the_language_for_the_browser(site: Site) -> None:
    client = site.client("nurse")
    same = {"sec-fetch-site": "same-origin"}
    fields = {"language": "zh-CN", "unit": "mmol/L", "back": "/alerts"}
    answer = await client.post("/settings", data=fields, headers=same)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    user = site.registry.user("nurse")
    assert user is not None
    assert (user.language, user.unit) == ("zh-CN", "mmol/L")
    page = await client.get("/")
    assert '<html lang="zh-CN">' in page.text
    assert "mmol/L" in page.text
    stranger = site.client()
    await stranger.post("/settings", data={"language": "zh-CN"}, headers=same)
    assert "登录" in (await stranger.get("/login")).text


async def test_an_unknown_language_or_unit_changes_nothing(site: Site) -> None:
    same = {"sec-fetch-site": "same-origin"}
    await site.client("nurse").post("/settings", data={"language": "xx", "unit": "stone"}, headers=same)
    user = site.registry.user("nurse")
    assert user is not None
    assert (user.language, user.unit) == ("en", "mg/dL")


async def test_the_browsers_language_is_used_before_anything_was_chosen(site: Site) -> None:
    answer = await site.client().get("/login", headers={"accept-language": "fr;q=0.9, zh-Hans-CN;q=0.8, en"})
    assert '<html lang="zh-CN">' in answer.text


async def test_an_old_active_alert_is_not_hidden_by_hundreds_of_newer_ones(site: Site) -> None:
    old = site.open_alert("urgent_low", "p-1", Severity.URGENT, minutes=3 * 24 * 60)
    rows = [
        AlertChange(change=change, rule="high", patient="p-1", onset_us=onset, at_us=onset, severity=Severity.WARNING)
        for onset in range(site.now_us - 600, site.now_us)
        for change in ("opened", "cleared")
    ]
    bodies = [(row, encode_change(row).decode()) for row in rows]
    batch = documents_batch([DocumentRow("p-1", "", row.at_us, row.change, body) for row, body in bodies])
    site.append(Topic.ALERTS, batch)
    client = site.client("nurse")
    for path in ("/api/patients", "/api/patients/p-1/series"):
        assert old in [alert["id"] for alert in (await client.get(path)).json()["alerts"]], path
    assert old in [alert["id"] for alert in (await client.get("/api/alerts")).json()["active"]]


async def test_long_answers_are_packed_unless_the_address_says_something_of_them(site: Site) -> None:
    site.add_readings("p-1", [100 + i % 40 for i in range(720)], every_min=0.25)
    client = site.client("nurse")
    for path in ("/", "/api/patients"):
        plain = await client.get(path, headers={"accept-encoding": "identity"})
        answer = await client.get(path)
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == "accept-encoding"
        assert int(answer.headers["content-length"]) < len(plain.content) / 4
        assert answer.text == plain.text
        assert "content-encoding" not in plain.headers
        assert "content-encoding" not in (await client.get(f"{path}?search=Ada")).headers
    assert "content-encoding" not in (await client.get("/api/clock")).headers


async def test_list_search_and_page_of_alerts_count_the_same_alerts_however_many_there_are(site: Site) -> None:
    changes = [
        AlertChange(
            change=change,
            rule="low",
            patient="p-1",
            onset_us=NOW_US - minutes * MINUTE_US,
            at_us=NOW_US - minutes * MINUTE_US + 1,
            severity=Severity.WARNING,
        )
        for minutes in range(1, 601)
        for change in ("opened", "cleared")
    ]
    site.append(Topic.ALERTS, change_documents(changes))
    client = site.client("nurse")
    pages = [(await client.get(path)).text for path in ("/", "/?search=nobody", "/alerts")]
    assert [page.count('"rule":"low","patient"') for page in pages] == [
        600,
        600,
        700,
    ]  # the last has 100 recent ones, too
