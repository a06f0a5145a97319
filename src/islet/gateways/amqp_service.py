"""What services do over AMQP: put tokens, send commands to devices, hear how they ended, and which files devices have
uploaded."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Protocol, cast

import msgspec
from proton import Condition, Delivery, Link, Message, Receiver, Sender, Terminus, int32

from islet.access.sas import is_event_hub, parse_token
from islet.decode.event_hub import ELSEWHERE, ENTITY
from islet.decode.iothub_amqp import Endpoint, Place, parse_receiver
from islet.errors import AccessDenied, BadInput, IsletError, NotFound
from islet.gateways.amqp_credentials import Credentials
from islet.gateways.amqp_events import Elsewhere, EventsOut, RuntimeIn
from islet.gateways.amqp_links import TOO_LARGE, Incoming, Line, Outgoing, end_link, settle_as_asked
from islet.gateways.amqp_messages import FILE_TYPE, body_bytes, data_message, feedback_json, file_json, read_command
from islet.gateways.authenticate import Authenticator
from islet.gateways.event_hub import EventHub
from islet.gateways.exchange import Exchange
from islet.gateways.http_commands import FEEDBACK_TYPE, MOST_COMMAND_BYTES
from islet.gateways.service_acts import ServiceActs
from islet.gateways.under_way import UnderWay
from islet.model.time import Now, iso
from islet.store.device_files import DeviceFiles
from islet.store.devices_base import Address, LockLost, MailboxFull

_NOTICES_EVERY_S: Final = 0.25
_MOST_TOKEN_BYTES: Final = 16 * 1024
"""Anybody may send it, who has shown nothing yet."""

_CONDITIONS: Final[tuple[tuple[type[IsletError], str], ...]] = (
    (AccessDenied, "amqp:unauthorized-access"),
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

    most_bytes = _MOST_TOKEN_BYTES

    def __init__(
        self, link: Receiver, line: Line, put_token: Callable[[str], None], answer: Callable[[Message], None]
    ) -> None:
        super().__init__(link, line)
        self._put_token, self._answer = put_token, answer

    def take(self, message: Message, delivery: Delivery) -> None:
        """200 or 401 on the connection's other link to $cbs; SDKs want exactly these (uamqp: as an int), and that of Event
        Hubs for Rust 202, as it is there."""
        status, description = 200, "OK"
        try:
            if (message.properties or {}).get("operation") != "put-token":
                raise BadInput("expected put-token", reason="amqp")
            token = body_bytes(message).decode(errors="replace")
            self._put_token(token)
            if is_event_hub(parse_token(token)):
                status, description = 202, "Accepted"
        except AccessDenied as error:
            status, description = 401, str(error)
        answer = Message(body=None, correlation_id=message.id, address=message.reply_to)
        answer.properties = {"status-code": int32(status), "status-description": description}
        self.end(delivery, Delivery.ACCEPTED)
        self._answer(answer)


class CommandsIn(Incoming):
    """Accepted: the command is in the device's mailbox, durable."""

    def __init__(
        self, link: Receiver, line: Line, acts: ServiceActs, authenticator: Authenticator, by: Callable[[], str]
    ) -> None:
        """`by` names the hub policy that sends."""
        super().__init__(link, line)
        self._acts, self._authenticator, self._by = acts, authenticator, by
        self._under_way = UnderWay()

    def take(self, message: Message, delivery: Delivery) -> None:
        self._under_way.begin(self._send(message, delivery), "amqp-command")

    async def _send(self, message: Message, delivery: Delivery) -> None:
        try:
            device = await self._authenticator.registered(parse_receiver(message.address or ""))
            command = read_command(message)
            if len(command.body) > MOST_COMMAND_BYTES:
                raise BadInput(f"body: expected at most {MOST_COMMAND_BYTES} bytes", reason="size")
            await self._acts.send(self._by(), Address(device.id, device.generation_id), command)
        except (IsletError, OSError) as error:
            self.end(delivery, Delivery.REJECTED, Condition(_condition(error), str(error)))
        else:
            self.end(delivery, Delivery.ACCEPTED)


def _condition(error: Exception) -> str:
    """By which SDKs know what was wrong with a command."""
    if isinstance(error, BadInput) and error.reason == "size":
        return TOO_LARGE
    return next((name for kind, name in _CONDITIONS if isinstance(error, kind)), "amqp:internal-error")


class Notices(Protocol):
    """What waits for services, on lease."""

    content_type: str

    async def take(self) -> tuple[str, object] | None:
        """A lock token and what is said, to be sent as JSON; None where nothing waits."""

    async def end(self, lock_token: str, *, heard: bool) -> None:
        """Forget it, or give it back. Raises LockLost."""


class Feedbacks:
    """How commands ended."""

    content_type = FEEDBACK_TYPE

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def take(self) -> tuple[str, object] | None:
        devices, now = self._exchange.devices, self._exchange.wall_now
        batch = await self._exchange.write(lambda: devices.take_feedback(now()))
        if batch is None:
            return None
        return batch.lock_token, [feedback_json(one, iso(one.at_us)) for one in batch.records]

    async def end(self, lock_token: str, *, heard: bool) -> None:
        devices = self._exchange.devices
        act = devices.complete_feedback if heard else devices.abandon_feedback
        await self._exchange.write(lambda: act(lock_token))


class FileNotices:
    """Files that devices have uploaded."""

    content_type = FILE_TYPE

    def __init__(self, files: DeviceFiles, hub_name: str, wall_now: Now) -> None:
        self._files, self._hub_name, self._wall_now = files, hub_name, wall_now

    async def take(self) -> tuple[str, object] | None:
        taken = await asyncio.to_thread(self._files.take_notification, self._wall_now())
        return None if taken is None else (taken[0], file_json(taken[1], self._hub_name))

    async def end(self, lock_token: str, *, heard: bool) -> None:
        await asyncio.to_thread(self._files.end_notification, lock_token, heard=heard)


class NoticesOut(Outgoing):
    """Notices on lease; accepted: forgotten."""

    def __init__(self, link: Sender, line: Line, notices: Notices) -> None:
        super().__init__(link, line)
        self._notices = notices
        self.on_credit = lambda: None
        self._ending = UnderWay()
        self._looking = asyncio.create_task(self._look(), name="amqp-notices")

    async def _look(self) -> None:
        while not self.closed:
            room = self.room
            taken = await self._notices.take() if room else None
            if taken is None:
                if room:
                    self.nothing_more()
                await asyncio.sleep(_NOTICES_EVERY_S)
            else:
                self._give(*taken)

    def _give(self, lock_token: str, said: object) -> None:
        def told(state: int | None) -> None:
            self._ending.begin(self._end(lock_token, heard=state == Delivery.ACCEPTED), "amqp-notice")

        content_type = self._notices.content_type
        self.send(data_message(msgspec.json.encode(said), content_type=content_type, id=lock_token), told)

    async def _end(self, lock_token: str, *, heard: bool) -> None:
        with contextlib.suppress(LockLost, OSError):  # it comes again
            await self._notices.end(lock_token, heard=heard)

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
        files: DeviceFiles | None,
    ) -> None:
        self._line, self._exchange, self._authenticator = line, exchange, authenticator
        self._credentials, self._hub, self._files = credentials, hub, files
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
            acts = ServiceActs(self._exchange, self._authenticator.trail)
            return CommandsIn(link, self._line, acts, self._authenticator, lambda: self._credentials.service(path))
        if endpoint.place is Place.FEEDBACK and isinstance(link, Sender):
            return NoticesOut(link, self._line, Feedbacks(self._exchange))
        if endpoint.place is Place.FILES and isinstance(link, Sender):
            if self._files is None:
                raise NotFound("expected devices' files to be kept here")
            notices = FileNotices(self._files, self._authenticator.hub_name, self._exchange.wall_now)
            return NoticesOut(link, self._line, notices)
        raise BadInput("expected a link in the other direction", reason="amqp")

    def _events_link(self, link: Link, endpoint: Endpoint, path: str) -> Incoming | Outgoing:
        if self._hub is None:
            raise NotFound("expected the setting event_hub to be on")
        if endpoint.place is Place.EVENTS_ELSEWHERE:
            raise Elsewhere(self._authenticator.hub_name, endpoint.tail)
        if endpoint.place is Place.EVENTS and isinstance(link, Sender):
            return EventsOut(link, self._line, self._hub, endpoint.tail, lambda one: self._credentials.sees(path, one))
        if endpoint.place is Place.RUNTIME and isinstance(link, Receiver):
            return RuntimeIn(link, self._line, self._hub, self._answer_runtime, lambda token: self._ask(path, token))
        if endpoint.place is Place.RUNTIME:
            answers = Outgoing(cast(Sender, link), self._line)
            self._runtime_answers[link.remote_target.address or ""] = answers
            return answers
        raise BadInput("expected a link to receive messages on, not to send", reason="amqp")

    def _ask(self, path: str, token: str) -> None:
        """Raises AccessDenied for who may not ask there."""
        if token:
            self._credentials.put(token)
        self._credentials.check_service(path)

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
    """Open a link without either end, and close it with what is wrong: clients in Go take one that has the end which is
    theirs for open."""
    name = next((name for kind, name in _REFUSALS if isinstance(error, kind)), "amqp:internal-error")
    link.source.type = link.target.type = Terminus.UNSPECIFIED
    settle_as_asked(link)
    link.open()
    end_link(link, name, str(error), error.info if isinstance(error, Elsewhere) else None)


def service_path(endpoint: Endpoint) -> str:
    """What a token has to cover for a link."""
    return {
        Place.SEND: "messages/devicebound",
        Place.FEEDBACK: "messages/servicebound/feedback",
        Place.FILES: "messages/servicebound/filenotifications",
        Place.EVENTS_ELSEWHERE: f"{ELSEWHERE}/{endpoint.tail.lower()}",
    }.get(endpoint.place, f"{ENTITY}/{endpoint.tail.lower()}")
