"""What readers of an Event Hub ask for: addresses of partitions, and where in one to begin.

Sources: Microsoft's "AMQP 1.0 in Azure Service Bus and Event Hubs protocol guide"; azure-eventhub 5.15 for Python and
@azure/event-hubs 2.1 for Node, as they write it.
"""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from islet.errors import BadInput, NotFound

ENTITY: Final = "device-messages"
"""The Event Hub-compatible name (`EntityPath` in connection strings)."""

ELSEWHERE: Final = "messages/events"
"""Where IoT Hub leads readers to the Event Hub from."""

RUNTIME: Final = "$management"
_PARTITION = re.compile(r"ConsumerGroups/([^/]+)/Partitions/([0-9]{1,4})", re.IGNORECASE)
_GROUP = re.compile(r"[$A-Za-z0-9][A-Za-z0-9._-]{0,49}")
_SELECTOR = re.compile(r"\s*amqp\.annotation\.x-opt-([a-z-]+?)(?:-?utc)?\s*(>=?)\s*'?(@latest|-?[0-9]{1,18})'?\s*")


class Partition(NamedTuple):
    """A partition as one group of readers has it."""

    group: str
    number: int


class Order(StrEnum):
    """What a position counts: entries, or milliseconds since 1970 at which they were taken."""

    ENTRIES = "entries"
    TIME_MS = "time"


class Position(NamedTuple):
    """Begin with the first entry that is `at` or more; None: with what comes from now on."""

    order: Order
    at: int | None


LATEST: Final = Position(Order.ENTRIES, None)
FIRST: Final = Position(Order.ENTRIES, 0)
_ORDERS: Final = {
    "offset": Order.ENTRIES,
    "sequence-number": Order.ENTRIES,
    "enqueued-time": Order.TIME_MS,
    "enqueuedtime": Order.TIME_MS,  # of older clients, with "utc" behind it
}


def parse_partition(text: str) -> Partition:
    """The partition behind the name of the Event Hub. Raises NotFound.

    >>> parse_partition("ConsumerGroups/$Default/Partitions/3")
    Partition(group='$default', number=3)
    """
    found = _PARTITION.fullmatch(text)
    if found is None or not _GROUP.fullmatch(found[1]):
        raise NotFound("expected ConsumerGroups/{group}/Partitions/{number}")
    return Partition(found[1].lower(), int(found[2]))


def parse_selector(text: str) -> Position:
    """Where a filter of a link's source lets it begin; "": at the first entry. Raises BadInput.

    >>> parse_selector("amqp.annotation.x-opt-offset > '41'")
    Position(order=<Order.ENTRIES: 'entries'>, at=42)
    """
    if not text:
        return FIRST
    found = _SELECTOR.fullmatch(text)
    order = _ORDERS.get(found[1]) if found else None
    if found is None or order is None:
        raise BadInput("filter: expected x-opt-offset, x-opt-sequence-number or x-opt-enqueued-time", reason="amqp")
    if found[3] == "@latest":
        return LATEST
    return Position(order, max(int(found[3]) + (found[2] == ">"), 0))
