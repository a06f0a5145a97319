"""Nightscout's API at a front door: apps upload and read with their secret, and nobody else does."""

import asyncio
from typing import Any

import httpx
import pytest
from msgspec import structs

from islet.model.permissions import Permission, Verb
from islet.model.time import MINUTE_US, iso
from islet.model.topics import Topic
from islet.store.app_secrets import end_app_secret, new_app_secret
from islet.store.base import EntryKind
from islet.store.grants import grant
from tests.gateways.door import NOW_US
from tests.gateways.nightscout import Night, sha1

AT_MS = (NOW_US - 5 * MINUTE_US) // 1000
SGV: dict[str, object] = {"type": "sgv", "sgv": 112, "date": AT_MS, "direction": "Flat", "device": "xDrip-G6"}


async def test_readings_are_in_the_log_when_the_app_is_answered(night: Night) -> None:
    later = {**SGV, "date": AT_MS + 60_000, "sgv": 118}
    answer = await night.http.post("/entries.json", json=[SGV, later])
    assert answer.status_code == 200
    assert [(one["sgv"], len(one["_id"])) for one in answer.json()] == [(112, 24), (118, 24)]
    rows = night.door.rows(Topic.GLUCOSE_READINGS)
    assert [(row["patient"], row["device"], row["glucose_tenths"]) for row in rows] == [
        ("p-1", "phone", 1120),
        ("p-1", "phone", 1180),
    ]


async def test_the_answer_waits_for_the_commit_and_says_when_it_fails(night: Night) -> None:
    night.door.log.gate.clear()
    posting = asyncio.create_task(night.http.post("/entries", json=SGV))
    await asyncio.to_thread(night.door.log.entered.wait, 10)
    assert not posting.done()
    night.door.log.error = OSError("the disk is full")
    night.door.log.gate.set()
    answer = await posting
    assert (answer.status_code, answer.json()["status"]) == (503, 503)


async def test_treatments_and_batteries_are_events_and_an_upsert_is_answered_with_its_document(night: Night) -> None:
    meal = {"_id": "a" * 24, "eventType": "Meal Bolus", "created_at": iso(NOW_US), "carbs": 40, "insulin": 4}
    answer = await night.http.put("/treatments", json=meal)
    assert (answer.status_code, answer.json()) == (200, meal)
    assert (await night.http.post("/devicestatus.json", json={"uploader": {"battery": 71}})).status_code == 200
    assert [row["type"] for row in night.door.rows(Topic.CARE_EVENTS)] == ["insulin", "meal"]
    assert [row["type"] for row in night.door.rows(Topic.DEVICE_READINGS)] == ["device_status"]


async def test_what_cannot_be_read_is_a_dead_letter_and_stops_nothing(night: Night) -> None:
    answer = await night.http.post("/entries", json=[{"type": "sgv", "sgv": "many", "date": AT_MS}, SGV])
    assert answer.status_code == 200
    assert len(night.door.rows(Topic.GLUCOSE_READINGS)) == 1
    [letter] = night.door.rows(Topic.DEAD_LETTERS)
    assert (letter["type"], letter["patient"], letter["device"]) == ("schema", "p-1", "phone")


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/entries", b"{", 400),
        ("POST", "/entries", b"[1]", 400),
        ("POST", "/entries", b" " * ((4 << 20) + 1), 413),
        ("POST", "/entries", b"[" + b"{}," * 20_000 + b"{}]", 413),
        ("POST", "/profile", b"{}", 404),
        ("POST", "/food", b"{}", 404),
        ("DELETE", "/entries/" + "a" * 24, b"", 405),
        ("PATCH", "/entries", b"{}", 405),
        ("GET", "/alexa", b"", 404),
        ("GET", "/entries?count=x", b"", 401),
    ],
)
async def test_other_requests_are_refused_in_words(
    night: Night, method: str, path: str, body: bytes, status: int
) -> None:
    answer = await night.http.request(method, path, content=body)
    assert answer.status_code == status
    assert night.door.rows(Topic.GLUCOSE_READINGS) == []


@pytest.mark.parametrize("way", ["hash", "HASH", "plain", "secret", "token", "bearer", "token="])
async def test_an_app_shows_its_secret_in_any_of_the_ways_that_apps_have(night: Night, way: str) -> None:
    headers, query = dict[str, str](), dict[str, str]()
    hashed = sha1(night.secret)["api-secret"]
    match way:
        case "hash" | "HASH" | "plain" | "token=":
            shown = {"hash": hashed, "HASH": hashed.upper(), "plain": night.secret, "token=": f"token={night.secret}"}
            headers = {"api-secret": shown[way]}
        case "secret" | "token":
            query = {way: hashed if way == "secret" else night.secret}
        case _:
            headers = {"Authorization": f"Bearer {night.secret}"}
    night.http.headers.pop("api-secret")
    answer = await night.http.get("/experiments/test", headers=headers, params=query)
    assert answer.status_code == 200


async def test_a_months_readings_of_juggluco_are_taken_at_once(night: Night) -> None:
    texts = {
        "dateString": "2026-11-21T09:00:00.000+0100",
        "direction": "FortyFiveDown",
        "device": "X" * 16,
        "delta": -1.993,
    }
    others = {"noise": 1, "filtered": 112_000, "unfiltered": 112_000, "rssi": 100, "padding": "x" * 100}
    entries = [{**SGV, **texts, **others, "date": AT_MS - 60_000 * n} for n in range(10_440)]
    answer = await night.http.post("/entries", json=entries)
    assert (answer.status_code, len(answer.json())) == (200, len(entries))
    assert len(night.door.rows(Topic.GLUCOSE_READINGS)) == len(entries)


async def test_a_deletion_is_answered_so_that_an_app_goes_on_whatever_it_names(night: Night) -> None:
    await night.http.post("/treatments", json={"carbs": 15, "created_at": iso(NOW_US)})
    for path, count in (
        (f"/treatments/{'b' * 24}", 1),  # not known yet, or any more
        ("/treatments.json?find[id][$eq]=x", 1),
        ("/treatments.json?find[notes]=x", 0),
        ("/treatments?count=1", 0),  # without a word which
        ("/treatments/*", 0),
    ):
        answer = await night.http.delete(path)
        assert (path, answer.status_code, answer.json()) == (path, 200, {"n": count, "ok": 1})
        assert (await night.http.delete(path, headers=sha1("guess"))).status_code == 401
    night.follow()
    night.let_read()
    assert len(await night.get("/treatments")) == 1


async def test_nobody_sends_without_the_secret_of_a_device_that_may(night: Night) -> None:
    registry = night.door.registry
    async with httpx.AsyncClient(transport=night.http._transport, base_url=night.http.base_url) as stranger:
        for headers in ({}, {"api-secret": ""}, {"api-secret": "0" * 40}, sha1("guess"), {"Authorization": "Bearer x"}):
            for method, path in (("POST", "/entries"), ("GET", "/entries"), ("GET", "/experiments/test")):
                assert (await stranger.request(method, path, headers=headers, json=SGV)).status_code == 401
        device = registry.device("phone")
        assert device is not None
        for shown in (device.primary_key, *registry.entries(EntryKind.APP)):  # neither the key nor what is kept
            assert (await stranger.post("/entries", headers=sha1(shown), json=SGV)).status_code == 401
            assert (await stranger.post("/entries", headers={"api-secret": shown}, json=SGV)).status_code == 401
    night.door.change_device("phone", enabled=False)
    assert (await night.http.post("/entries", json=SGV)).status_code == 401
    night.door.change_device("phone", enabled=True)
    refused = Permission(id="", issued_to="device/phone", principal_for="p-1", action=Verb.SEND, authorized=False)
    grant(registry, refused, by="test", at_us=NOW_US)
    assert (await night.http.post("/entries", json=SGV)).status_code == 401
    assert night.door.rows(Topic.GLUCOSE_READINGS) == []


async def test_a_secret_ends_with_a_newer_one_with_the_device_and_when_it_is_taken_away(night: Night) -> None:
    registry = night.door.registry
    newer = new_app_secret(registry, "phone", by="test", now_us=NOW_US)
    assert (await night.http.post("/entries", json=SGV)).status_code == 401
    assert (await night.http.post("/entries", json=SGV, headers=sha1(newer))).status_code == 200
    known = registry.device("phone")
    assert known is not None
    registry.delete_device("phone")
    assert (await night.http.post("/entries", json=SGV, headers=sha1(newer))).status_code == 401
    registry.create_device(structs.replace(known, generation_id="2"))
    assert (await night.http.post("/entries", json=SGV, headers=sha1(newer))).status_code == 401
    newest = new_app_secret(registry, "phone", by="test", now_us=NOW_US)
    assert end_app_secret(registry, "phone", by="test", now_us=NOW_US)
    assert not end_app_secret(registry, "phone", by="test", now_us=NOW_US)
    assert (await night.http.post("/entries", json=SGV, headers=sha1(newest))).status_code == 401


async def test_an_app_reads_its_own_patient_where_it_was_granted_to(night: Night) -> None:
    night.door.registry.put_patient(structs.replace(_patient(night), id="p-2"))
    night.door.add_device("other", "p-2")
    others = new_app_secret(night.door.registry, "other", by="test", now_us=NOW_US)
    entries = [{**SGV, "date": AT_MS - 300_000 * n, "sgv": 100 + n} for n in range(12)]
    await night.http.post("/entries", json=entries)
    await night.http.post("/entries", json={**SGV, "sgv": 287}, headers=sha1(others))
    await night.http.post("/entries", json={"type": "mbg", "mbg": 95, "date": AT_MS + 1})
    night.follow()
    for path in ("/entries", "/entries/current.json", "/treatments", "/devicestatus", "/profile"):
        assert (await night.http.get(path)).status_code == 401
    night.let_read()
    found = await night.get("/entries.json")
    assert [one["type"] for one in found] == ["mbg", *["sgv"] * 9]
    assert [one["sgv"] for one in await night.get("/entries/sgv.json", count="3")] == [100, 101, 102]
    assert [one["sgv"] for one in await night.get("/entries/current.json")] == [100]
    since = {"find[date][$gte]": str(AT_MS - 300_000), "find[type]": "sgv", "count": "100"}
    assert [one["sgv"] for one in await night.get("/entries", **since)] == [100, 101]
    assert {one["type"] for one in await night.get("/entries", **{"find[type][$ne]": "mbg"})} == {"sgv"}
    assert len(await night.get("/entries", **{"find[type][$ne]": "cal", "count": "100"})) == 13
    assert [one["sgv"] for one in await night.get("/entries/sgv", **{"find[sgv]": "111"})] == [111]
    assert (await night.http.get("/entries", headers=sha1(others))).status_code == 401
    night.let_read("other", "p-2")
    answer = await night.http.get("/entries", headers=sha1(others))
    assert [one["sgv"] for one in answer.json()] == [287]
    assert (await night.http.get("/entries", params={"count": "x"})).status_code == 400


async def test_treatments_are_read_as_they_were_sent(night: Night) -> None:
    night.let_read()
    await night.http.post(
        "/treatments", json=[{"eventType": "Carb Correction", "carbs": 15, "created_at": iso(NOW_US - MINUTE_US)}]
    )
    night.follow()
    [one] = await night.get("/treatments.json", **{"find[eventType]": "Carb Correction"})
    assert (one["carbs"], one["enteredBy"]) == (15, "phone")
    assert await night.get("/treatments.json", **{"find[uuid]": "none"}) == []
    assert await night.get("/treatments.json", **{"find[enteredBy][$ne]": "phone"}) == []
    assert await night.get("/profile.json") == await night.get("/devicestatus.json") == []


async def test_what_an_app_reads_is_known_by_the_id_that_it_was_answered(night: Night) -> None:
    night.let_read()
    bolus = {"eventType": "<none>", "insulin": 4, "carbs": 40, "notes": "rice", "created_at": iso(NOW_US - MINUTE_US)}
    later = {"eventType": "Note", "notes": "tired", "created_at": iso(NOW_US)}
    sent = (await night.http.post("/treatments", json=[bolus, later])).json()
    night.follow()
    tired, meal = await night.get("/treatments")
    assert [tired["_id"], meal["_id"]] == [sent[1]["_id"], sent[0]["_id"]]
    assert (meal["eventType"], meal["insulin"], meal["carbs"], meal["notes"]) == ("Meal Bolus", 4, 40, "rice")
    assert [one["_id"] for one in await night.get("/treatments", count="1")] == [sent[1]["_id"]]


async def test_a_treatment_is_answered_with_its_time_and_sent_again_is_one(night: Night) -> None:
    bolus = {"eventType": "Bolus", "insulin": 4, "eventTime": "2026-11-21T07:00:00.000Z", "enteredBy": "xDrip4iOS"}
    for _ in range(2):
        [answer] = (await night.http.post("/treatments", json=[bolus])).json()
        assert answer["created_at"] == "2026-11-21T07:00:00.000Z"
    [undated] = (await night.http.post("/treatments", json={"carbs": 15})).json()
    assert undated["created_at"] == "2026-11-21T08:03:00.950Z"
    night.let_read()
    night.follow()
    meal, dose = await night.get("/treatments")
    assert (meal["created_at"], meal["carbs"]) == (undated["created_at"], 15)
    assert (dose["created_at"], dose["_id"], dose["insulin"]) == (answer["created_at"], answer["_id"], 4)


async def test_status_is_everybodys_and_says_nothing_of_anybody(night: Night) -> None:
    async with httpx.AsyncClient(transport=night.http._transport, base_url=night.http.base_url) as stranger:
        said = (await stranger.get("/status.json")).json()
        assert (said["status"], said["settings"]["units"], said["authorized"]) == ("ok", "mg/dl", None)
        assert (await stranger.get("/status.json", params={"token": "guess"})).status_code == 401
        nobody = (await stranger.get("/verifyauth")).json()["message"]
        assert (nobody["message"], nobody["canRead"], nobody["canWrite"]) == ("UNAUTHORIZED", False, False)
    assert (await night.get("/status"))["status"] == "ok"
    app = (await night.get("/verifyauth"))["message"]
    assert (app["message"], app["canRead"], app["canWrite"]) == ("OK", False, True)
    night.let_read()
    assert (await night.get("/verifyauth.json"))["message"]["canRead"]


async def test_who_guesses_is_counted_wherever_they_try(night: Night) -> None:
    told: list[tuple[str, ...]] = []
    night.door.authenticator.turned_away = lambda *attempt: told.append(attempt)
    for path in ("/verifyauth", "/status", "/entries", "/experiments/test"):
        await night.http.get(path, headers=sha1("guess"))
    assert len(told) == 4
    night.http.headers.pop("api-secret")
    for path in ("/verifyauth", "/status"):  # who shows nothing guesses nothing there
        await night.http.get(path)
    assert len(told) == 4


def _patient(night: Night) -> Any:
    found = night.door.registry.patient("p-1")
    assert found is not None
    return found
