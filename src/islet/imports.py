"""An export into the log, through the decoder that devices have: first all of it is checked, then it is appended.

What the log knows already is not appended again, so that importing twice changes nothing.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import BinaryIO, Final, NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from islet.decode.imports.detect import Format, detected
from islet.decode.imports.found import Choices, Found
from islet.decode.imports.parts import DAMAGED, Part, damaged
from islet.decode.imports.preview import Preview, tallied
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.errors import BadInput
from islet.log.base import Append, Log
from islet.model.batch import int64_column
from islet.model.codec import encode_event
from islet.model.time import RECORDS_SINCE_US
from islet.model.topics import Topic, partition_of
from islet.workbooks import check_opens

_CHUNK: Final = 5_000  # events in a commit: what is in memory, and what a crash loses of an import
_TOLD_EVERY: Final = 500  # events
_TOPICS: Final = (Topic.GLUCOSE_READINGS, Topic.CARE_EVENTS, Topic.VITALS, Topic.DEVICE_READINGS)

Progress = Callable[[int], None]
"""Told every so often how many bytes of an export have been read. What it raises ends the reading."""
Write = Callable[[Sequence[Append]], None]
"""Makes rows durable in the log, or raises."""


class Appended(NamedTuple):
    """How many events are new in the log, and how many it knew already."""

    new: int
    known: int


class Looked(NamedTuple):
    """What one export was found to be: its format where that is known, and what is in it, or why it cannot be read.
    `beside`: there is nothing to import in it, and it stands in an archive among others."""

    name: str
    format: Format | None
    preview: Preview
    error: BadInput | None = None
    beside: bool = False


def look(part: Part, choices: Choices, chosen: Format | None, *, latest_us: int, progress: Progress) -> Looked:
    """What is in an export (`chosen` None: whichever format it has). One with an error may not be appended."""
    format = chosen
    preview = Preview()
    try:
        check_opens(part.stream)
        format = chosen or detected(part.stream, mapped=bool(choices.mapping))
        if choices.person is not None and format.name not in ("table", "records"):
            raise BadInput(f"--person: expected a table of several people; got {format.title}", reason="choice")
        for _ in _events(part.stream, choices, format, preview, latest_us, progress):
            pass
        if not preview.events:
            raise BadInput("the file holds nothing that can be imported", reason="empty")
    except BadInput as error:
        nothing = format is None or error.reason == "empty"
        return Looked(part.name, format, preview, error, beside=part.archived and nothing)
    except DAMAGED:
        return Looked(part.name, format, preview, damaged())
    return Looked(part.name, format, preview)


def append(
    part: Part, choices: Choices, format: Format, *, known: "Known", write: Write, now_us: int, progress: Progress
) -> Iterator[Appended]:
    """Append an export that was looked at: the counts of each chunk as soon as it is durable. Memory holds a chunk and the
    identities of the patient's events in the log."""
    events = _events(part.stream, choices, format, Preview(), now_us, progress)
    while chunk := list(islice(events, _CHUNK)):
        arrivals = [Arrival(one.device, known.patient, encode_event(one.event)) for one in chunk]
        decoded = decode_arrivals(arrivals, now_us, 0, since_us=RECORDS_SINCE_US)
        if decoded.dead:
            raise BadInput(f"an event was refused ({', '.join(decoded.dead)})", reason="refused")
        appends = [Append(topic=topic, batch=known.without(topic, batch)) for topic, batch in decoded.batches.items()]
        appends = [one for one in appends if one.batch.num_rows]
        if appends:
            write(appends)
        new = sum(one.batch.num_rows for one in appends)
        yield Appended(new, len(chunk) - new)


def _events(
    stream: BinaryIO, choices: Choices, format: Format, preview: Preview, latest_us: int, progress: Progress
) -> Iterator[Found]:
    items = format.read(cast(BinaryIO, _Watched(stream, progress)), choices)
    for count, found in enumerate(tallied(items, preview, latest_us=latest_us)):
        if count % _TOLD_EVERY == 0:
            progress(stream.tell())
        yield found


class _Watched(io.BufferedIOBase):
    """An export that tells how far it is read, with each piece: of some there is much to read for each event."""

    def __init__(self, stream: BinaryIO, progress: Progress) -> None:
        self._stream, self._progress = stream, progress

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def read(self, size: int | None = -1) -> bytes:
        piece = self._stream.read(-1 if size is None else size)
        self._progress(self._stream.tell())
        return piece

    read1 = read


class Known:
    """The identities of a patient's events that the log holds: device and instant of a reading, all of another event."""

    def __init__(self, log: Log, patient: str) -> None:
        self.patient = patient
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
        partition = partition_of(self.patient, log.partitions)
        offset = log.begin(topic)[partition]
        while (piece := log.read(topic, partition, offset)) is not None:
            offset = piece.next_offset
            theirs = pc.is_in(piece.batch.column("patient"), pa.array([self.patient]))
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
