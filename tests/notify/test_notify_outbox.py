"""The outbox: who is told what, when, and what is left visible when it does not work."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from msgspec import structs

from islet.log.base import Append, Commit
from islet.log.memory import MemoryLog
from islet.model.alerts import Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US
from islet.model.topics import Topic
from islet.notify.base import Failed, Kind, RetryAfter
from tests.notify.scenario import NOW, HangingChannel, ListChannel, append, change, old, outbox


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog(partitions=2)


def test_an_alert_is_sent_once_to_each_recipient(tmp_path: Path, log: MemoryLog) -> None:
    first, second = ListChannel("nurse"), ListChannel("mother")
    box = outbox(tmp_path, first, second)
    append(log, change("opened"))
    assert box.take_in(log, NOW) == 2
    assert box.deliver_due(NOW) == 2
    assert box.take_in(log, NOW) == 0
    assert box.deliver_due(NOW) == 0
    assert len(first.received) == len(second.received) == 1
    assert first.received[0].id != second.received[0].id
    assert box.counts() == {"pending": 0, "sent": 2, "not_sent": 0, "undeliverable": 0}


def test_a_message_holds_the_rule_the_patient_id_and_the_time_but_no_value(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    (message,) = channel.received
    assert message.title == "Urgent low"
    assert message.text == "Urgent low: alert for patient p-1 since 2026-09-21 14:13 UTC. Open the portal."


def test_an_alert_that_the_log_holds_twice_is_sent_once(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened"))
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert channel.kinds() == ["opened"]


def test_alerts_of_a_log_that_was_begun_anew_are_sent(tmp_path: Path, log: MemoryLog) -> None:
    """Else nobody would be told until there are as many as there were in the other."""
    channel = ListChannel()
    box, anew = outbox(tmp_path, channel), MemoryLog(partitions=log.partitions)
    append(log, *(change("opened", onset_us=NOW - minute * MINUTE_US) for minute in range(3)))
    box.take_in(log, NOW)
    append(anew, change("opened", onset_us=NOW + MINUTE_US))
    for _ in range(2):
        box.take_in(anew, NOW + MINUTE_US)
    box.deliver_due(NOW + MINUTE_US)
    assert len([one for one in channel.kinds() if one == "opened"]) == 4


def test_a_long_backlog_is_taken_in_by_parts_and_what_is_due_goes_out_in_between(
    tmp_path: Path, log: MemoryLog
) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, *(change("opened", patient=f"p-{number}") for number in range(3000)))
    queued = box.take_in(log, NOW)
    assert box.behind
    assert 0 < queued < 3000
    assert box.deliver_due(NOW) > 0
    while box.behind:
        queued += box.take_in(log, NOW)
    assert queued == 3000


def test_the_end_of_an_alert_follows_its_beginning(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[RetryAfter(0, "busy")])
    box = outbox(tmp_path, channel)
    append(log, change("opened"), change("cleared", at_us=NOW + MINUTE_US))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 0  # the beginning is tried again later, and the end waits for it
    assert len(channel.tried) == 1
    assert box.deliver_due(NOW + MINUTE_US) == 2
    assert channel.kinds() == ["opened", "ended"]


def test_an_episode_that_goes_on_after_all_is_announced_again(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened"), change("cleared"), change("opened"), change("cleared"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert channel.kinds() == ["opened", "ended", "opened", "ended"]
    assert len({message.id for message in channel.received}) == 4


@pytest.mark.parametrize(("age_min", "sent"), [(29.9, 1), (30, 1), (30.1, 0)])
def test_nobody_is_paged_for_an_old_fact(tmp_path: Path, log: MemoryLog, age_min: float, sent: int) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened", onset_us=old(age_min)), change("cleared", onset_us=old(age_min)))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert channel.kinds() == ["opened", "ended"] * sent
    assert box.counts()["not_sent"] == 1 - sent


@pytest.mark.parametrize(
    ("severity", "sent"),
    [(Severity.URGENT, 1), (Severity.WARNING, 1), (Severity.NOTICE, 0), (Severity.TECHNICAL, 0)],
)
def test_only_the_chosen_severities_page(tmp_path: Path, log: MemoryLog, severity: Severity, sent: int) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened", severity=severity), change("cleared", severity=severity))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 2 * sent


def test_an_alert_found_in_the_past_pages_nobody_however_young_it_is(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    kinds: tuple[Literal["opened", "cleared", "retracted"], ...] = ("opened", "cleared", "opened", "retracted")
    append(log, *(structs.replace(change(kind), retrospective=True) for kind in kinds))
    assert box.take_in(log, NOW) == 0
    assert box.deliver_due(NOW) == 0
    assert box.counts() == {"pending": 0, "sent": 0, "not_sent": 0, "undeliverable": 0}


def test_a_rule_is_called_what_the_rule_book_calls_it(tmp_path: Path, log: MemoryLog) -> None:
    from islet.notify.texts import texts_in

    channel = ListChannel()
    box = outbox(tmp_path, channel, texts=texts_in(titles=lambda rule: f"the title of {rule}"))
    append(log, change("opened", rule="mine"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert [message.title for message in channel.received] == ["the title of mine"]


def test_urgent_messages_go_before_warnings(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened", rule="low", severity=Severity.WARNING), change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert [message.title for message in channel.received] == ["Urgent low", "Low"]


def test_an_alert_that_takes_anothers_place_is_not_a_new_page(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    earlier = change("opened", onset_us=old(3))
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    append(log, earlier, change("retracted", replaced_by=earlier.id), change("cleared", onset_us=old(3)))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert channel.kinds() == ["opened", "ended"]


def test_an_alert_replaced_before_anybody_heard_of_it_is_one_page_for_the_new_one(
    tmp_path: Path, log: MemoryLog
) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    earlier = change("opened", onset_us=old(3))
    append(log, change("opened"), earlier, change("retracted", replaced_by=earlier.id))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert [message.alert for message in channel.received] == [earlier.id]


def test_an_alert_withdrawn_before_it_was_sent_is_not_sent(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened"), change("retracted"))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 0
    assert box.counts()["not_sent"] == 1


def test_the_end_of_an_alert_withdrawn_before_it_was_sent_is_not_sent_either(tmp_path: Path, log: MemoryLog) -> None:
    box = outbox(tmp_path, ListChannel())
    append(log, change("opened"), change("cleared"), change("retracted"))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 0
    assert box.counts()["not_sent"] == 2


def test_who_was_told_of_an_alert_is_told_that_it_is_withdrawn(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    append(log, change("retracted"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert channel.kinds() == ["opened", "withdrawn"]


def test_attempts_back_off_up_to_five_minutes_and_end_visibly_after_the_time_allowed(
    tmp_path: Path, log: MemoryLog
) -> None:
    channel = ListChannel(script=[RetryAfter(0, "list: down")] * 1000)
    box = outbox(tmp_path, channel, give_up_h=1.0)
    append(log, change("opened"), change("cleared"))
    box.take_in(log, NOW)
    instants: list[int] = []
    due: int | None = NOW
    while due is not None:
        instants.append(due)
        box.deliver_due(due)
        due = box.next_due_us()
    waits_s = [(b - a) / SECOND_US for a, b in pairwise(instants)]
    assert 1 <= waits_s[0] <= 2
    assert 150 <= max(waits_s) <= 300
    assert instants[-1] == NOW + HOUR_US  # the last attempt is at the very end
    assert box.counts() == {"pending": 0, "sent": 0, "not_sent": 1, "undeliverable": 1}
    (given_up,) = box.undeliverable()
    assert (given_up.reason, given_up.attempts) == ("list: down", len(instants))
    assert given_up.given_up_us == NOW + HOUR_US


def test_a_permanent_failure_is_undeliverable_at_once_and_its_end_is_not_sent(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[Failed("list: blocked")])
    box = outbox(tmp_path, channel)
    append(log, change("opened"), change("cleared"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert len(channel.tried) == 1
    assert box.counts() == {"pending": 0, "sent": 0, "not_sent": 1, "undeliverable": 1}
    assert box.undeliverable()[0].reason == "list: blocked"


def test_one_recipient_that_hangs_delays_no_other(tmp_path: Path, log: MemoryLog) -> None:
    slow, quick = HangingChannel("slow"), ListChannel("quick")
    box = outbox(tmp_path, slow, quick, patience_s=0.05)
    append(log, *(change("opened", patient=f"p-{i}") for i in range(5)))
    box.take_in(log, NOW)
    while box.counts()["sent"] < 5:
        box.deliver_due(NOW)
    assert (len(quick.received), len(slow.received)) == (5, 0)
    assert box.next_due_us() is None  # nothing that could be started now
    slow.let_go.set()
    while box.counts()["sent"] < 10:
        box.deliver_due(NOW)
    assert len(slow.received) == len(quick.received) == 5


def test_a_fault_in_one_channel_is_a_retry_and_the_others_are_served(tmp_path: Path, log: MemoryLog) -> None:
    faulty, sound = ListChannel("a", script=[ZeroDivisionError("secret")]), ListChannel("b")
    box = outbox(tmp_path, faulty, sound)
    append(log, change("opened"))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 1
    assert box.deliver_due(NOW + MINUTE_US) == 1


def test_one_message_that_always_fails_does_not_block_those_behind_it(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel(script=[RetryAfter(0, "list: odd")])
    box = outbox(tmp_path, channel)
    append(log, change("opened"), change("opened", patient="p-2"))
    box.take_in(log, NOW)
    assert box.deliver_due(NOW) == 1


def test_messages_to_a_recipient_who_was_removed_become_visible(tmp_path: Path, log: MemoryLog) -> None:
    box = outbox(tmp_path, ListChannel("gone", script=[RetryAfter(0, "")]))
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    box.close()
    box = outbox(tmp_path, ListChannel("new"))
    box.deliver_due(NOW)
    assert box.undeliverable()[0].reason == "this recipient is no longer configured"


def test_timers_survive_a_restart(tmp_path: Path, log: MemoryLog) -> None:
    box = outbox(tmp_path, ListChannel(script=[RetryAfter(60, "list: too many")]))
    append(log, change("opened"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    box.close()
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    assert box.take_in(log, NOW) == 0
    assert box.next_due_us() == NOW + 60 * SECOND_US
    assert box.deliver_due(NOW + 60 * SECOND_US) == 1


def test_entries_that_retention_has_removed_are_passed_over(tmp_path: Path, log: MemoryLog) -> None:
    append(log, change("opened", patient="p-1"))
    log.expire(NOW + 1)
    append(log, change("opened", patient="p-1", onset_us=NOW - 1))
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    assert box.take_in(log, NOW) == 1


def test_an_entry_that_is_no_alert_change_is_counted_and_stops_nothing(tmp_path: Path, log: MemoryLog) -> None:
    odd = documents_batch([DocumentRow("p-1", "", NOW, "opened", '{"change": "exploded"}')])
    log.commit([Commit(received_at_us=NOW, appends=[Append(topic=Topic.ALERTS, batch=odd)])])
    append(log, change("opened"))
    box = outbox(tmp_path, ListChannel())
    assert box.take_in(log, NOW) == 1
    assert box.unreadable == 1


def test_finished_messages_can_be_forgotten_and_waiting_ones_cannot(tmp_path: Path, log: MemoryLog) -> None:
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    append(log, change("opened"))
    box.take_in(log, NOW)
    assert box.forget(NOW + 1) == 0
    box.deliver_due(NOW)
    assert box.forget(NOW + 1) == 0, "what was said of an alert that goes on must be known"
    append(log, change("cleared"))
    box.take_in(log, NOW)
    box.deliver_due(NOW)
    assert box.forget(NOW) == 0
    assert box.forget(NOW + 1) == 2


def test_messages_can_be_sent_in_chinese(tmp_path: Path) -> None:
    from islet.notify.texts import Said, texts_in
    from islet.web.languages import words

    said = Said(kind=Kind.OPENED, rule="urgent_low", patient="p-1", since_us=NOW)
    title, text = texts_in(words("zh-CN").text, {"urgent_low": "紧急低血糖"}.__getitem__)(said, None)
    assert title == "紧急低血糖"
    assert text.startswith("紧急低血糖：患者 p-1 自 ")


def test_a_message_of_a_rule_that_foretells_says_what_it_is_not_for() -> None:
    from islet.notify.texts import Said, texts_in
    from islet.web.languages import words

    wording = texts_in(words("zh-CN").text, foretells={"low_soon"}.__contains__)
    foretold, seen = (
        wording(Said(kind=Kind.OPENED, rule=rule, patient="p-1"), None)[1] for rule in ("low_soon", "low")
    )
    assert foretold.endswith("不得根据预测决定用药剂量。")
    assert "预测" not in seen
