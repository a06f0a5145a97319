"""What services do over AMQP: put tokens, send commands to devices, and hear how they ended."""

import asyncio
from collections.abc import Callable
from typing import Final, cast

import msgspec
from proton import Condition, Delivery, Link, Message, Receiver, Sender, Terminus, int32

from islet.decode.event_hub import ELSEWHERE, ENTITY
from islet.decode.iothub_amqp import Endpoint, Place, parse_receiver
from islet.errors import AccessDenied, BadInput, IsletError, NotFound
from islet.gateways.amqp_credentials import Credentials
from islet.gateways.amqp_events import Elsewhere, EventsOut, RuntimeIn
from islet.gateways.amqp_links import Incoming, Line, Outgoing, end_link
from islet.gateways.amqp_messages import body_bytes, data_message, feedback_json, read_command, text
from islet.gateways.authenticate import Authenticator
from islet.gateways.event_hub import EventHub
from islet.gateways.exchange import Exchange
from islet.gateways.http_commands import FEEDBACK_TYPE, MOST_COMMAND_BYTES
from islet.model.time import iso
from islet.store.devices_base import Address, FeedbackBatch, MailboxFull

_FEEDBACK_EVERY_S: Final = 0.25
_CONDITIONS: Final[tuple[tuple[type[IsletError], str], ...]] = (
    (MailboxFull, "amqp:resource-limit-exceeded"),
    (NotFound, "amqp:not-found"),
    (BadInput, "amqp:invalid-field"),
)

_REFUSALS: Final[tuple[tuple[type[IsletError], str], ...]] = (
    (AccessDenied, "amqp:unauthorized-access"),
    (NotFound, "amqp:not-found"),
    (BadInput, "amqp:not-allowed"),
    (Elsewhere, "amqp:link:redirect"),
)


class Tokens(Incoming):
    """Claims-based security: a token for each resource that is asked for on this connection."""

    def __init__(
        self, link: Receiver, line: Line, put_token: Callable[[str], None], answer: Callable[[Message], None]
    ) -> None:
        super().__init__(link, line)
        self._put_token, self._answer = put_token, answer

    def take(self, message: Message, delivery: Delivery) -> None:
        """200 or 401 on the connection's other link to $cbs; SDKs want exactly these (uamqp: as an int)."""
        status, description = 200, "OK"
        try:
            if (message.properties or {}).get("operation") != "put-token":
                raise BadInput("expected put-token", reason="amqp")
            self._put_token(body_bytes(message).decode(errors="replace"))
        except AccessDenied as error:
            status, description = 401, str(error)
        answer = Message(body=None, correlation_id=message.id, address=message.reply_to)
        answer.properties = {"status-code": int32(status), "status-description": description}
        self.end(delivery, Delivery.ACCEPTED)
        self._answer(answer)


class CommandsIn(Incoming):
    """Accepted: the command is in the device's mailbox, durable."""

    def __init__(self, link: Receiver, line: Line, exchange: Exchange, authenticator: Authenticator) -> None:
        super().__init__(link, line)
        self._exchange, self._authenticator = exchange, authenticator
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Message, delivery: Delivery) -> None:
        task = asyncio.create_task(self._send(message, delivery), name="amqp-command")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, message: Message, delivery: Delivery) -> None:
        try:
            device = await self._authenticator.registered(parse_receiver(message.address or ""))
            command = read_command(message)
            if len(command.body) > MOST_COMMAND_BYTES:
                raise BadInput(f"body: expected at most {MOST_COMMAND_BYTES} bytes", reason="size")
            await self._exchange.send(Address(device.id, device.generation_id), command)
        except (IsletError, OSError) as error:
            name = next((name for kind, name in _CONDITIONS if isinstance(error, kind)), "amqp:internal-error")
            self.end(delivery, Delivery.REJECTED, Condition(name, str(error)))
        else:
            self.end(delivery, Delivery.ACCEPTED)


class FeedbackOut(Outgoing):
    """Feedbacks on lease; accepted: forgotten."""

    def __init__(self, link: Sender, line: Line, exchange: Exchange) -> None:
        super().__init__(link, line)
        self._exchange = exchange
        self._looking = asyncio.create_task(self._look(), name="amqp-feedback")

    async def _look(self) -> None:
        devices, now = self._exchange.devices, self._exchange.wall_now
        while not self.closed:
            batch = await self._exchange.write(lambda: devices.take_feedback(now())) if self.room else None
            if batch is None:
                await asyncio.sleep(_FEEDBACK_EVERY_S)
            else:
                self._give(batch)

    def _give(self, batch: FeedbackBatch) -> None:
        devices = self._exchange.devices

        def told(state: int | None) -> None:
            act = devices.complete_feedback if state == Delivery.ACCEPTED else devices.abandon_feedback
            self._exchange.write(lambda: act(batch.lock_token)).add_done_callback(_ignored)

        records = [feedback_json(one, iso(one.at_us)) for one in batch.records]
        self.send(data_message(msgspec.json.encode(records), content_type=FEEDBACK_TYPE, id=batch.lock_token), told)

    def ended(self) -> None:
        super().ended()
        self._looking.cancel()


class ServiceEnd:
    """The links of services on one connection, and the two over which anybody puts tokens."""

    def __init__(
        self,
        line: Line,
        exchange: Exchange,
        authenticator: Authenticator,
        credentials: Credentials,
        hub: EventHub | None,
    ) -> None:
        self._line, self._exchange, self._authenticator = line, exchange, authenticator
        self._credentials, self._hub = credentials, hub
        self._token_answers: Outgoing | None = None
        self._runtime_answers: dict[str, Outgoing] = {}

    def tokens_link(self, link: Link, put_token: Callable[[str], None]) -> Incoming | Outgoing:
        """One of both links to $cbs; `put_token` raises AccessDenied."""
        if isinstance(link, Receiver):
            return Tokens(link, self._line, put_token, self._answer_token)
        self._token_answers = Outgoing(cast(Sender, link), self._line)
        return self._token_answers

    def link(self, link: Link, endpoint: Endpoint, path: str) -> Incoming | Outgoing:
        """The handler of a link that the credentials allow. Raises BadInput, NotFound and Elsewhere."""
        if endpoint.place in (Place.EVENTS, Place.RUNTIME, Place.EVENTS_ELSEWHERE):
            return self._events_link(link, endpoint, path)
        if endpoint.place is Place.SEND and isinstance(link, Receiver):
            return CommandsIn(link, self._line, self._exchange, self._authenticator)
        if endpoint.place is Place.FEEDBACK and isinstance(link, Sender):
            return FeedbackOut(link, self._line, self._exchange)
        raise BadInput("expected a link in the other direction", reason="amqp")

    def _events_link(self, link: Link, endpoint: Endpoint, path: str) -> Incoming | Outgoing:
        if self._hub is None:
            raise NotFound("expected the setting event_hub to be on")
        if endpoint.place is Place.EVENTS_ELSEWHERE:
            raise Elsewhere(self._authenticator.hub_name, endpoint.tail)
        if endpoint.place is Place.EVENTS and isinstance(link, Sender):
            return EventsOut(link, self._line, self._hub, endpoint.tail, lambda one: self._credentials.sees(path, one))
        if endpoint.place is Place.RUNTIME and isinstance(link, Receiver):
            return RuntimeIn(link, self._line, self._hub, self._answer_runtime)
        if endpoint.place is Place.RUNTIME:
            answers = Outgoing(cast(Sender, link), self._line)
            self._runtime_answers[link.remote_target.address or ""] = answers
            return answers
        raise BadInput("expected a link to receive messages on, not to send", reason="amqp")

    def forget(self, handler: Incoming | Outgoing) -> None:
        """That link is closed."""
        if handler is self._token_answers:
            self._token_answers = None
        self._runtime_answers = {to: one for to, one in self._runtime_answers.items() if one is not handler}

    def _answer_token(self, answer: Message) -> None:
        if self._token_answers is not None:
            self._token_answers.send(answer)

    def _answer_runtime(self, to: str, answer: Message) -> None:
        out = self._runtime_answers.get(to)
        if out is None and self._runtime_answers:  # clients that name their own end otherwise have one only
            out = next(reversed(self._runtime_answers.values()))
        if out is not None:
            out.send(answer)


def refuse_link(link: Link, error: Exception) -> None:
    """Open a link without its end that is ours, and close it with what is wrong."""
    name = next((name for kind, name in _REFUSALS if isinstance(error, kind)), "amqp:internal-error")
    (link.target if isinstance(link, Receiver) else link.source).type = Terminus.UNSPECIFIED
    link.open()
    end_link(link, name, str(error), error.info if isinstance(error, Elsewhere) else None)


def service_path(endpoint: Endpoint) -> str:
    """What a token has to cover for a link."""
    return {
        Place.SEND: "messages/devicebound",
        Place.FEEDBACK: "messages/servicebound/feedback",
        Place.EVENTS_ELSEWHERE: f"{ELSEWHERE}/{endpoint.tail.lower()}",
    }.get(endpoint.place, f"{ENTITY}/{endpoint.tail.lower()}")


def token_of(response: bytes) -> str:
    """The token in SASL PLAIN's response (RFC 4616): it says by itself whose it is."""
    return text(response.rpartition(b"\0")[2])


def _ignored(done: "asyncio.Future[None]") -> None:
    """A lease that was lost meanwhile: the feedback comes again."""
    if not done.cancelled():
        done.exception()
