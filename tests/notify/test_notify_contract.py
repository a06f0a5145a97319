"""What every channel promises, whatever it is and whatever its other side does."""

import io
import logging
from collections.abc import Iterator
from threading import Thread

import pytest

from islet.notify.base import Delivered, Failed, Gone, Message, Outcome, RetryAfter
from islet.notify.console import ConsoleNotifier
from tests.conftest import Missing
from tests.notify.channels import CHANNELS, HAPPENINGS, Pair
from tests.notify.scenario import NOW

TRY_AGAIN = RetryAfter(0, "")
SOON = RetryAfter(7, "")
EXPECTED: dict[str, dict[str, Outcome]] = {
    "console": dict.fromkeys(HAPPENINGS, TRY_AGAIN),
    "telegram": {"429": SOON, "403": Failed(""), "410": TRY_AGAIN},
    "webhook": {"429": SOON, "403": TRY_AGAIN, "410": Gone("")},
    "webpush": {"429": SOON, "403": Failed(""), "410": Gone("")},
    "ntfy": {"429": SOON, "403": Failed(""), "410": Failed("")},
    "email": {"429": TRY_AGAIN, "403": Failed(""), "410": Failed("")},
    "apprise": {"429": TRY_AGAIN, "403": TRY_AGAIN, "410": TRY_AGAIN},
}
"""What is not named is to be tried again."""


@pytest.fixture(params=CHANNELS)
def channel(request: pytest.FixtureRequest, missing: Missing) -> Iterator[tuple[str, Pair]]:
    with CHANNELS[request.param](missing) as pair:
        yield request.param, pair


Channel = tuple[str, Pair]


def message(text: str = "Low: alert.", **more: str) -> Message:
    return Message(id="k", alert="a", title="Low", text=text, **more)  # type: ignore[arg-type]


def test_it_says_what_became_of_the_message_and_never_raises(
    channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    """And in no reason and no log record is anything of the message, or of the address."""
    caplog.set_level(logging.DEBUG)
    name, (notifier, happens) = channel
    for what in HAPPENINGS:
        happens(what)
        outcome = notifier.send(message("patient p-77", token="t" * 22), NOW)
        if what == "taken":
            assert isinstance(outcome, Delivered), what
            continue
        expected = EXPECTED[name].get(what, TRY_AGAIN)
        assert isinstance(outcome, type(expected)), (what, outcome)
        assert isinstance(outcome, RetryAfter | Failed | Gone)
        assert outcome.reason.startswith(name + ":")
        if isinstance(outcome, RetryAfter) and isinstance(expected, RetryAfter):
            assert outcome.seconds == expected.seconds, what
        assert not any(secret in outcome.reason for secret in ("p-77", "secret", "example.org"))
    logged = " ".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    assert "p-77" not in logged
    assert "secret" not in logged


@pytest.mark.parametrize("text", ["", "低血糖 ⚠", "x" * 10_000, "a\nb\x1b[2J", "_*[]()~`>#+-=|{}.!<b>&"])
def test_it_takes_any_text(channel: Channel, text: str) -> None:
    assert isinstance(channel[1].notifier.send(message(text), NOW), Delivered)


def test_name_and_recipient_are_plain_words_and_no_secret(channel: Channel) -> None:
    name, (notifier, _) = channel
    assert notifier.name == name
    assert notifier.recipient
    assert notifier.recipient.isprintable()
    assert "secret" not in notifier.recipient


def test_it_may_be_called_from_another_thread(channel: Channel) -> None:
    outcomes: list[Outcome] = []

    def send() -> None:
        outcomes.append(channel[1].notifier.send(message(), NOW))

    for _ in range(2):
        thread = Thread(target=send)
        thread.start()
        thread.join()
    assert [type(outcome) for outcome in outcomes] == [Delivered, Delivered]


def test_the_console_shows_control_characters_instead_of_obeying_them() -> None:
    stream = io.StringIO()
    ConsoleNotifier(stream).send(message("a\nb\x1b[2J"), NOW)
    assert stream.getvalue() == "[Low] a\\x0ab\\x1b[2J\n"


def test_a_console_that_is_closed_is_tried_again() -> None:
    stream = io.StringIO()
    stream.close()
    assert isinstance(ConsoleNotifier(stream).send(message(), NOW), RetryAfter)
