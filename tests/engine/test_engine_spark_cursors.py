"""How far the Spark job has read is known to every process, and no trouble with that ends the job but being shut out."""

import errno
from collections.abc import Sequence

import pytest

from islet.engine.spark_cursors import CONSUMER, SparkCursors
from islet.log.base import Commit, Companion
from islet.log.memory import MemoryLog
from islet.model.topics import Topic
from islet.operations.metrics import lags_of
from tests.log.rows import append, commit, reading

TOPICS = {Topic.GLUCOSE_READINGS: "t.glucose_readings", Topic.CARE_EVENTS: "t.care_events"}


class Troubled(MemoryLog):
    """A log that counts commits, and refuses those for which there is an error."""

    def __init__(self) -> None:
        super().__init__(partitions=2)
        self.errors, self.commits = list[OSError](), 0

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        self.commits += 1
        if self.errors:
            raise self.errors.pop()
        super().commit(commits, companion)


def ends(first: int, second: int) -> list[str | None]:
    return [None, f'{{"t.glucose_readings":{{"0":{first},"1":{second}}},"t.care_events":{{"0":0}}}}']


def test_the_lag_of_the_job_is_what_it_has_not_read() -> None:
    log = Troubled()
    log.commit([commit(1, append(*(reading(f"p{number}", 1) for number in range(9))))])
    SparkCursors(log, TOPICS, lambda: 2).keep(ends(2, 1))
    assert sum(log.cursor(CONSUMER, Topic.GLUCOSE_READINGS)) == 3
    every = {topic: log.end(topic) for topic in Topic}
    assert lags_of(every, log.cursors()) == {
        (CONSUMER, Topic.GLUCOSE_READINGS): 6,
        (CONSUMER, Topic.CARE_EVENTS): 0,
    }


def test_nothing_is_written_while_the_job_reads_nothing() -> None:
    log = Troubled()
    cursors = SparkCursors(log, TOPICS, lambda: 0)
    for _ in range(3):
        cursors.keep(ends(2, 1))
    assert log.commits == 1


def test_a_log_that_did_not_answer_is_told_the_next_time() -> None:
    log = Troubled()
    log.errors = [OSError(errno.EIO, "Kafka: no answer")]
    cursors = SparkCursors(log, TOPICS, lambda: 0)
    cursors.keep(ends(2, 1))
    assert log.cursors() == []
    cursors.keep(ends(2, 1))
    assert log.cursor(CONSUMER, Topic.GLUCOSE_READINGS) == (2, 1)


def test_a_job_that_is_shut_out_ends() -> None:
    log = Troubled()
    log.errors = [OSError(errno.EPERM, "Kafka: another process writes")]
    with pytest.raises(OSError, match="another process"):
        SparkCursors(log, TOPICS, lambda: 0).keep(ends(2, 1))
