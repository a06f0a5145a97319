"""What a device keeps, does and says, without any connection."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.agent.commands import read_command
from islet.agent.device import Device
from islet.agent.disk import QueueFull
from islet.agent.intake import private_event
from islet.agent.privacy import Privacy
from islet.decode.iothub_twins import JsonObject
from islet.errors import BadInput
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, iso

START_US = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
SCHEDULE: JsonObject = {"times": ["08:00", "12:00"], "timeZone": "UTC", "answerMin": 30}


class Box:
    """A device on a folder, with a clock that a test sets; it can be opened again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now_us = folder, START_US
        self.device = self.open()

    def open(self, **more: Any) -> Device:
        self.device = Device(self.folder, lambda: self.now_us, Privacy(), **more)
        return self.device

    def again(self) -> Device:
        self.device.close()
        return self.open()

    def queued(self) -> list[dict[str, Any]]:
        return [json.loads(payload) for _, payload in self.device.queue.after(0, 10_000)]

    def prompts(self) -> list[tuple[str, str, str]]:
        return [(one["id"], one["state"], one["time"][11:16]) for one in self.queued() if one["type"] == "prompt"]

    def at(self, hour: float, days: int = 0) -> None:
        """Live on until then, five minutes at a time."""
        until_us = START_US + days * DAY_US + round(hour * HOUR_US)
        while self.now_us < until_us:
            self.now_us = min(self.now_us + 5 * MINUTE_US, until_us)
            self.device.work()


@pytest.fixture
async def box(tmp_path: Path) -> Iterator[Box]:  # type: ignore[misc]
    one = Box(tmp_path / "agent")
    yield one
    one.device.close()


def reading(at_us: int, value: float = 100, **more: object) -> bytes:
    return json.dumps({"type": "reading", "time": iso(at_us), "value": value, "unit": "mg/dL", **more}).encode()


async def test_what_was_taken_is_there_after_a_restart_in_order_and_without_names(box: Box) -> None:
    lines = [reading(START_US + n * MINUTE_US, 100 + n, patient="anna", phone="+49 151 2345678") for n in range(50)]
    assert box.device.take(lines) == [""] * 50
    box.again()
    assert [one["value"] for one in box.queued()] == [100 + n for n in range(50)]
    assert set(box.queued()[0]) == {"type", "time", "value", "unit"}
    assert box.device.queue.waiting == 50


async def test_a_full_queue_refuses_and_drops_nothing(box: Box) -> None:
    box.device.close()
    device = box.open(most_events=3)
    device.take([reading(START_US), reading(START_US + 1)])
    with pytest.raises(QueueFull):
        device.take([reading(START_US + 2), reading(START_US + 3)])
    assert len(box.queued()) == 2 and device.queue.waiting == 2
    device.queue.done(1)
    device.queue.forget_done()
    device.take([reading(START_US + 2), reading(START_US + 3)])
    assert [number for number, _ in device.queue.after(0, 10)] == [2, 3, 4]


async def test_a_full_disk_refuses_and_drops_nothing_until_there_is_room(box: Box) -> None:
    box.device.take([reading(START_US)])
    disk = box.device.disk.connection
    (pages,) = disk.execute("PRAGMA page_count").fetchone()
    disk.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(QueueFull, match="the disk is full"):
        for second in range(1, 1000):
            box.device.take([reading(START_US + second)])
    box.device.command("c-1", "setInterval", b'{"minutes": 10}' + b" " * 10)
    kept = len(box.queued())
    assert box.device.queue.waiting == kept > 1
    disk.execute(f"PRAGMA max_page_count = {pages + 100}")
    box.device.take([reading(START_US + 1000)])
    assert len(box.queued()) == kept + 1


async def test_events_do_not_fill_the_disk_so_that_what_is_sent_can_be_removed(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small disk that this agent fills alone."""

    def disk(path: object) -> SimpleNamespace:
        used = sum(file.stat().st_size for file in box.folder.glob("agent.db*"))
        return SimpleNamespace(f_bavail=3_000_000 - used, f_frsize=1)

    monkeypatch.setattr(os, "statvfs", disk)
    lines = [reading(START_US + second) for second in range(200)]
    with pytest.raises(QueueFull, match="the disk is full"):
        for _ in range(1000):
            box.device.take(lines)
    box.device.command("c-1", "setInterval", b'{"minutes": 10}')
    assert box.device.queue.waiting >= 2000 and disk("").f_bavail > 500_000
    for number in range(1, box.device.queue.waiting + 1):
        box.device.queue.done(number)
        if number % 100 == 0:
            box.device.queue.forget_done()
    box.device.take(lines)
    assert box.device.queue.waiting == 200


async def test_after_a_crash_it_needs_no_room_to_begin(box: Box) -> None:
    """The index of what is written ahead would be a file of its own, for which a full disk has no room."""
    box.device.take([reading(START_US)])
    assert sorted(file.name for file in box.folder.iterdir()) == ["agent.db", "agent.db-wal"]


async def test_on_a_full_disk_a_prompt_is_shown_once_and_a_signal_given_once(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.device.command("c-1", "prompt", b'{"text":"now"}')
    box.device.command("c-2", "locate", b"{}")
    (started,) = box.device.work()

    @contextmanager
    def full() -> Iterator[None]:
        raise QueueFull("the disk is full")
        yield

    monkeypatch.setattr(box.device.disk, "together", full)
    (asked,) = box.device.prompting.to_show()
    box.device.prompting.shown(asked.id)
    box.device.commands.ended(started.id)
    assert box.device.prompting.to_show() == [] and box.device.work() == []


async def test_what_cannot_be_forgotten_now_is_forgotten_later_and_counted_once(box: Box) -> None:
    box.device.take([reading(START_US), reading(START_US + 1)])
    box.queued()
    queue, disk = box.device.queue, box.device.disk
    forget, disk.forget_events = disk.forget_events, lambda numbers: False  # type: ignore[method-assign]  # a full disk
    queue.done(1)
    queue.forget_done()
    queue.done(1)
    disk.forget_events = forget  # type: ignore[method-assign]
    queue.done(2)
    queue.forget_done()
    assert (queue.waiting, queue.bytes, box.queued()) == (0, 0, [])


async def test_a_wrong_line_is_refused_alone(box: Box) -> None:
    refusals = box.device.take([b"?", reading(START_US), b'{"type":"prompt","time":"2026-11-21T08:00:00Z","id":"1"}'])
    assert [bool(one) for one in refusals] == [True, False, True] and box.device.queue.waiting == 1


async def test_a_file_that_comes_twice_is_taken_once(box: Box) -> None:
    box.device.take([reading(START_US)], "a.jsonl/1")
    box.again().take([reading(START_US)], "a.jsonl/1")
    assert box.device.queue.waiting == 1


async def test_prompts_are_asked_answered_and_missed(box: Box) -> None:
    box.device.desired({"prompts": SCHEDULE, "$version": 2})
    box.at(8 + 5 / 60)
    (asked,) = box.device.prompting.to_show()
    box.device.take([reading(START_US + 8 * HOUR_US + 10 * MINUTE_US)])
    box.at(13)
    assert box.prompts() == [
        ("2026-11-21T08:00", "prompted", "08:00"),
        ("2026-11-21T08:00", "measured", "08:10"),
        ("2026-11-21T12:00", "prompted", "12:00"),
        ("2026-11-21T12:00", "missed", "12:30"),
    ]
    assert asked.id == "2026-11-21T08:00" and box.device.prompting.to_show() == []


async def test_who_has_just_measured_is_not_asked(box: Box) -> None:
    box.device.desired({"prompts": SCHEDULE, "$version": 2})
    box.at(7.9)
    box.device.take([reading(START_US + 7 * HOUR_US + 50 * MINUTE_US)])
    box.at(9)
    assert box.prompts() == [("2026-11-21T08:00", "measured", "08:00")]


async def test_a_reading_that_comes_late_but_was_in_time_takes_the_miss_back(box: Box) -> None:
    box.device.desired({"prompts": SCHEDULE, "$version": 2})
    box.at(9)
    box.device.take([reading(START_US + 8 * HOUR_US + 5 * MINUTE_US)])
    assert [state for _, state, _ in box.prompts()] == ["prompted", "missed", "measured"]


async def test_only_a_finger_prick_answers_where_that_is_asked(box: Box) -> None:
    box.device.desired({"prompts": {**SCHEDULE, "answeredBy": "capillary"}, "$version": 2})
    box.at(8 + 5 / 60)
    box.device.take([reading(box.now_us)])
    assert [state for _, state, _ in box.prompts()] == ["prompted"]
    box.device.take([reading(box.now_us, method="capillary")])
    assert [state for _, state, _ in box.prompts()] == ["prompted", "measured"]


async def test_what_became_due_while_the_device_was_off_was_never_asked(box: Box) -> None:
    box.device.desired({"prompts": SCHEDULE, "$version": 2})
    box.at(1)
    box.now_us = START_US + 3 * DAY_US + 12 * HOUR_US + 5 * MINUTE_US
    box.again().work()
    assert box.prompts() == [("2026-11-24T12:00", "prompted", "12:05")]


async def test_a_clock_that_was_wrong_for_a_while_asks_nothing_twice_and_goes_on(box: Box) -> None:
    box.device.desired({"prompts": SCHEDULE, "$version": 2})
    box.at(8 + 5 / 60)
    box.now_us += 20 * DAY_US + 2 * HOUR_US
    box.device.work()
    box.now_us = START_US + 7 * HOUR_US
    box.at(12 + 5 / 60)
    asked = [id for id, state, _ in box.prompts() if state == "prompted"]
    assert asked == ["2026-11-21T08:00", "2026-11-21T12:00"]


async def test_a_reading_that_is_dated_years_ahead_does_not_hide_who_has_just_measured(box: Box) -> None:
    box.device.desired({"prompts": SCHEDULE, "$version": 2})
    box.device.take([reading(START_US + 5000 * DAY_US)])
    box.at(7.9)
    box.device.take([reading(START_US + 7 * HOUR_US + 50 * MINUTE_US)])
    box.at(9)
    assert box.prompts() == [("2026-11-21T08:00", "measured", "08:00")]


async def test_desired_properties_are_applied_part_by_part(box: Box) -> None:
    said = box.device.desired({"intervalMin": 2, "prompts": {"times": ["8"]}, "$version": 4})
    assert said["intervalMin"] == 2
    configuration: Any = said["configuration"]
    assert configuration["version"] == 4 and "08:00" in configuration["refused"]["prompts"]
    assert box.again().configuration.interval_min == 2
    said = box.device.desired({"prompts": SCHEDULE, "$version": 5})
    assert said["intervalMin"] == 5, "what is asked for no more is as usual"
    assert box.device.configuration.prompts.times == ("08:00", "12:00")


async def test_a_command_of_one_id_is_done_once_across_restarts(box: Box) -> None:
    for _ in range(3):
        box.device.command("c-1", "prompt", b'{"text":"now"}')
        box.device.work()
        box.again()
    assert [state for _, state, _ in box.prompts()] == ["prompted"]
    assert box.device.commands.told("c-1").state == "done"


async def test_a_signal_that_was_interrupted_is_not_given_again(box: Box) -> None:
    box.device.command("c-1", "locate", b"{}")
    assert [one.id for one in box.device.work()] == ["c-1"]
    assert box.again().work() == []
    box.device.command("c-1", "locate", b"{}")
    assert box.device.work() == []
    assert box.device.commands.told("c-1").state == "interrupted"


async def test_commands_change_what_a_later_twin_changes_again(box: Box) -> None:
    box.device.desired({"intervalMin": 2, "$version": 4})
    box.device.command("c-1", "setInterval", b'{"minutes": 10}')
    box.device.command("c-2", "setThresholds", b'{"lowMgDl": 80}')
    box.device.command("c-3", "setSchedule", json.dumps(SCHEDULE).encode())
    box.device.command("c-4", "setInterval", b'{"minutes": -1}')
    box.device.command("c-5", "explode", b"{}")
    box.device.work()
    states = [box.device.commands.told(f"c-{n}").state for n in range(1, 6)]
    assert states == ["done", "done", "done", "refused", "refused"]
    box.device.desired({"intervalMin": 2, "$version": 4})
    assert box.again().configuration.interval_min == 10, "the twin says nothing new"
    box.device.desired({"intervalMin": 3, "$version": 5})
    assert box.device.configuration.interval_min == 3


async def test_the_device_itself_warns_beyond_its_thresholds(box: Box) -> None:
    box.device.desired({"thresholds": {"lowMgDl": 70, "highMgDl": 250}, "$version": 2})
    box.device.take([reading(START_US, 70), reading(START_US + 1, 69), reading(START_US + 2, 250)])
    assert [(one["level"], one["value"]) for one in box.device.warnings] == [("low", 69)]


@given(st.binary() | st.text().map(lambda one: json.dumps({"type": "note", "text": one, one: one}).encode()))
def test_whatever_a_sensor_sends_is_an_event_or_refused(line: bytes) -> None:
    with suppress(BadInput):
        private_event(line, Privacy(["Jo Doe"]))


def test_a_line_that_is_nested_deeply_is_refused() -> None:
    with pytest.raises(BadInput):
        private_event(b'{"a":' * 900 + b"1" + b"}" * 900, Privacy())


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"command": 1}', b"\xff", b'{"command":"prompt","id":7}'])
def test_what_is_no_command_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput):
        read_command(body, "")
