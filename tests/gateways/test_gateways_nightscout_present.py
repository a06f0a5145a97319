"""The present for watch faces and widgets, by Nightscout's /pebble and /api/v2/properties.

The expected numbers are those that Nightscout's own plugins (bgnow and direction of 0.12.8, with the factor of 15) give for
the same readings.
"""

from typing import Any

import pytest
from msgspec import structs

from islet.model.time import MINUTE_US, iso
from islet.store.app_secrets import new_app_secret
from tests.gateways.door import HUB, NOW_US
from tests.gateways.nightscout import Night, sha1

FIVE = {21: 100, 16: 104, 11: 112, 6: 118, 1: 131}
GAP = {13: 150, 1: 131}
MINUTES = {n: 100 + n * n for n in range(12)}
PATHS = ("/pebble", "/api/v2/properties", "/api/v2/properties/bgnow,delta")


async def given(night: Night, readings: dict[int, int]) -> None:
    """The values of a sensor so many minutes ago."""
    entries = [{"type": "sgv", "sgv": value, "date": ago_ms(minutes)} for minutes, value in readings.items()]
    await night.http.post("/entries", json=entries)
    night.follow()
    night.let_read()


def ago_ms(minutes: float) -> int:
    return round(NOW_US - minutes * MINUTE_US) // 1000


async def asked(night: Night, path: str, **query: str) -> Any:
    answer = await night.http.get(f"https://{HUB}{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize(
    ("units", "delta", "display", "scaled"),
    [("", 13, "+13", 131), ("mmol", 0.8, "+0.8", "7.3"), ("mgdl", 13, "+13", 131)],
)
async def test_properties_are_those_of_nightscout(
    night: Night, units: str, delta: float, display: str, scaled: object
) -> None:
    await given(night, FIVE)
    found = await asked(night, "/api/v2/properties", **({"units": units} if units else {}))
    now, said = found["bgnow"], found["delta"]
    assert (now["mean"], now["last"], now["mills"]) == (131, 131, ago_ms(1))
    assert [(one["mgdl"], one["scaled"], one["direction"]) for one in now["sgvs"]] == [(131, scaled, "SingleUp")]
    assert (said["absolute"], said["elapsedMins"], said["interpolated"], said["mean5MinsAgo"]) == (13, 5, False, 118)
    assert (said["mgdl"], said["scaled"], said["display"]) == (13, delta, display)
    assert [one["mgdl"] for one in said["previous"]["sgvs"]] == [118]
    assert [one["mean"] for one in found["buckets"]] == [131, 118, 112, 104]
    ends = [(one["index"], one["fromMills"], one["toMills"]) for one in found["buckets"]]
    assert (ends[0], ends[3]) == ((0, ago_ms(3.5), ago_ms(-1.5)), (3, ago_ms(18.5), ago_ms(13.5)))
    assert found["direction"] == {"display": None, "value": "SingleUp", "label": "↑", "entity": "&#8593;"}


async def test_a_change_over_a_gap_is_its_share_of_five_minutes(night: Night) -> None:
    await given(night, GAP)
    found = await asked(night, "/api/v2/properties/delta,buckets")
    assert sorted(found) == ["buckets", "delta"]
    said = found["delta"]
    assert (said["absolute"], said["elapsedMins"], said["interpolated"]) == (-19, 12, True)
    assert (said["mean5MinsAgo"], said["mgdl"], said["display"]) == (138.9167, -8, "-8")
    assert [one.get("isEmpty", False) for one in found["buckets"]] == [False, True, False, True]


async def test_of_a_reading_each_minute_five_are_one(night: Night) -> None:
    await given(night, MINUTES)
    found = await asked(night, "/api/v2/properties", units="mmol")
    assert [one["mgdl"] for one in found["bgnow"]["sgvs"]] == [100, 101, 104]
    assert (found["bgnow"]["mean"], found["bgnow"]["last"]) == (101.6667, 100)
    assert (found["delta"]["elapsedMins"], found["delta"]["mgdl"], found["delta"]["display"]) == (3, -25, "-1.4")


async def test_a_watch_face_gets_what_it_reads_in_the_types_that_it_reads(night: Night) -> None:
    """Nightguard takes sgv, iob and battery as texts, cob and datetime as numbers, and bgdelta as either."""
    await given(night, FIVE)
    bolus = {"eventType": "Meal Bolus", "insulin": 2, "carbs": 30, "created_at": iso(NOW_US)}
    await night.http.post("/treatments", json=bolus)
    await night.http.post("/devicestatus", json={"uploader": {"battery": 71}, "created_at": iso(NOW_US)})
    night.follow()
    found = await asked(night, "/pebble", count="2", units="mgdl")
    first, second = found["bgs"]
    assert (found["status"], found["cals"]) == ([{"now": NOW_US // 1000}], [])
    assert first == {
        "sgv": "131",
        "trend": 2,
        "direction": "SingleUp",
        "datetime": ago_ms(1),
        "bgdelta": 13,
        "battery": "71",
        "iob": "2.00",
        "cob": 30,
    }
    assert second == {"sgv": "118", "trend": 3, "direction": "FortyFiveUp", "datetime": ago_ms(6)}
    [one] = (await asked(night, "/pebble", units="mmol"))["bgs"]
    assert (one["sgv"], one["bgdelta"]) == ("7.3", "0.8")
    said = await asked(night, "/api/v2/properties/iob,cob,upbat,basal")
    assert (said["iob"]["iob"], said["iob"]["display"], said["iob"]["displayLine"]) == (2, "2.00", "IOB: 2.00U")
    assert (said["cob"]["cob"], said["cob"]["display"], said["cob"]["displayLine"]) == (30, 30, "COB: 30g")
    assert said["upbat"] == {"display": "71%", "value": 71, "level": 75, "status": None}
    assert "basal" not in said


async def test_nothing_is_said_of_what_nobody_told(night: Night) -> None:
    """No insulin on board is not the same as none that was told."""
    night.let_read()
    found = await asked(night, "/api/v2/properties")
    assert (found["bgnow"], found["buckets"], found["iob"], found["cob"]) == ({}, [], {}, {})
    assert "delta" not in found
    assert (await asked(night, "/pebble"))["bgs"] == []
    await given(night, {0: 131})
    assert (await asked(night, "/pebble"))["bgs"] == [
        {"sgv": "131", "trend": 0, "direction": "NONE", "datetime": ago_ms(0), "bgdelta": 0}
    ]


async def test_a_value_below_the_sensors_range_is_the_present_one(night: Night) -> None:
    await night.send(
        "phone", f'{{"type":"reading","time":"{iso(NOW_US)}","value":40,"range":"below","unit":"mg/dL"}}'.encode()
    )
    await given(night, {5: 60})
    assert (await asked(night, "/api/v2/properties"))["bgnow"]["last"] == 39


async def test_an_app_is_answered_in_its_unit(night: Night) -> None:
    await given(night, FIVE)
    secret = new_app_secret(night.door.registry, "phone", by="test", now_us=NOW_US, unit="mmol/L")
    night.http.headers.update(sha1(secret))
    assert (await asked(night, "/pebble"))["bgs"][0]["sgv"] == "7.3"
    assert (await asked(night, "/api/v1/status.json"))["settings"]["units"] == "mmol"
    assert (await asked(night, "/pebble", units="mg"))["bgs"][0]["sgv"] == "131"


async def test_the_present_is_told_to_an_app_that_may_read_and_of_its_own_patient(night: Night) -> None:
    registry = night.door.registry
    patient = registry.patient("p-1")
    assert patient is not None
    registry.put_patient(structs.replace(patient, id="p-2"))
    night.door.add_device("other", "p-2")
    other = sha1(new_app_secret(registry, "other", by="test", now_us=NOW_US))
    await given(night, FIVE)
    for path in PATHS:
        for headers in (other, sha1("guess"), {"api-secret": ""}):
            answer = await night.http.get(f"https://{HUB}{path}", headers=headers)
            assert (answer.status_code, "131" in answer.text) == (401, False)
    night.let_read("other", "p-2")
    for path in PATHS:
        assert "131" not in (await night.http.get(f"https://{HUB}{path}", headers=other)).text
        assert "131" in (await night.http.get(f"https://{HUB}{path}")).text


async def test_the_status_tells_an_app_what_it_may(night: Night) -> None:
    """LoopFollow shows by it whether a token writes, and goes on with the token that it gets; who shows nothing is told
    nothing."""
    said = await asked(night, "/api/v1/status.json", token=night.secret)
    assert said["authorized"]["permissionGroups"] == [
        ["api:*:create", "api:*:update", "api:*:delete", "api:treatments:create"]
    ]
    assert "thresholds" not in said["settings"]
    night.let_read()
    said = await asked(night, "/api/v1/status.json", token=night.secret)
    assert "api:*:read" in said["authorized"]["permissionGroups"][0]
    assert said["settings"]["thresholds"] == {"bgHigh": 250, "bgTargetTop": 180, "bgTargetBottom": 70, "bgLow": 54}
    night.http.headers.pop("api-secret")
    bearer = {"Authorization": f"Bearer {said['authorized']['token']}"}
    assert (await night.http.get("/entries", headers=bearer)).status_code == 200
    assert (await night.http.get("/status.json", headers=bearer)).json()["authorized"] is None
    stranger = (await night.http.get("/status.json")).json()
    assert (stranger["authorized"], "thresholds" in stranger["settings"]) == (None, False)


async def test_the_age_of_a_sensor_and_the_uploaders_battery_are_read_by_the_first_api(night: Night) -> None:
    night.let_read()
    for kind in ("Sensor Change", "Site Change"):
        await night.http.post("/treatments", json={"eventType": kind, "created_at": iso(NOW_US - MINUTE_US)})
    await night.http.post("/devicestatus", json={"uploader": {"battery": 71}, "created_at": iso(NOW_US)})
    night.follow()
    [one] = await night.get("/treatments", **{"find[eventType]": "Sensor Change", "count": "1"})
    assert (one["created_at"], "notes" in one) == ("2026-11-21T08:02:00.950Z", False)
    [status] = await night.get("/devicestatus.json", count="1")
    assert (status["uploader"], status["created_at"]) == ({"battery": 71}, "2026-11-21T08:03:00.950Z")
    assert await asked(night, "/api/v2/treatments.json", **{"find[eventType]": "Sensor Change"}) == [one]


@pytest.mark.parametrize(
    ("find", "found"),
    [
        ({"find[carbs][$exists]": "true", "find[enteredBy][$ne]": "Trio"}, ["Meal Bolus"]),
        ({"find[carbs][$exists]": "false"}, ["Note", "Sensor Change"]),
        ({"find[eventType][$regex]": "Change"}, ["Sensor Change"]),
        ({"find[eventType][$in][]": ["Note", "Meal Bolus"]}, ["Note", "Meal Bolus"]),
        ({"find[eventType][$nin][0]": "Note", "find[eventType][$nin][1]": "Meal Bolus"}, ["Sensor Change"]),
        ({"find[carbs][$gte]": "40"}, ["Meal Bolus"]),
        ({"find[carbs][$gt]": "40"}, []),
    ],
)
async def test_treatments_are_found_by_what_readers_ask_for(
    night: Night, find: dict[str, str | list[str]], found: list[str]
) -> None:
    """Trio and iAPS ask for carbs that exist, nightscout-reporter and others for any change."""
    night.let_read()
    meal = {"eventType": "Meal Bolus", "carbs": 40, "insulin": 4, "created_at": iso(NOW_US - 2 * MINUTE_US)}
    change = {"eventType": "Sensor Change", "created_at": iso(NOW_US - 3 * MINUTE_US)}
    note = {"eventType": "Note", "notes": "tired", "created_at": iso(NOW_US)}
    await night.http.post("/treatments", json=[meal, change, note])
    night.follow()
    assert [one["eventType"] for one in await night.get("/treatments.json", **find)] == found


async def test_readings_are_found_by_their_values_and_a_deletion_takes_only_what_is_named(night: Night) -> None:
    await given(night, FIVE)
    assert [one["sgv"] for one in await night.get("/entries.json", **{"find[sgv][$gt]": "112"})] == [131, 118]
    assert await night.get("/entries.json", **{"find[type][$in]": "cal"}) == []
    meal = {"eventType": "Meal Bolus", "carbs": 40, "insulin": 4, "created_at": iso(NOW_US - 2 * MINUTE_US)}
    note = {"eventType": "Note", "notes": "tired", "created_at": iso(NOW_US)}
    await night.http.post("/treatments", json=[meal, note])
    night.follow()
    carbs = {"find[carbs][$exists]": "true"}
    assert (await night.http.delete("/treatments.json", params=carbs)).json()["n"] == 0
    bounded = {**carbs, "find[created_at][$gte]": iso(NOW_US - 5 * MINUTE_US)}
    assert (await night.http.delete("/treatments.json", params=bounded)).json()["n"] == 1
    night.follow()
    assert [one["eventType"] for one in await night.get("/treatments.json")] == ["Note"]
