"""How far the Spark job has read, as the log's cursors of a consumer: so every process that has the log open tells its lag,
also when the job has begun anew, and while none runs."""

import errno
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import structlog

from islet.log.base import Commit, CursorMove, Log
from islet.model.time import Now
from islet.model.topics import Topic

CONSUMER: Final = "spark"
"""Not `engine`: the embedded engine would go on from there, with what it knew when it last ran."""

_ends: Final = msgspec.json.Decoder(dict[str, dict[int, int]])
_log = structlog.get_logger("islet.spark")


class SparkCursors:
    """Not for two threads at once; the log may be used by others meanwhile."""

    def __init__(self, log: Log, topics: Mapping[Topic, str], now: Now) -> None:
        """`topics`: what a topic is called there."""
        self._log, self._topics, self._now = log, {name: topic for topic, name in topics.items()}, now
        self._kept: list[CursorMove] = []

    def keep(self, ends: Sequence[str | None]) -> None:
        """Write into the log where the last micro-batch has ended, if that is elsewhere than before. `ends`: as each
        source of the query says it, `{"glucose_readings": {"0": 42}}`; None of one that has not begun.

        A log that does not answer is tried again the next time: the job has better things to fail for. Raises OSError
        where another process writes under our name.
        """
        moves = [
            CursorMove(consumer=CONSUMER, topic=self._topics[name], partition=partition, offset=offset)
            for end in ends
            if end is not None
            for name, offsets in _ends.decode(end).items()
            for partition, offset in offsets.items()
        ]
        if moves == self._kept:
            return
        try:
            self._log.commit([Commit(received_at_us=self._now(), cursors=moves)])
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
            _log.warning("spark_cursors_not_kept", error=type(error).__name__)
            return
        self._kept = moves
