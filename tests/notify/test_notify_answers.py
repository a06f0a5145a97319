"""What people do about alarms: buttons, consent, addresses that end, snoozes, treatments."""

from pathlib import Path

import pytest
from msgspec import structs

from islet.errors import BadInput, NotFound
from islet.log.base import Append, Commit
from islet.model.alerts import Severity
from islet.model.batch import DocumentRow, documents_batch
from islet.model.topics import Topic
from islet.notify.base import Gone
from islet.notify.policy import DEFAULT
from islet.notify.recipients import Contact
from islet.notify.telegram import TelegramNotifier
from islet.notify.telegram_bot import TelegramBot
from islet.notify.telegram_updates import TelegramUpdates
from tests.notify.fake_telegram import fake_telegram, result
from tests.notify.people import (
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
from tests.notify.scenario import NOW, ListChannel

BOTH = (PAUL, structs.replace(ANNA, channel="telegram"))


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
    assert home.box.answer(paul.token, NOW, addresses=["7", "P"]) == "acknowledged"
    assert home.box.answer(paul.token, NOW, addresses=["somebody else's chat"]) == "refused"
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
        updates = TelegramUpdates(bot, lambda token, chats: home.box.answer(token, minute(1), addresses=chats))
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


def test_what_has_ended_is_not_snoozed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened(), cleared(at=1))
    home.at(2)
    with pytest.raises(BadInput, match="this one has ended"):
        home.box.snooze(opened().id, 10, "paul", minute(2))


def test_a_treatment_that_is_recorded_silences_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.says(opened())
    meal = documents_batch([DocumentRow("p-1", "", minute(1), "meal", '{"type": "meal", "carbs_g": 15}')])
    home.log.commit([Commit(received_at_us=NOW, appends=[Append(topic=Topic.CARE_EVENTS, batch=meal)])])
    home.until(5)
    assert home.kinds() == [(0, "paul", "opened"), (5, "paul", "repeated")]


# what can be looked at
