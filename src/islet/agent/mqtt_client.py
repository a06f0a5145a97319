"""A device's side of MQTT: connects with a token, sends events, knows which are in the log of the front door.

For simulated devices, replays and load. One client is one device; thousands share an event loop.
"""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Self, cast

from msgspec import Struct

from islet.access.sas import ConnectionString, make_token
from islet.decode.iothub import Identity, format_properties
from islet.decode.mqtt import Parser
from islet.decode.mqtt_packets import (
    ACCEPTED,
    IDENTIFIER_REJECTED,
    NOT_AUTHORISED,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    Suback,
    Subscribe,
    encode,
)
from islet.errors import AccessDenied, IsletError, ProtocolError
from islet.model.time import SECOND_US, Now

API_VERSION = "2021-04-12"
TOKEN_LASTS_S = 3600
WINDOW = 16
ANSWER_WITHIN_S = 30.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


class ConnectionLost(IsletError):
    """The front door has gone or has hung up; what was not acknowledged has to be sent again."""


OnMessage = Callable[[Publish], None]
"""Told of a message from the front door, in the loop; must be quick. One with QoS 1 waits for `acknowledge`."""


class Address(Struct, frozen=True, kw_only=True):
    """Where the front door is. `tls` None: without; for development only."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


class MqttClient:
    """A connection that is up; made by `connect`. Use it as `async with await MqttClient.connect(...)`."""

    def __init__(self, protocol: "_ClientProtocol", identity: Identity, window: int) -> None:
        self._protocol = protocol
        self._topic = identity.telemetry_topic
        self._places = asyncio.Semaphore(window)
        self._next_id = 0

    @classmethod
    async def connect(
        cls,
        address: Address,
        credentials: ConnectionString,
        now: Now,
        *,
        window: int = WINDOW,
        keep_alive_s: int = 60,
        token_lasts_s: int = TOKEN_LASTS_S,
        on_message: OnMessage | None = None,
    ) -> Self:
        """A client that the front door has let in; `now` (the wall's clock) dates its token, which lasts an hour.

        `window` messages at most are under way at once; `on_message` is told what services send. Raises AccessDenied when the credentials are refused,
        ConnectionLost when nobody is there or answers.
        """
        identity = Identity(credentials.device, credentials.module)
        expires_s = now() // SECOND_US + token_lasts_s
        token = make_token(f"{credentials.host}/{identity.path}", credentials.key, expires_s)
        hello = Connect(
            client_id=identity.client_id,
            username=f"{credentials.host}/{identity.client_id}/?api-version={API_VERSION}",
            password=token.encode(),
            clean_session=False,
            keep_alive_s=keep_alive_s,
        )
        return await cls.greet(address, hello, identity, window=window, on_message=on_message)

    @classmethod
    async def greet(
        cls,
        address: Address,
        hello: Connect,
        identity: Identity,
        *,
        window: int = WINDOW,
        on_message: OnMessage | None = None,
    ) -> Self:
        """The same with a CONNECT of the caller's."""
        return cls(await _connected(address, hello, on_message), identity, window)

    async def publish(self, payload: bytes, properties: Mapping[str, str] | None = None) -> None:
        """Send one event and wait until the front door has it in its log. Raises ConnectionLost."""
        await (await self.send(payload, properties))

    async def send(self, payload: bytes, properties: Mapping[str, str] | None = None) -> asyncio.Future[None]:
        """Send one event as soon as the window has a place; the future is done when it is in the log.

        Raises ConnectionLost; so does the future.
        """
        await self._places.acquire()
        packet_id = self._free_id()
        topic = self._topic + format_properties(properties or {})
        try:
            acknowledged = self._protocol.send(Publish(topic, payload, 1, packet_id))
        except ConnectionLost:
            self._places.release()
            raise
        acknowledged.add_done_callback(self._place_is_free)
        return acknowledged

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Return once the front door has them all, each with QoS 1. Raises ConnectionLost."""
        packet_id = self._free_id()
        await self._protocol.ask(packet_id, Subscribe(packet_id, tuple((one, 1) for one in filters)))

    def say(self, topic: str, payload: bytes) -> None:
        """Publish to another topic with QoS 0: a request, or an answer. Raises ConnectionLost."""
        self._protocol.say(Publish(topic, payload))

    def acknowledge(self, packet_id: int) -> None:
        """The message is safe here; the front door forgets it."""
        self._protocol.acknowledge(packet_id)

    @property
    def lost(self) -> "asyncio.Future[None]":
        """Done when the connection has ended."""
        return self._protocol.lost

    async def close(self) -> None:
        """Say goodbye. What is not acknowledged yet may or may not be in the log."""
        self._protocol.goodbye()

    def cut(self) -> None:
        """Drop the connection without a goodbye, as a network does; for tests and load."""
        self._protocol.abandon()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _free_id(self) -> int:
        """1 to 65,535 in turn; the window is far smaller, so none is used twice at a time."""
        self._next_id = self._next_id % 0xFFFF + 1
        return self._next_id

    def _place_is_free(self, acknowledged: asyncio.Future[None]) -> None:
        self._places.release()
        if not acknowledged.cancelled():
            acknowledged.exception()  # seen: who did not wait for it does not want to know


class FaithfulClient:
    """Sends each event until it is acknowledged, over as many connections as that takes.

    After a loss it waits twice as long each time, from half a second to a minute, by chance up to half of it less, so
    that many devices do not come back at once. An event may arrive twice, which is harmless: it has an identity.
    """

    def __init__(
        self,
        address: Address,
        credentials: ConnectionString,
        now: Now,
        rng: random.Random,
        *,
        window: int = WINDOW,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._address, self._credentials, self._now, self._rng = address, credentials, now, rng
        self._window = window
        self._first_pause_s = first_pause_s
        self._failures = 0
        self._client: MqttClient | None = None
        self._connecting = asyncio.Lock()

    async def publish(self, payload: bytes, properties: Mapping[str, str] | None = None) -> None:
        """Wait until the event is in the log, however long it takes. Raises AccessDenied when the key is refused."""
        while True:
            client = await self._connected()
            try:
                await client.publish(payload, properties)
            except ConnectionLost:
                if client is self._client:  # the first of those who were sending
                    self._client = None
                    self._failures += 1
            else:
                self._failures = 0
                return

    async def close(self) -> None:
        """Say goodbye, if connected."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    def cut(self) -> None:
        """Drop the connection without a goodbye, as a network does; for tests and load."""
        if self._client is not None:
            self._client.cut()

    async def _connected(self) -> MqttClient:
        async with self._connecting:
            while self._client is None:
                if self._failures:
                    await asyncio.sleep(self._pause_s())
                try:
                    self._client = await MqttClient.connect(
                        self._address, self._credentials, self._now, window=self._window
                    )
                except ConnectionLost:
                    self._failures += 1
            return self._client

    def _pause_s(self) -> float:
        pause_s = min(self._first_pause_s * 2.0 ** min(self._failures, 16), LONGEST_PAUSE_S)
        return pause_s * self._rng.uniform(0.5, 1.0)


_NOT_TRUSTED: Final = (
    "a certificate that is not trusted here; give --authority with the file that `islet certs` names there"
)
_OTHER_NAME: Final = "a certificate for another name; connect by the platform's `hub_name`"
_CERTIFICATES: Final = {  # OpenSSL's X509_V_ERR_…
    9: "a certificate that is not valid yet; is the clock right here?",
    10: "a certificate whose time is over; is the clock right here, and was it renewed there?",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}


def trouble(error: Exception) -> str:
    """Why a connection did not come about, and what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(error.verify_code, _NOT_TRUSTED)
    if isinstance(error, socket.gaierror):
        return "no address for that name; is it right, and the network there?"
    return f"{type(error).__name__}; is it running?"


async def _connected(address: Address, hello: Connect, on_message: OnMessage | None) -> "_ClientProtocol":
    protocol = _ClientProtocol(hello, on_message)
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: protocol, address.host, address.port, ssl=address.tls)
            await protocol.let_in
    except OSError as error:  # TimeoutError too
        protocol.abandon()
        raise ConnectionLost(f"front door: expected an answer; got {trouble(error)}") from None
    return protocol


class _ClientProtocol(asyncio.Protocol):
    """Bytes and packets of one connection. `let_in` is done with the answer to CONNECT."""

    def __init__(self, hello: Connect, on_message: OnMessage | None = None) -> None:
        self._hello = hello
        self._on_message = on_message
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[int, asyncio.Future[None]] = {}
        self._ping: asyncio.TimerHandle | None = None
        self._heard = False
        self.let_in: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        self.let_in.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, if nobody waits yet

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        try:
            for packet in self._parser.feed(data):
                self._take(packet)
        except ProtocolError:
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ping is not None:
            self._ping.cancel()
        under_way, self._under_way = self._under_way, {}
        for future in (self.let_in, *under_way.values()):
            if not future.done():
                future.set_exception(ConnectionLost("front door: expected an acknowledgement; it has hung up"))
        if not self.lost.done():
            self.lost.set_result(None)

    @property
    def _is_up(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, packet: Publish) -> asyncio.Future[None]:
        """The future is done at the PUBACK."""
        return self.ask(packet.packet_id, packet)

    def ask(self, packet_id: int, packet: Packet) -> asyncio.Future[None]:
        """The future is done at the answer to the packet of that identifier."""
        self.say(packet)
        answered = self._loop.create_future()
        self._under_way[packet_id] = answered
        return answered

    def say(self, packet: Packet) -> None:
        if not self._is_up:
            raise ConnectionLost("front door: expected a connection; it has hung up")
        self._write(packet)

    def acknowledge(self, packet_id: int) -> None:
        """If the connection has gone, the message will come again."""
        self._write(Puback(packet_id))

    def goodbye(self) -> None:
        self._write(Disconnect())
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _take(self, packet: Packet) -> None:
        if isinstance(packet, Puback | Suback):
            acknowledged = self._under_way.pop(packet.packet_id, None)
            if acknowledged is not None and not acknowledged.done():
                acknowledged.set_result(None)
        elif isinstance(packet, Connack):
            self._take_connack(packet)
        elif isinstance(packet, Publish) and self._on_message is not None:
            self._on_message(packet)

    def _take_connack(self, packet: Connack) -> None:
        if packet.code == ACCEPTED:
            self._keep_alive()
            with contextlib.suppress(asyncio.InvalidStateError):
                self.let_in.set_result(None)
            return
        if packet.code in (IDENTIFIER_REJECTED, NOT_AUTHORISED):
            self.let_in.set_exception(AccessDenied("the front door does not accept this device's credentials"))
        self.abandon()

    def _keep_alive(self) -> None:
        """A ping within each keep-alive time, needed or not [MQTT-3.1.2-23]; who has said nothing since the last one,
        not even that it came, is gone."""
        if not self._heard:
            self.abandon()
        elif self._hello.keep_alive_s and self._is_up:
            self._heard = False
            self._ping = self._loop.call_later(self._hello.keep_alive_s * 0.75, self._keep_alive)
            self._write(Pingreq())

    def _write(self, packet: Packet) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(packet))
