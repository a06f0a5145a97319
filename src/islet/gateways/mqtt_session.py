"""What one MQTT client gets from services: its subscriptions, commands, twin and methods."""

import asyncio
from typing import Final, NamedTuple, Protocol

import structlog

from islet.decode.iothub import (
    DESIRED_CHANGES,
    METHODS,
    TWIN_GET,
    TWIN_REPORT,
    TWIN_RESPONSES,
    Identity,
    command_topic,
    desired_topic,
    method_topic,
    parse_method_answer,
    request_id,
    twin_response,
)
from islet.decode.iothub_twins import JsonObject, Twin, desired_patch, device_twin, parse_object
from islet.decode.mqtt5_codes import Code, Refused
from islet.decode.mqtt_packets import Packet, Puback, Publish, Suback, Subscribe, Unsuback, Unsubscribe
from islet.errors import BadInput, ProtocolError
from islet.gateways.exchange import Exchange
from islet.gateways.method_calls import MOST_METHOD_BYTES, MethodCalls
from islet.gateways.presence import NoAnswer
from islet.gateways.turns import Turns
from islet.model.time import iso
from islet.store.devices_base import Address, Letter, LockLost

MOST_SUBSCRIPTIONS: Final = 5
COMMAND_WINDOW: Final = 16
"""Commands of one connection that may wait for its PUBACK."""

QOS: Final = 1
"""The bit of a kept filter's number that is its QoS; what is above it is MQTT 5's (`mqtt5_session`)."""

_TRY_AGAIN_S: Final = 1.0

_log = structlog.get_logger("islet.gateways.mqtt")


class Outlet(Protocol):
    """What a session needs of its connection."""

    choked: bool
    """Whether the client does not read what was written already."""

    def send(self, packet: Packet, /) -> None: ...
    def close(self, reason: str, code: Code = ..., /) -> None: ...
    def hold(self, held: bool, /) -> None:
        """Do not read from the client while `held`."""


class Terms(NamedTuple):
    """What a client asks of its session that MQTT 3.1.1 has no words for: whether it is kept when the connection ends
    (there, unless it was begun anew), and how many commands may wait for PUBACK."""

    keeps: bool
    window: int


class Session:
    """One for each connection that was let in. `filters` outlive it where the client wants that (clean session 0)."""

    def __init__(
        self,
        exchange: Exchange,
        identity: Identity,
        address: Address,
        outlet: Outlet,
        *,
        clean: bool,
        terms: Terms | None = None,
    ) -> None:
        """Reads the kept subscriptions from the store. Raises what the store does."""
        self._exchange, self._identity, self._address, self._outlet = exchange, identity, address, outlet
        self._keeps, self._window = terms or Terms(not clean, COMMAND_WINDOW)
        kept = exchange.devices.session(address)
        if kept is not None and (clean or not self._keeps):
            exchange.write(lambda: exchange.devices.delete_session(address))
        self.present = kept is not None and not clean
        self._filters = dict(kept) if kept is not None and not clean else {}
        self._ended = False
        self._turns = Turns(outlet.hold, lambda: outlet.choked)
        self._packet_id = 0
        self._in_flight: dict[int, Letter] = {}
        self._taking = self._more = False
        self._calls = MethodCalls()

    def begin(self) -> None:
        """The client has been told that it is in; what waits for it may go out."""
        if self._keeps and not self.present:
            self._exchange.write(self._keep)
        self.command_waits()

    def end(self) -> None:
        """The connection has gone: commands that were not acknowledged go back, calls get no answer."""
        self._ended = True
        self._turns.ended()
        if self._in_flight:
            self._exchange.release(self._address, [letter.lock_token for letter in self._in_flight.values()])
            self._in_flight = {}
        self._calls.fail()

    # --- subscriptions ---

    def subscribe(self, packet: Subscribe) -> None:
        """SUBACK once it is kept. Raises ProtocolError for a filter that IoT Hub does not have."""
        wanted = self._filters | {text: min(qos, 1) for text, qos in packet.filters}
        if not wanted.keys() <= self._identity.filters or len(wanted) > MOST_SUBSCRIPTIONS:
            raise ProtocolError("MQTT: expected one of the topic filters that IoT Hub has for this device")
        codes = tuple(wanted[text] for text, _ in packet.filters)
        self._change_filters(wanted, Suback(packet.packet_id, codes))

    def unsubscribe(self, packet: Unsubscribe) -> None:
        """UNSUBACK once it is kept."""
        left = {text: qos for text, qos in self._filters.items() if text not in packet.filters}
        codes = tuple(Code.SUCCESS if text in self._filters else Code.NO_SUBSCRIPTION for text in packet.filters)
        self._change_filters(left, Unsuback(packet.packet_id, codes))

    def _change_filters(self, wanted: dict[str, int], answer: Packet) -> None:
        changed, self._filters = wanted != self._filters, wanted
        if not self._keeps or not changed:
            self._subscribed(answer)
            return
        self._turns.ask(lambda: self._exchange.write(self._keep), lambda kept: self._kept(kept, answer))

    def _keep(self) -> None:
        self._exchange.devices.put_session(self._address, tuple(self._filters.items()))

    def _kept(self, kept: "asyncio.Future[None]", answer: Packet) -> None:
        if kept.cancelled() or kept.exception() is not None:
            self._outlet.close("the subscription could not be kept")
        else:
            self._subscribed(answer)

    def _subscribed(self, answer: Packet) -> None:
        if self._ended:
            return
        self._outlet.send(answer)
        if self.takes_methods():
            self._exchange.presence.takes_methods_now(self._identity.client_id)
        self.command_waits()

    # --- commands ---

    def command_waits(self) -> None:
        """Something may be in the mailbox: take as much as the window allows."""
        self._more = True
        room = self._window - len(self._in_flight)
        if self._ended or self._taking or room <= 0 or self._identity.commands not in self._filters:
            return
        self._more, self._taking = False, True
        self._exchange.take(self._address, room).add_done_callback(self._taken)

    def _taken(self, taken: "asyncio.Future[list[Letter]]") -> None:
        self._taking = False
        if taken.cancelled() or taken.exception() is not None:
            _log.error("commands_not_taken", error=type(taken.exception()).__name__ if not taken.cancelled() else "")
            asyncio.get_running_loop().call_later(_TRY_AGAIN_S, self.command_waits)
            return
        letters = taken.result()
        if self._ended:
            if letters:
                self._exchange.release(self._address, [letter.lock_token for letter in letters])
            return
        for letter in letters:
            self._deliver(letter)
        if letters or self._more:
            self.command_waits()

    def _deliver(self, letter: Letter) -> None:
        command, wanted = letter.command, self._identity.commands
        topic = command_topic(self._address.device, self._properties(letter))
        if not self._filters.get(wanted, 0) & QOS:  # it is told once, and that is all
            self._tell(wanted, Publish(topic, command.body), letter)
            self._exchange.complete(self._address, letter.lock_token).add_done_callback(self._completed)
            return
        packet_id = self._next_packet_id()
        self._in_flight[packet_id] = letter
        self._tell(wanted, Publish(topic, command.body, 1, packet_id, dup=letter.again), letter)

    def _properties(self, letter: Letter) -> dict[str, str]:
        """A command's, as the device gets them."""
        command = letter.command
        own = {
            "$.to": f"/devices/{self._address.device}/messages/deviceBound",
            "$.exp": iso(letter.expires_us),
            "iothub-ack": command.ack,
        }
        return {**own, **command.properties, **own}  # first, and as we say

    def _tell(self, wanted: str, message: Publish, letter: Letter | None = None) -> None:
        """Send a message (of a letter, where it is a command) that the client wants by that filter."""
        self._outlet.send(message)

    def _next_packet_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 0xFFFF + 1
            if self._packet_id not in self._in_flight:
                return self._packet_id

    def acknowledged(self, packet: Puback) -> None:
        """PUBACK: the device has the command. One for what is not under way says nothing: the SDK for Java, up to 1.34,
        sends it for everything that it is told with QoS 0."""
        letter = self._in_flight.pop(packet.packet_id, None)
        if letter is not None:
            self._exchange.complete(self._address, letter.lock_token).add_done_callback(self._completed)

    def _completed(self, completed: "asyncio.Future[None]") -> None:
        if completed.cancelled():
            return
        error = completed.exception()
        if error is not None and not isinstance(error, LockLost):  # lost: it expired or was purged meanwhile
            self._outlet.close("the command could not be completed")
        else:
            self.command_waits()

    # --- twin ---

    def take_request(self, packet: Publish) -> None:
        """A message on one of IoT Hub's own topics. Raises ProtocolError for any other."""
        topic = packet.topic
        if topic.startswith(TWIN_GET):
            rid = request_id(topic)
            self._turns.ask(lambda: self._exchange.twin(self._address), lambda done: self._answer_get(rid, done))
        elif topic.startswith(TWIN_REPORT):
            self._take_report(request_id(topic), packet.payload)
        else:
            self._take_method_answer(topic, packet.payload)

    def _take_report(self, rid: str, payload: bytes) -> None:
        try:
            patch = parse_object(payload)
        except BadInput:
            self._answer(twin_response(400, rid))
            return
        self._turns.ask(
            lambda: self._exchange.report(self._address, patch), lambda done: self._answer_report(rid, done)
        )

    def _answer_get(self, rid: str, done: "asyncio.Future[Twin]") -> None:
        status = _status(done)
        self._answer(twin_response(status, rid), device_twin(done.result()) if status == 200 else b"")

    def _answer_report(self, rid: str, done: "asyncio.Future[Twin]") -> None:
        status = _status(done)
        if status == 200:
            self._answer(twin_response(204, rid, done.result().reported.version))
        else:
            self._answer(twin_response(status, rid))

    def _answer(self, topic: str, body: bytes = b"") -> None:
        if not self._ended and TWIN_RESPONSES in self._filters:
            self._tell(TWIN_RESPONSES, Publish(topic, body))

    def writable(self) -> None:
        """The client has read what was written."""
        self._turns.go_on()

    def desired_changed(self, patch: JsonObject, version: int) -> None:
        if not self._ended and DESIRED_CHANGES in self._filters:
            self._tell(DESIRED_CHANGES, Publish(desired_topic(version), desired_patch(patch, version)))

    # --- methods ---

    def takes_methods(self) -> bool:
        return METHODS in self._filters and not self._ended

    def replaced(self) -> None:
        self._outlet.close("the device has connected again", Code.TAKEN_OVER)

    def invoke(self, name: str, payload: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        id, call = self._calls.begin()
        self._tell(METHODS, Publish(method_topic(name, str(id)), payload))
        return call

    def _take_method_answer(self, topic: str, payload: bytes) -> None:
        status, rid = parse_method_answer(topic)
        if len(payload) > MOST_METHOD_BYTES:
            raise Refused(Code.QUOTA, f"method: expected an answer of at most {MOST_METHOD_BYTES} bytes")
        self._calls.answer(rid, status, payload)


class TelemetryOnly:
    """The session of a server that has no exchange: every subscription is refused."""

    present = False

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    def begin(self) -> None: ...
    def end(self) -> None: ...

    def subscribe(self, packet: Subscribe) -> None:
        self._outlet.send(Suback(packet.packet_id, (0x80,) * len(packet.filters)))

    def unsubscribe(self, packet: Unsubscribe) -> None:
        self._outlet.send(Unsuback(packet.packet_id, (Code.NO_SUBSCRIPTION,) * len(packet.filters)))

    def acknowledged(self, packet: Puback) -> None: ...

    def take_request(self, packet: Publish) -> None:
        raise ProtocolError("MQTT: expected the device's own telemetry topic")

    def writable(self) -> None: ...
    def command_waits(self) -> None: ...
    def desired_changed(self, patch: JsonObject, version: int) -> None: ...

    def takes_methods(self) -> bool:
        return False

    def invoke(self, name: str, payload: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        raise NoAnswer("Methods are not served here.")

    def replaced(self) -> None:
        self._outlet.close("the device has connected again", Code.TAKEN_OVER)


def _status(done: "asyncio.Future[Twin]") -> int:
    if done.cancelled():
        return 503
    error = done.exception()
    return 200 if error is None else 400 if isinstance(error, BadInput) else 503
