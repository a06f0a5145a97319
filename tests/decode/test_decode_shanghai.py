"""The Shanghai workbooks: counts as the data's description gives them (doi:10.1038/s41597-023-01940-7)."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from islet.decode.shanghai import decode_workbook
from islet.errors import BadInput
from islet.model.events import Insulin, Meal, Medication, Note, Reading
from tests.imports.given import workbook


def test_a_file_that_is_no_workbook_is_refused_with_what_was_expected() -> None:
    with pytest.raises(BadInput, match=r"expected an \.xls or \.xlsx workbook"):
        decode_workbook(b"id,time,gl\n1,2021-07-30,113\n")


def test_the_first_rows_of_a_wearing_are_readings_and_pump_insulin_in_shanghai_time(shared_data: Path) -> None:
    wearing = decode_workbook((shared_data / "shanghai/Shanghai_T1DM/1002_0_20210504.xls").read_bytes())
    first, bolus = wearing.events[:2]
    assert isinstance(first, Reading)
    assert (first.value, first.unit, first.method) == (156.6, "mg/dL", "cgm")
    assert first.time == datetime(2021, 5, 4, 2, 33, tzinfo=UTC)
    assert isinstance(bolus, Insulin)
    assert (bolus.dose_u, bolus.kind) == (5.0, "bolus")


def test_a_meal_that_was_not_recorded_is_still_a_meal_without_words(shared_data: Path) -> None:
    wearing = decode_workbook((shared_data / "shanghai/Shanghai_T1DM/1001_0_20210730.xlsx").read_bytes())
    assert next(event for event in wearing.events if isinstance(event, Meal)).text == ""


def test_sixteen_type_1_wearings_hold_15_695_readings(shared_data: Path) -> None:
    kinds: Counter[str] = Counter()
    for file in sorted((shared_data / "shanghai" / "Shanghai_T1DM").glob("*.xls*")):
        wearing = decode_workbook(file.read_bytes())
        kinds.update(e.method if isinstance(e, Reading) else type(e).__name__ for e in wearing.events)
        assert not wearing.skipped
    assert kinds["cgm"] == 15_695


def test_an_amount_that_is_no_number_stays_in_its_words() -> None:
    head = ["Date", "CGM (mg / dl)", "CBG", "Ketone", "Diet", "饮食", "s.c.", "Drugs"]
    row = [datetime(2021, 7, 30, 8), 112.0, *[None] * 4, "Novolin R, 1.2.3 IU", "Metformin . mg, 0.5 g"]  # noqa: DTZ001
    _, note, first, second = decode_workbook(workbook({"one": [head, row]})).events
    assert note == Note(time=note.time, text="s.c. insulin: Novolin R, 1.2.3 IU")
    assert [first, second] == [Medication(time=first.time, name=name) for name in ("Metformin . mg", "0.5 g")]
