"""What holds for every store. A back end's test file derives from this and gives the fixture."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from islet.log.base import Slice
from islet.log.partitioning import with_received
from islet.model.alerts import AlertChange, Severity, alert_id
from islet.model.batch import METHOD_CODES, UNIT_CODES, DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.care_events import care_event_id
from islet.model.codec import decode_event, encode_change, encode_event
from islet.model.events import AnyCareEvent, Insulin, Meal, Withdrawal
from islet.model.time import EPOCH, MINUTE_US, to_us
from islet.model.topics import Topic
from islet.store.base import Latest, Store
from tests.model.care_events import counted

OpenStore = Callable[[], Store]
"""Gives an empty store each time."""

FOR_EVER = 2**62


def reading(patient: str, minute: int, mg_dl: int = 100, *, device: str = "sensor", range: int = 0) -> ReadingRow:
    return ReadingRow(patient, device, minute * MINUTE_US, mg_dl * 10, float(mg_dl), 0, range, 0)


def glucose(rows: Sequence[ReadingRow], *, offset: int = 0, received_us: int = 1, partition: int = 0) -> Slice:
    return _slice(Topic.GLUCOSE_READINGS, readings_batch(rows), offset, received_us, partition)


def document(topic: Topic, patient: str, minute: int, body: str, *, offset: int = 0, received_us: int = 1) -> Slice:
    batch = documents_batch([DocumentRow(patient, "pump", minute * MINUTE_US, "meal", body)])
    return _slice(topic, batch, offset, received_us, 0)


def entry(device: str, one: AnyCareEvent, *, offset: int = 0, received_us: int = 1) -> Slice:
    """An entry of anna's."""
    row = DocumentRow("anna", device, to_us(one.time), str(one.__struct_config__.tag), encode_event(one).decode())
    return _slice(Topic.CARE_EVENTS, documents_batch([row]), offset, received_us, 0)


def changes(*given: AlertChange, offset: int = 0, received_us: int = 1) -> Slice:
    rows = [
        DocumentRow(change.patient, "", change.at_us, change.change, encode_change(change).decode()) for change in given
    ]
    return _slice(Topic.ALERTS, documents_batch(rows), offset, received_us, 0)


def _slice(topic: Topic, batch: pa.RecordBatch, offset: int, received_us: int, partition: int) -> Slice:
    received = np.full(batch.num_rows, received_us, np.int64)
    return Slice(topic=topic, partition=partition, offset=offset, batch=with_received(batch, received))


def low(change: Any, onset: int, at: int, **more: Any) -> AlertChange:
    more = {"severity": Severity.WARNING} | more
    return AlertChange(
        change=change, rule="low", patient="anna", onset_us=onset * MINUTE_US, at_us=at * MINUTE_US, **more
    )


def dump(store: Store, patients: Sequence[str], partitions: int = 1) -> list[object]:
    """All that a store answers."""
    seen: list[object] = [store.counts(), store.conflicts(), store.latest(), store.alerts(limit=10_000)]
    seen += [store.alert(alert_id("low", patient, onset * MINUTE_US)) for patient in patients for onset in range(10)]
    seen += [store.documents(topic, None, -FOR_EVER, FOR_EVER) for topic in Topic]
    for patient in patients:
        one = store.series(patient, -FOR_EVER, FOR_EVER)
        seen.append((patient, one.time_us.tolist(), one.glucose_tenths.tolist(), one.range.tolist()))
    return [*seen, *(store.applied(topic, partitions) for topic in Topic)]


_some_readings = st.builds(
    reading,
    st.sampled_from(["anna", "berta"]),
    st.integers(0, 6),
    st.integers(60, 63),
    device=st.sampled_from(["a", "b"]),
)


_some_entries = st.tuples(
    st.sampled_from(["phone", "pump"]),
    st.sampled_from(
        [
            entry_
            for id in ("a", "b")
            for revision in (0, 1)
            for entry_ in (
                Meal(time=EPOCH, id=id, revision=revision, carbs_g=10),
                Insulin(time=EPOCH, id=id, revision=revision, dose_u=1),
                Withdrawal(time=EPOCH, id=id, revision=revision),
            )
        ]
        + [Meal(time=EPOCH, carbs_g=20.0)]
    ),
)


class StoreContract:
    @pytest.fixture
    def store(self, open_store: OpenStore) -> Store:
        return open_store()

    def test_an_empty_store_answers_with_nothing(self, store: Store) -> None:
        assert len(store.series("anna", 0, FOR_EVER)) == 0
        assert not store.latest()
        assert not store.alerts()
        assert not store.documents(Topic.VITALS, None, 0, FOR_EVER)
        assert store.alert("low~anna~1") is None
        assert store.applied(Topic.VITALS, 3) == (0, 0, 0)

    def test_a_series_is_half_open_in_time_and_in_its_order(self, store: Store) -> None:
        late_one = [reading("anna", minute, 60 + minute) for minute in (3, 1, 2, 4)]
        store.apply([glucose([*late_one, reading("berta", 2, 300)])])
        one = store.series("anna", 2 * MINUTE_US, 4 * MINUTE_US)
        assert one.time_us.tolist() == [2 * MINUTE_US, 3 * MINUTE_US]
        assert one.glucose_tenths.tolist() == [620, 630]
        assert [column.dtype.name for column in (one.time_us, one.glucose_tenths, one.range)] == [
            "int64",
            "int32",
            "int8",
        ]

    def test_a_series_has_one_reading_an_instant_from_the_first_device_by_name(self, store: Store) -> None:
        rows = [reading("anna", 1, 99, device="z"), reading("anna", 1, 88, device="b"), reading("anna", 2, 77)]
        store.apply([glucose(rows)])
        one = store.series("anna", 0, FOR_EVER)
        assert one.glucose_tenths.tolist() == [880, 770]
        assert one.time_us.tolist() == [MINUTE_US, 2 * MINUTE_US]

    def test_a_series_can_be_of_the_sensor_alone(self, store: Store) -> None:
        meter = METHOD_CODES.index("capillary")
        fingers = [ReadingRow("anna", "a", minute * MINUTE_US, 550, 55.0, 0, 0, meter) for minute in (1, 2)]
        store.apply([glucose([*fingers, reading("anna", 1, 99)])])
        assert store.series("anna", 0, FOR_EVER).glucose_tenths.tolist() == [550, 550]
        assert store.series("anna", 0, FOR_EVER, method="cgm").glucose_tenths.tolist() == [990]

    def test_a_series_says_which_readings_were_sent_in_mmol_l(self, store: Store) -> None:
        sent = ReadingRow("anna", "meter", 2 * MINUTE_US, 1802, 10.0, UNIT_CODES.index("mmol/L"), 0, 0)
        store.apply([glucose([reading("anna", 1), sent, reading("anna", 2, 77, device="z")])])
        flags = store.series("anna", 0, FOR_EVER).in_mmol_l
        assert flags is not None
        assert flags.tolist() == [False, True]

    def test_hours_are_sums_by_the_hour_of_the_clock_that_is_asked_for(self, store: Store) -> None:
        rows = [
            reading("anna", minute, mg_dl) for minute, mg_dl in ((-1, 60), (29, 70), (31, 180), (59, 181), (120, 90))
        ]
        store.apply([glucose([*rows, reading("berta", 5, 300)])])
        one = store.hours("anna", -60 * MINUTE_US, 120 * MINUTE_US, offset_us=30 * MINUTE_US)
        assert one.hour.tolist() == [0, 1]
        assert one.readings.tolist() == [2, 2]
        assert one.sum_tenths.tolist() == [1300, 3610]
        assert one.sum_squares.tolist() == [600**2 + 700**2, 1800**2 + 1810**2]
        assert (one.below_70.tolist(), one.above_180.tolist()) == ([1, 0], [0, 1])
        assert store.hours("anna", -60 * MINUTE_US, 0).hour.tolist() == [-1]
        assert len(store.hours("nobody", 0, FOR_EVER)) == 0
        assert one.hour.dtype == one.sum_squares.dtype == np.int64

    def test_hours_are_classified_in_the_unit_that_was_sent(self, store: Store) -> None:
        values = [3.8, 3.9, 10.0, 10.1]
        rows = [ReadingRow("anna", "meter", i, round(v * 180.156), v, 1, 0, 0) for i, v in enumerate(values)]
        store.apply([glucose(rows)])
        one = store.hours("anna", 0, FOR_EVER)
        assert (one.readings.tolist(), one.below_70.tolist(), one.above_180.tolist()) == ([4], [1], [1])

    def test_hours_are_of_the_sensor_alone(self, store: Store) -> None:
        meter = METHOD_CODES.index("capillary")
        fingers = [ReadingRow("anna", "a", minute * MINUTE_US, 550, 55.0, 0, 0, meter) for minute in (1, 61)]
        store.apply([glucose([*fingers, reading("anna", 2, 99)])])
        one = store.hours("anna", 0, FOR_EVER)
        assert (one.hour.tolist(), one.readings.tolist(), one.below_70.tolist()) == ([0], [1], [0])

    def test_low_and_high_of_the_sensor_are_kept(self, store: Store) -> None:
        store.apply([glucose([reading("anna", 1, 40, range=-1), reading("anna", 2, 400, range=1)])])
        assert store.series("anna", 0, FOR_EVER).range.tolist() == [-1, 1]

    def test_of_two_readings_with_one_identity_the_first_stays_and_another_value_is_kept_aside(
        self, store: Store
    ) -> None:
        store.apply([glucose([reading("anna", 1, 100), reading("anna", 1, 100), reading("anna", 1, 111)])])
        store.apply([glucose([reading("anna", 1, 112), reading("anna", 1, 100), reading("anna", 2, 90)], offset=3)])
        assert store.series("anna", 0, FOR_EVER).glucose_tenths.tolist() == [1000, 900]
        assert store.conflicts() == 2
        assert store.counts()["readings"] == 2

    def test_the_latest_is_newest_by_time_whatever_comes_later(self, store: Store) -> None:
        store.apply([glucose([reading("anna", 9, 109), reading("anna", 3, 103), reading("berta", 1, 101)])])
        store.apply([glucose([reading("anna", 6, 106)], offset=3)])
        anna = Latest(patient="anna", device="sensor", time_us=9 * MINUTE_US, glucose_tenths=1090, range=0)
        assert store.latest(["anna", "nobody"]) == [anna]
        assert [one.patient for one in store.latest()] == ["anna", "berta"]
        assert store.latest([]) == []

    def test_two_devices_at_one_instant_give_one_latest(self, store: Store) -> None:
        rows = [reading("anna", 2, 99, device="z"), reading("anna", 2, 88, device="b")]
        store.apply([glucose(rows)])
        (one,) = store.latest()
        assert (one.device, one.glucose_tenths) == ("b", 880)

    def test_documents_are_found_by_topic_person_and_time_newest_first(self, store: Store) -> None:
        for offset, (patient, minute) in enumerate([("anna", 1), ("anna", 3), ("berta", 2)]):
            store.apply([document(Topic.CARE_EVENTS, patient, minute, f'{{"n":{offset}}}', offset=offset)])
        store.apply([document(Topic.VITALS, "anna", 2, "{}")])
        everybody = store.documents(Topic.CARE_EVENTS, None, 0, FOR_EVER)
        assert [(one.patient, one.time_us // MINUTE_US) for one in everybody] == [
            ("anna", 3),
            ("berta", 2),
            ("anna", 1),
        ]
        assert store.documents(Topic.CARE_EVENTS, "anna", MINUTE_US, 3 * MINUTE_US) == [everybody[2]]
        assert store.documents(Topic.CARE_EVENTS, None, 0, FOR_EVER, limit=1) == everybody[:1]
        assert (everybody[1].type, everybody[1].device, everybody[1].body) == ("meal", "pump", '{"n":2}')
        assert store.counts()["care_events"] == 3

    def test_a_document_delivered_twice_is_there_once(self, store: Store) -> None:
        for offset in range(2):
            store.apply([document(Topic.CARE_EVENTS, "anna", 1, "{}", offset=offset, received_us=5 + offset)])
        (one,) = store.documents(Topic.CARE_EVENTS, "anna", 0, FOR_EVER)
        assert one.received_at_us == 5

    def test_dead_letters_are_dated_by_when_we_received_them(self, store: Store) -> None:
        store.apply([document(Topic.DEAD_LETTERS, "", 999_999, "{}", received_us=7 * MINUTE_US)])
        (one,) = store.documents(Topic.DEAD_LETTERS, None, 7 * MINUTE_US, 8 * MINUTE_US)
        assert one.time_us == one.received_at_us == 7 * MINUTE_US

    def test_two_dead_letters_that_say_the_same_are_two(self, store: Store) -> None:
        store.apply([document(Topic.DEAD_LETTERS, "", 1, "{}", offset=offset, received_us=7) for offset in range(2)])
        assert len(store.documents(Topic.DEAD_LETTERS, None, 0, FOR_EVER)) == 2

    def test_an_alert_opens_clears_and_is_acknowledged(self, store: Store) -> None:
        store.apply([changes(low("opened", 1, 1, device="sensor", glucose_tenths=680), received_us=9)])
        (opened,) = store.alerts(active_only=True)
        assert (opened.active, opened.glucose_tenths, opened.opened_received_us) == (True, 680, 9)
        store.apply([changes(low("cleared", 1, 5), low("acknowledged", 1, 6, by="nurse"), offset=1)])
        (closed,) = store.alerts(["anna"])
        assert store.alert(closed.id) == closed
        assert (closed.cleared_us, closed.acknowledged_by) == (5 * MINUTE_US, "nurse")
        assert store.alerts(active_only=True) == store.alerts(["berta"]) == []

    def test_a_retracted_alert_is_left_out_but_found_by_its_id(self, store: Store) -> None:
        store.apply([changes(low("opened", 1, 1), low("retracted", 1, 2))])
        assert store.alerts() == []
        assert store.counts()["alerts"] == 0
        found = store.alert(alert_id("low", "anna", MINUTE_US))
        assert found is not None
        assert found.retracted

    @pytest.mark.parametrize("order", ["ARO", "RAO", "ROA", "ORA", "OAR", "AOR"])
    def test_an_alert_inherits_the_acknowledgement_of_the_one_it_replaces(self, store: Store, order: str) -> None:
        last = {
            "A": low("acknowledged", 3, 4, by="nurse"),
            "R": low("retracted", 3, 4, replaced_by=alert_id("low", "anna", 2 * MINUTE_US)),
            "O": low("opened", 2, 2),
        }
        store.apply([changes(low("opened", 3, 3), *(last[letter] for letter in order))])
        (one,) = store.alerts()
        assert (one.onset_us, one.acknowledged_by) == (2 * MINUTE_US, "nurse")

    def test_alerts_that_nobody_saw_stay_for_a_day_of_data_if_they_are_urgent_or_warnings(self, store: Store) -> None:
        notice = low("opened", 2, 2, severity=Severity.NOTICE)
        store.apply([changes(low("opened", 1, 1), low("cleared", 1, 3), notice, low("cleared", 2, 3))])
        store.apply([glucose([reading("anna", 1 + 1440)])])
        assert [one.onset_us for one in store.alerts(active_only=True)] == [MINUTE_US]
        store.apply([glucose([reading("anna", 2 + 1440)], offset=1)])
        assert store.alerts(active_only=True) == []

    def test_alerts_until_an_instant_are_those_that_began_then_or_before(self, store: Store) -> None:
        store.apply([changes(*(low("opened", onset, onset) for onset in (2, 5, 3)))])
        found = store.alerts(["anna"], until_us=3 * MINUTE_US)
        assert [one.onset_us for one in found] == [3 * MINUTE_US, 2 * MINUTE_US]

    def test_alerts_come_newest_first_up_to_the_limit(self, store: Store) -> None:
        store.apply([changes(*(low("opened", onset, onset) for onset in (2, 5, 3)))])
        assert [one.onset_us // MINUTE_US for one in store.alerts(limit=2)] == [5, 3]

    def test_of_alerts_with_one_onset_the_most_severe_comes_first(self, store: Store) -> None:
        rules = [("a", Severity.WARNING), ("b", Severity.URGENT)]
        opened = low("opened", 1, 1)
        store.apply([changes(*(structs.replace(opened, rule=rule, severity=severity) for rule, severity in rules))])
        assert [one.rule for one in store.alerts()] == ["b", "a"]

    def test_no_number_of_newer_alerts_hides_an_urgent_one_that_is_active(self, store: Store) -> None:
        urgent = low("opened", 1, 1, severity=Severity.URGENT)
        technical = [low("opened", onset, onset, severity=Severity.TECHNICAL) for onset in (5, 6)]
        ended = [low("opened", 7, 7, severity=Severity.URGENT), low("cleared", 7, 8)]
        seen = [low("opened", 4, 4), low("acknowledged", 4, 5, by="nurse")]
        warnings = [low("opened", 2, 2), low("opened", 3, 3)]
        store.apply([changes(urgent, *warnings, *seen, *technical, *ended)])
        order = [1, 3, 2, 4, 6, 5, 7]
        assert [one.onset_us // MINUTE_US for one in store.alerts(active_only=True)] == order
        assert [one.onset_us // MINUTE_US for one in store.alerts(["anna"], active_only=True, limit=2)] == order[:2]

    def test_a_slice_that_fails_leaves_nothing_behind(self, store: Store) -> None:
        broken = _slice(Topic.ALERTS, documents_batch([DocumentRow("anna", "", 1, "opened", "not JSON")]), 0, 1, 0)
        with pytest.raises(Exception, match="JSON"):
            store.apply([glucose([reading("anna", 1)]), broken])
        assert store.counts()["readings"] == 0
        assert store.applied(Topic.GLUCOSE_READINGS, 1) == (0,)
        store.apply([glucose([reading("anna", 1)])])
        assert [one.patient for one in store.latest()] == ["anna"]

    def test_consumers_are_apart(self, store: Store) -> None:
        store.apply([glucose([reading("anna", 1)], partition=1)], consumer="one")
        assert store.applied(Topic.GLUCOSE_READINGS, 2, consumer="one") == (0, 1)
        assert store.applied(Topic.GLUCOSE_READINGS, 2) == (0, 0)

    @settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        rows=st.lists(_some_readings, min_size=1, max_size=30),
        starts=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=12),
    )
    def test_any_slicing_with_any_repetition_gives_the_same_store(
        self, open_store: OpenStore, rows: list[ReadingRow], starts: list[tuple[int, int]]
    ) -> None:
        at_once, sliced = open_store(), open_store()
        at_once.apply([glucose(rows)])
        reached = 0
        for start, length in [*starts, (reached, len(rows))]:
            first = min(start, reached)
            end = min(first + length, len(rows))
            if end > first:
                sliced.apply([glucose(rows[first:end], offset=first)])
                reached = max(reached, end)
        sliced.apply([glucose(rows)])
        patients = ["anna", "berta"]
        assert dump(sliced, patients) == dump(at_once, patients)
        self._check_against_the_rows(at_once, rows)

    def _check_against_the_rows(self, store: Store, rows: list[ReadingRow]) -> None:
        kept: dict[tuple[str, int, str], int] = {}
        aside = set()
        for row in rows:
            identity = (row.patient, row.time_us, row.device)
            if kept.setdefault(identity, row.glucose_tenths) != row.glucose_tenths:
                aside.add((identity, row.glucose_tenths))
        assert store.counts()["readings"] == len(kept)
        assert store.conflicts() == len(aside)
        for patient in {row.patient for row in rows}:
            by_time = {
                time: kept[who, time, device] for who, time, device in sorted(kept, reverse=True) if who == patient
            }
            one = store.series(patient, 0, FOR_EVER)
            assert dict(zip(one.time_us.tolist(), one.glucose_tenths.tolist(), strict=True)) == by_time
            (latest,) = store.latest([patient])
            assert (latest.time_us, latest.glucose_tenths) == max(by_time.items())

    @given(st.lists(_some_entries, max_size=8), st.data())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_of_corrected_entries_those_that_hold_are_there_in_any_order(
        self, open_store: OpenStore, entries: list[tuple[str, AnyCareEvent]], data: st.DataObject
    ) -> None:
        store, arrivals = open_store(), data.draw(st.permutations(entries + entries[:2]))
        for offset, (device, one) in enumerate(arrivals):
            store.apply([entry(device, one, offset=offset)])
        seen = [
            (one.device, decode_event(one.body.encode()))
            for one in store.documents(Topic.CARE_EVENTS, "anna", 0, FOR_EVER)
        ]
        assert Counter(seen) == Counter(counted(entries))
        assert store.counts()["care_events"] == len(set(entries))
        named = {(device, care_event_id(one)) for device, one in entries}
        told = [(one.device, decode_event(one.body.encode())) for one in store.versions("anna", named)]
        assert Counter(told) == Counter(set(entries))
        assert store.versions("bert", named) == store.versions("anna", [("watch", "a")]) == []
        store.erase("anna")
        assert store.counts()["care_events"] == 0

    def test_what_replaced_an_entry_may_be_forgotten_and_come_again(self, store: Store) -> None:
        meal = Meal(time=EPOCH, carbs_g=30, id="1")
        store.apply([entry("phone", meal, received_us=10)])
        gone = entry("phone", Withdrawal(time=EPOCH, id="1"), offset=1, received_us=20)
        store.apply([gone])
        store.reset(20)
        store.apply([structs.replace(gone, offset=0)])
        assert store.documents(Topic.CARE_EVENTS, "anna", 0, FOR_EVER) == []

    def test_reset_forgets_what_was_received_since_and_all_cursors(self, store: Store) -> None:
        store.apply([glucose([reading("anna", 1)], received_us=10), changes(low("opened", 1, 1), received_us=10)])
        store.apply([glucose([reading("anna", 2)], offset=1, received_us=20)])
        store.apply([changes(low("opened", 2, 2), offset=1, received_us=20)])
        store.apply([document(Topic.VITALS, "anna", 1, "{}", received_us=20)])
        store.reset(20)
        assert store.series("anna", 0, FOR_EVER).time_us.tolist() == [MINUTE_US]
        assert [one.onset_us for one in store.alerts()] == [MINUTE_US]
        assert store.documents(Topic.VITALS, None, 0, FOR_EVER) == []
        assert store.applied(Topic.GLUCOSE_READINGS, 1) == (0,)
