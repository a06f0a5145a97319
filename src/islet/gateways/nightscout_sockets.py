"""Nightscout's web sockets for apps that are told of changes: the namespaces /storage and /alarm of socket.io. Needs the extra
`nightscout`.

AndroidAPS loads by the third API what has changed, when it has subscribed, and then waits for what it is told here. So a socket
is told what HISTORY would tell (`islet.gateways.nightscout_history`), as soon as that is settled: about three seconds after it
was received. In /alarm nothing is said. Sources: cgm-remote-monitor (lib/api3: storageSocket, alarmSocket), AndroidAPS
(plugins/sync, NSClientV3Service).
"""

import asyncio
import contextlib
import logging
from typing import Any, Final
from urllib.parse import parse_qs

import socketio
import structlog
from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from islet.decode.nightscout_search import Document
from islet.decode.nightscout_v3 import COLLECTIONS, READ
from islet.errors import AccessDenied
from islet.gateways.authenticate import Authenticator
from islet.gateways.nightscout_apps import NightscoutApps
from islet.gateways.nightscout_feed import Listener, NightscoutFeed
from islet.model.time import Now
from islet.store.base import Store
from islet.store.turned_away import CONNECTION

PATHS: Final = ("/socket.io", "/socket.io/")
STORAGE, ALARM = "/storage", "/alarm"
_ROUND_S: Final = 0.5
_SILENT_S: Final = 60.0
_SUBSCRIBE_WITHIN_S: Final = 20.0
_MOST_STRANGERS: Final = 200
"""Sessions in which nobody has shown a secret yet; each holds some ten kilobytes."""
_MOST_OF_ONE: Final = 8
"""Sessions of one app; the oldest ends."""
_MOST_BYTES: Final = 16 << 10
"""Of a message to us; a subscription has 200."""
_POST_WITHIN_S: Final = 5.0
_POLL_WITHIN_S: Final = 60.0
"""The library answers after 45."""
_WHO: Final = "Missing or bad access token or JWT"
_NOTHING: Final = "Unauthorized to receive any collection"
_log = structlog.get_logger("islet.gateways.nightscout")


class NightscoutSockets:
    """In the event loop in which `routes` are served. `now` is the platform's clock; who does not say who they are within
    `patience_s` is ended."""

    def __init__(
        self,
        authenticator: Authenticator,
        apps: NightscoutApps,
        store: Store,
        now: Now,
        *,
        patience_s: float = _SUBSCRIBE_WITHIN_S,
    ) -> None:
        self._authenticator, self._apps, self._now, self._patience_s = authenticator, apps, now, patience_s
        self._feed = NightscoutFeed(store)
        self._listeners: dict[str, Listener] = {}
        """By the session of engine.io, of which a client has one for each namespace, or one for both."""
        self._since_s: dict[str, float] = {}
        self._looked_at: object = None  # the registry's version of when it was asked who may still listen
        self._rounds: asyncio.Task[None] | None = None
        self._stopping, self._failed_s = False, -_SILENT_S
        self._sockets = _server()
        for name, handler in (("subscribe", self._subscribe_storage), ("disconnect", self._leave)):
            self._sockets.on(name, handler, namespace=STORAGE)
        self._sockets.on("subscribe", self._subscribe_alarm, namespace=ALARM)

    @property
    def listening(self) -> int:
        """How many sockets are told of changes."""
        return sum(bool(one.collections) for one in self._listeners.values())

    def routes(self) -> list[BaseRoute]:
        polled = [Route(path, self, methods=["GET", "POST"]) for path in PATHS]
        return [*polled, *(WebSocketRoute(path, self) for path in PATHS)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Polling and web socket. New sessions wait until those that are there have shown a secret."""
        strangers = self._sessions.keys() - self._listeners.keys()
        if self._stopping or (len(strangers) >= _MOST_STRANGERS and b"sid=" not in scope.get("query_string", b"")):
            await _refuse(503, scope, receive, send)
        elif not 0 <= int(dict(scope["headers"]).get(b"content-length", b"0")) <= _MOST_BYTES:
            await _refuse(413, scope, receive, send)
        else:
            if self._rounds is None or self._rounds.done():
                self._rounds = asyncio.create_task(self._look_regularly(), name="nightscout-sockets")
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The library waits for ever that somebody fetches the end of a session that it has ended for a bad message."""
        within_s = {"POST": _POST_WITHIN_S, "GET": _POLL_WITHIN_S}.get(scope.get("method", ""))
        try:
            async with asyncio.timeout(within_s):
                await self._sockets.eio.handle_request(scope, receive, send)
        except TimeoutError:
            await self._end(parse_qs(scope["query_string"].decode("latin-1")).get("sid", [""])[0])
            await _refuse(400, scope, receive, send)

    async def stop(self) -> None:
        """End all of them: a client comes again by itself."""
        self._stopping = True
        for session in list(self._sessions):
            await self._end(session)
        if self._rounds is not None:
            self._rounds.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._rounds
        with contextlib.suppress(Exception):  # of the library's own watch, which may have gone with its loop
            await asyncio.wait_for(self._sockets.shutdown(), 1.0)

    @property
    def _sessions(self) -> dict[str, Any]:
        found: dict[str, Any] = self._sockets.eio.sockets
        return found

    async def _subscribe_storage(self, sid: str, message: object = None) -> Document:
        listener = await self._let_in(sid, STORAGE, message)
        if listener is None:
            return {"success": False, "message": _WHO}
        listener.sid = sid
        if not self._authenticator.may_view(listener.device):
            return {"success": False, "message": _NOTHING}
        asked = message.get("collections") if isinstance(message, dict) else None
        wanted = COLLECTIONS if not isinstance(asked, list) else [one for one in COLLECTIONS if one in asked]
        granted = [one for one in wanted if one != "settings"]
        if not granted:
            return {"success": False, "message": _NOTHING}
        self._feed.begin(listener, [one for one in granted if one in READ], self._now())
        return {"success": True, "collections": granted}

    async def _subscribe_alarm(self, sid: str, message: object = None) -> Document:
        if await self._let_in(sid, ALARM, message) is None:
            return {"success": False, "message": _WHO}
        return {"success": True, "message": "Subscribed for alarms"}

    async def _let_in(self, sid: str, namespace: str, message: object) -> Listener | None:
        """Whose session it is, by the secret in a message, or by a token for one; None: nobody's."""
        said = message.get("accessToken") if isinstance(message, dict) else None
        try:
            app = await self._apps.said(said if isinstance(said, str) else "")
        except AccessDenied:
            client = self._sockets.get_environ(sid, namespace)["asgi.scope"].get("client")
            self._authenticator.turned_away(CONNECTION, "", client[0] if client else "")
            return None
        session = self._sockets.manager.eio_sid_from_sid(sid, namespace)
        known = self._listeners.get(session)
        if known is None or (known.device.id, known.said) != (app.device.id, said):
            known = self._listeners[session] = Listener(app.device, str(said))
            self._looked_at = None  # the secret may have been taken away while it was looked up
            others = [key for key, one in self._listeners.items() if one.device.id == app.device.id]
            for oldest in others[:-_MOST_OF_ONE]:
                await self._end(oldest)
        return known

    def _leave(self, sid: str, _: object = None) -> None:
        for listener in self._listeners.values():
            if listener.sid == sid:
                listener.collections.clear()

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(_ROUND_S)
            try:
                await self._sweep()
                if (version := self._authenticator.version) != self._looked_at:
                    self._looked_at = version
                    await self._look_again()
                await self._tell()
            except Exception as error:  # the disk; the next round may be well again
                self._looked_at = None
                self._failed(error)

    async def _sweep(self) -> None:
        """Forget who has gone, and end who does not say who they are."""
        now_s = asyncio.get_running_loop().time()
        self._listeners = {session: one for session, one in self._listeners.items() if session in self._sessions}
        self._since_s = {session: self._since_s.get(session, now_s) for session in self._sessions}
        for session, since_s in self._since_s.items():
            if session not in self._listeners and now_s - since_s > self._patience_s:
                await self._end(session)

    async def _look_again(self) -> None:
        """The registry has changed: end whose secret has, or who may not read any more."""
        for session, listener in list(self._listeners.items()):
            try:
                device = (await self._apps.said(listener.said)).device
            except AccessDenied:
                device = None
            may_listen = device is not None and (not listener.collections or self._authenticator.may_view(device))
            if device is None or not may_listen or device.patient != listener.device.patient:
                await self._end(session)

    async def _tell(self) -> None:
        for listener in list(self._listeners.values()):
            if not listener.collections or not self._authenticator.may_view(listener.device):
                continue
            try:
                news = await asyncio.to_thread(self._feed.news, listener, self._now())
            except Exception as error:  # what cannot be read of one patient is nobody else's
                self._failed(error)
                continue
            if listener.collections and self._authenticator.may_view(listener.device):
                for event, said in news:
                    await self._sockets.emit(event, said, to=listener.sid, namespace=STORAGE)

    def _failed(self, error: Exception) -> None:
        """A line of the log, at most one a minute: rounds are many."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._failed_s >= _SILENT_S:
            self._failed_s = now_s
            _log.error("sockets_failed", error=type(error).__name__)

    async def _end(self, session: str) -> None:
        """Close the connection itself: a client that was told to go would not come again by itself."""
        self._listeners.pop(session, None)
        socket = self._sessions.get(session)
        if socket is None:
            return
        with contextlib.suppress(Exception):  # it may go in the same moment
            await socket.close(wait=False)
        socket.queue.put_nowait(None)  # the end of what the library writes; then it hangs up
        self._sessions.pop(session, None)


async def _refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
    else:
        await PlainTextResponse("refused", status, {"Retry-After": "5"})(scope, receive, send)


def _server() -> Any:
    """A server of socket.io that says nothing: what a stranger sends wrong is no page of the log."""
    silent = logging.getLogger("islet.gateways.nightscout_sockets.library")
    silent.setLevel(logging.CRITICAL + 1)
    return socketio.AsyncServer(
        async_mode="asgi",
        namespaces=[STORAGE, ALARM],
        async_handlers=False,  # one message of a client after the other
        max_http_buffer_size=_MOST_BYTES,
        http_compression=False,
        cors_allowed_origins=[],
        logger=silent,
        engineio_logger=silent,
    )
