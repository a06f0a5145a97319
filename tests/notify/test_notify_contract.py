"""What every channel promises, whatever it is; a new one joins by a line in CHANNELS."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from islet.notify.base import Delivered, Failed, Message, Notifier, Outcome, RetryAfter
from islet.notify.console import ConsoleNotifier
from islet.notify.telegram import TelegramNotifier
from tests.notify.fake_telegram import fake_telegram, status
from tests.notify.scenario import NOW


class _FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@contextmanager
def _console() -> Iterator[tuple[Notifier, Notifier]]:
    yield ConsoleNotifier(io.StringIO()), ConsoleNotifier(_FullDisk())


@contextmanager
def _telegram() -> Iterator[tuple[Notifier, Notifier]]:
    with fake_telegram() as sound, fake_telegram() as broken:
        broken.script.extend([status(500)] * 100)
        good = TelegramNotifier("1:t", "1", base_url=sound.base_url)
        bad = TelegramNotifier("1:u", "1", base_url=broken.base_url)
        yield good, bad
        good.close()
        bad.close()


CHANNELS = {"console": _console, "telegram": _telegram}
"""Per channel: one whose other side works, one whose other side does not."""


@pytest.fixture(params=CHANNELS)
def channels(request: pytest.FixtureRequest) -> Iterator[tuple[Notifier, Notifier]]:
    with CHANNELS[request.param]() as pair:
        yield pair


Pair = tuple[Notifier, Notifier]


def message(text: str = "Low: alert.") -> Message:
    return Message(id="k", alert="a", title="Low", text=text)


def test_it_says_delivered_when_the_other_side_has_it(channels: Pair) -> None:
    assert isinstance(channels[0].send(message(), NOW), Delivered)


@pytest.mark.parametrize("text", ["", "低血糖 ⚠", "x" * 10_000, "a\nb\x1b[2J", "_*[]()~`>#+-=|{}.!<b>&"])
def test_it_takes_any_text(channels: Pair, text: str) -> None:
    assert isinstance(channels[0].send(message(text), NOW), Delivered)


def test_it_does_not_raise_when_the_other_side_fails_and_its_reason_says_who_and_nothing_of_the_message(
    channels: Pair,
) -> None:
    outcome = channels[1].send(message("patient p-77"), NOW)
    assert isinstance(outcome, RetryAfter | Failed)
    assert outcome.reason.startswith(channels[1].name + ":")
    assert "p-77" not in outcome.reason


def test_name_and_recipient_are_plain_words(channels: Pair) -> None:
    for part in (channels[0].name, channels[0].recipient):
        assert part
        assert part.isprintable()


def test_it_may_be_called_from_another_thread(channels: Pair) -> None:
    outcomes: list[Outcome] = []
    send: Callable[[], None] = lambda: outcomes.append(channels[0].send(message(), NOW))  # noqa: E731
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
