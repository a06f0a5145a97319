"""Alarms that a family relies on: through the log, the outbox on a disk, and the channels."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.errors import BadInput, NotFound
from islet.log.base import Append, Commit
from islet.log.connection import open_database
from islet.model.alerts import AlertChange, Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.time import DAY_US, HOUR_US
from islet.model.topics import Topic
from islet.notify.base import Failed, Gone, Kind, RetryAfter
from islet.notify.policy import DEFAULT
from islet.notify.recipients import Contact, Lane
from islet.notify.telegram import TelegramNotifier
from islet.notify.telegram_bot import TelegramBot
from islet.notify.telegram_updates import TelegramUpdates
from tests.notify.fake_telegram import fake_telegram, result
from tests.notify.people import (
    ADMIN,
    ANNA,
    FAMILY,
    PAUL,
    URGENT,
    WARNING,
    Home,
    acknowledged,
    cleared,
    minute,
    opened,
)
from tests.notify.scenario import KEY, NOW, ListChannel, append, change, outbox

BOTH = (PAUL, structs.replace(ANNA, channel="telegram"))


def test_the_alarm_goes_on_to_the_next_person_and_stops_when_one_answers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.until(12)
    home.says(acknowledged(at=12))
    home.until(20)
    home.says(cleared(at=20))
    home.until(90)
    assert home.kinds() == [
        (0, "paul", "opened"),
        (5, "paul", "repeated"),
        (10, "anna", "opened"),
        (10, "paul", "repeated"),
        (20, "anna", "cleared"),
        (20, "paul", "cleared"),
    ]


def test_an_urgent_alert_that_was_confirmed_and_goes_on_pages_again_after_half_an_hour(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.at(0)
    home.says(acknowledged(at=1))
    home.until(31)
    assert home.kinds() == [(0, "paul", "opened"), (31, "paul", "repeated")]


What = Literal["low", "low over", "worse", "worse over", "seen"]
Event = tuple[float, What]
SAID: dict[What, AlertChange] = {
    "low": opened("low", WARNING),
    "low over": cleared("low", WARNING),
    "worse": opened(),
    "worse over": cleared(),
}


def lived(
    path: Path, events: list[Event], cuts: list[tuple[float, bool]], looks: list[float]
) -> list[tuple[float, str, str, str]]:
    """An hour of a family, with cuts (gentle or not) and looks at odd times."""
    home = Home(path, BOTH)
    moments: list[tuple[float, int, Callable[[], None]]] = []
    for at, what in events:
        moments.append((at, 0, partial(happens, home, at, what)))
    for at, gently in cuts:
        moments.append((at, 1, partial(home.restart, gently=gently)))
    for at in looks:
        moments.append((at, 2, partial(home.at, at)))
    for at, _, what_comes in sorted(moments, key=lambda moment: moment[:2]):
        home.until(at)
        what_comes()
    home.until(60)
    home.box.close()
    told = zip(home.told, home.messages, strict=True)
    return sorted((at, who, message.id, str(kind)) for (at, who, kind), message in told)


def happens(home: Home, at: float, what: What) -> None:
    if what == "seen":
        home.says(acknowledged(at=at), acknowledged("low", WARNING, at=at))
    else:
        home.says(SAID[what])


MINUTES = st.integers(0, 59).map(float)


@settings(deadline=None, max_examples=6)
@example(events=[(1.0, "low"), (4.0, "worse"), (30.0, "worse over")], cuts=[(4.0, False)], looks=[])
@given(
    events=st.lists(
        st.tuples(MINUTES, st.sampled_from(["low", "low over", "worse", "worse over", "seen"])), max_size=5
    ),
    cuts=st.lists(st.tuples(MINUTES, st.booleans()), max_size=3),
    looks=st.lists(st.floats(0, 59), max_size=2),
)
def test_cut_anywhere_the_same_people_are_paged_at_the_same_instants(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    cuts: list[tuple[float, bool]],
    looks: list[float],
) -> None:
    """Every timer is in the store: a restart, a kill, or a look at an odd moment changes no page."""
    whole = lived(tmp_path_factory.mktemp("whole"), events, [], [])
    cut = lived(tmp_path_factory.mktemp("cut"), events, cuts, looks)
    assert cut == whole


# a worse alert


def test_a_worse_alert_takes_the_place_of_the_lesser_instead_of_doubling_it(tmp_path: Path) -> None:
    home = Home(tmp_path, (structs.replace(PAUL, channel="telegram"),), DEFAULT)
    home.says(opened("low", WARNING))
    home.at(0)
    home.says(opened(at=3))
    home.at(3)
    home.until(8)
    assert home.kinds() == [
        (0, "paul", "opened"),
        (3, "paul", "opened"),
        (3, "paul", "superseded"),
        (8, "paul", "repeated"),
    ]
    low = [message for message in home.messages if message.alert.startswith("low~")]
    assert (low[1].kind, low[1].replaces) == (Kind.SUPERSEDED, "r")


def test_two_alerts_of_one_moment_are_one_page_for_the_worse(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,), DEFAULT)
    home.says(opened("low", WARNING), opened())
    home.at(0)
    assert [message.title for message in home.messages] == ["Urgent low"]


def test_when_the_worse_ends_and_nobody_has_answered_the_lesser_is_told(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,), DEFAULT)
    home.says(opened("low", WARNING), opened())
    home.at(0)
    home.says(cleared(at=4))
    home.until(30)
    assert [(m.title, str(m.kind)) for m in home.messages] == [
        ("Urgent low", "opened"),
        ("Urgent low", "cleared"),
        ("Low", "opened"),
    ]


def test_who_has_acknowledged_the_worse_is_not_told_of_the_lesser(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL,), DEFAULT)
    home.says(opened("low", WARNING), opened())
    home.at(0)
    home.says(acknowledged(at=2))
    home.at(2)
    home.says(cleared(at=4))
    home.until(200)
    assert [(m.title, str(m.kind)) for m in home.messages] == [("Urgent low", "opened"), ("Urgent low", "cleared")]


def test_the_lesser_is_told_to_those_whom_the_worse_does_not_reach(tmp_path: Path) -> None:
    home = Home(tmp_path, (PAUL, ANNA))
    home.says(opened("low", WARNING), opened())
    home.lists[PAUL.lane] = ListChannel("paul", script=[Failed("list: blocked")] * 10)
    home.until(1)
    assert {who for _, who, _ in home.kinds()} == {"anna"}


# people


def test_a_button_acknowledges_for_the_person_it_was_sent_to_and_only_there(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def acknowledge(alert: str, contact: Contact) -> bool:
        asked.append((alert, contact.user))
        return contact.user == "paul"

    home = Home(tmp_path, acknowledge=acknowledge)
    home.says(opened())
    home.until(10)
    by = {message.id.rpartition("/")[2]: message for message in home.messages}
    paul, anna = by["paul"], by["anna"]
    assert paul.acknowledge_url == "https://islet.example.org/acknowledge/" + paul.token
    assert len(paul.token) == 22
    assert paul.token != anna.token
    assert home.box.answer(paul.token, NOW, address="p") == "acknowledged"
    assert home.box.answer(paul.token, NOW, address="somebody else's chat") == "refused"
    assert home.box.answer(anna.token, NOW) == "refused"  # decided by who may, not by who has the button
    assert home.box.answer("", NOW) == home.box.answer("x" * 22, NOW) == "unknown"
    assert asked == [(opened().id, "paul"), (opened().id, "anna")]
    home.directory.change((ANNA,), FAMILY)
    assert home.box.answer(paul.token, NOW) == "refused"


def test_without_somebody_to_ask_messages_have_no_buttons(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.at(0)
    assert (home.messages[0].token, home.messages[0].acknowledge_url) == ("", "")


def test_a_button_in_telegram_acknowledges_and_the_message_shows_it(tmp_path: Path) -> None:
    """The whole way, over HTTP: page, press, log, changed message, no more pages."""
    contact = structs.replace(PAUL, channel="telegram", address="77")
    with fake_telegram() as fake:
        bot = TelegramBot("1:t", base_url=fake.base_url)

        def acknowledge(alert: str, who: Contact) -> bool:
            home.says(acknowledged(at=1))
            return True

        home = Home(
            tmp_path,
            (contact,),
            acknowledge=acknowledge,
            channels={"telegram": lambda c: TelegramNotifier("", c.address, bot=bot)},
        )
        updates = TelegramUpdates(bot, lambda token, chat: home.box.answer(token, minute(1), address=chat))
        home.says(opened())
        home.at(0)
        (_, body) = fake.calls()[0]
        button = body["reply_markup"]["inline_keyboard"][0][0]["callback_data"]  # type: ignore[index]
        press = {"id": "q", "data": button, "message": {"chat": {"id": 77}}}
        fake.script.append(result([{"update_id": 1, "callback_query": press}]))
        updates.poll(0)
        home.until(30)
        calls = [(path.rpartition("/")[2], body) for path, body in fake.calls()]
        assert [name for name, _ in calls] == ["sendMessage", "getUpdates", "answerCallbackQuery", "editMessageText"]
        assert calls[2][1]["text"] == "acknowledged"
        assert "was acknowledged by somebody" in str(calls[3][1]["text"])
        assert calls[3][1]["message_id"] == 1
        bot.close()


def test_name_and_value_are_only_in_messages_to_those_who_have_consent(tmp_path: Path) -> None:
    anna = structs.replace(ANNA, shows_name=True, shows_value=True, unit="mmol/L")
    home = Home(tmp_path, (PAUL, anna), DEFAULT)
    home.says(structs.replace(opened(), glucose_tenths=540))
    home.at(0)
    texts = {message.id.rpartition("/")[2]: message.text for message in home.messages}
    assert texts["paul"] == "Urgent low: alert for patient p-1 since 2026-09-21 14:13 UTC. Open the portal."
    assert texts["anna"] == (
        "Urgent low: alert for patient Paul Klein since 2026-09-21 14:13 UTC. Open the portal. "
        "Glucose when it began: 3.0 mmol/L."
    )


def test_an_address_that_is_gone_is_not_used_again_and_the_next_person_is_told_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.lists[PAUL.lane] = ListChannel("paul", script=[Gone("list: unsubscribed")])
    home.says(opened())
    home.until(1)
    assert home.directory.contact(PAUL.lane) is None
    assert home.kinds() == [(0, "anna", "opened")]
    assert [given_up.reason for given_up in home.box.undeliverable()] == ["list: unsubscribed"]


def test_a_change_of_people_counts_for_alerts_that_go_on(tmp_path: Path) -> None:
    home = Home(tmp_path, ())
    home.says(opened())
    home.at(0)
    (nobody,) = home.box.undeliverable()
    assert "nobody could be told" in nobody.reason
    home.directory.change((PAUL,), FAMILY)
    home.box.people_changed()
    home.at(1)
    assert home.kinds() == [(1, "paul", "opened")]


# snoozes


def test_a_snooze_holds_an_alert_back_through_a_restart_and_ends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.at(0)
    assert home.box.snooze(opened().id, 20, "paul", minute(1)) == minute(21)
    home.until(10)
    home.restart(gently=False)
    home.until(21)
    assert home.kinds() == [(0, "paul", "opened"), (21, "anna", "opened"), (21, "paul", "repeated")]
    assert home.box.snoozes(minute(20))[0].by == "paul"
    assert home.box.snoozes(minute(21)) == []


@pytest.mark.parametrize(("severity", "most"), [(URGENT, 30), (WARNING, 120)])
def test_a_snooze_is_bounded(tmp_path: Path, severity: Severity, most: float) -> None:
    home = Home(tmp_path)
    home.says(opened(severity=severity))
    home.at(0)
    for minutes in (most + 0.1, 0, -1, float("nan"), float("inf")):
        with pytest.raises(BadInput, match=f"at most {most} min"):
            home.box.snooze(opened().id, minutes, "paul", NOW)
    home.box.snooze(opened().id, most, "paul", NOW)
    with pytest.raises(NotFound):
        home.box.snooze("low~p-9~0", 10, "paul", NOW)


def test_a_treatment_that_is_recorded_silences_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    meal = documents_batch([DocumentRow("p-1", "", minute(1), "meal", '{"type": "meal", "carbs_g": 15}')])
    home.log.commit([Commit(received_at_us=NOW, appends=[Append(topic=Topic.CARE_EVENTS, batch=meal)])])
    home.until(5)
    assert home.kinds() == [(0, "paul", "opened"), (5, "paul", "repeated")]


# what can be looked at


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


def test_an_alert_that_takes_anothers_place_keeps_its_answer_and_its_timers(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    home.at(0)
    home.says(acknowledged(at=1))
    home.at(1)
    earlier = opened(at=-3)
    append(home.log, earlier, change("retracted", onset_us=NOW, replaced_by=earlier.id))
    home.until(31)
    assert home.kinds() == [(0, "paul", "opened"), (31, "paul", "repeated")]
    assert home.messages[1].alert == earlier.id
    assert home.box.deliveries(earlier.id)[0].recipient == "paul"
    assert Lane("list", "paul") == PAUL.lane
