"""The Telegram channel against a local fake of the Bot API."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from islet.errors import SettingError
from islet.log.memory import MemoryLog
from islet.model.time import SECOND_US
from islet.notify.base import Delivered, Failed, Kind, Message, RetryAfter
from islet.notify.telegram import TelegramNotifier
from islet.notify.telegram_bot import TelegramBot
from islet.notify.telegram_updates import TelegramUpdates
from tests.notify.fake_http import Answer
from tests.notify.fake_telegram import FakeTelegram, closed_socket, fake_telegram, hang, raw, result, status
from tests.notify.people import PAUL, Home, opened
from tests.notify.scenario import NOW, ListChannel, append, change, outbox

TOKEN = "123456:SECRET-abc"
MESSAGE = Message(id="k", alert="a", title="Low", text="Low: alert.")


@pytest.fixture
def fake() -> Iterator[FakeTelegram]:
    with fake_telegram() as server:
        yield server


@pytest.fixture
def telegram(fake: FakeTelegram) -> Iterator[TelegramNotifier]:
    channel = TelegramNotifier(TOKEN, "-100", base_url=fake.base_url, timeout_s=0.3)
    yield channel
    channel.close()


def test_a_message_is_posted_to_the_chat(telegram: TelegramNotifier, fake: FakeTelegram) -> None:
    assert telegram.send(MESSAGE, NOW) == Delivered("1")
    assert fake.calls() == [(f"/bot{TOKEN}/sendMessage", {"chat_id": "-100", "text": "Low\nLow: alert."})]


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (status(429, retry_after=17), 17),
        (status(429), 0),
        (raw(429, b"slow down"), 0),
        (status(500), 0),
        (status(502), 0),
        (raw(302, b""), 0),
        (raw(200, b"<html>log in to the wireless network</html>"), 0),
        (raw(200, b'{"ok": false}'), 0),
        (raw(200, b"[]"), 0),
        (closed_socket, 0),
        (hang, 0),
        (status(401), 0),
        (status(404), 0),
    ],
)
def test_what_may_pass_is_tried_again_after_the_time_asked_for(
    telegram: TelegramNotifier, fake: FakeTelegram, answer: Answer, seconds: float
) -> None:
    fake.script.append(answer)
    outcome = telegram.send(MESSAGE, NOW)
    assert isinstance(outcome, RetryAfter)
    assert outcome.seconds == seconds


@pytest.mark.parametrize("code", [400, 403])
def test_a_refusal_of_the_chat_is_permanent(telegram: TelegramNotifier, fake: FakeTelegram, code: int) -> None:
    fake.script.append(status(code))
    assert isinstance(telegram.send(MESSAGE, NOW), Failed)


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with fake_telegram() as gone:
        base_url = gone.base_url
    channel = TelegramNotifier(TOKEN, "1", base_url=base_url)
    assert isinstance(channel.send(MESSAGE, NOW), RetryAfter)
    channel.close()


@pytest.mark.parametrize("base_url", ["not a url", "ftp://127.0.0.1", "http://127.0.0.1:99999", "http://[::1"])
def test_a_base_url_that_is_none_is_a_reason_without_the_token(base_url: str) -> None:
    channel = TelegramNotifier(TOKEN, "1", base_url=base_url)
    outcome = channel.send(MESSAGE, NOW)
    assert isinstance(outcome, RetryAfter)
    assert TOKEN not in outcome.reason
    channel.close()


@pytest.mark.parametrize(("token", "chat"), [("", "1"), ("t", "")])
def test_half_a_configuration_is_refused(token: str, chat: str) -> None:
    with pytest.raises(SettingError, match="telegram_chat"):
        TelegramNotifier(token, chat)


def test_the_token_is_in_no_log_record_and_no_reason(
    telegram: TelegramNotifier, fake: FakeTelegram, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.script.extend([status(500), status(429, retry_after=1), status(403), status(401), closed_socket, hang])
    outcomes = [telegram.send(MESSAGE, NOW) for _ in range(7)]
    assert outcomes[-1] == Delivered("7")
    assert caplog.records, "the HTTP client logs at DEBUG: a test that sees no record would prove nothing"
    assert all("SECRET" not in f"{r.getMessage()} {r.exc_text} {r.args}" for r in caplog.records)
    assert all("SECRET" not in repr(outcome) for outcome in [*outcomes, telegram])


def test_the_filter_is_gone_after_close(fake: FakeTelegram) -> None:
    before = list(logging.getLogger("httpx").filters)
    TelegramNotifier(TOKEN, "1", base_url=fake.base_url).close()
    assert logging.getLogger("httpx").filters == before


def test_through_the_outbox_every_alert_arrives_whatever_the_server_does(
    telegram: TelegramNotifier, fake: FakeTelegram, tmp_path: Path
) -> None:
    other = ListChannel()
    box = outbox(tmp_path, telegram, other)
    log = MemoryLog()
    append(log, *(change("opened", patient=f"p-{i}") for i in range(3)))
    fake.script.extend([status(500), closed_socket, status(429, retry_after=30), hang])
    box.take_in(log, NOW)
    now_us = NOW
    while (due := box.next_due_us()) is not None:
        now_us = max(now_us, due)
        box.deliver_due(now_us)
    assert now_us >= NOW + 30 * SECOND_US
    assert len(other.received) == 3
    assert sorted(set(fake.texts())) == sorted(f"Urgent low\n{message.text}" for message in other.received)
    assert box.counts()["sent"] == 6


def announced(**more: Any) -> Message:
    return Message(**({"id": "k", "alert": "a", "title": "Low", "text": "t", "token": "T" * 22} | more))


def test_an_announcement_has_a_button_that_holds_its_token(telegram: TelegramNotifier, fake: FakeTelegram) -> None:
    telegram.send(announced(), NOW)
    (_, body) = fake.calls()[0]
    assert body["reply_markup"] == {"inline_keyboard": [[{"text": "Acknowledge", "callback_data": "ack:" + "T" * 22}]]}


def test_what_became_of_an_alert_changes_its_message_and_takes_the_button_away(
    telegram: TelegramNotifier, fake: FakeTelegram
) -> None:
    assert telegram.send(announced(kind=Kind.CLEARED, replaces="41"), NOW) == Delivered("41")
    assert fake.calls() == [(f"/bot{TOKEN}/editMessageText", {"chat_id": "-100", "text": "Low\nt", "message_id": 41})]


def test_a_repeat_is_a_new_message_because_a_changed_one_makes_no_sound(
    telegram: TelegramNotifier, fake: FakeTelegram
) -> None:
    telegram.send(announced(kind=Kind.REPEATED, replaces="41"), NOW)
    assert fake.calls()[0][0].endswith("/sendMessage")


def test_a_message_that_cannot_be_changed_is_followed_by_a_new_one(
    telegram: TelegramNotifier, fake: FakeTelegram
) -> None:
    fake.script.append(status(400, "Bad Request: message to edit not found"))
    assert telegram.send(announced(kind=Kind.CLEARED, replaces="41"), NOW) == Delivered("2")
    assert [path.rpartition("/")[2] for path, _ in fake.calls()] == ["editMessageText", "sendMessage"]


def test_changing_a_message_twice_is_the_same_as_once(telegram: TelegramNotifier, fake: FakeTelegram) -> None:
    fake.script.append(status(400, "Bad Request: message is not modified"))
    assert telegram.send(announced(kind=Kind.CLEARED, replaces="41"), NOW) == Delivered("41")
    assert len(fake.requests) == 1


def pressed(number: int, token: str, chat: int = -100) -> dict[str, object]:
    message = {"message_id": 1, "chat": {"id": chat}}
    return {"update_id": number, "callback_query": {"id": f"q{number}", "data": f"ack:{token}", "message": message}}


def test_buttons_are_fetched_answered_and_not_fetched_again(fake: FakeTelegram) -> None:
    bot, presses = TelegramBot(TOKEN, base_url=fake.base_url), list[tuple[str, tuple[str, ...]]]()

    def press(token: str, chats: tuple[str, ...]) -> str:
        presses.append((token, chats))
        return "Seen."

    updates = TelegramUpdates(bot, press)
    odd: list[object] = [{"update_id": 8}, "odd", {"update_id": 9, "callback_query": {"data": 7}}]
    fake.script.extend([result([pressed(7, "abc"), *odd]), result(True), result([])])
    assert updates.poll(0)
    assert updates.poll(0)
    assert presses == [("abc", ("-100",))]
    calls = [(path.rpartition("/")[2], body) for path, body in fake.calls()]
    assert calls[0] == ("getUpdates", {"timeout": 0, "allowed_updates": ["callback_query"]})
    assert calls[1] == ("answerCallbackQuery", {"callback_query_id": "q7", "text": "Seen."})
    assert calls[2][1]["offset"] == 10
    bot.close()


@pytest.mark.parametrize("answer", [status(500), status(409), closed_socket, raw(200, b"[]"), hang])
def test_buttons_that_cannot_be_fetched_are_fetched_later(fake: FakeTelegram, answer: Answer) -> None:
    bot = TelegramBot(TOKEN, base_url=fake.base_url, timeout_s=0.2)
    fake.script.append(answer)
    assert not TelegramUpdates(bot, lambda token, chats: "").poll(0)
    bot.close()


@pytest.mark.parametrize(
    ("username", "answer"),
    [("Ward", "acknowledged"), ("ward", "acknowledged"), ("other", "refused"), (None, "refused"), (7, "refused")],
)
def test_a_button_pressed_in_a_chat_that_was_entered_by_its_name_counts(
    fake: FakeTelegram, tmp_path: Path, username: object, answer: str
) -> None:
    """Buttons come with the chat's number, whatever it was entered as; and with its name where it has one."""
    home = Home(tmp_path, (replace(PAUL, address="@Ward"),), acknowledge=lambda alert, contact: True)
    home.says(opened())
    home.at(0)
    bot = TelegramBot(TOKEN, base_url=fake.base_url)
    updates = TelegramUpdates(bot, lambda token, chats: home.box.answer(token, NOW, addresses=chats))
    update = pressed(1, home.messages[0].token)
    update["callback_query"]["message"]["chat"]["username"] = username  # type: ignore[index]
    assert updates.received(update, "right", "right")
    assert fake.calls()[-1][1]["text"] == answer
    bot.close()


@pytest.mark.parametrize(("secret", "taken"), [("right", True), ("wrong", False), ("", False)])
def test_an_update_that_is_posted_counts_only_with_the_secret(fake: FakeTelegram, secret: str, taken: bool) -> None:
    bot, tokens = TelegramBot(TOKEN, base_url=fake.base_url), list[str]()
    updates = TelegramUpdates(bot, lambda token, chats: tokens.append(token) or "")  # type: ignore[func-returns-value]
    assert updates.received(pressed(1, "abc"), secret, "right") is taken
    assert not updates.received(pressed(1, "abc"), "", "")
    assert tokens == ["abc"] * taken
    bot.close()
