"""What is urgent goes first, also past messages to many others that were there before it."""

import threading
from pathlib import Path

from islet.log.memory import MemoryLog
from islet.model.alerts import Severity
from islet.notify.base import Kind, Message, Outcome
from islet.notify.queue import Draft, Queue
from islet.notify.recipients import Lane
from islet.notify.tables import Tables
from tests.notify.scenario import KEY, NOW, ListChannel, append, change, outbox


def test_what_is_urgent_overtakes_messages_to_many_others_on_a_slow_channel(tmp_path: Path) -> None:
    order: list[str] = []
    let_go = threading.Event()

    class Slow(ListChannel):
        def send(self, message: Message, now_us: int) -> Outcome:
            assert let_go.wait(30)
            order.append(message.title)
            return super().send(message, now_us)

    log = MemoryLog()
    box = outbox(tmp_path, *(Slow(f"r-{i}") for i in range(100)), patience_s=0.05)
    append(log, change("opened", rule="low", severity=Severity.WARNING))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    append(log, change("opened", patient="p-2"))
    box.take_in(log, NOW)
    let_go.set()
    while box.counts()["pending"]:
        box.deliver_due(NOW)
    box.close()
    first, last = order.index("Urgent low"), len(order) - order[::-1].index("Urgent low")
    assert order.count("Urgent low") == order.count("Low") == 100
    assert first < 40
    assert order[first:last].count("Low") < 40, "what had been begun, and not all others"


def test_a_first_message_does_not_wait_behind_those_that_are_tried_again(tmp_path: Path) -> None:
    queue = Queue(Tables(tmp_path / "store.db", KEY))
    dead, alive = Lane("list", "dead"), Lane("list", "alive")
    with queue.transaction():
        queue.add(Draft("a", dead, Kind.OPENED, 0, "t", "t", NOW))
        row = queue.due(dead, NOW)
        assert row is not None
        queue.mark_retry(row, "no answer", NOW, NOW + 1)
        queue.add(Draft("b", alive, Kind.OPENED, 0, "t", "t", NOW))
    assert queue.lanes() == [alive, dead]
