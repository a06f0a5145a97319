"""One device's connection, whichever version of MQTT it speaks: who is let in, for how long, and how it ends."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol, cast

import structlog

from islet.access.x509 import PeerCertificate
from islet.decode.faults import asked_fault
from islet.decode.iothub import Identity, parse_identity, parse_username
from islet.decode.iothub_dps import Registrant, is_registrant, parse_registrant
from islet.decode.mqtt5_codes import Code
from islet.decode.mqtt_packets import (
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Subscribe,
    Unsubscribe,
    Will,
)
from islet.decode.telemetry import NO_PROPERTIES, Arrival
from islet.errors import AccessDenied, IsletError, ProtocolError
from islet.gateways import server
from islet.gateways.client_certificates import peer_certificate
from islet.gateways.mqtt_session import Session, TelemetryOnly, Terms
from islet.gateways.mqtt_topics import will_properties
from islet.model.people import Device, Kind

CONNECT_WITHIN_S = 20.0
LONGEST_SILENCE_S = 1767.0
"""IoT Hub's cap on 1.5 times the keep-alive; also for clients that turn keep-alive off."""

LONGEST_SESSION_S = 30 * 86_400.0
WINDOW = 256
"""Messages of one connection that may wait for the log; then it is not read until half of them are through."""

_log = structlog.get_logger("islet.gateways.mqtt")

_NO_DEVICE = Device(id="")
_NO_TOPIC = "\0/"  # of one that registers: no topic begins so [MQTT-1.5.3-2]


class LastWill(NamedTuple):
    """What a device leaves, and in how many seconds, unless it comes back."""

    payload: bytes
    properties: Mapping[str, str]
    delay_s: float = 0.0


class Server(server.Server["Line"], Protocol):
    """What a connection needs of the server."""

    @property
    def fault_injection(self) -> bool: ...
    def registration(
        self, registrant: Registrant, token: str, peer: PeerCertificate | None, connection: "Line", /
    ) -> tuple[TelemetryOnly, int]: ...
    def session(
        self, identity: Identity, device: Device, connection: "Line", *, clean: bool, model_id: str, terms: Terms | None
    ) -> Session | TelemetryOnly: ...
    def let_in(self, identity: Identity, session: Session | TelemetryOnly, /, *, clean: bool) -> None: ...
    def gone(self, identity: Identity, session: Session | TelemetryOnly, /) -> None: ...
    def leave_will(self, identity: Identity, device: Device, will: "LastWill", /) -> None: ...
    def handed_over(self, connection: "Line", transport: asyncio.Transport, unread: bytes, /) -> None: ...


class Line(asyncio.Protocol):
    """What versions have in common. A subclass reads what is received, writes packets, and acknowledges."""

    def __init__(self, server: Server) -> None:
        self.device = _NO_DEVICE
        self._server = server
        self._intake = server.intake
        self._loop = asyncio.get_running_loop()
        self._identity: Identity | None = None
        self._will: Will | None = None
        self._peer: PeerCertificate | None = None
        self._token = ""  # where it is not the device's own, whose keys are looked at
        self._session: Session | TelemetryOnly = TelemetryOnly(self)
        self._topic = ""
        self._telemetry_topic, self._module = _NO_TOPIC, ""
        self._properties = NO_PROPERTIES
        self._beside_bytes = 0  # of topics, since the last offer
        self._arrived: list[Arrival] = []  # in what was received last, not yet offered
        self._in_flight = 0
        self._paused = self.choked = self._held = self._stopping = self._is_closed = False
        self._silence_s = LONGEST_SILENCE_S
        self._heard_s = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None

    # --- what a version does in its own way ---

    def send(self, packet: Packet) -> None:
        """Write it, unless the connection is closed."""
        raise NotImplementedError

    def _offer_arrived(self) -> None:
        """What came together is offered together."""
        raise NotImplementedError

    def _welcome(self, session_present: bool) -> None:
        """Answer CONNECT with yes."""
        raise NotImplementedError

    def _refusal(self, code: Code, reason: str) -> Connack:
        """The answer to CONNECT that says no."""
        raise NotImplementedError

    def _terms(self, connect: Connect) -> Terms | None:
        """What MQTT 5 asks of its session."""
        return None

    def _goodbye(self, packet: Disconnect) -> None:
        """The device goes on purpose."""
        self.close("the device has said goodbye", Code.SUCCESS, will=False)

    def _say_why(self, code: Code, reason: str) -> None:
        """The last word before the server closes, where a version has one."""

    def _last_will(self, will: Will, identity: Identity) -> LastWill:
        return LastWill(will.payload, will_properties(will, identity))

    # --- the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self)
        self._silence = self._loop.call_later(CONNECT_WITHIN_S, self.close, "no CONNECT came", Code.SILENT)

    def connection_lost(self, exc: Exception | None) -> None:
        self.close("the peer has gone", Code.SUCCESS)
        self._server.closed(self)

    def pause_writing(self) -> None:
        self.choked = True
        self._set_reading()

    def resume_writing(self) -> None:
        self.choked = False
        self._set_reading()
        self._session.writable()

    # --- packets ---

    def _take(self, packet: Packet) -> None:
        """Any but PUBLISH of one who was let in."""
        if self._identity is None:
            if not isinstance(packet, Connect):  # [MQTT-3.1.0-1]
                raise ProtocolError("MQTT: expected CONNECT first")
            self._take_connect(packet)
        elif isinstance(packet, Pingreq):
            self.send(Pingresp())
        elif isinstance(packet, Puback):
            self._session.acknowledged(packet)
        elif isinstance(packet, Subscribe):
            self._session.subscribe(packet)
        elif isinstance(packet, Unsubscribe):
            self._session.unsubscribe(packet)
        elif isinstance(packet, Disconnect):
            self._goodbye(packet)
        else:  # a second CONNECT [MQTT-3.1.0-2], or what only a server may send
            raise ProtocolError("MQTT: expected a packet that a connected device may send")

    def _take_connect(self, connect: Connect) -> None:
        refusal_s = self._server.turnstile.refusal_s(self._loop.time())
        if refusal_s is not None:
            self.stop_reading()
            self._loop.call_later(refusal_s, self._refuse, Code.BUSY, "too many connect at once")
            return
        registers = is_registrant(connect.username or "")
        try:
            identity = Identity(connect.client_id) if registers else parse_identity(connect.client_id)
        except ProtocolError as error:
            self._refuse(Code.CLIENT_ID, str(error))
            return
        try:
            if registers:
                self._let_register(identity, connect)
            else:
                self._let_in(identity, connect)
        except (AccessDenied, ProtocolError) as error:
            self._server.turned_away(identity.device, self._transport)
            self._refuse(Code.NOT_AUTHORISED, str(error))
        except (IsletError, OSError):  # the registry cannot be read; clients try again
            self._refuse(Code.UNAVAILABLE, "the registry cannot be read")

    def _let_in(self, identity: Identity, connect: Connect) -> None:
        authenticator = self._server.authenticator
        username = parse_username(connect.username or "")
        if username.client_id != connect.client_id or username.host.lower() != authenticator.hub_name.lower():
            raise AccessDenied("the user name is for another hub or device")
        token, peer = self._credential(connect)
        device, admission = authenticator.admit_device(identity, token, peer)
        if connect.will is not None:
            will_properties(connect.will, identity)
        session = self._server.session(
            identity,
            device,
            self,
            clean=connect.clean_session,
            model_id=username.model_id,
            terms=self._terms(connect),
        )
        self._identity, self.device, self._will, self._session = identity, device, connect.will, session
        self._peer = peer
        self._token = token if identity.module or admission.principal.kind is Kind.SERVICE else ""
        self._telemetry_topic, self._module = identity.telemetry_topic, identity.module
        self._watch(connect, admission.expires_us)
        self._server.let_in(identity, session, clean=connect.clean_session)
        self._welcome(session.present)
        session.begin()

    def _let_register(self, identity: Identity, connect: Connect) -> None:
        registrant = parse_registrant(connect.username or "")
        if registrant.id != connect.client_id or connect.will is not None:
            raise AccessDenied("the client id is not the registration id, or there is a will")
        token, peer = self._credential(connect)
        self._session, expires_us = self._server.registration(registrant, token, peer, self)
        self._identity = identity
        self._watch(connect, expires_us)
        self._welcome(False)

    def _credential(self, connect: Connect) -> tuple[str, PeerCertificate | None]:
        """The token, or without one the certificate, if there is one."""
        token = (connect.password or b"").decode(errors="replace")
        return token, None if token else peer_certificate(self._transport.get_extra_info("ssl_object"))

    def _watch(self, connect: Connect, expires_us: int) -> None:
        self._silence_s = min(1.5 * connect.keep_alive_s or LONGEST_SILENCE_S, LONGEST_SILENCE_S)  # [MQTT-3.1.2-24]
        self._watch_silence()
        self._watch_expiry(expires_us)

    def _has_asked_for_a_fault(self) -> bool:
        """Whether the properties of the message at hand ask for one, where that is allowed; it is on its way then."""
        if self._server.fault_injection and (fault := asked_fault(self._properties)) is not None:
            self._topic = ""  # the next one asks again
            self._loop.call_later(fault.delay_s, self._transport.abort)
            return True
        return False

    def _pause(self) -> None:
        """Do not read from the device until enough of what it sent is in the log."""
        self._paused = True
        self._set_reading()

    def hold(self, held: bool) -> None:
        """Do not read from the device while `held`: it has more requests under way than it may."""
        self._held = held
        self._set_reading()

    # --- the end ---

    def device_is_now(self, device: Device | None) -> None:
        """The registry has changed; a device that may no longer be here is disconnected."""
        known = self.device
        if device is None or not device.enabled or device.generation_id != known.generation_id:
            self._shut_out("the device was disabled or deleted, or may not send for its patient")
        elif (device.primary_key, device.secondary_key) != (known.primary_key, known.secondary_key):
            self._shut_out("the device has new keys")
        elif self._peer is not None and not self._server.authenticator.is_still(device, self._peer):
            self._shut_out("the device has another certificate, or its authority is trusted no more")
        elif self._token and not self._admits_again():
            self._shut_out("the hub policy or the module has a new key, or may not any more")
        else:
            self.device = device

    def _shut_out(self, reason: str) -> None:
        self.close(reason, Code.ADMINISTRATIVE, will=False)

    def _admits_again(self) -> bool:
        return self._identity is not None and self._server.authenticator.admits(self._identity, self._token)

    def stop_reading(self) -> None:
        """Take nothing more; what is pending is still acknowledged."""
        self._stopping = True
        self._set_reading()

    def close(self, reason: str, code: Code = Code.OUR_FAULT, *, will: bool = True) -> None:
        """End it, once; what was written still goes out. `code` is what a version is told that has a word for it. Where
        `will`, the device's last will becomes telemetry."""
        if self._is_closed:
            return
        self._is_closed = True
        self._offer_arrived()  # what came before the last will
        self._cancel(self._silence)
        self._cancel(self._expiry)
        self._session.end()
        if self._identity is not None:
            self._server.gone(self._identity, self._session)
        if self._identity is not None and code and not self.choked and not self._transport.is_closing():
            self._say_why(code, reason)
        if self.choked:  # the peer does not read; what is left to write would keep the socket for long
            self._transport.abort()
        else:
            self._transport.close()
        _log.debug("closed", device=self.device.id, reason=reason)
        if will and self._will is not None and self._identity is not None:
            self._server.leave_will(self._identity, self.device, self._last_will(self._will, self._identity))

    def _refuse(self, code: Code, reason: str) -> None:
        """Say no to CONNECT. No log line names the device: anyone can claim any name."""
        if self._is_closed:
            return
        self._server.refused += 1
        answer = self._refusal(code, reason)
        _log.info("refused", code=answer.code, reason=reason)
        self.send(answer)
        self.close(reason, Code.SUCCESS)

    def _watch_silence(self) -> None:
        """Close when nothing was heard for `_silence_s`, unless it is us who do not listen. One timer, which is moved
        on only when it fires."""
        left_s = self._heard_s + self._silence_s - self._loop.time()
        if left_s <= 0 and not (self._paused or self._held):
            self.close("the device is silent", Code.SILENT)
            return
        self._cancel(self._silence)
        self._silence = self._loop.call_later(left_s if left_s > 0 else self._silence_s, self._watch_silence)

    def _watch_expiry(self, expires_us: int) -> None:
        """A token's end is the connection's; SDKs connect again with a new one shortly before."""
        left_s = (expires_us - self._server.authenticator.wall_now()) / 1e6
        left_s = min(left_s, LONGEST_SESSION_S)
        self._expiry = self._loop.call_later(left_s, self.close, "the token has expired", Code.TIME_IS_OVER)

    @staticmethod
    def _cancel(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()

    def _set_reading(self) -> None:
        if self._is_closed or self._transport.is_closing():
            return
        if self._paused or self.choked or self._held or self._stopping:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
