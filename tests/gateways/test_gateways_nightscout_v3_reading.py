"""Nightscout's third API, by the wire of AndroidAPS: what it reads, and what it is told of as changed."""

import asyncio
import json

import pytest

from islet.model.care_events import care_event_id
from islet.model.codec import decode_event
from islet.model.time import DAY_US, MINUTE_US, SECOND_US, iso
from islet.store.app_secrets import new_app_secret
from tests.gateways.aaps import AT_MS, BOLUS, SGV, Aaps
from tests.gateways.door import NOW_US


async def test_aaps_reads_back_what_it_sent_under_the_name_that_it_was_answered(aaps: Aaps) -> None:
    _, bolus = await aaps.create("treatments", BOLUS)
    _, sgv = await aaps.create("entries", SGV)
    aaps.later()
    [treatment] = await aaps.result(f"treatments?sort=created_at&created_at$gt={iso(NOW_US - DAY_US)}&limit=500")
    assert treatment["identifier"] == bolus
    assert (treatment["date"], treatment["insulin"], treatment["eventType"]) == (AT_MS, 0.3, "Correction Bolus")
    assert treatment["isValid"] is True and "isReadOnly" not in treatment
    [entry] = await aaps.result(f"entries?sort=date&date$gt={AT_MS - 1}&limit=500")
    assert (entry["identifier"], entry["date"], entry["sgv"], entry["type"]) == (sgv, AT_MS, 112, "sgv")
    assert entry == (await aaps.ask("GET", f"entries/{sgv}")).json()["result"]


async def test_a_first_load_ends(aaps: Aaps) -> None:
    """AAPS asks for what is newer than the newest that it has, in pages, until nothing comes: also where an instant has a
    fraction of a millisecond, and where it begins with nothing."""
    for n in range(7):
        sent = f'{{"type":"insulin","time":"{iso(NOW_US - n * DAY_US - 777)}","dose_u":{n + 1},"kind":"bolus"}}'
        await aaps.night.send("phone", sent.encode())
        await aaps.night.send("phone", sent.replace("insulin", "reading").encode())
    aaps.later()
    doses, newest = list[float](), NOW_US // 1000 - 100 * 86_400_000
    for _ in range(20):
        after = iso(newest * 1000)
        page = await aaps.result(f"treatments?sort=created_at&created_at$gt={after}&limit=3")
        if not page:
            break
        doses += [one["insulin"] for one in page]
        newest = max(one["date"] for one in page)
    assert doses == [7, 6, 5, 4, 3, 2, 1]


async def test_history_tells_everything_once_also_what_came_together(aaps: Aaps) -> None:
    """More readings of one request than a page holds have one instant of receipt: no page may end among them."""
    old = [
        f'{{"type":"reading","time":"{iso(NOW_US - n * MINUTE_US)}","value":{100 + n},"unit":"mg/dL"}}'
        for n in range(9)
    ]
    await asyncio.gather(*(aaps.night.send("phone", one.encode()) for one in old))
    aaps.later()
    since, seen = 1_600_000_000_000, list[int]()
    for _ in range(9):
        newest, page = await aaps.history("entries", since, limit=2)
        if newest is None:
            break
        since = newest
        seen += [one["sgv"] for one in page]
    assert sorted(seen) == list(range(100, 109))


async def test_nothing_is_told_as_changed_while_its_instant_is_not_over(aaps: Aaps) -> None:
    await aaps.create("treatments", BOLUS)
    await aaps.create("entries", SGV)
    aaps.later(SECOND_US)
    assert await aaps.history("treatments", AT_MS) == (None, [])
    assert await aaps.history("entries", AT_MS) == (None, [])
    aaps.later(2 * SECOND_US)
    assert (await aaps.history("treatments", AT_MS))[0] == NOW_US // 1000
    assert (await aaps.history("entries", AT_MS))[0] == NOW_US // 1000


async def test_a_withdrawal_is_told_to_those_who_were_told_of_the_treatment(aaps: Aaps) -> None:
    _, identifier = await aaps.create("treatments", BOLUS)
    aaps.later()
    newest, [told] = await aaps.history("treatments", AT_MS)
    assert newest is not None and told["isValid"] is True
    await aaps.ask("DELETE", f"treatments/{identifier}")
    aaps.later()
    changed = (await aaps.result("lastModified"))["collections"]["treatments"]
    assert changed > newest
    assert (await aaps.history("treatments", newest))[1] == [
        {**told, "srvModified": changed, "srvCreated": changed, "isValid": False}
    ]
    assert await aaps.result("treatments") == []


async def test_what_has_no_id_of_the_senders_is_told_and_withdrawn_too(aaps: Aaps) -> None:
    for kind, amount in (("insulin", '"dose_u":4,"kind":"bolus"'), ("meal", '"carbs_g":40')):
        await aaps.night.send("phone", f'{{"type":"{kind}","time":"{iso(NOW_US)}",{amount}}}'.encode())
    aaps.later()
    newest, [told] = await aaps.history("treatments", AT_MS)
    assert (told["insulin"], told["carbs"], told["eventType"]) == (4, 40, "Meal Bolus")
    assert (await aaps.ask("DELETE", f"treatments/{told['identifier']}")).status_code == 200
    aaps.later()
    _, [gone] = await aaps.history("treatments", newest or 0)
    assert (gone["identifier"], gone["isValid"]) == (told["identifier"], False)


async def test_what_somebody_else_corrected_is_told_as_it_is_now(aaps: Aaps) -> None:
    """As by hand: under the id that an entry has, or the one that is made of what it says, from the device that told it."""
    _, identifier = await aaps.create("treatments", BOLUS)
    plain = f'{{"type":"insulin","time":"{iso(NOW_US)}","dose_u":4,"kind":"bolus"}}'
    await aaps.night.send("phone", plain.encode())
    aaps.later()
    newest, [_, before] = await aaps.history("treatments", AT_MS)
    made = care_event_id(decode_event(plain.encode()))  # type: ignore[arg-type]
    later = 2 * NOW_US // 1000
    for id, dose_u in ((identifier, 0.2), (made, 5)):
        corrected = {"id": id, "revision": later, "dose_u": dose_u, "kind": "bolus"}
        await aaps.night.send("phone", json.dumps({"type": "insulin", "time": iso(NOW_US), **corrected}).encode())
    aaps.later()
    assert (await aaps.ask("GET", f"treatments/{identifier}")).json()["result"]["insulin"] == 0.2
    _, changed = await aaps.history("treatments", newest or 0)
    assert sorted((one["identifier"], one["isValid"], one["insulin"]) for one in changed) == sorted(
        [(identifier, True, 0.2), (before["identifier"], False, 4), (made, True, 5)]
    )


async def test_the_age_of_a_sensor_is_told_back(aaps: Aaps) -> None:
    await aaps.create("treatments", {"date": AT_MS, "eventType": "Sensor Change", "app": "AAPS", "duration": 0})
    aaps.later()
    [told] = await aaps.result("treatments?eventType$eq=Sensor+Change")
    assert (told["date"], "notes" in told) == (AT_MS, False)
    for query, found in (("$eq=Announcement", 0), ("$in=Announcement|Sensor+Change", 1), ("$ne=Sensor+Change", 0)):
        assert len(await aaps.result(f"treatments?eventType{query}")) == found


async def test_readings_are_read_only(aaps: Aaps) -> None:
    _, identifier = await aaps.create("entries", SGV)
    aaps.later()
    for method in ("PATCH", "PUT", "DELETE"):
        assert (await aaps.ask(method, f"entries/{identifier}", {**SGV, "sgv": 90})).status_code == 422
    assert (await aaps.ask("DELETE", f"entries/{'0' * 24}")).status_code == 404
    assert [one["isReadOnly"] for one in await aaps.result("entries")] == [True]


async def test_without_the_grant_nothing_is_read(aaps: Aaps) -> None:
    aaps.night.door.add_device("other")
    other = Aaps(aaps.night, new_app_secret(aaps.night.door.registry, "other", by="test", now_us=NOW_US))
    _, identifier = await aaps.create("entries", SGV)
    aaps.later()
    assert (await other.result("status"))["apiPermissions"]["entries"] == "cud"
    assert (await other.result("lastModified"))["collections"] == {}
    for path in ("entries", "treatments", "entries/history/1", f"entries/{identifier}", "treatments/x"):
        answer = await other.ask("GET", path)
        assert (answer.status_code, "112" in answer.text) == (403, False)
    assert (await other.ask("DELETE", f"entries/{identifier}")).status_code == 404


async def test_numbers_are_of_the_types_that_aaps_reads(aaps: Aaps) -> None:
    """A fraction where it reads a whole number keeps it from all that stands behind it."""
    await aaps.create(
        "treatments", {**BOLUS, "eventType": "Exercise", "insulin": None, "duration": 30.5, "notes": "run"}
    )
    aaps.later()
    [told] = await aaps.result("treatments")
    assert (told["duration"], type(told["duration"]), type(told["date"]), type(told["utcOffset"])) == (
        30,
        int,
        int,
        int,
    )


async def test_history_by_header_and_read_if_modified(aaps: Aaps) -> None:
    _, identifier = await aaps.create("treatments", BOLUS)
    aaps.later()
    header = {"Last-Modified": "Sat, 21 Nov 2026 08:03:00 GMT"}
    assert len((await aaps.ask("GET", "treatments/history", **header)).json()["result"]) == 1
    assert (await aaps.ask("GET", "treatments/history")).status_code == 400
    read = await aaps.ask("GET", f"treatments/{identifier}")
    assert read.headers["last-modified"] == header["Last-Modified"]
    known = {"If-Modified-Since": header["Last-Modified"]}
    assert (await aaps.ask("GET", f"treatments/{identifier}", **known)).status_code == 304


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("sort=date", [100, 101, 102, 103]),
        ("sort$desc=date&limit=1", [103]),
        ("sort=date&limit=2&skip=1", [101, 102]),
        ("sort$desc=sgv&limit=2", [103, 102]),
        ("type=sgv", [103, 102, 101, 100]),
        ("type$ne=sgv", []),
        ("type$in=mbg|sgv&limit=1", [103]),
        ("sgv$gte=101&sgv$lt=103", [102, 101]),
        ("sgv$in=100|103", [103, 100]),
        ("sgv$nin=100|103", [102, 101]),
        (f"srvModified$gt={NOW_US // 1000}", []),
        (f"srvModified$gte={NOW_US // 1000}&limit=1", [103]),
        (f"date$lte={AT_MS - 60_000}", [102, 101, 100]),
        (f"date$gt={AT_MS - 60_000}", [103]),
        (f"date$gte={AT_MS // 1000}", [103]),
        ("date$gt=0&sort=date&limit=1", [100]),
    ],
)
async def test_a_search_finds_what_it_asks_for(aaps: Aaps, query: str, found: list[int]) -> None:
    for n in range(4):
        await aaps.create("entries", {**SGV, "sgv": 100 + n, "date": AT_MS - (3 - n) * 60_000})
    aaps.later()
    assert [one["sgv"] for one in await aaps.result(f"entries?{query}")] == found
