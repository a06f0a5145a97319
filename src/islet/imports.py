"""An export into the log, through the decoder that devices have: first all of it is checked, then it is appended.

What the log knows already is not appended again, so that importing twice changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from islet.decode.imports.detect import Format, detected
from islet.decode.imports.found import Choices, Found
from islet.decode.imports.preview import Preview, tallied
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.log.base import Append, Commit, Log
from islet.model.batch import int64_column
from islet.model.codec import encode_event
from islet.model.time import Now
from islet.model.topics import Topic, partition_of

_CHUNK: Final = 5_000  # events in a commit: what is in memory, and what a crash loses of an import
_TOPICS: Final = (Topic.GLUCOSE_READINGS, Topic.CARE_EVENTS, Topic.VITALS, Topic.DEVICE_READINGS)

Progress = Callable[[int], None]
"""Told how many bytes of the file have been read."""


class Appended(NamedTuple):
    """How many events are new in the log, and how many it knew already."""

    new: int
    known: int


def check(stream: BinaryIO, choices: Choices, format: Format | None, *, latest_us: int, progress: Progress) -> Preview:
    """What is in an export (`format` None: whichever it has). Raises BadInput, with line and column; then nothing of it
    may be appended. The second of two readings with one device and instant is counted as left out."""
    preview = Preview()
    for _ in _events(
        stream, choices, format or detected(stream, mapped=bool(choices.mapping)), preview, latest_us, progress
    ):
        pass
    if not preview.events:
        raise BadInput("the file holds nothing that can be imported", reason="empty")
    return preview


def append(
    stream: BinaryIO, choices: Choices, format: Format | None, *, log: Log, patient: str, now: Now, progress: Progress
) -> Appended:
    """Append an export that was checked. Memory holds a chunk and the identities of the patient's events in the log."""
    known = _Known(log, patient)
    new = seen = 0
    now_us = max(now(), log.newest_received_us())
    events = _events(
        stream, choices, format or detected(stream, mapped=bool(choices.mapping)), Preview(), now_us, progress
    )
    while chunk := list(islice(events, _CHUNK)):
        arrivals = [Arrival(one.device, patient, encode_event(one.event)) for one in chunk]
        decoded = decode_arrivals(arrivals, now_us, 0)
        if decoded.dead:
            raise BadInput(f"an event was refused ({', '.join(decoded.dead)})", reason="refused")
        appends = [Append(topic=topic, batch=known.without(topic, batch)) for topic, batch in decoded.batches.items()]
        rows = sum(one.batch.num_rows for one in appends)
        if rows:
            log.commit([Commit(received_at_us=now_us, appends=[one for one in appends if one.batch.num_rows])])
        new += rows
        seen += len(chunk)
    return Appended(new, seen - new)


def _events(
    stream: BinaryIO, choices: Choices, format: Format, preview: Preview, latest_us: int, progress: Progress
) -> Iterator[Found]:
    for count, found in enumerate(tallied(format.read(stream, choices), preview, latest_us=latest_us)):
        if count % _CHUNK == 0:
            progress(stream.tell())
        yield found


class _Known:
    """The identities of a patient's events that the log holds: device and instant of a reading, all of another event."""

    def __init__(self, log: Log, patient: str) -> None:
        self._patient = patient
        self._by_topic = {topic: set(self._read(log, topic)) for topic in _TOPICS}

    def without(self, topic: Topic, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that are new, each of them known from now on."""
        known = self._by_topic[topic]
        new: NDArray[np.bool_] = np.zeros(batch.num_rows, np.bool_)
        for row, identity in enumerate(_identities(topic, batch)):
            if identity not in known:
                known.add(identity)
                new[row] = True
        return batch.filter(pa.array(new))

    def _read(self, log: Log, topic: Topic) -> Iterator[bytes]:
        partition = partition_of(self._patient, log.partitions)
        offset = log.begin(topic)[partition]
        while (piece := log.read(topic, partition, offset)) is not None:
            offset = piece.next_offset
            theirs = pc.is_in(piece.batch.column("patient"), pa.array([self._patient]))
            yield from _identities(topic, piece.batch.filter(theirs))


def _identities(topic: Topic, batch: pa.RecordBatch) -> Iterator[bytes]:
    devices, times_us = batch.column("device").to_pylist(), int64_column(batch, "time_us").tolist()
    if topic is Topic.GLUCOSE_READINGS:
        texts: Iterable[str] = (f"{time_us} {device}" for device, time_us in zip(devices, times_us, strict=True))
    else:
        kinds, bodies = batch.column("type").to_pylist(), batch.column("body").to_pylist()
        rows = zip(devices, times_us, kinds, bodies, strict=True)
        texts = (f"{time_us} {device} {kind} {body}" for device, time_us, kind, body in rows)
    return (blake2b(text.encode(), digest_size=12).digest() for text in texts)
