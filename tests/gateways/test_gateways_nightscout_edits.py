"""Treatments that apps correct and delete: what holds is what the app showed last."""

import asyncio
from typing import Any

import pytest

from islet.model.codec import encode_event
from islet.model.events import Insulin, Withdrawal
from islet.model.time import MINUTE_US, from_us, iso
from islet.model.topics import Topic
from islet.store.app_secrets import new_app_secret
from tests.gateways.door import NOW_US
from tests.gateways.nightscout import Night, sha1

AT = iso(NOW_US - MINUTE_US)
MEAL: dict[str, object] = {"_id": "a" * 24, "eventType": "Meal Bolus", "created_at": AT, "carbs": 40, "insulin": 4}


async def _told(night: Night) -> list[tuple[Any, ...]]:
    night.follow()
    night.let_read()
    return [(one.get("carbs"), one.get("insulin"), one.get("notes")) for one in await night.get("/treatments")]


@pytest.mark.parametrize("follows", [True, False])
async def test_a_treatment_that_is_sent_again_replaces_what_it_was(night: Night, follows: bool) -> None:
    for change in (
        {},
        {"insulin": 6},
        {"insulin": 6, "notes": "rice"},
        {"carbs": 0, "insulin": 6},
        {"carbs": 40, "insulin": 4},  # as it was at first
        {"carbs": 30, "insulin": 4, "created_at": iso(NOW_US - 30 * MINUTE_US)},
    ):
        assert (await night.http.put("/treatments", json={**MEAL, **change})).status_code == 200
        if follows:
            night.follow()
    assert await _told(night) == [(30, 4, None)]


async def test_what_an_app_sends_over_and_over_is_written_once(night: Night) -> None:
    others = [{**MEAL, "_id": "", "created_at": iso(NOW_US - n * MINUTE_US)} for n in range(2, 6)]
    loop = {"eventType": "Temp Basal", "created_at": AT, "rate": 1.1, "_id": "c" * 24}
    for round_ in range(4):
        if round_ == 2:  # the platform is started again
            night.follow()
            night.begin_anew()
        await night.http.post("/treatments", json=[MEAL, loop, *others])
    assert len(night.door.rows(Topic.CARE_EVENTS)) == 2 * (1 + len(others))


@pytest.mark.parametrize(
    "path",
    [
        f"/treatments/{'a' * 24}",
        f"/treatments/{'a' * 24}.json",
        f"/treatments?find[_id]={'a' * 24}",
        f"/treatments.json?find[created_at][$eq]={AT}",
        f"/treatments.json?find[created_at][$gte]={AT}&find[carbs]=40.0",
        "/treatments/*?find[eventType]=Meal+Bolus",
    ],
)
async def test_a_treatment_is_withdrawn_in_any_of_the_ways_in_which_apps_name_it(night: Night, path: str) -> None:
    await night.http.post("/treatments", json=[MEAL, {"carbs": 15, "created_at": iso(NOW_US)}])
    night.follow()
    assert (await night.http.delete(path)).json() == {"n": 1, "ok": 1}
    assert await _told(night) == [(15, None, None)]
    await night.http.post("/treatments", json=MEAL)  # it was so after all
    assert await _told(night) == [(15, None, None), (40, 4, None)]


@pytest.mark.parametrize("name", ["identifier", "syncIdentifier", "uuid", "id"])
async def test_an_apps_own_name_for_a_treatment_is_enough(night: Night, name: str) -> None:
    mine = {"eventType": "Bolus", "insulin": 4, "created_at": AT, name: "one-of-mine"}
    [sent] = (await night.http.post("/treatments", json=mine)).json()
    await night.http.post("/treatments", json={**mine, "insulin": 5})
    assert await _told(night) == [(None, 5, None)]
    [read] = await night.get("/treatments")
    assert read["_id"] == sent["_id"]
    assert (await night.http.delete("/treatments", params={f"find[{name}][$eq]": "one-of-mine"})).json()["n"] == 1
    assert await _told(night) == []


async def test_an_app_withdraws_nothing_of_another(night: Night) -> None:
    night.door.add_device("other")
    other = sha1(new_app_secret(night.door.registry, "other", by="test", now_us=NOW_US))
    await night.http.post("/treatments", json=MEAL)
    night.follow()
    await night.http.delete(f"/treatments/{'a' * 24}", headers=other)
    assert (await night.http.delete(f"/treatments?find[created_at]={AT}", headers=other)).json() == {"n": 0, "ok": 1}
    assert await _told(night) == [(40, 4, None)]


async def test_an_entry_of_before_is_withdrawn_by_the_id_that_it_is_read_with(night: Night) -> None:
    sent = f'{{"type":"insulin","time":"{AT}","dose_u":4,"kind":"bolus"}}'
    await night.send("phone", sent.encode())
    assert await _told(night) == [(None, 4, None)]
    [read] = await night.get("/treatments")
    assert (await night.http.delete(f"/treatments/{read['_id']}")).json() == {"n": 1, "ok": 1}
    assert await _told(night) == []


async def test_nothing_is_forgotten_that_was_not_kept(night: Night) -> None:
    """What the log could not take is sent once more, and is news then."""
    night.door.log.error = OSError("the disk is full")
    assert (await night.http.post("/treatments", json=MEAL)).status_code == 503
    night.door.log.error = None
    assert (await night.http.post("/treatments", json=MEAL)).status_code == 200
    assert await _told(night) == [(40, 4, None)]


async def test_of_one_treatment_that_is_twice_in_a_request_the_last_counts(night: Night) -> None:
    await night.http.post("/treatments", json=[MEAL, {**MEAL, "insulin": 5}, {**MEAL, "carbs": 30}])
    assert await _told(night) == [(30, 4, None)]
    await night.http.post("/treatments", json=[MEAL, {**MEAL, "eventType": "Temp Basal", "carbs": 0, "insulin": 0}])
    assert await _told(night) == []


async def test_of_two_requests_at_once_one_counts(night: Night) -> None:
    await asyncio.gather(
        *(
            night.http.put("/treatments", json={**MEAL, "carbs": carbs, "insulin": carbs / 10})
            for carbs in range(10, 90, 10)
        )
    )
    [(carbs, insulin, _)] = await _told(night)
    assert insulin == carbs / 10


async def test_what_was_changed_here_stays_when_an_app_sends_after_a_restart_what_it_has_sent_before(
    night: Night,
) -> None:
    later = {**MEAL, "_id": "b" * 24, "created_at": iso(NOW_US)}
    await night.http.post("/treatments", json=[MEAL, later])
    night.follow()
    at, revision = from_us(NOW_US), NOW_US // 1000 + 1
    for changed in (
        Insulin(id="a" * 24, revision=revision, time=at, dose_u=6.0, kind="bolus"),
        Withdrawal(id="b" * 24, revision=revision, time=at),
    ):
        await night.send("phone", encode_event(changed))
    night.follow()
    night.begin_anew()
    await night.http.post("/treatments", json=[MEAL, later])
    assert await _told(night) == [(None, 6, None)]
    await night.http.post("/treatments", json={**MEAL, "insulin": 7})  # but what the app changes is changed
    assert await _told(night) == [(40, 7, None)]


async def test_what_was_kept_before_treatments_had_ids_is_not_doubled_when_it_is_sent_again(night: Night) -> None:
    for said in ('"type":"meal","carbs_g":40', '"type":"insulin","dose_u":4,"kind":"bolus","name":"Meal Bolus"'):
        await night.send("phone", f'{{"time":"{AT}",{said}}}'.encode())
    night.follow()
    await night.http.post("/treatments", json=MEAL)
    assert await _told(night) == [(40, 4, None)]


async def test_an_id_that_is_longer_than_is_kept_names_its_treatment(night: Night) -> None:
    await night.http.post("/treatments", json={**MEAL, "_id": "a" * 300})
    night.follow()
    for path in (f"/treatments/{'a' * 300}", f"/treatments?find[_id]={'a' * 300}"):
        assert (await night.http.delete(path)).json() == {"n": 1, "ok": 1}
        assert await _told(night) == []
        assert len(night.door.rows(Topic.DEAD_LETTERS)) == 0
