"""How far the engine has read the log, and what comes next."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from islet.engine.shard import TOPICS
from islet.errors import OffsetExpired
from islet.log.base import Log, Slice
from islet.log.partitioning import joined
from islet.model.topics import Topic


class Following:
    """The engine's topics, read from given offsets on. `offsets`, by partition: of the next entry of each topic. `more`:
    whether entries were there at the last reading that are not read yet."""

    def __init__(self, log: Log, begin: Callable[[Topic], Sequence[int]]) -> None:
        self._log = log
        self.offsets = {topic: list(begin(topic)) for topic in TOPICS}
        self.more = True

    def reached(self) -> dict[Topic, list[int]]:
        """The offsets of now."""
        return {topic: list(offsets) for topic, offsets in self.offsets.items()}

    def ends(self) -> dict[Topic, tuple[int, ...]]:
        """Behind what the log has now."""
        return {topic: self._log.end(topic) for topic in TOPICS}

    def is_behind(self, ends: Mapping[Topic, Sequence[int]]) -> bool:
        """Whether anything before these is not read yet."""
        return any(_left(offsets, ends[topic]) for topic, offsets in self.offsets.items())

    def lag(self) -> int:
        """How many entries in the log are not read yet."""
        return sum(
            end - offset
            for topic, ends in self.ends().items()
            for end, offset in zip(ends, self.offsets[topic], strict=True)
        )

    def read(self, ends: Mapping[Topic, Sequence[int]] | None = None) -> dict[Topic, pa.RecordBatch]:
        """The next slice of each partition, by topic; not beyond `ends`."""
        found = {}
        self.more = False
        for topic, offsets in self.offsets.items():
            stop = self._log.end(topic) if ends is None else ends[topic]
            if not _left(offsets, stop):
                continue  # most topics, most of the time
            pieces = [
                piece
                for partition, end in enumerate(stop)
                if (piece := self._slice(topic, partition, None if ends is None else end)) is not None
            ]
            if pieces:
                found[topic] = joined(pieces)
                self.more |= _left(offsets, stop)
        return found

    def take(self, slices: Sequence[Slice]) -> dict[Topic, pa.RecordBatch] | None:
        """The same of entries that are at hand before the log has them; None when others come before them."""
        reached = self.reached()
        found: dict[Topic, list[pa.RecordBatch]] = {}
        for one in slices:
            if one.topic in reached:
                if reached[one.topic][one.partition] != one.offset:
                    return None
                reached[one.topic][one.partition] = one.next_offset
                found.setdefault(one.topic, []).append(one.batch)
        self.offsets = reached
        return {topic: joined(batches) for topic, batches in found.items()}

    def _slice(self, topic: Topic, partition: int, end: int | None) -> pa.RecordBatch | None:
        offsets = self.offsets[topic]
        if end is not None and offsets[partition] >= end:
            return None
        try:
            piece = self._log.read(topic, partition, offsets[partition])
        except OffsetExpired as error:
            offsets[partition] = error.begin
            if end is not None and error.begin >= end:
                return None
            piece = self._log.read(topic, partition, error.begin)
        if piece is None:
            return None
        batch = piece.batch if end is None else piece.batch.slice(0, end - piece.offset)
        offsets[partition] = piece.offset + batch.num_rows
        return batch


def _left(offsets: Sequence[int], ends: Sequence[int]) -> bool:
    return any(offset < end for offset, end in zip(offsets, ends, strict=True))
