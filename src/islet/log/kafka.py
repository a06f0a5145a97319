"""The log on Kafka, or on what speaks its protocol (Redpanda, Azure Event Hubs): for more than one machine.

Topics, partitions and their numbering are those of every log; a row is a record (`kafka_records`). What is different:

- A commit without cursors or states (what gateways append) is acknowledged by all in-sync replicas when `commit`
  returns; after an error some of it may be there. Nobody was told that it is, so the device sends it again.
- A commit with cursors or states (what an engine says) is a Kafka transaction: there as a whole, or not at all. Of a
  process without a name, of which there may be many, it is not (`KafkaAccess.writer`).
- Offsets have gaps, where transactions ended: a slice may begin after the offset that was asked for.
- The broker syncs and compacts as it is set up to; `compact` does nothing here.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from islet.errors import OffsetExpired
from islet.log.base import Commit, Companion, CursorMove, Slice
from islet.log.kafka_access import ANSWER_S, KafkaAccess, patiently, plain_errors
from islet.log.kafka_reader import Follower, History, Place
from islet.log.kafka_records import Record, records_of
from islet.log.kafka_states import States
from islet.log.kafka_topics import STATES, opened
from islet.log.kafka_writer import Ends, Writer
from islet.log.partitioning import joined, pieces
from islet.log.tail import MOST_BYTES, Tail
from islet.model.batch import RECEIVED, int64_column
from islet.model.topics import Topic
from islet.settings import Settings

_VISIBLE_S: Final = 10.0
"""How long an acknowledged entry may take until it can be read."""


def from_settings(settings: Settings, *, writer: str) -> "KafkaLog":
    """The log that the settings name; `writer` as in KafkaAccess."""
    return KafkaLog(KafkaAccess.of(settings, writer=writer), partitions=settings.partitions)


class KafkaLog:
    """Implements `islet.log.base.Log`; any number of processes may have the same topics open."""

    def __init__(self, access: KafkaAccess, *, partitions: int = 0, tail_bytes: int = MOST_BYTES) -> None:
        """The log there, made with that many partitions where there is none; 0: as it is, a new one with 4.

        The newest `tail_bytes` of each topic are kept in memory once somebody reads. Raises SettingError when its
        topics have another number of partitions, OSError when the broker does not answer.
        """
        self._access = access
        self._admin, self._partitions = opened(access, partitions)
        self._topics = {access.topic(topic): topic for topic in Topic}
        self._writer, self._states, self._history = Writer(access), States(access, self._states_end), History(access)
        self._tail = Tail(tail_bytes // self._partitions)
        self._grown = threading.Condition()
        self._ends: dict[Place, int] = {}  # known to be there
        self._followed: dict[Place, int] = {}  # taken in by the follower
        self._gaps: dict[tuple[Topic, int, int], int] = {}  # of each partition the newest: its begin, and its end
        self._follower: Follower | None = None
        self._starting = threading.Lock()

    @property
    def partitions(self) -> int:
        return self._partitions

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        plain = [commit for commit in commits if not (commit.cursors or commit.states)]
        whole = [commit for commit in commits if commit.cursors or commit.states]
        alone, together = self._records(plain), self._records(whole)  # may raise, so both come before any effect
        together += [record for commit in whole for record in self._states.records(commit)]
        if not self._access.writer:
            alone, together = alone + together, []
        if alone:
            self._appended(self._writer.append(alone))
        if together:
            ends = self._writer.transact(together)
            self._appended(ends)
            self._states.reach(ends.get((self._access.topic(STATES), 0), 0))

    def _records(self, commits: Sequence[Commit]) -> list[Record]:
        found: list[Record] = []
        for piece in pieces(commits, self._partitions):
            found += records_of(piece, self._access.topic(piece.topic))
        return found

    def _appended(self, ends: Ends) -> None:
        """Know of what was acknowledged, so that who reads next in this process finds it."""
        with self._grown:
            for (name, partition), end in ends.items():
                topic = self._topics.get(name)
                if topic is not None:
                    self._ends[topic, partition] = max(end, self._ends.get((topic, partition), 0))
            self._grown.notify_all()

    def read(self, topic: Topic, partition: int, offset: int, max_rows: int = 50_000) -> Slice | None:
        self._follow()
        wanted, place = max(1, max_rows), (topic, partition)
        with self._grown:
            end = self._ends[place]
            if offset >= end:
                return None
            if offset >= self._followed[place]:
                self._grown.wait_for(lambda: offset < self._followed[place] or self._failed(), _VISIBLE_S)
            offset = self._gaps.get((topic, partition, offset), offset)
        batches = self._tail.read(topic, partition, offset, wanted)
        if batches:
            return Slice(topic=topic, partition=partition, offset=offset, batch=joined(batches))
        return self._stored(topic, partition, offset, end, wanted)

    def _stored(self, topic: Topic, partition: int, offset: int, end: int, wanted: int) -> Slice | None:
        """From the broker, what lies before `end`, which is known to be there."""
        try:
            found = self._history.read(topic, partition, offset, end, wanted)
        except LookupError:
            begin = self.begin(topic)[partition]
            if offset < begin:
                raise OffsetExpired(topic, partition, offset, begin) from None
            return None
        place = (topic, partition)
        with self._grown:
            if found is not None:  # some of it may be newer than what the follower has
                self._ends[place] = max(found.next_offset, self._ends[place])
            elif self._ends[place] == end:  # there are only marks of transactions
                self._ends[place] = offset
        return found

    def begin(self, topic: Topic) -> tuple[int, ...]:
        found = self._offsets(OffsetSpec.earliest(), [topic])
        return tuple(found[topic, partition] for partition in range(self._partitions))

    def end(self, topic: Topic) -> tuple[int, ...]:
        self._follow()
        with self._grown:
            return tuple(self._ends[topic, partition] for partition in range(self._partitions))

    def _offsets(self, which: OffsetSpec, topics: Sequence[Topic]) -> dict[Place, int]:
        asked = [
            TopicPartition(self._access.topic(topic), partition)
            for topic in topics
            for partition in range(self._partitions)
        ]
        return {(self._topics[at.topic], at.partition): found for at, found in self._listed(asked, which).items()}

    def _states_end(self) -> int:
        """Where the topic of the states ends now; asked here, because a consumer's answer waits behind its fetches."""
        (end,) = self._listed([TopicPartition(self._access.topic(STATES), 0)], OffsetSpec.latest()).values()
        return end

    def _listed(self, asked: Sequence[TopicPartition], which: OffsetSpec) -> dict[TopicPartition, int]:
        with plain_errors():
            return patiently(
                lambda: {at: told.result().offset for at, told in self._ask(asked, which).items()},
                lambda: self._admin.list_topics(timeout=ANSWER_S),
            )

    def _ask(self, asked: Sequence[TopicPartition], which: OffsetSpec) -> dict[TopicPartition, Any]:
        answers: dict[TopicPartition, Any] = self._admin.list_offsets(
            dict.fromkeys(asked, which), isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ANSWER_S
        )
        return answers

    def cursor(self, consumer: str, topic: Topic) -> tuple[int, ...]:
        reached = {
            move.partition: move.offset
            for move in self._states.cursors()
            if (move.consumer, move.topic) == (consumer, topic)
        }
        return tuple(reached.get(partition, 0) for partition in range(self._partitions))

    def cursors(self) -> Sequence[CursorMove]:
        return self._states.cursors()

    def state(self, name: str) -> bytes | None:
        return self._states.state(name)

    def wait(self, seen: int, timeout_s: float) -> int:
        self._follow()
        with self._grown:
            self._grown.wait_for(lambda: self._version() > seen or self._failed(), timeout_s)
            return self._version()

    def _version(self) -> int:
        return sum(self._ends.values())

    def _failed(self) -> bool:
        return self._follower is not None and self._follower.error is not None

    def _follow(self) -> None:
        """Begin to follow, at the first use; raises why it has ended, if it has, and begins again at the next use."""
        with self._starting:
            if self._follower is not None:
                if self._follower.error is None:
                    return
                error = self._follower.error
                self._follower.close()
                self._follower = None
                raise error
            begins = self._offsets(OffsetSpec.latest(), list(Topic))
            with self._grown:
                self._followed = dict(begins)
                self._ends = {place: max(begin, self._ends.get(place, 0)) for place, begin in begins.items()}
            self._follower = Follower(self._access, begins, self._took)

    def _took(self, piece: Slice) -> None:
        place = (piece.topic, piece.partition)
        self._tail.add(*place, piece.offset, piece.batch, piece.batch.get_total_buffer_size())
        with self._grown:
            before = self._followed[place]
            if piece.offset > before:
                self._gaps = {key: end for key, end in self._gaps.items() if key[:2] != place}
                self._gaps[*place, before] = piece.offset
            self._followed[place] = piece.next_offset
            self._ends[place] = max(self._ends[place], piece.next_offset)
            self._grown.notify_all()

    def expire(self, before_us: int) -> int:
        newest_us = self.newest_received_us()
        cuts = {place: cut for topic in Topic for place, cut in self._cuts(topic, before_us).items()}
        if not cuts:
            return 0
        self._writer.append([self._states.newest_record(newest_us)])
        begins = self._offsets(OffsetSpec.earliest(), list(Topic))
        asked = [TopicPartition(self._access.topic(topic), partition, cut) for (topic, partition), cut in cuts.items()]
        answers = self._admin.delete_records(asked, request_timeout=ANSWER_S)
        gone = 0
        for at, told in answers.items():
            place = (self._topics[at.topic], at.partition)
            try:
                gone += int(told.result().low_watermark) - begins[place]
            except KafkaException:
                continue  # a service without this (Event Hubs): its own retention decides
            self._tail.forget(*place)
        return gone

    def _cuts(self, topic: Topic, before_us: int) -> dict[Place, int]:
        """Per partition where something is to go, the first offset that stays."""
        begins, ends = self.begin(topic), self.end(topic)
        asked = OffsetSpec.for_timestamp(before_us // 1000)
        found = self._offsets(asked, [topic])
        cuts = {}
        for partition in range(self._partitions):
            at = found[topic, partition]
            cut = self._first_kept(topic, partition, at if at >= 0 else ends[partition], before_us)
            if cut > begins[partition]:
                cuts[topic, partition] = cut
        return cuts

    def _first_kept(self, topic: Topic, partition: int, offset: int, before_us: int) -> int:
        """The first offset from there on with an entry received at that instant or later; timestamps of the broker
        are too coarse to tell."""
        while (piece := self.read(topic, partition, offset, 1_000)) is not None:
            late = int64_column(piece.batch, RECEIVED.name) >= before_us
            if late.any():
                return piece.offset + int(late.argmax())
            offset = piece.next_offset
        return offset

    def compact(self) -> int:
        return 0

    def newest_received_us(self) -> int:
        newest = self._states.newest_received_us()
        for topic in Topic:
            for partition, (begin, end) in enumerate(zip(self.begin(topic), self.end(topic), strict=True)):
                newest = max(newest, self._newest_in(topic, partition, begin, end))
        return newest

    def _newest_in(self, topic: Topic, partition: int, begin: int, end: int) -> int:
        """Of the last entry; goes back a little further each time that there are only marks of transactions, which the
        broker takes half a second to say. One mark is usual."""
        back = 2
        while end > begin:
            piece = self.read(topic, partition, max(begin, end - back))
            if piece is not None:
                return int(int64_column(piece.batch, RECEIVED.name).max())
            if end - back <= begin:
                break
            back *= 4
        return 0

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()
        self._writer.close()
        self._history.close()
        self._states.close()
