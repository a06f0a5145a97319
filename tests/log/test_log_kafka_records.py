"""Rows as Kafka's records: of whatever year they are, they come back as they were. No broker is asked."""

from hypothesis import given
from hypothesis import strategies as st

from islet.log.kafka_records import batch_of, records_of
from islet.log.partitioning import Piece, with_received
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.time import RECORDS_SINCE_US
from islet.model.topics import Topic

NOW_US = 4_102_444_800_000_000  # 2100-01-01T00:00:00Z (GNU date)
TIMES = st.lists(st.integers(RECORDS_SINCE_US, NOW_US), min_size=1, max_size=20)


@given(TIMES)
def test_rows_from_1900_to_2100_come_back_as_they_were_dated_by_our_clock(times_us: list[int]) -> None:
    for topic, batch in (
        (Topic.GLUCOSE_READINGS, readings_batch([ReadingRow("a", "d", us, 1207, 6.7, 1, 0, 0) for us in times_us])),
        (Topic.CARE_EVENTS, documents_batch([DocumentRow("a", "d", us, "note", '{"text":"x"}') for us in times_us])),
    ):
        entries = with_received(batch, NOW_US)
        piece = Piece(
            topic=topic, partition=0, received_at_us=NOW_US, batch=batch, entries=entries, size=batch.num_rows
        )
        records = records_of(piece, "there")
        assert {record.timestamp_ms for record in records} == {NOW_US // 1000}
        assert batch_of(topic, [record.value or b"" for record in records]) == entries
