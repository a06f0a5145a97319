"""One AMQP 1.0 connection: its bytes through SASL and Proton's engine, its credentials, and its links' handlers."""

import asyncio
from typing import Final, cast

import structlog
from proton import Event, Link, ProtonException, Receiver, Sender

from islet.access.x509 import PeerCertificate
from islet.decode.iothub import Identity
from islet.decode.iothub_amqp import Endpoint, Place, parse_address
from islet.errors import AccessDenied, IsletError, NotFound, ProtocolError
from islet.gateways.amqp_credentials import CREDENTIAL_WITHIN_S, Credentials
from islet.gateways.amqp_device import DeviceEnd
from islet.gateways.amqp_engine import Engine
from islet.gateways.amqp_faults import AmqpFaults
from islet.gateways.amqp_greeting import Greeting
from islet.gateways.amqp_links import Incoming, Outgoing, Server, accept_link, drop, end_link
from islet.gateways.amqp_registration import Registrations
from islet.gateways.amqp_service import ServiceEnd, refuse_link, service_path
from islet.gateways.client_certificates import peer_certificate

OPEN_WITHIN_S: Final = 20.0
CLOSE_WITHIN_S: Final = 0.5
"""How long a peer may take to close the connection once its sessions are ended."""

_log = structlog.get_logger("islet.gateways.amqp")


class AmqpConnection(asyncio.Protocol):
    """Any violation closes this connection only. Devices and services may share one."""

    def __init__(self, server: Server["AmqpConnection"]) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._greeting = Greeting(self._put_token, server.authenticator.hub_name)
        self._engine = Engine(self._take)
        self._credentials = Credentials(server.authenticator, self._peer)
        self._expires_us: dict[Identity | str, int] = {}  # of what is in use: devices, and services' endpoints
        self._links: set[Link] = set()
        self.handlers: dict[Link, Incoming | Outgoing] = {}
        self._faults = AmqpFaults(self) if server.fault_injection else None
        self._ends: dict[Identity, DeviceEnd] = {}
        self._end_of: dict[Incoming | Outgoing, DeviceEnd] = {}
        self._services = ServiceEnd(
            self, server.exchange, server.authenticator, self._credentials, server.event_hub, server.device_files
        )
        self._registrations = Registrations(self, server.registrar, self._peer)
        self._is_open = self._is_closed = self._woken = self.choked = self._stopping = False
        self._held = 0
        self._limits: list[asyncio.TimerHandle] = []
        self._timers: list[asyncio.TimerHandle] = []
        self._expiry: asyncio.TimerHandle | None = None
        self._ticking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self)
        self._limits = [
            self._loop.call_later(OPEN_WITHIN_S, self._expect_open),
            self._loop.call_later(CREDENTIAL_WITHIN_S, self._expect_credential),
        ]
        self._tick()

    def connection_lost(self, exc: Exception | None) -> None:
        self.close("the peer has gone")
        self._server.closed(self)

    def pause_writing(self) -> None:
        self.choked = True
        self._set_reading()

    def resume_writing(self) -> None:
        self.choked = False
        self._set_reading()
        for handler in [one for one in self.handlers.values() if isinstance(one, Outgoing)]:
            handler.on_credit()
        for end in list(self._ends.values()):
            end.writable()

    def hold(self) -> None:
        """Do not read until `let_go` was called as often."""
        self._held += 1
        self._set_reading()

    def let_go(self) -> None:
        self._held -= 1
        self._set_reading()

    def _set_reading(self) -> None:
        if self._is_closed or self._transport.is_closing():
            return
        if self.choked or self._held or self._stopping:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        try:
            if not self._greeting.done:
                data = self._greet(data)
            if data and not self._is_closed:
                self._engine.feed(data)
        except ProtocolError as error:
            self.close(str(error))
        except (ProtonException, ValueError, OverflowError) as error:  # of texts and numbers that are none, when read
            self.close(f"AMQP: {type(error).__name__}")
        else:
            self.flush()

    def _greet(self, data: bytes) -> bytes:
        """SASL; what came behind it."""
        rest = self._greeting.feed(data)
        if answer := self._greeting.answer():
            self._transport.write(answer)
        if self._greeting.refused:
            self._refuse("SASL: the token is not good")
        return rest

    def wake(self) -> None:
        """Write soon, once for everything that is asked until then."""
        if not self._woken and not self._is_closed:
            self._woken = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the engine has."""
        self._woken = False
        if self._is_closed:
            return
        self._engine.dispatch()
        for data in self._engine.output():
            self._transport.write(data)
        if self._engine.over:
            self.close("the connection is closed")

    def _tick(self) -> None:
        """Empty frames in time, and an end where none came."""
        if self._is_closed:
            return
        within_s = self._engine.tick(self._loop.time())
        self.flush()
        self._tick_within(within_s)

    def _tick_within(self, seconds: float) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        self._ticking = self._loop.call_later(seconds, self._tick)

    # --- events ---

    def _take(self, event: Event) -> None:
        kind = event.type
        if kind == Event.CONNECTION_REMOTE_OPEN:
            self._open()
        elif kind == Event.SESSION_REMOTE_OPEN:
            event.session.open()
        elif kind == Event.LINK_REMOTE_OPEN:
            self._attach(event.link)
        elif kind == Event.LINK_FLOW:
            self._handler(event.link, "flowed")
        elif kind == Event.DELIVERY:
            handler = self.handlers.get(event.link)
            if handler is not None and not handler.closed:
                handler.moved(event.delivery)
            elif event.link.is_receiver:
                drop(event.delivery)
        elif kind in (Event.LINK_REMOTE_CLOSE, Event.LINK_REMOTE_DETACH):
            self._detach(event.link)
        elif kind == Event.SESSION_REMOTE_CLOSE:
            for link in [link for link in self._links if link.session == event.session]:
                self._detach(link)
            event.session.close()
            event.session.free()
        elif kind == Event.CONNECTION_REMOTE_CLOSE:
            self._engine.close()

    def _handler(self, link: Link, act: str) -> None:
        handler = self.handlers.get(link)
        if handler is not None and not handler.closed:
            getattr(handler, act)()

    def _open(self) -> None:
        refusal_s = self._server.turnstile.refusal_s(self._loop.time())
        if refusal_s is not None:
            self.stop_reading()
            self._timers.append(self._loop.call_later(refusal_s, self._refuse, "too many connect at once"))
            return
        self._is_open = True
        self._engine.open("islet")
        self._tick_within(0.0)  # now it is known how long the peer waits for a frame

    def _expect_open(self) -> None:
        if not self._is_open:
            self.close("no open came")

    def _expect_credential(self) -> None:
        if not self._credentials.are_there:
            self.end("amqp:unauthorized-access", "no credential came")

    # --- links ---

    def _attach(self, link: Link) -> None:
        self._links.add(link)
        if len(self._links) > self._credentials.most_links:  # also such as were refused, which the peer has to detach
            raise ProtocolError(f"AMQP: expected at most {self._credentials.most_links} links")
        terminus = link.remote_target if isinstance(link, Receiver) else link.remote_source
        try:
            handler = self._handler_for(link, terminus.address or "")
        except (IsletError, OSError) as error:
            self._server.refused += 1
            if isinstance(error, AccessDenied):
                self._turned_away(terminus.address or "")
            refuse_link(link, error)
            return
        accept_link(link)
        self.handlers[link] = handler
        handler.opened()
        if (end := self._end_of.get(handler)) is not None:
            end.attached(parse_address(terminus.address or "").place)

    def _handler_for(self, link: Link, address: str) -> Incoming | Outgoing:
        """Raises AccessDenied, NotFound and BadInput."""
        endpoint = parse_address(address)
        if endpoint.place is Place.TOKENS:
            return self._services.tokens_link(link, self._put_token)
        if endpoint.registrant is not None:
            return self._registrations.link(link, endpoint.registrant)
        if endpoint.identity is None:
            return self._service_link(link, endpoint)
        end = self._end(endpoint.identity)
        handler: Incoming | Outgoing
        if isinstance(link, Receiver):
            handler = end.incoming(endpoint.place, link)
        else:
            handler = end.outgoing(endpoint.place, cast(Sender, link))
        self._end_of[handler] = end
        return handler

    def _service_link(self, link: Link, endpoint: Endpoint) -> Incoming | Outgoing:
        path = service_path(endpoint)
        if endpoint.place is not Place.RUNTIME or self._credentials.are_there:  # there each question is looked at
            self._expires_us[path] = self._credentials.check_service(path)
            self._watch_expiry()
        return self._services.link(link, endpoint, path)

    def _end(self, identity: Identity) -> DeviceEnd:
        """The device's end on this connection; the newest connection of a device wins."""
        device, expires_us = self._credentials.admit(identity)
        end = self._ends.get(identity)
        if end is None:
            server = self._server
            server.exchange.presence.check_room(identity.client_id)
            address = server.authenticator.address(identity, device)
            end = DeviceEnd(self, server.exchange, server.intake, identity, device, address, self._faults)
            self._ends[identity] = end
            server.exchange.presence.arrived(identity.client_id, end)
        self._expires_us[identity] = expires_us
        self._watch_expiry()
        return end

    def _detach(self, link: Link) -> None:
        if link not in self._links:  # freed before, which may be done once only
            return
        self._links.discard(link)
        handler = self.handlers.pop(link, None)
        if handler is not None:
            self._forget(handler)
        link.close()
        link.free()  # its name may be used again

    def _forget(self, handler: Incoming | Outgoing) -> None:
        handler.ended()
        self._services.forget(handler)
        end = self._end_of.pop(handler, None)
        if end is not None and end.detached(handler):
            self._gone(end)

    def _gone(self, end: DeviceEnd) -> None:
        """No link of that device is left here."""
        if self._ends.get(end.identity) is end:
            del self._ends[end.identity]
            self._expires_us.pop(end.identity, None)
        self._server.exchange.presence.left(end.identity.client_id, end)

    # --- credentials ---

    def _put_token(self, token: str) -> None:
        """Raises AccessDenied."""
        try:
            if self._registrations.take(token):
                return
            identity = self._credentials.put(token)
        except AccessDenied:
            self._turned_away("")
            raise
        for used in list(self._expires_us):
            if identity is None or not isinstance(used, Identity) or used.device == identity.device:
                self._look_again(used)
        self._watch_expiry()

    def refresh(self) -> None:
        """Look at the credentials again: the registry has changed, or one of them may have expired."""
        try:
            for used in list(self._expires_us):
                self._look_again(used)
        except (AccessDenied, NotFound) as error:
            self.end("amqp:unauthorized-access", str(error))
        else:
            self._watch_expiry()

    def _turned_away(self, address: str) -> None:
        identity = parse_address(address).identity if address else None
        self._server.turned_away(identity.device if identity else "", self._transport)

    def _look_again(self, used: Identity | str) -> None:
        """Raises AccessDenied when nothing here is good for that device or endpoint any more."""
        if isinstance(used, Identity):
            self._ends[used].device, self._expires_us[used] = self._credentials.admit(used)
        else:
            self._expires_us[used] = self._credentials.check_service(used)

    def _peer(self) -> PeerCertificate | None:
        return peer_certificate(self._transport.get_extra_info("ssl_object"))

    def _watch_expiry(self) -> None:
        """Look again when the first of the credentials in use expires."""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._expires_us and not self._is_closed:
            left_s = (min(self._expires_us.values()) - self._server.authenticator.wall_now()) / 1e6
            self._expiry = self._loop.call_later(min(max(left_s, 0.0) + 0.01, 86_400.0), self.refresh)

    # --- the end ---

    def stop_reading(self) -> None:
        """Take nothing more; what is under way is still answered."""
        self._stopping = True
        self._set_reading()

    def sever(self) -> None:
        """Cut it off without a word."""
        if not self._is_closed:
            self._transport.abort()

    def end(self, name: str, description: str) -> None:
        """Close with a condition that the peer is told: at its sessions first, and the connection if it does not.

        The SDK for Node waits for 45 s, and then does not come again, where a connection is closed over open sessions.
        """
        if self._is_closed:
            return
        sessions = {link.session for link in self._links}
        self._let_go()
        for session in sessions:
            end_link(session, name, description)
        self._timers.append(
            self._loop.call_later(CLOSE_WITHIN_S if sessions else 0.0, self._end_now, name, description)
        )
        self.flush()

    def _end_now(self, name: str, description: str) -> None:
        if not self._is_closed:
            self._engine.close((name, description))
            self.flush()
            self.close(description)

    def _refuse(self, reason: str) -> None:
        self._server.refused += 1
        _log.info("refused", reason=reason)
        self.close(reason)

    def close(self, reason: str) -> None:
        """End it, once; what was written still goes out."""
        if self._is_closed:
            return
        self._is_closed = True
        for timer in (*self._limits, *self._timers, self._expiry, self._ticking):
            if timer is not None:
                timer.cancel()
        self._let_go()
        if self.choked:
            self._transport.abort()
        else:
            self._transport.close()
        self._engine.free()
        _log.debug("closed", reason=reason)

    def _let_go(self) -> None:
        """Of all links, and of what waits for them."""
        for handler in list(self.handlers.values()):
            handler.ended()
        for end in list(self._ends.values()):
            end.detached_all()
            self._gone(end)
        self.handlers.clear()
        self._links.clear()
        self._end_of.clear()
