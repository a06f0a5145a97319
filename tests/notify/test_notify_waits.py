"""Waits that a channel asks for: whom they hold, and for how long."""

from contextlib import closing
from pathlib import Path

import pytest

from islet.log.connection import open_database
from islet.log.memory import MemoryLog
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US
from islet.notify.base import RetryAfter
from tests.notify.scenario import KEY, NOW, ListChannel, append, change, outbox


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(partitions=2)


def test_a_wait_that_the_channel_asks_for_holds_all_its_messages(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[RetryAfter(60, "list: too many")])
    box = outbox(tmp_path, channel)
    append(log, *(change("opened", patient=f"p-{i}") for i in range(3)))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 0
    assert len(channel.tried) == 1
    assert box.next_due_us() == NOW + 60 * SECOND_US
    assert box.deliver_due(NOW + 60 * SECOND_US - 1) == 0
    assert box.deliver_due(NOW + 60 * SECOND_US) == 3


def test_a_wait_holds_also_what_comes_meanwhile_through_a_restart(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[RetryAfter(60, "list: too many")])
    box = outbox(tmp_path, channel)
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    box.close()
    box = outbox(tmp_path, channel)
    append(log, change("opened", patient="p-2"))
    box.take_in(log, NOW + SECOND_US)
    assert box.deliver_due(NOW + SECOND_US) == 0
    assert len(channel.tried) == 1
    assert box.deliver_due(NOW + 60 * SECOND_US) == 2
    append(log, change("opened", patient="p-3"))
    box.take_in(log, NOW + 61 * SECOND_US)
    assert box.deliver_due(NOW + 61 * SECOND_US) == 1


def test_a_new_alarm_does_not_wait_for_hours_because_an_earlier_one_has_to(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[RetryAfter(86_400, "list: maintenance")])
    box = outbox(tmp_path, channel)
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    append(log, change("opened", patient="p-2"))
    box.take_in(log, NOW + SECOND_US)
    assert box.next_due_us() == NOW + 5 * MINUTE_US
    assert box.deliver_due(NOW + 5 * MINUTE_US) == 1
    box.forget(NOW + HOUR_US)
    with closing(open_database(tmp_path / "store.db", KEY)) as database:
        assert database.execute("SELECT count(*) FROM outbox_memory WHERE name GLOB 'held *'").get == 0


def test_an_absurd_wait_ends_when_the_message_is_given_up(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[RetryAfter(1e300, "list: never"), RetryAfter(1e300, "list: never")])
    box = outbox(tmp_path, channel)
    append(log, change("opened"), change("opened", patient="p-2"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert box.next_due_us() == NOW + 24 * HOUR_US
    box.deliver_due(NOW + 24 * HOUR_US)
    assert box.counts()["undeliverable"] == 2
