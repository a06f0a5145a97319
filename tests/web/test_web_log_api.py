"""The log for consumers outside: offsets, cursors, filters, streams."""

import json
from collections.abc import Iterator
from itertools import islice

import httpx
import pytest

from islet.log.base import CursorMove
from islet.model.alerts import Severity
from islet.model.people import Role
from islet.model.time import HOUR_US, MINUTE_US, iso
from islet.model.topics import Topic, partition_of
from islet.web import log_api
from tests.web.portal import Site

P1 = partition_of("p-1", 2)
assert partition_of("p-2", 2) == P1  # both in one partition


@pytest.fixture
def filled(site: Site) -> Site:
    site.add_user("mirror", Role.APPLICATION, "*")
    site.add_user("partner", Role.CARE_PARTNER, "p-1")
    site.add_readings("p-1", [100, 110, 39])
    site.add_readings("p-2", [200])
    return site


def bearer(site: Site, user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {site.token(user)}"}


async def test_entries_come_from_an_offset_with_the_next_one_to_ask_for(filled: Site) -> None:
    client, headers = filled.client(), bearer(filled, "mirror")
    answer = (await client.get(f"/api/log/glucose_readings?partition={P1}&offset=1&limit=1", headers=headers)).json()
    assert answer["next_offset"] == 2
    assert answer["end"] == filled.log.end(Topic.GLUCOSE_READINGS)[P1]
    assert answer["entries"] == [
        {
            "offset": 1,
            "patient": "p-1",
            "device": "cgm-p-1",
            "time": iso(filled.now_us - 5 * MINUTE_US).replace("Z", ".000000Z"),
            "received_at": iso(filled.now_us).replace("Z", ".000000Z"),
            "type": "reading",
            "value": 110.0,
            "unit": "mg/dL",
            "glucose_mg_dl": 110.0,
            "range": "within",
            "method": "cgm",
        }
    ]


async def test_json_lines_are_given_where_asked(filled: Site) -> None:
    headers = bearer(filled, "mirror") | {"accept": "application/x-ndjson"}
    answer = await filled.client().get(f"/api/log/glucose_readings?partition={P1}", headers=headers)
    assert [json.loads(line)["range"] for line in answer.text.splitlines()] == ["within", "within", "below"]
    assert answer.headers["islet-next-offset"] == "3"
    assert answer.headers["islet-end"] == str(filled.log.end(Topic.GLUCOSE_READINGS)[P1])


async def test_only_visible_patients_entries_are_given_and_the_offset_moves_on(filled: Site) -> None:
    client, headers, seen = filled.client(), bearer(filled, "nurse"), []
    for partition, end in enumerate(filled.log.end(Topic.GLUCOSE_READINGS)):
        offset = 0
        while offset < end:
            query = f"/api/log/glucose_readings?partition={partition}&offset={offset}"
            answer = (await client.get(query, headers=headers)).json()
            seen += [entry["patient"] for entry in answer["entries"]]
            assert answer["next_offset"] > offset
            offset = answer["next_offset"]
    assert seen == ["p-1"] * 3


async def test_the_role_decides_who_consumes(filled: Site) -> None:
    client = filled.client()
    assert (await client.get("/api/log/alerts", headers=bearer(filled, "partner"))).status_code == 403
    assert (await client.get("/api/log/alerts", headers=bearer(filled, "nurse"))).status_code == 200
    for topic in ("dead_letters", "device_messages"):
        assert (await client.get(f"/api/log/{topic}", headers=bearer(filled, "mirror"))).status_code == 403
        assert (await client.get(f"/api/log/{topic}", headers=bearer(filled, "admin"))).status_code == 200
    assert (await client.get("/api/log/none", headers=bearer(filled, "admin"))).status_code == 404


@pytest.mark.parametrize("query", ["partition=2", "partition=-1", "offset=x", "limit=1.5", "cursor=a/b", "cursor="])
async def test_a_query_that_is_not_understood_is_400(filled: Site, query: str) -> None:
    answer = await filled.client().get(f"/api/log/alerts?{query}", headers=bearer(filled, "mirror"))
    assert answer.status_code == 400
    assert "expected" in answer.json()["error"]


@pytest.mark.parametrize("last", ["0:99999999999999999999", "0:-1", "0", "x:1", "0:1:2", "0:٣"])
async def test_a_last_event_id_that_is_not_understood_is_400(filled: Site, last: str) -> None:
    headers = {**bearer(filled, "mirror"), "last-event-id": last.encode()}
    answer = await filled.client().get("/api/log/alerts/stream", headers=headers.items())  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert "Last-Event-ID: expected" in answer.json()["error"]


@pytest.mark.parametrize("busy", [False, True])
def test_a_stream_of_the_log_beats_when_quiet_and_ends_with_its_session_when_busy(
    filled: Site, monkeypatch: pytest.MonkeyPatch, busy: bool
) -> None:
    monkeypatch.setattr(log_api, "HEARTBEAT_S", 0.4)
    path, headers = "/api/log/glucose_readings/stream", bearer(filled, "mirror")
    with filled.serve() as address, httpx.stream("GET", address + path, headers=headers, timeout=3) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line == ": heartbeat")
        filled.now_us += 2 * HOUR_US
        for i in range(150):
            if busy:
                filled.add_readings("p-1", [100], end_us=filled.now_us + i)
            if next((line for line in lines if line.startswith(("data", ":"))), None) is None:
                break
        else:
            pytest.fail("the stream goes on")


async def test_a_named_cursor_is_kept_in_the_log_for_its_owner_alone(filled: Site) -> None:
    client, mirror = filled.client(), bearer(filled, "mirror")
    path = f"/api/log/glucose_readings?partition={P1}&cursor=copy"
    assert len((await client.get(path, headers=mirror)).json()["entries"]) >= 3
    moved = await client.post(
        "/api/log/glucose_readings/cursor/copy", json={"partition": P1, "offset": 2}, headers=mirror
    )
    assert (moved.status_code, moved.json()) == (200, {"partition": P1, "offset": 2})
    assert (
        CursorMove(consumer="user/mirror/copy", topic=Topic.GLUCOSE_READINGS, partition=P1, offset=2)
        in filled.log.cursors()
    )
    assert (await client.get(path, headers=mirror)).json()["entries"][0]["offset"] == 2
    assert (await client.get(path, headers=bearer(filled, "admin"))).json()["entries"][0]["offset"] == 0


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"partition":0,"offset":99}', '{"partition":7,"offset":0}', '{"partition":0,"offset":-1}']
)
async def test_a_cursor_cannot_be_moved_to_where_the_log_is_not(filled: Site, body: str) -> None:
    answer = await filled.client().post("/api/log/alerts/cursor/copy", content=body, headers=bearer(filled, "mirror"))
    assert answer.status_code == 400
    assert filled.log.cursors() == []


async def test_what_is_no_longer_kept_is_410_with_the_first_offset_that_is(filled: Site) -> None:
    filled.now_us += MINUTE_US
    filled.log.expire(filled.now_us)
    filled.add_readings("p-1", [120])
    client, headers = filled.client(), bearer(filled, "mirror")
    answer = await client.get(f"/api/log/glucose_readings?partition={P1}&offset=0", headers=headers)
    begin = filled.log.begin(Topic.GLUCOSE_READINGS)[P1]
    assert (answer.status_code, answer.json()["begin"]) == (410, begin)
    stream = f"/api/log/glucose_readings/stream?partition={P1}&offset=0"
    assert (await client.get(stream, headers=headers)).status_code == 410
    fresh = (await client.get(f"/api/log/glucose_readings?partition={P1}&cursor=new", headers=headers)).json()
    assert [entry["offset"] for entry in fresh["entries"]] == [begin]


def events(lines: Iterator[str], count: int) -> list[tuple[str, list[dict[str, object]]]]:
    """The next `count` events with entries: their ids and data."""

    def read() -> Iterator[tuple[str, list[dict[str, object]]]]:
        ident = ""
        for line in lines:
            if line.startswith("id: "):
                ident = line.removeprefix("id: ")
            elif line.startswith("data: "):
                yield ident, json.loads(line.removeprefix("data: "))

    return list(islice(read(), count))


def test_a_stream_gives_what_is_there_and_what_comes_and_resumes_by_its_last_id(filled: Site) -> None:
    headers = bearer(filled, "mirror")
    with filled.serve() as address, httpx.Client(base_url=address, headers=headers, timeout=10) as client:
        with client.stream("GET", f"/api/log/glucose_readings/stream?partition={P1}") as answer:
            lines = answer.iter_lines()
            [(_, first), (_, second)] = events(lines, 2)
            assert [entry["value"] for entry in first + second] == [100.0, 110.0, 39.0, 200.0]
            filled.add_readings("p-1", [99], end_us=filled.now_us + MINUTE_US)
            [(ident, third)] = events(lines, 1)
            assert [entry["value"] for entry in third] == [99.0]
            assert ident == f"{P1}:5"
        filled.add_readings("p-1", [98], end_us=filled.now_us + 2 * MINUTE_US)
        again = {"last-event-id": ident}
        with client.stream("GET", f"/api/log/glucose_readings/stream?partition={P1}&offset=0", headers=again) as answer:
            [(ident, fourth)] = events(answer.iter_lines(), 1)
            assert [entry["value"] for entry in fourth] == [98.0]


def test_a_stream_of_alerts_holds_the_change_as_json(filled: Site) -> None:
    filled.open_alert("urgent_low", "p-1", Severity.URGENT)
    path, headers = "/api/log/alerts/stream", bearer(filled, "nurse")
    with filled.serve() as address, httpx.stream("GET", address + path, headers=headers, timeout=10) as answer:
        [(ident, [entry])] = events(answer.iter_lines(), 1)
    assert entry["type"] == "opened"
    assert isinstance(entry["body"], dict)
    assert entry["body"]["rule"] == "urgent_low"
    assert ident == ",".join(f"{number}:{end}" for number, end in enumerate(filled.log.end(Topic.ALERTS)))
