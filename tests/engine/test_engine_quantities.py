"""Documents become the engine's columns."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from islet.engine.quantities import context, values
from islet.log.partitioning import with_received
from islet.model.batch import DocumentRow, documents_batch
from islet.model.codec import encode_event
from islet.model.events import AnyEvent, DeviceStatus, Exercise, Insulin, Meal, Note, Prompt, Vital
from islet.model.time import MINUTE_US, from_us

AT = from_us(MINUTE_US)


def documents(*events: AnyEvent | str) -> pa.RecordBatch:
    bodies = [event if isinstance(event, str) else encode_event(event).decode() for event in events]
    batch = documents_batch([DocumentRow("anna", "phone", MINUTE_US, "any", body) for body in bodies])
    return with_received(batch, np.full(len(bodies), 9, np.int64))


def test_a_cuff_that_measures_three_quantities_gives_a_value_to_each_of_three_streams() -> None:
    found = values(documents(Vital(time=AT, pulse_bpm=71.5, systolic_mm_hg=120, diastolic_mm_hg=80)))
    assert {name: batch.to_pylist() for name, batch in found.items()} == {
        name: [
            {"patient": "anna", "device": "phone", "time_us": MINUTE_US, "glucose_tenths": tenths, "received_at_us": 9}
        ]
        for name, tenths in (("pulse_bpm", 715), ("systolic_mm_hg", 1200), ("diastolic_mm_hg", 800))
    }


def test_what_is_not_measured_gives_nothing() -> None:
    found = values(
        documents(DeviceStatus(time=AT), Vital(time=AT, pulse_bpm=60), DeviceStatus(time=AT, battery_percent=7))
    )
    assert {name: batch.num_rows for name, batch in found.items()} == {
        "pulse_bpm": 1,
        "battery_percent": 1,
        "status": 2,
    }


def test_a_status_is_the_place_of_its_word() -> None:
    found = values(documents(DeviceStatus(time=AT), DeviceStatus(time=AT, status="sensor_failed")))
    assert found["status"].column("glucose_tenths").to_pylist() == [0, 2]


def test_a_prompt_is_the_place_of_what_became_of_it() -> None:
    found = values(documents(*(Prompt(time=AT, id="1", state=state) for state in ("prompted", "measured", "missed"))))
    assert found["prompt"].column("glucose_tenths").to_pylist() == [0, 1, 2]


def test_care_events_become_amounts_in_their_columns() -> None:
    rows = context(
        documents(
            Meal(time=AT, carbs_g=45.5),
            Meal(time=AT, text="an apple"),
            Insulin(time=AT, dose_u=0.05, kind="bolus"),
            Insulin(time=AT, dose_u=12, kind="basal"),
            Insulin(time=AT, dose_u=3),
            Exercise(time=AT, duration_min=30),
            Note(time=AT, text="x"),
        )
    )
    amounts = list(zip(rows.column("column").to_pylist(), rows.column("amount").to_pylist(), strict=True))
    assert amounts == [(0, 455), (1, 5), (2, 1200), (1, 300), (3, 300)]


@pytest.mark.parametrize(
    ("name", "kind", "amounts"),
    [
        ("Novolin 30R", "premix", [(1, 300), (2, 700)]),
        ("NovoMix 30", "unknown", [(1, 300), (2, 700)]),
        ("Novolin R", "unknown", [(1, 1000)]),
        ("Lantus", "unknown", [(2, 1000)]),
        ("Humulin N", "bolus", [(2, 1000)]),
        ("insulin aspart", "basal", [(2, 1000)]),
        ("", "premix", [(1, 1000)]),
    ],
)
def test_insulin_is_a_bolus_as_far_as_it_acts_within_hours(
    name: str, kind: Any, amounts: list[tuple[int, int]]
) -> None:
    rows = context(documents(Insulin(time=AT, dose_u=10, name=name, kind=kind)))
    assert list(zip(rows.column("column").to_pylist(), rows.column("amount").to_pylist(), strict=True)) == amounts


def test_nothing_of_insulin_is_nothing() -> None:
    assert context(documents(Insulin(time=AT, dose_u=0, kind="bolus"))).num_rows == 0


def test_a_document_that_does_not_decode_holds_nothing_and_stops_nothing() -> None:
    given = documents("not json", '{"type":"of_tomorrow"}', Meal(time=AT, carbs_g=10))
    assert context(given).num_rows == 1
    assert values(given) == {}
