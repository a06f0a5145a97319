"""An HTTP listener inside the platform's event loop, on uvicorn."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from islet.errors import CannotListen

_DRAIN_S = 5
_MOST_SOCKET_BYTES = 1 << 20  # one message of a WebSocket
_MOST_HEAD_BYTES = 1 << 16
"""Of a request line and its headers, and of what may stand behind a body; SDKs send some hundred bytes."""

_HEAD_WITHIN_S = 20.0
_BETWEEN_S = 65
"""How long a connection is kept for the next request: what posts once a minute need not shake hands each time, and
never writes into a connection that is just being closed, after which many clients lose a POST."""
_SILENCE_S = 60.0
"""How long the rest of a body may be waited for while nothing comes."""


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the platform has one for all its parts."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _showing(app: ASGI3Application, transport: asyncio.BaseTransport) -> ASGI3Application:
    """The application, with the `ssl.SSLObject` of the connection (None: there is no TLS) in each scope. That a peer
    goes in the middle of its request is nobody's fault here, and no page of the log."""

    async def shown(scope: Scope, receive: Receive, send: Send) -> None:
        scope["ssl_object"] = transport.get_extra_info("ssl_object")
        with contextlib.suppress(ClientDisconnect):
            await cast(ASGIApp, app)(scope, receive, send)

    return cast(ASGI3Application, shown)


class _Http(HttpToolsProtocol):
    """Ends connections whose peer does not send what it has begun, or a head without end; uvicorn's own timer is for
    those that are between two requests."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self.app = _showing(self.app, transport)
        self._unread = 0  # bytes since a head, a piece of a body or a message was whole
        self._timer: asyncio.TimerHandle | None = None
        self._expect(_HEAD_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > _MOST_HEAD_BYTES:
            self.transport.abort()
        elif self._unread and self._due_s is None:  # between two messages, and the beginning of none
            self._expect(_HEAD_WITHIN_S)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect(_HEAD_WITHIN_S)

    def on_headers_complete(self) -> None:
        self.url = _origin_form(self.url)
        super().on_headers_complete()
        self._unread = 0
        self._expect(_SILENCE_S)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unread = 0
        self._expect(_SILENCE_S)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._unread = 0
        self._expect(None)

    def handle_websocket_upgrade(self) -> None:
        self._unread = 0
        self._expect(None)
        super().handle_websocket_upgrade()

    def _expect(self, within_s: float | None) -> None:
        """More has to come within that time (None: it need not). One timer, which is moved on when it fires."""
        self._due_s = None if within_s is None else self.loop.time() + within_s
        if self._due_s is None or within_s is None:
            return
        if self._timer is not None and self._timer.when() > self._due_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_later(within_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due_s is None:
            return
        left_s = self._due_s - self.loop.time()
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self._look)
        elif self.flow.read_paused:  # it is us who do not listen
            self._expect(_SILENCE_S)
        else:
            self.transport.abort()


def _origin_form(target: bytes) -> bytes:
    """A request's target without scheme and host, which a server has to take (RFC 9112, 3.2.2): the SDK for Java opens
    its WebSockets so.

    >>> _origin_form(b"https://hub.example/$iothub/websocket?a=1")
    b'/$iothub/websocket?a=1'
    """
    if not target.startswith((b"http://", b"https://")):
        return target
    parts = urlsplit(target)
    return (parts.path or b"/") + (b"?" + parts.query if parts.query else b"")


class _WebSocket(WebSocketsSansIOProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app = _showing(self.app, transport)


class HttpListener:
    """Serves an application on one port. `start` returns once requests are answered; `stop` drains for five seconds.
    A WebSocket is cut off then: what goes through it has to have ended.

    The application finds the `ssl.SSLObject` of its connection in `scope["ssl_object"]`.
    """

    def __init__(self, app: Starlette, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Raises CannotListen when the port cannot be had."""
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            http=_Http,
            ws=_WebSocket,
            ws_max_size=_MOST_SOCKET_BYTES,
            ws_ping_interval=None,  # MQTT and AMQP look after their peers; the SDK for Java takes no ping over MQTT
            timeout_graceful_shutdown=_DRAIN_S,
            timeout_keep_alive=_BETWEEN_S,
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to answer."""
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started and not self._serving.done():
            await asyncio.sleep(0.01)
        if self._serving.done():
            self._serving.result()

    def close(self) -> None:
        """Accept nobody more; who is there is served as before."""
        for server in self._server.servers:
            server.close()

    async def stop(self) -> None:
        """Accept nothing more, answer what is under way."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


def _bound(host: str, port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        one.bind((host, port))
    except OSError as error:
        one.close()
        raise CannotListen(host, port, error) from None
    return one
