"""Whatever is appended, compacted, expired and read in whatever order, the log equals a list."""

import math
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.errors import OffsetExpired
from islet.log import compaction
from islet.log.compaction import Stored, runs
from islet.log.segment import Format, Rows, decode, encode, encode_sorted
from islet.log.sqlite import SqliteLog
from islet.model.batch import ReadingRow, documents_batch, readings_batch
from islet.model.time import DAY_US
from islet.model.topics import Topic
from tests.conftest import examples
from tests.log.rows import GLUCOSE, append, commit, entries, reading, tuples

KEY = bytes(32)

_rows = st.builds(
    ReadingRow,
    patient=st.sampled_from(["anna", "berta", "clärchen"]),
    device=st.sampled_from(["", "a", "b"]),
    time_us=st.integers(-(2**62), 2**62) | st.integers(0, 5),
    glucose_tenths=st.integers(-(2**31), 2**31 - 1) | st.sampled_from([1000, 1010, 1207]),
    value=st.sampled_from([100.0, 101.0, 6.7, -0.0]) | st.floats(),
    unit=st.integers(0, 255) | st.integers(0, 1),
    range=st.integers(-1, 1),
    method=st.integers(0, 1),
)


@settings(deadline=None, max_examples=examples(100))
@given(rows=st.lists(_rows, min_size=1, max_size=40), data=st.data())
def test_sorted_segments_give_back_every_bit_in_the_order_of_the_offsets(
    rows: list[ReadingRow], data: st.DataObject
) -> None:
    instants = st.lists(st.integers(0, 2**62), min_size=len(rows), max_size=len(rows))
    received = np.array(data.draw(instants), np.int64)
    batch = readings_batch(rows)
    found = decode(GLUCOSE, Format.SORTED, encode_sorted(Rows(batch, received)), 0, len(rows))
    assert _bits(found.batch) == _bits(batch)
    assert found.batch.schema == batch.schema
    assert (found.received_at_us == received).all()
    format, blob = encode(batch)
    assert _bits(decode(GLUCOSE, format, blob, 7, len(rows)).batch) == _bits(batch)


def test_few_rows_are_stored_without_zstd_and_many_with_it() -> None:
    for count, expected in ((3, Format.SMALL), (4_000, Format.PLAIN)):
        batch = readings_batch([reading("anna", minute, 40 + minute % 360) for minute in range(count)])
        format, blob = encode(batch)
        assert format == expected
        assert _bits(decode(GLUCOSE, format, blob, 7, count).batch) == _bits(batch)


def _bits(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """The rows, with the value as its 64 bits: NaN equals NaN, and -0.0 is not 0.0."""
    columns = [
        column.to_numpy(zero_copy_only=False).view(np.int64).tolist() if name == "value" else column.to_pylist()
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return list(zip(*columns, strict=True))


def test_a_value_that_only_looks_like_the_computed_one_keeps_its_bits() -> None:
    rows = [reading("anna", 1, 0)._replace(value=-0.0), reading("anna", 2)._replace(value=math.nextafter(100.0, 101))]
    batch = readings_batch(rows)
    found = decode(GLUCOSE, Format.SORTED, encode_sorted(Rows(batch, np.zeros(2, np.int64))), 0, 2)
    assert _bits(found.batch) == _bits(batch)


def test_sorted_documents_come_back_in_the_order_of_the_offsets() -> None:
    batch = documents_batch([("b", "", 5, "note", "{}"), ("a", "d", 5, "meal", "{1}"), ("b", "", 4, "note", "ü")])  # type: ignore[list-item]
    found = decode(Topic.CARE_EVENTS, Format.SORTED, encode_sorted(Rows(batch, np.array([1, 1, 2]))), 0, 3)
    assert found.batch.equals(batch)
    assert found.received_at_us.tolist() == [1, 1, 2]


_steps = st.lists(
    st.tuples(st.just("append"), st.integers(1, 5), st.integers(0, 30))
    | st.tuples(st.just("compact"), st.just(0), st.just(0))
    | st.tuples(st.just("expire"), st.integers(0, 100), st.just(0))
    | st.tuples(st.just("read"), st.integers(0, 100), st.integers(1, 9)),
    max_size=60,
)


@settings(deadline=None, max_examples=40)
@given(steps=_steps)
def test_any_interleaving_of_append_compact_expire_and_read_equals_a_list(
    steps: list[tuple[str, int, int]],
) -> None:
    patched = pytest.MonkeyPatch()
    patched.setattr(compaction, "_NEWEST", 1)
    patched.setattr(compaction, "MAX_ROWS", 20)
    with tempfile.TemporaryDirectory() as folder, closing(SqliteLog(Path(folder) / "l", KEY, partitions=1)) as log:
        model: list[tuple[object, ...]] = []
        now = removed = expired_before_us = 0
        for step, first, second in steps:
            if step == "append":
                now += second
                rows = [reading("anna" if row % 2 else "berta", len(model) + row, 90 + row) for row in range(first)]
                log.commit([commit(now, append(*rows))])
                model += [(*row, now) for row in rows]
            elif step == "compact":
                log.compact()
            elif step == "expire":
                expired_before_us = max(expired_before_us, first * now // 100)
                removed += log.expire(expired_before_us)
            else:
                _check_read(log, model, first * len(model) // 100, second)
            _check_bounds(log, model, removed, expired_before_us)
        _check_read(log, model, log.begin(GLUCOSE)[0], 1000)
    patched.undo()


def _check_read(log: SqliteLog, model: list[tuple[object, ...]], offset: int, max_rows: int) -> None:
    if offset < log.begin(GLUCOSE)[0]:
        with pytest.raises(OffsetExpired):
            log.read(GLUCOSE, 0, offset, max_rows)
    elif offset >= len(model):
        assert log.read(GLUCOSE, 0, offset, max_rows) is None
    else:
        one = log.read(GLUCOSE, 0, offset, max_rows)
        assert one is not None
        assert tuples(one.batch) == model[offset : offset + max_rows]


def _check_bounds(log: SqliteLog, model: list[tuple[object, ...]], removed: int, expired_before_us: int) -> None:
    (begin,), (end,) = log.begin(GLUCOSE), log.end(GLUCOSE)
    assert end == len(model)
    assert begin == removed
    assert all(int(str(row[-1])) < expired_before_us for row in model[:begin])  # nothing younger has gone


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """Ten commits of one reading, received at 100, 101 …; two of them are old enough to be compacted."""
    with closing(SqliteLog(tmp_path / "log.db", KEY, partitions=1)) as log:
        for minute in range(10):
            log.commit([commit(100 + minute, append(reading("anna", minute)))])
        yield log


def test_a_segment_stays_until_the_last_of_its_entries_is_old(log: SqliteLog) -> None:
    assert log.compact() == 2
    assert log.expire(101) == 0
    assert log.expire(102) == 2
    assert log.begin(GLUCOSE) == (2,)


def test_what_expires_while_it_is_being_compacted_stays_away(log: SqliteLog) -> None:
    (run,) = runs(compaction.segments(log._writer, GLUCOSE, 0))
    blob = compaction.sorted_blob(log._writer, GLUCOSE, 0, run)
    assert blob is not None
    assert log.expire(101) == 1
    assert compaction.replace(log._writer, GLUCOSE, 0, run, blob) == 0
    assert compaction.sorted_blob(log._writer, GLUCOSE, 0, run) is None
    assert log.begin(GLUCOSE) == (1,)
    assert [row[-1] for row in entries(log)[0]] == list(range(101, 110))


def _stored(*sizes: int, minutes_apart: int = 1) -> list[Stored]:
    found, base = [], 0
    for number, rows in enumerate(sizes):
        us = number * minutes_apart * 60_000_000
        found.append(Stored(base, rows, us, us, Format.PLAIN if rows < 4096 else Format.SORTED))
        base += rows
    return found


def _sizes(planned: list[list[Stored]]) -> list[list[int]]:
    return [[segment.rows for segment in run] for run in planned]


def test_the_newest_segments_are_left_alone() -> None:
    assert runs(_stored(*[10] * 8)) == []
    assert _sizes(runs(_stored(*[10] * 10))) == [[10, 10]]


def test_a_large_segment_is_not_rewritten_for_a_few_new_rows() -> None:
    assert _sizes(runs(_stored(200_000, 600, 10, 10), newest=0)) == [[600, 10, 10]]


def test_a_run_stays_within_its_greatest_size_and_within_a_day() -> None:
    for run in runs(_stored(*[100_000] * 9), newest=0):
        assert sum(segment.rows for segment in run) <= compaction.MAX_ROWS
    for run in runs(_stored(*[10] * 100, minutes_apart=60), newest=0):
        assert run[-1].received_max_us - run[0].received_min_us <= DAY_US


def test_a_row_is_rewritten_a_few_times_only() -> None:
    stored: list[Stored] = []
    rewritten, appended = 0, 3_000
    for number in range(appended):
        us = number * 1_000_000
        stored.append(Stored(number * 50, 50, us, us, Format.PLAIN))
        if number % 10 == 9:
            for run in runs(stored):
                rows = sum(each.rows for each in run)
                first = stored.index(run[0])
                merged = Stored(run[0].base, rows, run[0].received_min_us, run[-1].received_max_us, Format.SORTED)
                stored[first : first + len(run)] = [merged]
                rewritten += rows
    assert rewritten / (appended * 50) < 10
    assert len(stored) < 40


def test_derivable_columns_cost_next_to_nothing() -> None:
    minutes = 20_000
    walk = np.clip(120 + np.cumsum(np.random.default_rng(1).integers(-2, 3, minutes)), 40, 400)
    rows = [reading("anna", 3 * minute, int(mg_dl)) for minute, mg_dl in enumerate(walk)]
    blob = encode_sorted(Rows(readings_batch(rows), np.array([row.time_us for row in rows])))
    assert len(blob) / minutes < 0.9


def test_a_large_single_commit_is_sorted_by_itself() -> None:
    import_of_a_year = Stored(0, 175_000, 1, 1, Format.PLAIN)
    assert runs([import_of_a_year], newest=0) == [[import_of_a_year]]
    assert runs([import_of_a_year._replace(format=Format.SORTED)], newest=0) == []
