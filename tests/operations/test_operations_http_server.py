"""What strangers can do to an HTTP listener: hold it up, or fill its memory; each has a connection of its own at most."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from islet.operations import http_server
from islet.operations.http_server import HttpListener

PATIENCE_S = 10.0


async def _answer(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A listener that is not as patient as the platform's."""
    monkeypatch.setattr(http_server, "_HEAD_WITHIN_S", 0.8)
    monkeypatch.setattr(http_server, "_SILENCE_S", 0.8)
    listener = HttpListener(Starlette(routes=[Route("/", _answer, methods=["GET", "POST"])]), "127.0.0.1", 0)
    await listener.start()
    yield listener.port
    await listener.stop()


async def _said(port: int, *parts: bytes, pause_s: float = 0.05) -> bytes:
    """What comes back until the listener hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE_S):
            said = await reader.read()
    writer.close()
    return said


@pytest.mark.parametrize(
    "begun",
    [
        (),
        (b"GET / HT",),
        (b"GET / HTTP/1.1\r\nHost: a\r\n",),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HT"),
    ],
)
async def test_who_does_not_send_what_was_begun_is_not_waited_for(
    port: int, begun: tuple[bytes, ...], caplog: pytest.LogCaptureFixture
) -> None:
    said = await _said(port, *begun)
    assert said.count(b"200 OK") == (len(begun) == 2)
    assert not caplog.records, "a stranger fills no log"


@pytest.mark.parametrize(
    "begin",
    [b"GET /?q=", b"GET / HTTP/1.1\r\nHost: ", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: "],
)
async def test_a_head_without_end_is_refused_before_it_fills_the_memory(port: int, begin: bytes) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    sent = 0
    with contextlib.suppress(ConnectionError):
        while sent < 50_000_000 and not writer.transport.is_closing():
            writer.write(b"a" * 100_000)
            await writer.drain()
            sent += 100_000
    writer.close()
    assert sent < 20_000_000  # what sockets and the event loop hold


async def test_many_headers_without_end_are_refused(port: int) -> None:
    said = await _said(port, b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"x: " + b"a" * 1000 + b"\r\n"] * 2000, pause_s=0)
    assert b"200" not in said


async def test_who_sends_slowly_and_much_is_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(5):
        await asyncio.sleep(0.2)  # together longer than any one silence may be
        writer.write(b"a" * 200_000)
        await writer.drain()
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.read()).endswith(b"1000000")
    writer.close()


def test_a_connection_is_kept_for_who_posts_once_a_minute() -> None:
    listener = HttpListener(Starlette(), "127.0.0.1", 0)
    assert listener._server.config.timeout_keep_alive > 60
    listener._socket.close()


def test_nobody_is_pinged_through_a_websocket() -> None:
    """The SDK for Java takes a ping for the end of its connection, over MQTT and over AMQP."""
    listener = HttpListener(Starlette(), "127.0.0.1", 0)
    assert listener._server.config.ws_ping_interval is None
    listener._socket.close()
