"""Events and alert changes to JSON and back."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.errors import BadInput
from islet.model.alerts import Alert, AlertChange, Severity, fold
from islet.model.codec import decode_change, decode_event, encode_change, encode_event, json_schema
from islet.model.events import (
    AnyEvent,
    DeviceStatus,
    Exercise,
    Hba1c,
    Insulin,
    Meal,
    Medication,
    Note,
    Prompt,
    Reading,
    Vital,
)
from islet.model.time import from_us, iso, to_us

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
EVENTS: list[AnyEvent] = [
    Reading(time=NOON, value=6.7, unit="mmol/L"),
    Reading(time=NOON, value=40, unit="mg/dL", method="capillary", range="below", patient="p-1"),
    Vital(time=NOON, pulse_bpm=62.0, systolic_mm_hg=120.0, diastolic_mm_hg=80.0),
    Meal(time=NOON, carbs_g=45.0, text="rice"),
    Insulin(time=NOON, dose_u=4.5, kind="bolus"),
    Exercise(time=NOON, duration_min=30.0),
    Medication(time=NOON, name="metformin", dose=500.0, dose_unit="mg"),
    DeviceStatus(time=NOON, status="warm_up", battery_percent=80.0),
    Prompt(time=NOON, id="2026-11-21T08:00", state="missed"),
    Note(time=NOON, text="felt dizzy"),
    Hba1c(time=NOON, value=53.0, unit="mmol/mol"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_went(event: AnyEvent) -> None:
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "json"),
        (b"[]", "schema"),
        (b"\xff", "json"),
        (b'{"type":"reading"}', "schema"),
        (b'{"type":"reading","time":"2026-11-21T12:00:00","value":1,"unit":"mg/dL"}', "schema"),  # no zone
        (b'{"type":"reading","time":"2026-11-21T12:00:00Z","value":"112","unit":"mg/dL"}', "schema"),
        (b'{"type":"reading","schema":2,"time":"2026-11-21T12:00:00Z","value":112,"unit":"mg/dL"}', "schema"),
        (b'{"type":"blood","time":"2026-11-21T12:00:00Z"}', "schema"),
    ],
)
def test_what_is_no_event_is_refused_with_a_countable_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(BadInput) as caught:
        decode_event(payload)
    assert caught.value.reason == reason


def test_the_published_schema_names_every_kind_of_event() -> None:
    text = json.dumps(json_schema())
    for event in EVENTS:
        assert f'"{type(event).__name__}"' in text


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_instants_are_exact_to_the_microsecond(instant: datetime) -> None:
    assert from_us(to_us(instant)) == instant
    assert datetime.fromisoformat(iso(to_us(instant))) == instant


def change(kind: str, at_us: int = 1) -> AlertChange:
    return decode_change(
        json.dumps(
            {"change": kind, "rule": "low", "patient": "p", "onset_us": 1, "at_us": at_us, "severity": "warning"}
        )
    )


def folded(*changes: AlertChange) -> Alert | None:
    alert = None
    for one in changes:
        alert = fold(alert, one, 10)
    return alert


def test_acknowledging_and_clearing_are_kept_apart() -> None:
    cleared = folded(change("opened"), change("cleared", 5))
    assert cleared is not None
    assert (cleared.active, cleared.acknowledged_us) == (False, None)
    acknowledged = folded(change("opened"), change("acknowledged", 3))
    assert acknowledged is not None
    assert (acknowledged.active, acknowledged.acknowledged_us) == (True, 3)


def test_a_change_that_comes_twice_counts_once() -> None:
    once = folded(change("opened"), change("acknowledged", 3), change("cleared", 5))
    twice = folded(*(c for c in (change("opened"), change("acknowledged", 3), change("cleared", 5)) for _ in range(2)))
    assert once == twice


def test_an_acknowledgement_of_nothing_is_nothing() -> None:
    assert folded(change("acknowledged")) is None


def test_equal_changes_have_equal_bytes() -> None:
    one = AlertChange(change="opened", rule="low", patient="p", onset_us=1, at_us=1, severity=Severity.WARNING)
    assert encode_change(one) == encode_change(decode_change(encode_change(one)))
