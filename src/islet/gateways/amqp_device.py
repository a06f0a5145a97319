"""One device or module on an AMQP connection: telemetry in, commands, twin and methods both ways."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from proton import Condition, Delivery, Message, Receiver, Sender

from islet.decode.amqp_batch import MOST_MESSAGES, batched, data_sections
from islet.decode.device_messages import stamped
from islet.decode.iothub import Identity
from islet.decode.iothub_amqp import Place
from islet.decode.iothub_twins import JsonObject, Twin, desired_patch, device_twin, parse_object
from islet.decode.mqtt import MAX_PAYLOAD
from islet.decode.telemetry import Arrival
from islet.errors import BadInput
from islet.gateways.amqp_faults import AmqpFaults
from islet.gateways.amqp_links import Incoming, Line, Outgoing
from islet.gateways.amqp_messages import (
    body_bytes,
    command_message,
    data_message,
    decode_message,
    read_properties,
    text,
)
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake, properties_bytes
from islet.gateways.method_calls import MOST_METHOD_BYTES, MethodCalls
from islet.gateways.turns import Turns
from islet.model.people import Device
from islet.store.devices_base import Address, Letter

COMMAND_WINDOW: Final = 16
_REPORTED: Final = "/properties/reported"
_DESIRED: Final = "/notifications/twin/properties/desired"


class Telemetry(Incoming):
    """Accepted: it is in the log."""

    def __init__(self, link: Receiver, line: Line, end: "DeviceEnd", intake: Intake) -> None:
        super().__init__(link, line)
        self._end, self._intake = end, intake

    def take_bytes(self, data: bytes, delivery: Delivery) -> None:
        sections = data_sections(data)
        if len(sections) > MOST_MESSAGES:
            raise BadInput(f"AMQP: expected at most {MOST_MESSAGES} messages in one", reason="size")
        if batched(sections):
            arrivals = [self._arrival(decode_message(one)) for one in sections]
        else:
            arrivals = [self._arrival(decode_message(data), b"".join(sections) if len(sections) > 1 else None)]
        faults, refusal = self._end.faults, self._end.faults and self._end.faults.refusal()
        if refusal:
            self.end(delivery, Delivery.REJECTED, Condition(refusal, "as the device has asked"))
        elif faults is not None and any(faults.take(one.properties) for one in arrivals):
            self.end(delivery, Delivery.ACCEPTED)
        else:
            self.offer(arrivals, delivery)

    def _arrival(self, message: Message, body: bytes | None = None) -> Arrival:
        device, body = self._end.device, body_bytes(message) if body is None else body
        if len(body) > MAX_PAYLOAD:
            raise BadInput(f"AMQP: expected at most {MAX_PAYLOAD} bytes", reason="size")
        properties = stamped(read_properties(message), self._end.identity.module)
        return Arrival(device.id, device.patient, body, properties)

    def offer(self, arrivals: Sequence[Arrival], delivery: Delivery) -> None:
        """Accepted when all of them are in the log, released when they could not be put there."""
        held = False

        def told(delivery: Delivery, error: Exception | None) -> None:
            if held:
                self.line.let_go()
            self.end(delivery, Delivery.ACCEPTED if error is None else Delivery.RELEASED)

        if self._intake.offer_all(arrivals, told, delivery, properties_bytes(arrivals)):
            held = True
            self.line.hold()


class _Requests(Incoming):
    """What the device asks of its twin, or its answers to methods."""

    def __init__(self, link: Receiver, line: Line, took: Callable[[Message], None]) -> None:
        super().__init__(link, line)
        self._took = took

    def take(self, message: Message, delivery: Delivery) -> None:
        self._took(message)
        self.end(delivery, Delivery.ACCEPTED)


class DeviceEnd:
    """Implements `presence.Link` for all links of one device on one connection."""

    def __init__(
        self,
        line: Line,
        exchange: Exchange,
        intake: Intake,
        identity: Identity,
        device: Device,
        address: Address,
        faults: AmqpFaults | None,
    ) -> None:
        self.faults = faults
        self.identity, self.device, self.address = identity, device, address
        self._line, self._exchange, self._intake = line, exchange, intake
        self._in: set[Incoming] = set()
        self._out: dict[Place, Outgoing] = {}
        self._calls = MethodCalls()
        self._turns = Turns(self._hold, lambda: line.choked)
        self._told_of_desired = self._taking = self._more = False

    def incoming(self, place: Place, link: Receiver) -> Incoming:
        """The handler of a link on which the device sends. Raises BadInput for a place that takes nothing."""
        handler: Incoming
        if place is Place.TELEMETRY:
            handler = Telemetry(link, self._line, self, self._intake)
        elif place is Place.TWIN:
            handler = _Requests(link, self._line, self.twin_request)
        elif place is Place.METHODS:
            handler = _Requests(link, self._line, self.method_answer)
        else:
            raise BadInput("expected a link to receive commands on, not to send", reason="amqp")
        self._in.add(handler)
        return handler

    def outgoing(self, place: Place, link: Sender) -> Outgoing:
        """The handler of a link on which the device receives; an older one of that place goes."""
        if place is Place.TELEMETRY:
            raise BadInput("expected a link to send telemetry on, not to receive", reason="amqp")
        older = self._out.get(place)
        if older is not None:
            older.refuse("amqp:link:stolen", "the device has attached this link again")
        handler = self._out[place] = Outgoing(link, self._line)
        if place is Place.COMMANDS:
            handler.on_credit = self.command_waits
        return handler

    def attached(self, place: Place) -> None:
        """A link of that place is open."""
        if place is Place.METHODS and self.takes_methods():
            self._exchange.presence.takes_methods_now(self.identity.client_id)

    def detached(self, handler: Incoming | Outgoing) -> bool:
        """A link has gone; whether it was the last."""
        if isinstance(handler, Incoming):
            self._in.discard(handler)
        else:
            self._out = {place: one for place, one in self._out.items() if one is not handler}
        if Place.METHODS not in self._out:
            self._calls.fail()
        return not self._in and not self._out

    def end(self, name: str, description: str) -> None:
        """Close its links, and say why."""
        handlers: list[Incoming | Outgoing] = [*self._in, *self._out.values()]
        for handler in handlers:
            handler.refuse(name, description)
        self._calls.fail()

    def detached_all(self) -> None:
        """The connection has gone."""
        self._in.clear()
        self._out.clear()
        self._turns.ended()
        self._calls.fail()

    # --- presence.Link ---

    def replaced(self) -> None:
        self.end("amqp:link:stolen", "the device has connected again")

    def command_waits(self) -> None:
        """Take as many commands as there is credit for."""
        self._more = True
        out = self._out.get(Place.COMMANDS)
        room = min(out.room, COMMAND_WINDOW) if out is not None else 0
        if out is None or self._taking or not room:
            return
        self._more, self._taking = False, True
        self._exchange.take(self.address, room).add_done_callback(lambda taken: self._took(out, taken))

    def _took(self, out: Outgoing, taken: "asyncio.Future[list[Letter]]") -> None:
        self._taking = False
        if taken.cancelled() or taken.exception() is not None:
            return  # asked for again at the next command
        letters = taken.result()
        for letter in letters:
            self._give(out, letter)
        if letters and self._more:
            self.command_waits()
        elif not letters:
            out.nothing_more()

    def _give(self, out: Outgoing, letter: Letter) -> None:
        exchange, to, lock_token = self._exchange, self.address, letter.lock_token

        def told(state: int | None) -> None:
            if state is None:
                exchange.release(to, [lock_token])
            elif state == Delivery.ACCEPTED:
                exchange.complete(to, lock_token).add_done_callback(_ignored)
            elif state == Delivery.REJECTED:
                exchange.reject(to, lock_token).add_done_callback(_ignored)
            else:
                asyncio.ensure_future(exchange.abandon(to, lock_token)).add_done_callback(_ignored)

        out.send(command_message(self.device.id, letter), told)

    def desired_changed(self, patch: JsonObject, version: int) -> None:
        out = self._out.get(Place.TWIN)
        if out is not None and self._told_of_desired:
            out.send(data_message(desired_patch(patch, version)))

    def takes_methods(self) -> bool:
        return Place.METHODS in self._out

    def invoke(self, name: str, payload: bytes) -> "asyncio.Future[tuple[int, bytes]]":
        id, call = self._calls.begin()
        # of AMQP's type uuid, as IoT Hub's: the SDK for Java takes no other text
        message = data_message(payload, correlation_id=id, properties={"IoThub-methodname": name})
        self._out[Place.METHODS].send(message)
        return call

    # --- what the device asks and answers ---

    def method_answer(self, message: Message) -> None:
        """An answer to a call. Raises BadInput for one without a status, or too large."""
        status, payload = (message.properties or {}).get("IoThub-status"), body_bytes(message)
        if not isinstance(status, int) or len(payload) > MOST_METHOD_BYTES:
            raise BadInput(f"method: expected IoThub-status and at most {MOST_METHOD_BYTES} bytes", reason="amqp")
        self._calls.answer(text(message.correlation_id), int(status), payload)

    def twin_request(self, message: Message) -> None:
        """GET, PATCH of the reported half, PUT and DELETE of the wish to hear of the desired half."""
        annotations = {text(name): value for name, value in (message.annotations or {}).items()}
        operation, resource = text(annotations.get("operation")), text(annotations.get("resource") or "")
        rid = message.correlation_id
        if operation == "GET":
            self._ask(lambda: self._exchange.twin(self.address), rid, read=True)
        elif (operation, resource) == ("PATCH", _REPORTED):
            try:
                patch = parse_object(body_bytes(message))
            except BadInput:
                self._answer(rid, 400)
                return
            self._ask(lambda: self._exchange.report(self.address, patch), rid, read=False)
        elif operation in ("PUT", "DELETE") and resource == _DESIRED:
            self._told_of_desired = operation == "PUT"
            self._answer(rid, 200)
        else:
            self._answer(rid, 400)

    def _ask(self, begin: "Callable[[], asyncio.Future[Twin]]", rid: object, *, read: bool) -> None:
        self._turns.ask(begin, lambda done: self._answer_twin(rid, done, read=read))

    def _hold(self, held: bool) -> None:
        if held:
            self._line.hold()
        else:
            self._line.let_go()

    def writable(self) -> None:
        """The peer has read what was written."""
        self._turns.go_on()

    def _answer_twin(self, rid: object, done: "asyncio.Future[Twin]", *, read: bool) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._answer(rid, 400 if isinstance(error, BadInput) else 503)
        elif read:
            self._answer(rid, 200, body=device_twin(done.result()))
        else:
            self._answer(rid, 200, version=done.result().reported.version)

    def _answer(self, rid: object, status: int, *, body: bytes = b"", version: int | None = None) -> None:
        out = self._out.get(Place.TWIN)
        annotations = {"status": status} | ({} if version is None else {"version": version})
        if out is not None:
            problem = b"" if status < 300 else b'{"Message":"the twin could not be read or changed"}'
            # none rather than an empty one: the SDK for Node up to 1.7 ends where it cannot read one as JSON
            out.send(data_message(body or problem or None, annotations, correlation_id=rid))


def _ignored(done: "asyncio.Future[None]") -> None:
    """A command whose lock was lost meanwhile comes again, or has expired."""
    if not done.cancelled():
        done.exception()
