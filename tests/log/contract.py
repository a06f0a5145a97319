"""What holds for every log. A back end's test file derives a class from this one and gives `open_log`."""

import threading
from collections.abc import Callable, Sequence

import pyarrow as pa
import pytest

from islet.errors import OffsetExpired
from islet.log.base import Append, Commit, CursorMove, Log, Slice
from islet.model.batch import READINGS_SCHEMA, RECEIVED, int64_column, readings_batch
from islet.model.time import MINUTE_US
from islet.model.topics import Topic, partition_of
from tests.log.rows import GLUCOSE, append, commit, entries, note, patients_of, reading, tuples

OpenLog = Callable[[int], Log]
"""Gives an empty log with that many partitions."""


class Beside:
    """Asked within commits; notes what it is shown, and gives a commit of its own where it has one."""

    def __init__(self, commit: Commit | None = None, error: Exception | None = None) -> None:
        self.commit, self.error, self.shown = commit, error, list[tuple[int, list[object]]]()

    def follow(self, slices: Sequence[Slice]) -> Commit | None:
        self.shown += [(one.offset, [row[0] for row in tuples(one.batch)]) for one in slices]
        if self.error is not None:
            raise self.error
        return self.commit

    def settle(self, error: Exception | None) -> None: ...


class LogContract:
    asks = True
    """Whether the log knows offsets before it commits, and so asks who accompanies the commit."""

    @pytest.fixture(params=[1, 4])
    def log(self, request: pytest.FixtureRequest, open_log: OpenLog) -> Log:
        return open_log(request.param)

    def test_an_empty_log_has_nothing_to_read(self, log: Log) -> None:
        assert log.read(GLUCOSE, 0, 0) is None
        assert log.begin(GLUCOSE) == log.end(GLUCOSE) == (0,) * log.partitions
        assert log.newest_received_us() == 0

    def test_rows_come_back_with_all_their_columns_and_when_they_were_received(self, log: Log) -> None:
        row = reading("anna", 3, 112)
        log.commit([commit(77, append(row))])
        one = log.read(GLUCOSE, partition_of("anna", log.partitions), 0)
        assert one is not None
        assert one.batch.schema == READINGS_SCHEMA.append(RECEIVED)
        assert tuples(one.batch) == [(*row, 77)]
        assert log.newest_received_us() == 77

    def test_each_patient_is_in_their_partition_in_the_order_of_the_commits(self, log: Log) -> None:
        patients = [f"p{number}" for number in range(20)]
        for minute in range(3):
            log.commit([commit(minute, append(*(reading(patient, minute) for patient in patients)))])
        for partition, rows in enumerate(entries(log)):
            assert {partition_of(str(row[0]), log.partitions) for row in rows} <= {partition}
            for patient in {row[0] for row in rows}:
                assert [row[-1] for row in rows if row[0] == patient] == [0, 1, 2]

    def test_a_large_commit_keeps_the_order_of_each_patient(self, log: Log) -> None:
        rows = [reading(f"p{number % 7}", number) for number in range(2_000)]
        log.commit([commit(1, append(*rows))])
        found = [row[:-1] for part in entries(log) for row in part]
        for number in range(7):
            patient = f"p{number}"
            assert [row for row in found if row[0] == patient] == [row for row in rows if row[0] == patient]

    def test_commits_of_one_group_keep_their_order_and_their_instants(self, log: Log) -> None:
        log.commit([commit(5, append(reading("anna", 1))), commit(4, append(reading("anna", 0)))])
        rows = entries(log)[partition_of("anna", log.partitions)]
        assert [(row[2], row[-1]) for row in rows] == [(60_000_000, 5), (0, 4)]

    def test_who_accompanies_a_commit_is_shown_the_entries_and_what_it_adds_is_there_with_them(self, log: Log) -> None:
        log.commit([commit(1, append(reading("anna", 0)))])
        move = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=1)
        more = Commit(received_at_us=3, appends=[append(reading("anna", 2))], cursors=[move], states={"s": b"x"})
        beside = Beside(more)
        log.commit([commit(2, append(reading("anna", 1)))], beside)
        assert beside.shown == ([(1, ["anna"])] if self.asks else [])
        times_us = [row[2] for row in entries(log)[partition_of("anna", log.partitions)]]
        assert times_us == [minute * MINUTE_US for minute in ([0, 1, 2] if self.asks else [0, 1])]
        assert (log.cursor("c", GLUCOSE)[0], log.state("s")) == ((1, b"x") if self.asks else (0, None))

    def test_nothing_is_there_when_who_accompanies_the_commit_fails(self, log: Log) -> None:
        if not self.asks:
            return
        with pytest.raises(ZeroDivisionError):
            log.commit([commit(2, append(reading("anna", 1)))], Beside(error=ZeroDivisionError()))
        assert log.end(GLUCOSE) == (0,) * log.partitions
        log.commit([commit(2, append(reading("anna", 1)))])
        assert sum(log.end(GLUCOSE)) == 1

    def test_topics_have_offsets_of_their_own(self, log: Log) -> None:
        log.commit([commit(1, append(reading("anna", 1)), note("anna", 2, "tea"))])
        assert sum(log.end(GLUCOSE)) == sum(log.end(Topic.CARE_EVENTS)) == 1
        assert patients_of(log, Topic.CARE_EVENTS) == ["anna"]

    def test_an_append_without_rows_changes_nothing(self, log: Log) -> None:
        log.commit([commit(1, append())])
        assert sum(log.end(GLUCOSE)) == 0

    def test_reading_may_begin_and_end_anywhere(self, open_log: OpenLog) -> None:
        log = open_log(1)
        for first in range(0, 12, 3):
            log.commit([commit(first, append(*(reading("anna", minute) for minute in range(first, first + 3))))])
        for offset in range(12):
            for max_rows in (1, 2, 5, 50):
                one = log.read(GLUCOSE, 0, offset, max_rows)
                assert one is not None
                minutes = (int64_column(one.batch, "time_us") // 60_000_000).tolist()
                assert minutes == list(range(offset, offset + len(minutes)))
                assert 1 <= len(minutes) <= max_rows
        assert log.read(GLUCOSE, 0, 12) is None

    def test_cursors_and_states_are_committed_with_the_entries(self, log: Log) -> None:
        move = CursorMove(consumer="engine", topic=GLUCOSE, partition=0, offset=3)
        log.commit([Commit(received_at_us=1, appends=[append(reading("anna", 1))], cursors=[move], states={"a": b"1"})])
        assert log.cursor("engine", GLUCOSE)[0] == 3
        assert log.cursor("another", GLUCOSE)[0] == 0
        assert list(log.cursors()) == [move]
        assert log.state("a") == b"1"
        log.commit([Commit(received_at_us=2, states={"a": b"2", "b": b""})])
        assert (log.state("a"), log.state("b")) == (b"2", b"")
        log.commit([Commit(received_at_us=3, states={"a": None})])
        assert log.state("a") is None

    def test_nothing_of_a_group_is_there_when_one_commit_of_it_fails(self, log: Log) -> None:
        wrong = Commit(
            received_at_us=2, appends=[Append(topic=Topic.VITALS, batch=readings_batch([reading("berta", 1)]))]
        )
        good = Commit(
            received_at_us=1,
            appends=[append(reading("anna", 1))],
            cursors=[CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=9)],
            states={"s": b"x"},
        )
        with pytest.raises(ValueError, match="schema"):
            log.commit([good, wrong])
        assert patients_of(log) == []
        assert log.cursor("c", GLUCOSE)[0] == 0
        assert log.state("s") is None

    def test_a_null_is_refused_at_the_door(self, log: Log) -> None:
        batch = readings_batch([reading("anna", 1), reading("anna", 2)])
        column = pa.array([1000, None], pa.int32())
        with_null = batch.set_column(3, "glucose_tenths", column)
        with pytest.raises(ValueError, match="null"):
            log.commit([commit(1, Append(topic=GLUCOSE, batch=with_null))])
        assert patients_of(log) == []

    def test_forty_consumers_read_everything_each_at_its_own_speed(self, log: Log) -> None:
        patients = sorted(f"p{number}" for number in range(50))
        log.commit([commit(1, append(*(reading(patient, 1) for patient in patients)))])
        for number in range(40):
            seen: list[str] = []
            for partition in range(log.partitions):
                offset = log.cursor(f"c{number}", GLUCOSE)[partition]
                while (one := log.read(GLUCOSE, partition, offset, number + 1)) is not None:
                    seen += [str(row[0]) for row in tuples(one.batch)]
                    offset = one.next_offset
                    move = CursorMove(consumer=f"c{number}", topic=GLUCOSE, partition=partition, offset=offset)
                    log.commit([Commit(received_at_us=2, cursors=[move])])
            assert sorted(seen) == patients
            assert log.cursor(f"c{number}", GLUCOSE) == log.end(GLUCOSE)

    def test_expired_entries_are_refused_and_the_rest_keeps_its_offsets(self, open_log: OpenLog) -> None:
        log = open_log(1)
        for minute in range(6):
            log.commit([commit(100 + minute, append(reading("anna", minute)))])
        assert log.expire(103) == 3
        assert (log.begin(GLUCOSE), log.end(GLUCOSE)) == ((3,), (6,))
        with pytest.raises(OffsetExpired) as refused:
            log.read(GLUCOSE, 0, 2)
        assert refused.value.begin == 3
        assert [row[2] for row in entries(log)[0]] == [3 * 60_000_000, 4 * 60_000_000, 5 * 60_000_000]

    def test_a_log_that_expired_wholly_goes_on_where_it_was(self, open_log: OpenLog) -> None:
        log = open_log(1)
        log.commit([commit(100, append(reading("anna", 1), reading("anna", 2)))])
        assert log.expire(101) == 2
        assert log.begin(GLUCOSE) == log.end(GLUCOSE) == (2,)
        assert log.newest_received_us() == 100
        with pytest.raises(OffsetExpired):
            log.read(GLUCOSE, 0, 0)
        assert log.read(GLUCOSE, 0, 2) is None
        log.commit([commit(102, append(reading("anna", 3)))])
        one = log.read(GLUCOSE, 0, 2)
        assert one is not None
        assert tuples(one.batch) == [(*reading("anna", 3), 102)]

    def test_compaction_is_invisible(self, log: Log) -> None:
        for minute in range(40):
            rows = [reading(f"p{number}", minute, 100 + number) for number in range(minute % 7)]
            log.commit([commit(minute, append(*rows), note("p1", minute, "tea"))])
        before = entries(log), entries(log, Topic.CARE_EVENTS), log.end(GLUCOSE)
        assert log.compact() > 0
        assert (entries(log), entries(log, Topic.CARE_EVENTS), log.end(GLUCOSE)) == before
        assert entries(log, max_rows=3) == before[0]

    def test_waiting_ends_when_something_is_appended(self, log: Log) -> None:
        seen = log.wait(0, 0.0)
        versions: list[int] = []
        waiter = threading.Thread(target=lambda: versions.append(log.wait(seen, 30.0)))
        waiter.start()
        log.commit([commit(1, append(reading("anna", 1)))])
        waiter.join(30.0)
        assert versions
        assert versions[0] > seen
        assert log.wait(0, 30.0) == versions[0]

    def test_waiting_gives_the_same_version_when_the_time_is_over(self, log: Log) -> None:
        log.commit([commit(1, append(reading("anna", 1)))])
        seen = log.wait(0, 30.0)
        assert log.wait(seen, 0.01) == seen

    def test_many_threads_append_and_read_at_once(self, log: Log) -> None:
        failures: list[BaseException] = []

        def work(number: int) -> None:
            try:
                for minute in range(15):
                    log.commit([commit(1, append(reading(f"t{number}", minute)))])
                    entries_of = [row for rows in entries(log) for row in rows if row[0] == f"t{number}"]
                    assert len(entries_of) == minute + 1
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        log.compact()
        for thread in threads:
            thread.join()
        assert failures == []
        assert len(patients_of(log)) == 60
