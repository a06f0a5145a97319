"""Links over which back ends read devices' messages, as Event Hubs has them.

Sources: Microsoft's "AMQP 1.0 in Azure Service Bus and Event Hubs protocol guide"; azure-eventhub 5.15 for Python.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog
from proton import UNDESCRIBED, Array, Data, Delivery, Link, Message, Receiver, Sender, int32, symbol, timestamp

from islet.decode.amqp_batch import without_empty_properties
from islet.decode.device_messages import MODULE, Kept, read_kept
from islet.decode.event_hub import ENTITY, Partition, parse_partition, parse_selector
from islet.errors import AccessDenied, BadInput, IsletError, NotFound
from islet.gateways.amqp_links import Incoming, Line, Outgoing
from islet.gateways.amqp_messages import FIELDS, text
from islet.gateways.event_hub import EventHub
from islet.log.base import Slice

_MOST_ROWS: Final = 50
_PORT: Final = 5671
"""The only one that clients can be led to: some look for it in the address."""
_EPOCH: Final = "com.microsoft:epoch"
_ANNOTATED: Final = {
    MODULE: MODULE,
    "$.sub": "dt-subject",  # the component of a Plug and Play device
    "$.ctime": "iothub-creation-time-utc",
    "$.ifid": "iothub-interface-id",
}
"""What devices (and the doors) say of a message that readers look for among its annotations."""
_log = structlog.get_logger("islet.gateways.event_hub")

MaySee = Callable[[str], bool]
"""Whether the reader may see what the devices of that patient have sent ("": of nobody)."""


class EventsOut(Outgoing):
    """A partition from a position on, as far as there is credit. Settled when sent: readers keep their own position."""

    def __init__(self, link: Sender, line: Line, hub: EventHub, tail: str, may_see: MaySee) -> None:
        """Raises BadInput, and NotFound for a partition that is none."""
        super().__init__(link, line)
        self._hub, self._may_see = hub, may_see
        self._partition = parse_partition(tail)
        hub.check(self._partition.number)
        self._position = parse_selector(_selector(link))
        self._offset = hub.offset_now(self._partition.number, self._position)
        self._credit = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._at_end = False
        self.on_credit = self._credited

    @property
    def partition(self) -> Partition:
        return self._partition

    def opened(self) -> None:
        if not self._hub.hold(self._partition, _epoch(self.link), self):
            self.refuse("amqp:link:stolen", "a reader with a higher epoch has this partition")
            return
        self._reading = asyncio.create_task(self._read(), name="event-hub-read")

    def stolen(self) -> None:
        self.refuse("amqp:link:stolen", "a reader with the same or a higher epoch has come")

    def ended(self) -> None:
        super().ended()
        self._hub.let_go(self._partition, self)
        if self._reading is not None:
            self._reading.cancel()

    def _credited(self) -> None:
        self._credit.set()
        if self._at_end:
            self.nothing_more()

    async def _read(self) -> None:
        hub, number = self._hub, self._partition.number
        try:
            if self._offset is None:
                self._offset = await asyncio.to_thread(hub.first, number, self._position.at or 0)
            while not self.closed:
                while self.line.choked or not self.room:
                    self._credit.clear()
                    await self._credit.wait()
                version = hub.version
                piece = await asyncio.to_thread(hub.read, number, self._offset, min(self.room, _MOST_ROWS))
                self._at_end = piece is None
                if piece is None:
                    self.nothing_more()
                    await hub.grown(version)
                else:
                    self._offset = piece.next_offset
                    self._give(piece)
        except Exception as error:  # of the log; the reader tries again
            _log.exception("reading_failed", partition=number)
            self.refuse("amqp:internal-error", type(error).__name__)

    def _give(self, piece: Slice) -> None:
        seen: dict[str, bool] = {}
        for offset, row in enumerate(piece.batch.to_pylist(), piece.offset):
            patient = row["patient"]
            if patient not in seen:
                seen[patient] = self._may_see(patient)
            if seen[patient]:
                self.send(event_message(row, offset))


class _Bare(Message):  # type: ignore[misc]  # Proton's annotations are not read
    """A message without system properties, and without a section for them: readers tell one from the other."""

    def encode(self) -> bytes:
        return without_empty_properties(super().encode())


def event_message(row: dict[str, Any], offset: int) -> Message:
    """A row of the log as a reader gets it."""
    kept = read_kept(row["body"])
    message = _with_properties(kept)
    received_ms = timestamp(row["received_at_us"] // 1000)
    annotations: dict[str, object] = {
        "x-opt-sequence-number": offset,
        "x-opt-offset": str(offset),
        "x-opt-enqueued-time": received_ms,
        "iothub-connection-device-id": row["device"],
        "iothub-enqueuedtime": received_ms,
        "iothub-message-source": row["type"],
    }
    for name, annotation in _ANNOTATED.items():
        if name in kept.properties:
            annotations[annotation] = kept.properties[name]
    message.annotations = {symbol(name): value for name, value in annotations.items()}
    return message


def _with_properties(kept: Kept) -> Message:
    given = kept.properties
    fields: dict[str, Any] = {field: given[name] for name, field in FIELDS.items() if name in given}
    if "$.uid" in given:
        fields["user_id"] = given["$.uid"].encode()
    message = (Message if fields else _Bare)(body=kept.payload, inferred=True, **fields)
    own = {name: value for name, value in given.items() if not name.startswith("$.") and name != MODULE}
    if own:
        message.properties = own
    return message


class RuntimeIn(Incoming):
    """What readers ask before they read: how many partitions there are, and what is in one."""

    def __init__(
        self,
        link: Receiver,
        line: Line,
        hub: EventHub,
        answer: Callable[[str, Message], None],
        check: Callable[[str], object],
    ) -> None:
        """`check` raises AccessDenied for who may not ask, with the token that comes with the question ("": none): the
        client for Java shows no other on this link."""
        super().__init__(link, line)
        self._hub, self._answer, self._check = hub, answer, check

    def take(self, message: Message, delivery: Delivery) -> None:
        asked = {text(name): value for name, value in (message.properties or {}).items()}
        status, description, body = 200, "OK", None
        try:
            self._check(text(asked.get("security_token") or ""))
            body = self._about(asked)
        except AccessDenied as error:
            status, description = 401, str(error)
        except BadInput as error:
            status, description = 400, str(error)
        except NotFound as error:
            status, description = 404, str(error)
        answer = Message(body=body, inferred=False, correlation_id=message.id, address=message.reply_to)
        answer.properties = {"status-code": int32(status), "status-description": description}
        self.end(delivery, Delivery.ACCEPTED)
        self._answer(text(message.reply_to or ""), answer)

    def _about(self, asked: dict[str, Any]) -> dict[str, object]:
        """Raises BadInput and NotFound."""
        kind = text(asked.get("type"))
        if text(asked.get("operation")) != "READ" or text(asked.get("name")) != ENTITY:
            raise BadInput(f"expected READ of {ENTITY}", reason="amqp")
        if kind == "com.microsoft:eventhub":
            return self._whole(kind)
        if kind == "com.microsoft:partition":
            return self._one(kind, text(asked.get("partition")))
        raise BadInput("expected the type com.microsoft:eventhub or com.microsoft:partition", reason="amqp")

    def _whole(self, kind: str) -> dict[str, object]:
        count = self._hub.partitions
        return {
            "name": ENTITY,
            "type": kind,
            "created_at": timestamp(self._hub.created_us // 1000),
            "partition_count": int32(count),
            "partition_ids": Array(UNDESCRIBED, Data.STRING, *map(str, range(count))),
            "georeplication_factor": int32(1),  # the client for Go does not do without
        }

    def _one(self, kind: str, number: str) -> dict[str, object]:
        partition = parse_partition(f"ConsumerGroups/$default/Partitions/{number}").number
        self._hub.check(partition)
        begin, end = self._hub.begin(partition), self._hub.end(partition)
        last = self._hub.read(partition, end - 1, 1) if end > begin else None
        received_us = 0 if last is None else last.batch.column("received_at_us")[0].as_py()
        return {
            "name": ENTITY,
            "type": kind,
            "partition": number,
            "begin_sequence_number": begin,
            "last_enqueued_sequence_number": end - 1,
            "last_enqueued_sequence_number_epoch": int32(-1),  # there is none; the client for Rust asks that it is said
            "last_enqueued_offset": str(end - 1),
            "last_enqueued_time_utc": timestamp(received_us // 1000),
            "is_partition_empty": end == begin,
        }


class Elsewhere(IsletError):
    """The messages are not at IoT Hub's own address; `info` tells where."""

    def __init__(self, host: str, tail: str) -> None:
        super().__init__(f"expected the address {ENTITY}/{tail}")
        address = f"amqps://{host}:{_PORT}/{ENTITY}/{tail}"
        told = {"hostname": host, "network-host": host, "port": _PORT, "address": address}
        self.info: dict[object, object] = {symbol(name): value for name, value in told.items()}


def _selector(link: Link) -> str:
    """The one filter of Event Hubs among those of the link's source; "" where there is none. Raises BadInput."""
    data = link.remote_source.filter
    data.rewind()
    if not data.next():
        return ""
    filters = data.get_object()
    for name, given in filters.items() if isinstance(filters, dict) else ():
        if str(name) == "apache.org:selector-filter:string":
            return text(getattr(given, "value", given))
    return ""


def _epoch(link: Link) -> int | None:
    properties = link.remote_properties
    found = {text(name): value for name, value in (properties or {}).items()}.get(_EPOCH)
    return int(found) if isinstance(found, int) else None
