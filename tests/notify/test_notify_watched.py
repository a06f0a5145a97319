"""What becomes of messages is seen: deliveries, alerts that nobody answers, monthly tests, the watchdog, an old outbox."""

from pathlib import Path

import apsw
from msgspec import structs

from islet.log.connection import open_database
from islet.model.time import DAY_US, HOUR_US
from islet.notify.base import Kind, RetryAfter
from tests.notify.people import (
    ADMIN,
    ANNA,
    FAMILY,
    PAUL,
    Home,
    minute,
    opened,
)
from tests.notify.scenario import KEY, NOW, ListChannel, outbox

BOTH = (PAUL, structs.replace(ANNA, channel="telegram"))


def test_what_became_of_each_message_and_of_each_recipient_can_be_seen(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lists[PAUL.lane] = ListChannel("paul", script=[RetryAfter(0, "list: busy")])
    home.says(opened())
    home.at(0)
    (delivery,) = home.box.deliveries(opened().id)
    assert (delivery.state, delivery.attempts, delivery.reason) == ("pending", 1, "list: busy")
    (health,) = home.box.health()
    assert (health.recipient, health.failures, health.reason, health.succeeded_us) == ("paul", 1, "list: busy", None)
    home.at(1)
    (delivery,) = home.box.deliveries(opened().id)
    assert (delivery.state, delivery.attempts, delivery.receipt, delivery.done_us) == ("sent", 2, "r", minute(1))
    (health,) = home.box.health()
    assert (health.failures, health.succeeded_us) == (0, minute(1))


def test_an_alert_that_nobody_answered_is_dropped_and_seen(tmp_path: Path) -> None:
    policy = structs.replace(FAMILY, unanswered_h=1.0)
    home = Home(tmp_path, policy=policy)
    home.says(opened())
    home.until(61)
    assert [one.alert for one in home.box.unanswered()] == [opened().id]
    assert max(at for at, _, _ in home.told) == 55
    assert home.box.next_page_us() is None


# tests, and the dead man's switch

TESTED = structs.replace(PAUL, tested=True, time_zone="Asia/Shanghai")


def test_each_contact_gets_a_test_each_month_by_day_which_says_so(tmp_path: Path) -> None:
    home = Home(tmp_path, (TESTED, ADMIN), acknowledge=lambda alert, contact: False)
    home.at(0)
    for hour in (h for day in (1, 29, 30, 31, 60, 61) for h in range(day * 24, day * 24 + 24)):
        home.at(hour * 60)
    assert [kind for _, _, kind in home.told] == [Kind.TEST, Kind.TEST]
    first, second = (at * 60_000_000 for at, _, _ in home.told)
    assert 30 * DAY_US <= first < 31 * DAY_US
    assert second - first >= 30 * DAY_US
    local_hour = ((NOW + first) // HOUR_US + 8) % 24
    assert 10 <= local_hour < 18
    assert home.messages[0].title == "Test alarm"
    assert home.box.answer(home.messages[0].token, NOW) == "confirmed"
    assert home.box.health()[0].confirmed_us == NOW


def test_tests_go_on_by_the_clock_that_was_put_back(tmp_path: Path) -> None:
    home = Home(tmp_path, (TESTED,))
    home.at(0)
    home.at(3_000 * 24 * 60)  # a clock that was wrong, and its test
    home.told.clear()
    for hour in range(32 * 24):
        home.at(hour * 60)
    assert [kind for _, _, kind in home.told] == [Kind.TEST]


def test_an_engine_that_is_silent_is_said_again_by_the_clock_that_was_put_back(tmp_path: Path) -> None:
    box = Home(tmp_path, (ADMIN,)).box
    assert box.watch(NOW, 5 * 60_000_000, NOW + 3_000 * DAY_US) == 1
    assert box.watch(NOW, 5 * 60_000_000, NOW + HOUR_US) == 1
    assert box.watch(NOW, 5 * 60_000_000, NOW + HOUR_US + 60_000_000) == 0


def test_a_test_can_be_sent_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.box.test(ANNA, NOW)
    home.at(0)
    assert home.kinds() == [(0, "anna", "test")]


def test_an_engine_that_stops_pages_the_operators_each_hour_and_when_it_is_back(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL, ADMIN))

    def look(at: float, heartbeat: float) -> None:
        home.box.watch(minute(heartbeat), 5 * 60_000_000, minute(at))
        home.at(at)

    look(0, 0)
    look(5, 0)
    assert home.told == []
    look(5.1, 0)
    look(6, 0)
    home.restart(gently=False)
    look(64, 0)
    look(66, 0)
    look(70, 70)
    look(71, 71)
    assert home.kinds() == [
        (5.1, "admin", "engine_silent"),
        (66, "admin", "engine_silent"),
        (70, "admin", "engine_back"),
    ]
    assert "has not worked since 2026-09-21 14:13 UTC" in home.messages[0].text
    assert home.messages[0].urgent


def test_who_begins_to_listen_during_a_silence_does_not_say_that_it_is_over(tmp_path: Path) -> None:
    box, after_us = Home(tmp_path, (ADMIN,)).box, 5 * 60_000_000
    assert box.watch(minute(0), after_us, minute(6)) == 1
    assert box.watch(minute(0), after_us, minute(7), from_us=minute(7)) == 0
    assert box.watch(minute(8), after_us, minute(8), from_us=minute(7)) == 1
    assert box.watch(minute(8), after_us, minute(30), from_us=minute(29)) == 0, "it may be starting, too"


def test_an_engine_that_stops_where_there_is_no_operator_is_visible(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,))
    home.box.watch(minute(0), 1, minute(1))
    assert home.box.undeliverable()[0].title == "Alarms are not working"


# what was there before


def test_the_outbox_of_the_first_version_goes_on(tmp_path: Path) -> None:
    database: apsw.Connection = open_database(tmp_path / "store.db", KEY)
    database.execute(
        "CREATE TABLE outbox (id INTEGER PRIMARY KEY, alert TEXT NOT NULL, channel TEXT NOT NULL, recipient TEXT NOT NULL,"
        " sequence INTEGER NOT NULL, opens INTEGER NOT NULL, urgency INTEGER NOT NULL, title TEXT NOT NULL,"
        " text TEXT NOT NULL, taken_us INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',"
        " receipt TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, due_us INTEGER NOT NULL DEFAULT 0,"
        " since_us INTEGER, done_us INTEGER, UNIQUE (alert, channel, recipient, sequence)) STRICT"
    )
    database.execute(
        "INSERT INTO outbox (alert, channel, recipient, sequence, opens, urgency, title, text, taken_us, state)"
        " VALUES ('low~p-1~0', 'list', 'nurse', 0, 1, 1, 'Low', 'Low.', 0, 'pending')"
    )
    database.close()
    channel = ListChannel()
    box = outbox(tmp_path, channel)
    assert box.deliver_due(NOW) == 1
    assert channel.received[0].id == "low~p-1~0/0/list/nurse"
    box.close()
    outbox(tmp_path, channel).close()
