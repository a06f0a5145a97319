"""Tables with headings, and what is refused in any table."""

import codecs
import contextlib
import gzip
import io
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st

from islet.decode.imports.detect import detected
from islet.decode.imports.found import Choices
from islet.errors import BadInput
from islet.model.events import Insulin, Meal, Medication, Note
from tests.imports.given import UTC as IN_UTC
from tests.imports.given import events, items, readings, skipped


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_chinese_table_is_read_in_any_usual_encoding_and_delimiter(encoding: str, delimiter: str) -> None:
    lines = [
        ["测量时间", "血糖值(mmol/L)", "备注"],
        ["2024-03-04 07:05", "6.2", "早餐前"],
        ["2024-03-04 09:05", "9.8", ""],
    ]
    content = "\n".join(delimiter.join(line) for line in lines).encode(encoding)
    before, after = readings(content, format="table")
    assert (before.value, before.unit, after.value) == (6.2, "mmol/L", 9.8)
    assert [e.text for e in events(content) if isinstance(e, Note)] == ["早餐前"]


def test_a_unit_is_never_guessed_from_the_values() -> None:
    with pytest.raises(BadInput, match="--unit"):
        readings("time,glucose\n2024-03-04 07:05,6.2\n")
    (said,) = readings("time,glucose\n2024-03-04 07:05,6.2\n", Choices(zone=IN_UTC.zone, unit="mmol/L"))
    assert said.unit == "mmol/L"
    per_row = readings("time,glucose,unit\n2024-03-04 07:05,6.2,mmol/L\n2024-03-04 08:05,112,mg/dl\n")
    assert [(one.value, one.unit) for one in per_row] == [(6.2, "mmol/L"), (112.0, "mg/dL")]


def test_low_and_high_in_any_spelling_are_the_limits_of_the_sensor() -> None:
    rows = "".join(f"2024-03-04 0{hour}:00,{said}\n" for hour, said in enumerate(["Low", "HI", "<54", ">400", "偏低"]))
    found = readings("time,glucose (mg/dL)\n" + rows)
    assert [(one.range, one.value) for one in found] == [
        ("below", 40.0),
        ("above", 400.0),
        ("below", 54.0),
        ("above", 400.0),
        ("below", 40.0),
    ]


@pytest.mark.parametrize("heading", ["Patient ID", "subject", "患者编号"])
def test_a_table_of_several_people_is_refused_for_they_would_become_one(heading: str) -> None:
    """Else those of the same instants would be left out as doubles, and the others mixed."""
    table = f"{heading},time,glucose (mg/dL)\n1,2024-03-04 07:05,112\n1,2024-03-04 07:10,113\n2,2024-03-04 07:05,250\n"
    with pytest.raises(BadInput, match=f"line 4, column {heading}: expected one person; got 2") as refused:
        readings(table)
    assert refused.value.reason == "people"
    assert len(readings(table.replace("\n2,", "\n1,").replace("07:05,250", "07:15,250"))) == 3


def test_a_column_called_id_is_of_people_where_each_has_many_rows_and_may_number_rows() -> None:
    def table(ids: list[int]) -> str:
        rows = "".join(f"{id},2024-03-04 {row // 60:02}:{row % 60:02},112\n" for row, id in enumerate(ids))
        return f"id,time,glucose (mg/dL)\n{rows}"

    with pytest.raises(BadInput, match="line 12, column id: expected one person; got 3"):
        readings(table([row // 10 for row in range(30)]))
    assert len(readings(table(list(range(30))))) == 30
    assert len(readings(table([*range(20), *range(10)]))) == 30


_SEVERAL = "Kunde,time,glucose (mg/dL)\n" + "".join(
    f"{who},2026-02-01 {hour:02}:00,{100 + 10 * number}\n" for hour in range(12) for number, who in enumerate("ABC")
)


@pytest.mark.parametrize("heading", ["patient", "Subject ID", "id", "患者", "Kunde"])
def test_one_of_several_people_is_chosen_by_name(heading: str) -> None:
    table = _SEVERAL.replace("Kunde", heading)
    mapping = {"person": heading} if heading == "Kunde" else {}
    with pytest.raises(BadInput, match="whose rows are meant"):
        readings(table, Choices(zone=IN_UTC.zone, mapping=mapping))
    found = readings(table, Choices(zone=IN_UTC.zone, mapping=mapping, person="B"))
    assert [one.value for one in found] == [110.0] * 12
    with pytest.raises(BadInput) as refused:
        readings(table, Choices(zone=IN_UTC.zone, mapping=mapping, person="D"))
    assert refused.value.reason == "people"


def test_somebody_is_chosen_only_where_a_table_names_people() -> None:
    with pytest.raises(BadInput, match="--person: expected somebody"):
        readings("time,glucose mg/dL\n2026-02-01 07:00,100\n", Choices(zone=IN_UTC.zone, person="B"))


def test_a_file_packed_by_gzip_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadInput, match="unpack it first") as refused:
        readings(gzip.compress(b"time,glucose (mg/dL)\n2024-03-04 07:05,112\n"))
    assert refused.value.reason == "packed"


def test_a_wrong_cell_is_refused_with_line_and_column_and_without_its_content() -> None:
    with pytest.raises(BadInput, match=r"line 3, column glucose \(mg/dL\)") as refused:
        readings("time,glucose (mg/dL)\n2024-03-04 07:05,112\n2024-03-04 07:10,secret\n")
    assert "secret" not in str(refused.value)


def test_a_comma_may_stand_before_decimals_but_not_where_it_could_part_thousands() -> None:
    (one,) = readings("time;glucose mmol/L\n2024-03-04 07:05;6,2\n")
    assert one.value == 6.2
    with pytest.raises(BadInput, match="line 2"):
        readings("time;glucose mg/dL\n2024-03-04 07:05;1,120\n")


@pytest.mark.parametrize("day", ["2024-03-04, ", "04.03.2024, "])
def test_commas_before_decimals_and_in_times_do_not_part_the_columns_of_a_table_with_semicolons(day: str) -> None:
    rows = "".join(f"{day}07:{minute:02};6,2;4,5;30,0\n" for minute in range(0, 60, 5))
    found = readings(f"time;glucose (mmol/L);insulin;carbs\n{rows}", Choices(zone=ZoneInfo("UTC"), date_order="dmy"))
    assert [one.value for one in found] == [6.2] * 12


def test_two_columns_of_glucose_are_refused_until_a_person_says_which() -> None:
    table = "time,Glucose mg/dL,BG mg/dL\n2024-03-04 07:05,112,115\n"
    with pytest.raises(BadInput, match=r"Glucose mg/dL, BG mg/dL.*--mapping"):
        readings(table)
    (one,) = readings(table, Choices(zone=IN_UTC.zone, mapping={"glucose": "BG mg/dL", "time": "time"}))
    assert one.value == 115.0


def test_a_diary_of_everything_becomes_events() -> None:
    table = (
        "日期,时间,碳水化合物(g),食物,速效胰岛素,长效胰岛素,口服药,血酮\n"
        "2024-03-04,07:05,45,粥,4.5,12,二甲双胍,0.3\n2024-03-04,08:00,,,,,,\n"
    )
    meal, rapid, slow, drug, ketone = events(table)
    assert isinstance(meal, Meal)
    assert (meal.carbs_g, meal.text, meal.time.isoformat()) == (45.0, "粥", "2024-03-04T07:05:00+00:00")
    assert isinstance(rapid, Insulin) and isinstance(slow, Insulin)
    assert (rapid.dose_u, rapid.kind, slow.dose_u, slow.kind) == (4.5, "bolus", 12.0, "basal")
    assert isinstance(drug, Medication) and drug.name == "二甲双胍"
    assert isinstance(ketone, Note) and ketone.text == "Ketone 0.3 mmol/L"
    assert [one.line for one in skipped(table)] == [3]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"hello\nworld\n", b"\x89PNG\r\n\x1a\n\x00\x00", b"<html></html>", b"PK\x03\x04broken"]
)
def test_what_is_no_export_is_refused_with_what_to_do(content: bytes) -> None:
    with pytest.raises(BadInput):
        detected(io.BytesIO(content))


def test_json_that_is_cut_off_is_refused_with_line_and_column() -> None:
    with pytest.raises(BadInput, match="line 2, column"):
        items('[{"type": "cbg",\n "time": ')


@given_any(
    st.binary(max_size=300),
    st.sampled_from([b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, b"[", b"<HealthData", b"time,glucose mg/dL\n"]),
)
def test_any_bytes_are_refused_or_read_but_nothing_else_is_raised(content: bytes, begin: bytes) -> None:
    with contextlib.suppress(BadInput):
        items(begin + content)
