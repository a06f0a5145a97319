"""The other side takes its time, does not end or answers rubbish: nobody is held up, no memory filled."""

from socket import socket
from threading import active_count
from time import monotonic, sleep

import pytest

from islet.notify.base import Message, RetryAfter
from islet.notify.email import EmailNotifier
from islet.notify.guard import GuardedClient, NoAnswer
from islet.notify.ntfy import NtfyNotifier
from islet.notify.telegram import TelegramNotifier
from tests.notify.fake_http import Answer, Handler, fake_http, raw
from tests.notify.fake_smtp import DRIP, fake_smtp
from tests.notify.scenario import NOW

MESSAGE = Message(id="k", alert="a", title="Low", text="Low: alert.")
LOCAL = ["127.0.0.0/8"]
NO_BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


def drips(first: bytes, piece: bytes) -> Answer:
    """A piece each 50 ms, until the connection is shut."""

    def answer(handler: Handler) -> None:
        handler.close_connection = True
        try:
            handler.wfile.write(first)
            while not handler.fake.let_go.wait(0.05):
                handler.wfile.write(piece)
        except OSError:
            pass

    return answer


@pytest.mark.parametrize(
    "answer",
    [drips(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"), drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n")],
    ids=["headers", "interim answers"],
)
def test_an_answer_in_small_pieces_holds_nobody_longer_than_the_time_allowed(answer: Answer) -> None:
    client = GuardedClient(allowed=LOCAL, timeout_s=0.3)
    with fake_http(answer) as fake:
        began_s = monotonic()
        with pytest.raises(NoAnswer):
            client.post(fake.base_url, b"", {})
        assert monotonic() - began_s < 2
        telegram = TelegramNotifier("1:t", "5", base_url=fake.base_url, timeout_s=0.3)
        assert isinstance(telegram.send(MESSAGE, NOW), RetryAfter)
        telegram.close()
        assert monotonic() - began_s < 4
    client.close()


def test_a_mail_server_that_answers_in_small_pieces_holds_nobody() -> None:
    with fake_smtp() as fake:
        fake.script.append(DRIP)
        email = EmailNotifier(
            "a@b", "anna", sender="islet@b", host="127.0.0.1", port=fake.port, security="none", timeout_s=0.3
        )
        began_s = monotonic()
        assert isinstance(email.send(MESSAGE, NOW), RetryAfter)
        assert monotonic() - began_s < 2


def test_a_mail_server_that_is_away_leaves_nothing_running() -> None:
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        email = EmailNotifier("a@b", "anna", sender="islet@b", host="127.0.0.1", port=taken.getsockname()[1])
        before = active_count()
        assert isinstance(email.send(MESSAGE, NOW), RetryAfter)
        deadline_s = monotonic() + 10
        while active_count() > before and monotonic() < deadline_s:
            sleep(0.01)
        assert active_count() == before


@pytest.mark.parametrize("answer", [drips(NO_BODY, b""), drips(NO_BODY, b"x")], ids=["hangs", "drips"])
def test_a_status_counts_also_where_the_body_does_not_end(answer: Answer) -> None:
    """Else what was taken would be sent again, for a day."""
    client = GuardedClient(allowed=LOCAL, timeout_s=0.3)
    with fake_http(answer) as fake:
        assert client.post(fake.base_url, b"", {}).status == 200
    client.close()


def test_no_connection_is_kept_for_another_name_at_the_same_address() -> None:
    client = GuardedClient(allowed=LOCAL, timeout_s=5)
    ports = set()

    def answer(handler: Handler) -> None:
        ports.add(handler.client_address[1])
        handler.reply(200)

    with fake_http(answer) as fake:
        for name in ("127.0.0.1", "localhost"):
            client.post(fake.base_url.replace("127.0.0.1", name), b"", {})
    assert len(ports) == 2
    client.close()


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"{", b"[1]", b"{}", b"[" * 60_000])
def test_what_is_not_the_services_answer_is_not_taken_for_delivered(body: bytes) -> None:
    """A network's log-in page answers everything with 200."""
    client = GuardedClient(allowed=LOCAL, timeout_s=5)
    with fake_http(raw(200, body)) as fake:
        ntfy = NtfyNotifier("topic", "anna", client, base_url=fake.base_url)
        telegram = TelegramNotifier("1:t", "5", base_url=fake.base_url)
        for notifier in (ntfy, telegram):
            assert isinstance(notifier.send(MESSAGE, NOW), RetryAfter)
        telegram.close()
    client.close()


def test_an_answer_without_end_fills_no_memory() -> None:
    def answer(handler: Handler) -> None:
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            for _ in range(64):
                handler.wfile.write(b" " * 1_000_000)
        except OSError:
            stopped.append(True)

    stopped: list[bool] = []
    with fake_http(answer) as fake:
        telegram = TelegramNotifier("1:t", "5", base_url=fake.base_url)
        assert isinstance(telegram.send(MESSAGE, NOW), RetryAfter)
        telegram.close()
    assert stopped == [True]
