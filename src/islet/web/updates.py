"""What the log gained between two positions, as server-sent events for those who may see it."""

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

import msgspec
import structlog

from islet.errors import IsletError
from islet.log.base import Log, Slice
from islet.model.topics import Topic

TOPICS: Final = (Topic.GLUCOSE_READINGS, Topic.ALERTS, Topic.CARE_EVENTS)
CATCH_UP_ROWS: Final = 5_000
"""Someone further behind than this takes a new snapshot instead; it is smaller than what was missed."""


Positions = tuple[tuple[int, ...], ...]
"""The next offset, per topic of TOPICS and per partition."""

Audience = frozenset[str] | None
"""The patients whose entries a stream may carry; None means everybody's."""

_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


def positions_text(positions: Positions) -> str:
    """Positions as the id of a server-sent event."""
    return "-".join(".".join(map(str, offsets)) for offsets in positions)


def ends_of(log: Log) -> Positions:
    """The positions behind the last entries of the log."""
    return tuple(log.end(topic) for topic in TOPICS)


def beyond(one: Positions, other: Positions) -> bool:
    """Whether one is further than the other in any partition."""
    return any(a > b for a, b in zip(chain.from_iterable(one), chain.from_iterable(other), strict=True))


def furthest(one: Positions, other: Positions) -> Positions:
    """In each partition the later of two offsets."""
    return tuple(tuple(map(max, a, b)) for a, b in zip(one, other, strict=True))


def parse_positions(text: str, partitions: int) -> Positions | None:
    """Positions from such an id; None when it is not one of this log."""
    try:
        positions = tuple(tuple(map(int, part.split("."))) for part in text.split("-"))
    except ValueError:
        return None
    fits = len(positions) == len(TOPICS) and all(len(offsets) == partitions for offsets in positions)
    return positions if fits and min(chain.from_iterable(positions)) >= 0 else None


class Update:
    """What the log gained between two positions, ready to be sent to any audience."""

    def __init__(self, positions: Positions, erased: Collection[str] = ()) -> None:
        """`erased`: the patients who are nobody's."""
        self.positions, self._erased = positions, erased
        self._readings: dict[str, list[tuple[int, int, int]]] = {}
        self._documents: dict[Topic, list[tuple[str, dict[str, object]]]] = {}
        self._frames: dict[Audience, bytes] = {}

    def add(self, piece: Slice) -> None:
        """Take in entries of one partition; before the first call of `frame`."""
        columns = piece.batch.to_pydict()
        if piece.topic is Topic.GLUCOSE_READINGS:
            points = zip(columns["time_us"], columns["glucose_tenths"], columns["range"], strict=True)
            for patient, point in zip(columns["patient"], points, strict=True):
                self._readings.setdefault(patient, []).append(point)
            return
        rows = self._documents.setdefault(piece.topic, [])
        names = ("patient", "time_us", "type", "received_at_us", "body")
        for patient, time_us, kind, received_at_us, body in zip(*(columns[name] for name in names), strict=True):
            document = {"patient": patient, "time_us": time_us, "type": kind, "received_at_us": received_at_us}
            rows.append((patient, {**document, "body": msgspec.Raw(body.encode())}))

    def frame(self, audience: Audience) -> bytes:
        """The server-sent events for an audience; empty when nothing in it is theirs. Made once per audience."""
        frame = self._frames.get(audience)
        if frame is None:
            frame = self._frames[audience] = b"".join(self._events(audience))
        return frame

    def _events(self, audience: Audience) -> Iterator[bytes]:
        ident = positions_text(self.positions)
        seen = self._readings.keys() if audience is None else audience & self._readings.keys()
        readings = {patient: self._readings[patient] for patient in seen if patient not in self._erased}
        if readings:
            yield event("readings", _encode(readings), ident)
        for topic, rows in self._documents.items():
            shown = [
                row
                for patient, row in rows
                if (audience is None or patient in audience) and patient not in self._erased
            ]
            if shown:
                yield event(topic, _encode(shown), ident)


def event(name: str, data: bytes, ident: str = "") -> bytes:
    """One server-sent event (WHATWG HTML, clause 9.2.6); `data` is JSON on one line."""
    return f"event: {name}\n".encode() + (f"id: {ident}\n".encode() if ident else b"") + b"data: " + data + b"\n\n"


def between(log: Log, start: Positions, end: Positions, erased: Collection[str] = ()) -> Update | None:
    """What lies between two positions, but for patients who were erased; None when that is more than CATCH_UP_ROWS, or no
    longer kept."""
    pairs = zip(chain.from_iterable(start), chain.from_iterable(end), strict=True)
    if sum(max(0, stop - offset) for offset, stop in pairs) > CATCH_UP_ROWS:
        return None
    update = Update(end, erased)
    try:
        for topic, offsets, ends in zip(TOPICS, start, end, strict=True):
            for partition, (offset, stop) in enumerate(zip(offsets, ends, strict=True)):
                for piece in _pieces(log, topic, partition, offset, stop):
                    update.add(piece)
    except IsletError as error:
        _log.warning("live stream cannot read the log", error=type(error).__name__)
        return None
    return update


def _pieces(log: Log, topic: Topic, partition: int, offset: int, stop: int) -> Iterator[Slice]:
    while offset < stop:
        piece = log.read(topic, partition, offset, stop - offset)
        if piece is None:
            return
        rows = min(piece.batch.num_rows, stop - piece.offset)
        yield Slice(topic=topic, partition=partition, offset=piece.offset, batch=piece.batch.slice(0, rows))
        offset = piece.offset + rows
