"""From payloads to columns. 2026-11-21T08:03:00Z is 1,795,248,180 s after 1970 (GNU date)."""

import base64
import doctest
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import islet.decode.mqtt
import islet.decode.telemetry
from islet.decode.telemetry import Arrival, Decoded, decode_arrivals
from islet.errors import BadInput
from islet.model.batch import DOCUMENTS_SCHEMA, READINGS_SCHEMA
from islet.model.codec import decode_event
from islet.model.events import Reading
from islet.model.time import DEVICES_SINCE_US, MINUTE_US, RECORDS_SINCE_US, iso, to_us
from islet.model.topics import Topic
from islet.model.units import glucose_tenths, glucose_unit
from tests.conftest import examples

NOW_US = 1_795_248_180_000_000
TIME = "2026-11-21T08:03:00Z"


def event(type: str, **fields: object) -> bytes:
    return json.dumps({"type": type, "time": TIME, **fields}).encode()


def arrive(*payloads: bytes, patient: str = "p-1") -> Decoded:
    return decode_arrivals([Arrival("cgm-1", patient, payload) for payload in payloads], NOW_US, 5 * MINUTE_US)


def rows(decoded: Decoded, topic: Topic) -> list[dict[str, object]]:
    return decoded.batches[topic].to_pylist()


def test_a_reading_becomes_a_row_with_its_value_as_sent_beside_tenths_of_mg_dl() -> None:
    """6.7 mmol/L x 18.0156 = 120.7 mg/dL."""
    decoded = arrive(event("reading", value=6.7, unit="MMOL/L", method="capillary", range="below"))
    assert rows(decoded, Topic.GLUCOSE_READINGS) == [
        {
            "patient": "p-1",
            "device": "cgm-1",
            "time_us": NOW_US,
            "glucose_tenths": 1207,
            "value": 6.7,
            "unit": 1,
            "range": -1,
            "method": 1,
        }
    ]
    assert (decoded.accepted, decoded.dead) == (1, {})


@pytest.mark.parametrize(
    ("payload", "topic"),
    [
        (event("meal", carbs_g=40), Topic.CARE_EVENTS),
        (event("insulin", dose_u=4.5, kind="bolus"), Topic.CARE_EVENTS),
        (event("exercise", duration_min=30), Topic.CARE_EVENTS),
        (event("medication", name="metformin"), Topic.CARE_EVENTS),
        (event("note", text="tired"), Topic.CARE_EVENTS),
        (event("vital", pulse_bpm=71), Topic.VITALS),
        (event("device_status", status="warm_up"), Topic.DEVICE_READINGS),
    ],
)
def test_every_other_event_becomes_a_document_of_its_topic(payload: bytes, topic: Topic) -> None:
    decoded = arrive(payload)
    [row] = rows(decoded, topic)
    assert (row["patient"], row["device"], row["time_us"]) == ("p-1", "cgm-1", NOW_US)
    assert row["type"] == json.loads(payload)["type"]
    assert decode_event(str(row["body"]).encode()) == decode_event(payload)


def test_equal_events_have_equal_bodies_however_they_were_written() -> None:
    decoded = arrive(event("meal", carbs_g=40), b'{ "carbs_g": 4e1, "time":"2026-11-21T08:03:00.000Z","type":"meal" }')
    first, second = rows(decoded, Topic.CARE_EVENTS)
    assert first["body"] == second["body"]


@pytest.mark.parametrize(
    ("reason", "payload"),
    [
        ("json", b"not json"),
        ("json", b""),
        ("json", b"\xff\xfe"),
        ("json", b'{"deep":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        ("schema", b"[]"),
        ("schema", event("unheard_of")),
        ("schema", event("reading", unit="mg/dL")),
        ("schema", event("reading", value=100, unit="mg/dL").replace(b"Z", b"")),
        ("unit", event("reading", value=100, unit="mg")),
        ("glucose_range", event("reading", value=9.9, unit="mg/dL")),
        ("glucose_range", event("reading", value=1500.1, unit="mg/dL")),
        ("glucose_range", event("reading", value=-1e300, unit="mmol/L")),
        ("future", event("reading", value=100, unit="mg/dL", time="2026-11-21T08:08:00.000001Z")),
        ("past", event("reading", value=100, unit="mg/dL", time="1970-01-01T00:00:00Z")),
        ("past", event("note", text="x", time="0001-01-01T00:00:00+14:00")),
        ("future", event("note", text="x", time="9999-12-31T23:59:59-14:00")),
        ("patient", event("reading", value=100, unit="mg/dL", patient="p-2")),
        ("patient", event("note", text="x", patient="p-2")),
        ("empty", event("vital")),
    ],
)
def test_what_cannot_be_taken_is_a_dead_letter_with_its_reason(reason: str, payload: bytes) -> None:
    decoded = arrive(payload)
    assert (decoded.accepted, decoded.dead, list(decoded.batches)) == (0, {reason: 1}, [Topic.DEAD_LETTERS])
    [row] = rows(decoded, Topic.DEAD_LETTERS)
    assert (row["patient"], row["device"], row["time_us"], row["type"]) == ("p-1", "cgm-1", NOW_US, reason)
    body = json.loads(str(row["body"]))
    assert body["reason"] == reason and body["message"]
    assert base64.b64decode(body["payload_base64"]) == payload


def test_the_bounds_themselves_are_taken() -> None:
    decoded = arrive(
        event("reading", value=10, unit="mg/dL"),
        event("reading", value=1500, unit="mg/dL"),
        event("reading", value=100, unit="mg/dL", time="2026-11-21T08:08:00Z"),
        event("reading", value=100, unit="mg/dL", time="1990-01-01T00:00:00Z"),
        event("reading", value=100, unit="mg/dL", patient="p-1"),
    )
    assert decoded.accepted == 5
    assert decoded.batches[Topic.GLUCOSE_READINGS].column("time_us").to_pylist()[3] == DEVICES_SINCE_US


def test_an_import_says_itself_from_when_on_it_is_history_and_a_device_cannot() -> None:
    """-7 is 1969-12-31T23:59:59.999993Z, which the fast way of reading leaves to the exact one."""
    at_us = [RECORDS_SINCE_US - 1, RECORDS_SINCE_US, -7, DEVICES_SINCE_US - 1, DEVICES_SINCE_US]
    payloads = [event("reading", value=100, unit="mg/dL", time=iso(one)) for one in at_us]
    arrivals = [Arrival("import", "p-1", payload, {"import": "1"}) for payload in payloads]
    imported = decode_arrivals(arrivals, NOW_US, 0, since_us=RECORDS_SINCE_US)
    assert imported.batches[Topic.GLUCOSE_READINGS].column("time_us").to_pylist() == at_us[1:]
    assert imported.dead == {"past": 1}
    sent = decode_arrivals(arrivals, NOW_US, 0)
    assert sent.dead == {"past": 4}
    reasons = {json.loads(str(row["body"]))["message"] for row in rows(sent, Topic.DEAD_LETTERS)}
    assert reasons == {"time: expected 1990 or later; the device's clock is not set"}


def test_whoever_sends_from_a_device_that_is_nobodys_gets_a_dead_letter_not_a_patient() -> None:
    good = event("reading", value=100, unit="mg/dL")
    named = event("reading", value=100, unit="mg/dL", patient="p-1")
    decoded = arrive(good, named, patient="")
    assert decoded.dead == {"unassigned": 2}
    assert [row["patient"] for row in rows(decoded, Topic.DEAD_LETTERS)] == ["", ""]


def test_a_bad_payload_does_not_stop_those_beside_it() -> None:
    good = [event("reading", value=value, unit="mg/dL") for value in (101, 102, 103)]
    deep = b'{"deep":' * 5_000 + b"1" + b"}" * 5_000
    decoded = arrive(good[0], b"?", deep, good[1], event("reading", value=5, unit="mg/dL"), good[2])
    assert decoded.batches[Topic.GLUCOSE_READINGS].column("value").to_pylist() == [101, 102, 103]
    assert decoded.dead == {"json": 2, "glucose_range": 1}


def test_a_dead_letter_keeps_a_bounded_part_of_a_large_payload_and_says_so() -> None:
    arrival = Arrival("cgm-1", "p-1", b"x" * 200_000, {"$.ct": "text/plain"})
    [row] = rows(decode_arrivals([arrival], NOW_US, 0), Topic.DEAD_LETTERS)
    body = json.loads(str(row["body"]))
    assert (len(body["payload_base64"]), body["payload_bytes"], body["content_type"]) == (65_536, 200_000, "text/plain")


def test_no_arrivals_give_no_batches() -> None:
    assert decode_arrivals([], NOW_US, 0) == Decoded(batches={}, accepted=0, dead={})


def test_halves_of_a_tenth_go_to_the_even_one() -> None:
    decoded = arrive(*(event("reading", value=value, unit="mg/dL") for value in (100.25, 100.75)))
    assert decoded.batches[Topic.GLUCOSE_READINGS].column("glucose_tenths").to_pylist() == [1002, 1008]


VALUES = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(5, 1600), st.floats(0.3, 90))
UNITS = st.sampled_from(["mg/dL", "MG/DL", "mmol/L", "mmol/l", "mg", "", "g/L"])


@given(st.lists(st.tuples(VALUES, UNITS), min_size=1, max_size=20))
@settings(deadline=None, max_examples=examples(200))
def test_columns_give_what_the_rules_for_one_reading_give(sent: Sequence[tuple[float, str]]) -> None:
    expected: list[int] = []
    reasons: list[str] = []
    for value, unit in sent:
        try:
            expected.append(glucose_tenths(value, glucose_unit(unit)))
        except BadInput as error:
            reasons.append(error.reason)
    decoded = arrive(*(event("reading", value=value, unit=unit) for value, unit in sent))
    readings = decoded.batches.get(Topic.GLUCOSE_READINGS)
    assert (readings.column("glucose_tenths").to_pylist() if readings is not None else []) == expected
    letters = rows(decoded, Topic.DEAD_LETTERS) if reasons else []
    assert [letter["type"] for letter in letters] == reasons


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(
    st.sampled_from(["type", "time", "value", "unit", "patient", "text", "schema", "pulse_bpm", "range"]),
    JSON_VALUE | st.sampled_from(["reading", "note", "vital", TIME, "mg/dL", "p-1", 1, 100]),
)


@given(st.lists(st.binary(max_size=50) | FIELDS.map(lambda fields: json.dumps(fields).encode()), max_size=8))
@settings(deadline=None, max_examples=examples(300))
def test_anything_at_all_becomes_exactly_one_row(payloads: list[bytes]) -> None:
    decoded = arrive(*payloads)
    assert sum(batch.num_rows for batch in decoded.batches.values()) == len(payloads)
    assert decoded.accepted + sum(decoded.dead.values()) == len(payloads)
    for topic, batch in decoded.batches.items():
        assert batch.schema == (READINGS_SCHEMA if topic is Topic.GLUCOSE_READINGS else DOCUMENTS_SCHEMA)


def test_zones_are_one_instant_in_the_log() -> None:
    decoded = arrive(event("reading", value=100, unit="mg/dL", time="2026-11-21T16:03:00+08:00"))
    assert decoded.batches[Topic.GLUCOSE_READINGS].column("time_us").to_pylist() == [NOW_US]
    sent = decode_event(event("reading", value=1, unit="mg/dL"))
    assert isinstance(sent, Reading) and to_us(sent.time) == NOW_US


def test_the_examples_of_the_documentation_hold() -> None:
    assert doctest.testmod(islet.decode.telemetry).failed == 0
    assert doctest.testmod(islet.decode.mqtt).failed == 0
