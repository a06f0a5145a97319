"""Nightscout's third API, by the wire of AndroidAPS: who is let in, and what is sent, corrected and withdrawn."""

import pytest

from islet.model.people import Patient
from islet.model.time import HOUR_US, iso
from islet.model.topics import Topic
from islet.store.app_secrets import end_app_secret, new_app_secret
from tests.gateways.aaps import AT_MS, BOLUS, SGV, Aaps
from tests.gateways.door import NOW_US


async def test_aaps_gets_a_token_and_is_told_what_it_may(aaps: Aaps) -> None:
    status = await aaps.result("status")
    assert status["apiPermissions"] == dict.fromkeys(
        ("devicestatus", "entries", "food", "profile", "settings", "treatments"), "crud"
    )
    assert (status["srvDate"], type(status["storage"]["storage"]), type(status["storage"]["version"])) == (
        NOW_US // 1000,
        str,
        str,
    )
    assert len(aaps.secret) >= 17  # what AAPS asks of a token
    given = (await aaps.http.get(f"/v2/authorization/request/{aaps.secret}")).json()
    assert given["exp"] - given["iat"] == 8 * 3600
    assert (await aaps.http.get("/v3/version")).json()["result"]["apiVersion"] == "3.0.5"


@pytest.mark.parametrize("shown", ["", "nobody", "a.b.c", "a.é.c"])
async def test_nobody_else_gets_in(aaps: Aaps, shown: str) -> None:
    for path in ("v3/status", "v3/lastModified", "v3/entries", "v3/settings/aaps", "v3/food"):
        answer = await aaps.http.get(path, headers={b"Authorization": f"Bearer {shown}".encode()})
        assert answer.status_code == 401
        assert answer.json() == {"status": 401, "message": "Missing or bad access token or JWT"}
    assert (await aaps.http.get(f"/v2/authorization/request/{shown or '-'}")).status_code == 401


@pytest.mark.parametrize("end", ["time", "secret", "another", "disabled", "forged"])
async def test_a_token_ends(aaps: Aaps, end: str) -> None:
    night, registry = aaps.night, aaps.night.door.registry
    assert (await aaps.ask("GET", "status")).status_code == 200
    match end:
        case "time":
            night.now_us += 8 * HOUR_US
        case "secret":
            end_app_secret(registry, "phone", by="test", now_us=NOW_US)
        case "another":
            new_app_secret(registry, "phone", by="test", now_us=NOW_US)
        case "disabled":
            night.door.change_device("phone", enabled=False)
        case _:
            head, body, signature = aaps.jwt.split(".")
            aaps.jwt = f"{head}.{body}.{signature[:-2]}AA"
    assert (await aaps._ask("GET", "status", None, {})).status_code == 401


async def test_a_token_opens_the_first_api_as_well(aaps: Aaps) -> None:
    await aaps.ask("GET", "status")
    answer = await aaps.http.get("/v1/entries", headers={"Authorization": f"Bearer {aaps.jwt}"})
    assert answer.status_code == 200


async def test_what_aaps_sends_is_in_the_log_when_it_is_answered_and_once(aaps: Aaps) -> None:
    answer = await aaps.ask("POST", "treatments", BOLUS)
    assert answer.status_code == 201
    said = answer.json()
    assert answer.headers["location"] == f"/api/v3/treatments/{said['identifier']}"
    assert said["lastModified"] == NOW_US // 1000
    door = aaps.night.door
    assert [(row["type"], row["device"]) for row in door.rows(Topic.CARE_EVENTS)] == [("insulin", "phone")]
    again = await aaps.ask("POST", "treatments", BOLUS)
    assert (again.status_code, again.json()["identifier"]) == (200, said["identifier"])
    assert again.json()["isDeduplication"] is True
    aaps.night.begin_anew()
    aaps.later()
    assert (await aaps.ask("POST", "treatments", BOLUS)).status_code == 200
    assert len(door.rows(Topic.CARE_EVENTS)) == 1


async def test_an_identifier_is_the_one_that_nightscout_makes(aaps: Aaps) -> None:
    """Of the example in its tutorial of the third API."""
    shown = {"device": "Samsung XCover 4-861536030196001", "date": 1564591511232, "eventType": "Correction Bolus"}
    assert await aaps.create("treatments", {**shown, "app": "AAPS", "insulin": 0.3}) == (
        201,
        "95e1a6e3-1146-5d6a-a3f1-41567cae0895",
    )
    _, named = await aaps.create("treatments", {**BOLUS, "identifier": "mine/of two"})
    assert named == "mine/of two"
    read = await aaps.ask("GET", "treatments/mine%2Fof%20two")
    assert (read.status_code, read.json()["result"]["identifier"]) == (200, named)
    assert (await aaps.ask("DELETE", "treatments/mine%2Fof%20two")).status_code == 200


async def test_the_log_that_cannot_commit_is_no_success(aaps: Aaps) -> None:
    aaps.night.door.log.error = OSError("the disk is full")
    assert (await aaps.ask("POST", "treatments", BOLUS)).status_code == 503
    aaps.night.door.log.error = None
    assert (await aaps.ask("POST", "treatments", BOLUS)).status_code == 201


@pytest.mark.parametrize("follows", [True, False])
async def test_a_bolus_that_was_cut_short_and_one_that_was_not_given(aaps: Aaps, follows: bool) -> None:
    """AAPS sends a correction as PATCH without date and offset, and a bolus that is not valid as DELETE."""
    _, identifier = await aaps.create("treatments", {**BOLUS, "insulin": 4.0})
    _, other = await aaps.create("treatments", {**BOLUS, "date": AT_MS + 1, "carbs": 20})
    if follows:
        aaps.later()
    cut = {name: value for name, value in BOLUS.items() if name not in ("date", "utcOffset")}
    assert (await aaps.ask("PATCH", f"treatments/{identifier}", {**cut, "insulin": 1.5})).status_code == 200
    assert (await aaps.ask("DELETE", f"treatments/{other}")).json() == {"status": 200}
    assert (await aaps.ask("GET", f"treatments/{other}")).status_code == 410
    assert (await aaps.ask("PATCH", f"treatments/{other}", cut)).status_code == 410
    assert (await aaps.ask("DELETE", f"treatments/{other}")).status_code == 200
    aaps.later()
    [told] = await aaps.result("treatments")
    assert (told["identifier"], told["insulin"], told["date"]) == (identifier, 1.5, AT_MS)
    _, changed = await aaps.history("treatments", AT_MS)
    assert [(one["identifier"], one["isValid"], one["insulin"]) for one in changed] == [
        (identifier, True, 1.5),
        (other, False, 0.3),
    ]
    assert changed[1]["date"] == AT_MS + 1  # AAPS leaves out what has no time
    assert (await aaps.history("treatments", changed[-1]["srvModified"]))[1] == []


async def test_a_part_is_patched_and_the_rest_stays(aaps: Aaps) -> None:
    meal = {"app": "x", "date": AT_MS, "eventType": "Meal Bolus", "carbs": 40, "insulin": 4, "notes": "rice"}
    _, identifier = await aaps.create("treatments", meal)
    assert (await aaps.ask("PATCH", f"treatments/{identifier}", {"insulin": 3.5})).status_code == 200
    aaps.later()
    [told] = await aaps.result("treatments?fields=carbs,insulin,notes,date")
    assert told == {"carbs": 40, "insulin": 3.5, "notes": "rice", "date": AT_MS}


@pytest.mark.parametrize("kind", ["Meal Bolus", "Snack Bolus", "Correction Bolus", "Bolus", "SMB"])
@pytest.mark.parametrize("carbs", [0, 40])
async def test_a_bolus_keeps_its_name(aaps: Aaps, kind: str, carbs: int) -> None:
    _, identifier = await aaps.create("treatments", {"date": AT_MS, "eventType": kind, "insulin": 4, "carbs": carbs})
    kept = kind if kind in ("Meal Bolus", "Snack Bolus") or not carbs else "Meal Bolus"
    aaps.later()
    assert (await aaps.result("treatments"))[0]["eventType"] == kept
    if kept == kind:
        assert (await aaps.ask("PATCH", f"treatments/{identifier}", {"insulin": 3})).status_code == 200


async def test_a_patch_that_would_lose_what_is_not_told_is_refused(aaps: Aaps) -> None:
    """A long-acting dose is told as a note; a patched note would make one of it."""
    slow = {**BOLUS, "eventType": "Meal Bolus", "insulin": 24, "isBasalInsulin": True}
    _, identifier = await aaps.create("treatments", slow)
    refused = await aaps.ask("PATCH", f"treatments/{identifier}", {"notes": "in the leg"})
    assert (refused.status_code, refused.json()["message"]) == (422, "Trying to modify read-only document")
    assert (await aaps.ask("PATCH", f"treatments/{identifier}", {**slow, "insulin": 22})).status_code == 200
    said = [(row["type"], '"dose_u":2' in str(row["body"])) for row in aaps.night.door.rows(Topic.CARE_EVENTS)]
    assert said == [("insulin", True), ("insulin", True)]
    assert all('"kind":"basal"' in str(row["body"]) for row in aaps.night.door.rows(Topic.CARE_EVENTS))


@pytest.mark.parametrize("patch", [{"date": AT_MS - 1}, {"created_at": "2026-11-21T07:58:00.949Z"}])
async def test_a_treatment_is_moved(aaps: Aaps, patch: dict[str, object]) -> None:
    _, identifier = await aaps.create("treatments", BOLUS)
    assert (await aaps.ask("PATCH", f"treatments/{identifier}", patch)).status_code == 200
    aaps.later()
    assert [(one["date"], one["insulin"]) for one in await aaps.result("treatments")] == [(AT_MS - 1, 0.3)]


async def test_a_device_that_is_given_to_another_has_told_nothing_of_them(aaps: Aaps) -> None:
    _, identifier = await aaps.create("treatments", BOLUS)
    aaps.night.door.registry.put_patient(Patient(id="p-2"))
    aaps.night.door.change_device("phone", patient="p-2")
    aaps.night.let_read("phone", "p-2")
    assert (await aaps.ask("GET", f"treatments/{identifier}")).status_code == 404
    assert (await aaps.create("treatments", BOLUS))[0] == 201
    assert [row["patient"] for row in aaps.night.door.rows(Topic.CARE_EVENTS)] == ["p-1", "p-2"]


async def test_put_replaces_or_makes(aaps: Aaps) -> None:
    place = "treatments/of-mine"
    assert (await aaps.ask("PUT", place, BOLUS)).status_code == 201
    since = {"If-Unmodified-Since": "Sat, 21 Nov 2026 08:00:00 GMT"}
    assert (await aaps.ask("PUT", place, {**BOLUS, "insulin": 1}, **since)).status_code == 412
    assert (await aaps.ask("PUT", place, {**BOLUS, "insulin": 2})).status_code == 200
    aaps.later()
    assert [one["insulin"] for one in await aaps.result("treatments")] == [2]
    await aaps.ask("DELETE", place)
    assert (await aaps.ask("PUT", place, BOLUS)).status_code == 410
    assert (await aaps.ask("PATCH", "treatments/nothing", BOLUS)).status_code == 404


async def test_an_app_changes_nothing_of_another(aaps: Aaps) -> None:
    aaps.night.door.add_device("other")
    other = Aaps(aaps.night, new_app_secret(aaps.night.door.registry, "other", by="test", now_us=NOW_US))
    _, identifier = await aaps.create("treatments", BOLUS)
    aaps.later()
    assert (await other.ask("DELETE", f"treatments/{identifier}")).status_code == 404
    assert (await other.ask("GET", f"treatments/{identifier}")).status_code == 403
    aaps.night.let_read("other")
    [told] = await other.result("treatments")
    assert told["isReadOnly"] is True
    for method in ("DELETE", "PATCH", "PUT"):
        assert (await other.ask(method, f"treatments/{identifier}", {**BOLUS, "insulin": 9})).status_code == 422
    aaps.later()
    assert [one["insulin"] for one in await aaps.result("treatments")] == [0.3]


async def test_what_is_not_kept_is_answered_so_that_apps_go_on(aaps: Aaps) -> None:
    for collection in ("profile", "food", "settings"):
        assert (await aaps.create(collection, {"app": "AAPS", "date": AT_MS}))[0] == 201
        assert await aaps.result(collection) == []
        assert await aaps.history(collection, AT_MS) == (None, [])
    loop = {**BOLUS, "eventType": "Temp Basal", "insulin": None, "rate": 1.1, "duration": 30}
    assert (await aaps.ask("GET", "settings/aaps")).status_code == 404
    _, identifier = await aaps.create("treatments", loop)
    assert (await aaps.ask("PATCH", f"treatments/{identifier}", loop)).status_code == 200
    note = {**BOLUS, "eventType": "Note", "insulin": None, "originalProfileName": "day", "notes": None}
    wizard = {**BOLUS, "eventType": "Bolus Wizard", "insulin": None, "glucose": 134, "units": "mg/dl"}
    gone = {**BOLUS, "isValid": False}
    for one in (note, wizard, gone):
        await aaps.create("treatments", one)
    assert aaps.night.door.rows(Topic.CARE_EVENTS) == []
    assert (await aaps.ask("GET", "activity")).status_code == 404


async def test_insulin_that_primed_a_pump_was_not_given(aaps: Aaps) -> None:
    await aaps.create("treatments", {**BOLUS, "eventType": "Meal Bolus", "insulin": 7, "type": "PRIMING"})
    aaps.later()
    assert [(one["eventType"], one["notes"], one.get("insulin")) for one in await aaps.result("treatments")] == [
        ("Note", "Priming 7 U", None)
    ]


async def test_a_phones_battery_and_a_fingers_glucose_are_kept(aaps: Aaps) -> None:
    await aaps.create("devicestatus", {"app": "AAPS", "date": AT_MS, "uploaderBattery": 71, "created_at": iso(NOW_US)})
    finger = {**BOLUS, "eventType": "BG Check", "insulin": None, "glucose": 98, "glucoseType": "Finger"}
    await aaps.create("treatments", {**finger, "units": "mg/dl"})
    assert [row["type"] for row in aaps.night.door.rows(Topic.DEVICE_READINGS)] == ["device_status"]
    aaps.later()
    assert [(one["type"], one["mbg"]) for one in await aaps.result("entries")] == [("mbg", 98)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "entries?limit=1001", None, 400),
        ("GET", "entries?limit=0", None, 400),
        ("GET", "entries?skip=-1", None, 400),
        ("GET", "entries?sort=date&sort$desc=date", None, 400),
        ("GET", "entries?sgv$re=.*", None, 400),
        ("GET", "entries?date$gt=yesterday", None, 400),
        ("GET", "entries/history/x", None, 400),
        ("POST", "entries", {}, 400),
        ("POST", "entries", [SGV], 400),
        ("POST", "entries", {**SGV, "date": None}, 400),
        ("POST", "entries", {**SGV, "device": "x" * (1 << 20)}, 413),
        ("POST", "nothing", SGV, 404),
    ],
)
async def test_other_requests_are_refused_in_words(
    aaps: Aaps, method: str, path: str, body: object, status: int
) -> None:
    answer = await aaps.ask(method, path, body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.json()["message"]


async def test_what_cannot_be_read_is_a_dead_letter(aaps: Aaps) -> None:
    assert (await aaps.create("treatments", {**BOLUS, "insulin": "many"}))[0] == 201
    [letter] = aaps.night.door.rows(Topic.DEAD_LETTERS)
    assert (letter["type"], letter["patient"], letter["device"]) == ("schema", "p-1", "phone")
