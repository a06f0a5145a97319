"""The live stream: what is committed arrives, once, for those who may see it; and it ends when it must."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx
import pytest
from msgspec import structs

from islet.access.decide import Action
from islet.model.alerts import Severity
from islet.model.time import HOUR_US
from islet.model.topics import Topic
from islet.web import live, streams, updates
from islet.web.live import LiveHub
from islet.web.sessions import Viewer
from islet.web.updates import Audience, between, parse_positions, positions_text
from tests.web.portal import Site

Event = tuple[str, str, object]


def read(lines: Iterator[str]) -> Iterator[Event]:
    """Server-sent events: name, id, data."""
    name = ident = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name, ident = value, ""
        elif field == "id":
            ident = value
        elif field == "data":
            yield name, ident, json.loads(value)


class Stream:
    """One open live stream of a user's."""

    def __init__(
        self, site: Site, address: str, user: str, query: str = "", last_event_id: str = "", timeout_s: float = 10
    ) -> None:
        headers = {"authorization": f"Bearer {site.token(user)}"}
        if last_event_id:
            headers["last-event-id"] = last_event_id
        self._client = httpx.Client(base_url=address, headers=headers, timeout=timeout_s)
        self._open = self._client.stream("GET", f"/live?{query}")
        self.answer = self._open.__enter__()
        self.events = read(self.answer.iter_lines())

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *exception: object) -> None:
        self.answer.close()
        self._client.close()

    def next(self, *names: str) -> Event:
        """The next event of these names; the clock's are passed over."""
        return next(event for event in self.events if event[0] in names)

    def documents(self, name: str) -> list[dict[str, Any]]:
        """The next documents of a topic."""
        data = self.next(name)[2]
        assert isinstance(data, list)
        return data


def test_a_reading_and_an_alert_arrive_after_their_commit(site: Site) -> None:
    with site.serve() as address, Stream(site, address, "nurse") as stream:
        assert stream.next("clock")[2] == {"now_us": site.now_us, "speed": 1.0}
        site.add_readings("p-1", [112])
        assert stream.next("readings")[2] == {"p-1": [[site.now_us, 1120, 0]]}
        site.open_alert("low", "p-1", Severity.WARNING)
        [document] = stream.documents("alerts")
        assert (document["type"], document["body"]["rule"]) == ("opened", "low")
        site.add_document(Topic.CARE_EVENTS, "p-1", "meal", '{"type":"meal","carbs_g":40}')
        [document] = stream.documents("care_events")
        assert document["body"]["carbs_g"] == 40


def test_a_commit_is_on_the_stream_within_a_tenth_of_a_second(site: Site) -> None:
    """The median of nine; a busy machine may delay one of them."""
    with site.serve() as address, Stream(site, address, "nurse") as stream:
        stream.next("clock")
        took = []
        for i in range(9):
            began = time.perf_counter()
            site.add_readings("p-1", [100 + i], end_us=site.now_us + i)
            stream.next("readings")
            took.append(time.perf_counter() - began)
    assert sorted(took)[4] < 0.1


def test_a_viewer_hears_only_of_their_patients(site: Site) -> None:
    with site.serve() as address, Stream(site, address, "nurse") as nurse, Stream(site, address, "admin") as admin:
        nurse.next("clock")
        admin.next("clock")
        site.add_readings("p-2", [200])
        assert admin.next("readings")[2] == {"p-2": [[site.now_us, 2000, 0]]}
        site.open_alert("high", "p-2", Severity.WARNING)
        assert [document["patient"] for document in admin.documents("alerts")] == ["p-2"]
        site.add_readings("p-1", [100])
        assert nurse.next("readings", "alerts")[2] == {"p-1": [[site.now_us, 1000, 0]]}


def test_a_stream_of_one_patient_needs_the_right_to_see_them(site: Site) -> None:
    with site.serve() as address:
        with Stream(site, address, "nurse", "patient=p-2") as refused:
            assert refused.answer.status_code == 403
        with Stream(site, address, "admin", "patient=p-2") as stream:
            stream.next("clock")
            site.add_readings("p-1", [100])
            site.add_readings("p-2", [200])
            assert stream.next("readings")[2] == {"p-2": [[site.now_us, 2000, 0]]}


async def test_what_came_between_the_snapshot_and_the_stream_is_not_lost(site: Site) -> None:
    site.add_readings("p-1", [100])
    snapshot = (await site.client("nurse").get("/api/patients")).json()
    site.add_readings("p-1", [90], end_us=site.now_us + 1)
    with site.serve() as address, Stream(site, address, "nurse", f"from={snapshot['positions']}") as stream:
        assert stream.next("readings")[2] == {"p-1": [[site.now_us + 1, 900, 0]]}


def test_a_stream_that_comes_back_goes_on_from_its_last_id(site: Site) -> None:
    with site.serve() as address:
        with Stream(site, address, "nurse") as stream:
            stream.next("clock")
            site.add_readings("p-1", [100])
            _, ident, _ = stream.next("readings")
        site.add_readings("p-1", [90], end_us=site.now_us + 1)
        with Stream(site, address, "nurse", last_event_id=ident) as stream:
            assert stream.next("readings")[2] == {"p-1": [[site.now_us + 1, 900, 0]]}


def test_someone_far_behind_is_told_to_take_a_new_snapshot(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "CATCH_UP_ROWS", 2)
    site.add_readings("p-1", [100, 101, 102])
    with site.serve() as address, Stream(site, address, "nurse", "from=0.0-0.0-0.0") as stream:
        assert stream.next("resync", "readings")[0] == "resync"
        site.add_readings("p-1", [103], end_us=site.now_us + 1)
        assert stream.next("readings")[2] == {"p-1": [[site.now_us + 1, 1030, 0]]}


def test_a_slow_viewer_reads_what_it_missed_from_the_log(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for no update at all, every one is missed; yet each reading arrives once and in order."""
    monkeypatch.setattr(live, "_WAITING_UPDATES", 0)
    with site.serve() as address, Stream(site, address, "nurse") as stream:
        stream.next("clock")
        times: list[int] = []
        for i in range(20):
            site.add_readings("p-1", [100], end_us=site.now_us + i)
        while len(times) < 20:
            data = stream.next("readings")[2]
            assert isinstance(data, dict)
            times += [point[0] for point in data["p-1"]]
    assert times == [site.now_us + i for i in range(20)]


@pytest.mark.parametrize("change", ["assignment", "disabled", "session"])
def test_a_stream_ends_when_its_viewer_loses_a_right(site: Site, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.2)
    user = site.registry.user("nurse")
    assert user is not None
    with site.serve() as address, Stream(site, address, "nurse") as stream:
        stream.next("clock")
        if change == "session":
            site.now_us += 10 * 3600 * 1_000_000
        else:
            lost = (
                structs.replace(user, patients=()) if change == "assignment" else structs.replace(user, enabled=False)
            )
            site.registry.put_user(lost)
        left = list(islice(stream.events, 20))
    assert len(left) < 20, "the stream goes on"
    assert {name for name, _, _ in left} <= {"clock"}


def test_a_right_that_is_lost_before_the_tailer_looks_ends_the_stream(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine its thread begins late, and took the rights of then for those of before."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 60.0)
    lost, tail = threading.Event(), LiveHub._tail

    def late(hub: LiveHub) -> None:
        lost.wait()
        tail(hub)

    monkeypatch.setattr(LiveHub, "_tail", late)
    with site.serve() as address, Stream(site, address, "nurse", timeout_s=5) as stream:
        stream.next("clock")
        _take_patients(site)
        lost.set()
        assert {name for name, _, _ in stream.events} <= {"clock"}


def test_a_right_that_is_lost_while_a_stream_opens_ends_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tailer has told of the change when nobody was there to hear."""
    monkeypatch.setattr(streams, "HEARTBEAT_S", 60.0)
    audience_for = Viewer.audience_for

    def late(viewer: Viewer, action: Action) -> Audience:
        audience = audience_for(viewer, action)
        if viewer.user.name == "nurse" and audience:
            _take_patients(site)
            time.sleep(0.5)
        return audience

    with site.serve() as address, Stream(site, address, "admin") as other:
        other.next("clock")
        monkeypatch.setattr(Viewer, "audience_for", late)
        with Stream(site, address, "nurse", timeout_s=5) as stream:
            assert {name for name, _, _ in stream.events} <= {"clock"}


def _take_patients(site: Site) -> None:
    user = site.registry.user("nurse")
    assert user is not None
    site.registry.put_user(structs.replace(user, patients=()))


def test_a_quiet_stream_still_says_that_it_lives(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.4)
    with site.serve() as address, Stream(site, address, "nurse", timeout_s=3) as stream:
        assert [stream.next("clock")[0] for _ in range(3)] == ["clock"] * 3


def test_a_busy_stream_ends_with_its_session(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.4)
    with site.serve() as address, Stream(site, address, "nurse") as stream:
        stream.next("clock")
        site.now_us += 2 * HOUR_US
        for i in range(150):
            site.add_readings("p-1", [100], end_us=site.now_us + i)
            if next((one for one in stream.events if one[0] == "readings"), None) is None:
                break
        else:
            pytest.fail("the stream goes on")


def test_a_position_that_the_log_has_not_reached_asks_for_a_new_snapshot(site: Site) -> None:
    site.add_readings("p-1", [100])
    with (
        site.serve() as address,
        Stream(site, address, "nurse", "from=99999999999999999999.0-0.0-0.0") as stream,
    ):
        assert stream.next("resync", "readings")[0] == "resync"
        site.add_readings("p-1", [103], end_us=site.now_us + 1)
        new = [site.now_us + 1, 1030, 0]  # the one before may come with it, if the tailer has just begun
        readings = (data for name, _, data in stream.events if name == "readings" and isinstance(data, dict))
        assert any(data["p-1"][-1] == new for data in readings)


def test_being_ahead_in_one_partition_does_not_allow_more_to_be_read_in_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "CATCH_UP_ROWS", 2)
    site.add_readings("p-1", [100, 101, 102])
    ahead = ((0, 0), (1_000, 0), (0, 0))
    assert between(site.log, ahead, updates.ends_of(site.log)) is None


def test_closing_the_hub_ends_all_streams(site: Site) -> None:
    with site.serve() as address, Stream(site, address, "nurse") as stream, Stream(site, address, "admin") as other:
        stream.next("clock")
        other.next("clock")
        closer = threading.Thread(target=site.live.close)
        closer.start()
        assert [name for name, _, _ in stream.events if name != "clock"] == []
        assert [name for name, _, _ in other.events if name != "clock"] == []
        closer.join(timeout=5)
        assert not closer.is_alive()


def test_positions_are_read_back_as_they_were_written() -> None:
    positions = ((3, 0), (12, 5), (0, 1))
    assert parse_positions(positions_text(positions), 2) == positions
    for text in ("", "1", "1.2-3.4", "1.2-3.4-x.1", "1-2-3", "1.2-3.4-5.-6", "1.2-3.4-5.6-7.8"):
        assert parse_positions(text, 2) is None


def test_what_lies_between_two_positions_is_read_exactly(site: Site) -> None:
    site.add_readings("p-1", [100, 101, 102, 103])
    ends = tuple(site.log.end(topic) for topic in updates.TOPICS)
    start = tuple(tuple(max(0, offset - 2) for offset in offsets) for offsets in ends)
    update = between(site.log, start, ends)
    assert update is not None
    [(_, _, data)] = read(iter(update.frame(None).decode().splitlines()))
    assert isinstance(data, dict)
    assert [point[1] for point in data["p-1"]] == [1020, 1030]
    assert update.frame(frozenset({"p-2"})) == b""
