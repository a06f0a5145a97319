"""Files that were good once: whatever is changed in them, they are refused or read, and nothing else is raised."""

import contextlib
import io
import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from islet.decode.imports.bounds import check_held
from islet.decode.imports.found import Choices
from islet.decode.imports.parts import DAMAGED, parts
from islet.decode.imports.preview import Preview, tallied
from islet.errors import BadInput
from tests.conftest import examples
from tests.imports.given import UTC, items, workbook

_CLARITY = ",".join(
    [
        "Index",
        "Timestamp",
        "Event Type",
        "Sub",
        "P",
        "D",
        "Source",
        "Glucose Value (mg/dL)",
        "I",
        "C",
        "Dur",
        "R",
        "T",
        "Id",
    ]
)
GOOD = [
    f"{_CLARITY}\n1,2024-03-04T07:00:00,EGV,,,,i,112,,,,,1,A\n2,2024-03-04T07:05:00,Exercise,Heavy,,,i,,,,0:30:00,,,\n",
    "Glucose Data,Generated on,25-04-2021 17:25 UTC\nDevice,Serial,Time,Type,Historic mg/dL,Scan mg/dL,a,b,c,d,e,f,g,Notes,"
    "Strip mg/dL,Ketone mmol/L\nL3,S1,25-04-2021 08:00,0,112\nL3,S1,25-04-2021 08:10 PM,1,,115\n",
    "Name:X, Date Range:2025-01-01 - 2025-01-07\nTimestamp,CGM Glucose Value (mmol/l),Serial Number\n1/2/2025 8:00,6.2,1\n",
    "EventDateStr,EventTimeStr,Value,UnitMeasureVal,SensorID\n19-October-2021,3:00 PM,180,mg/dL,9\n",
    "bg_ts,value\n01/10/2023 00:04,7.5\n",
    "Date,Meal,Calories,Carbohydrates (g)\n2024-03-04,Breakfast,320,45\n",
    "A;B\n-------;MiniMed;Pump\nIndex;Date;Time;Sensor Glucose (mg/dL);Event Marker\n1;2021/07/25;00:32:50;112;Insulin: 27,00\n",
    "日期,时间,血糖(mmol/L),胰岛素\n2024-03-04,07:05,6.2,4\n",
    json.dumps([{"type": "sgv", "sgv": 112, "date": 1_709_535_600_000}, {"eventType": "x", "insulin": 1, "mills": 1}]),
    json.dumps([{"type": "cbg", "time": "2024-03-04T07:00:00Z", "deviceId": "D", "value": 6.2}]),
    json.dumps({"records": [{"time": "2024-03-04T07:00:00Z", "level": {"inMillimolesPerLiter": 6.2}}]}),
    json.dumps([{"time": 1_709_535_600_000, "glucose mmol/L": 6.2}]),
    json.dumps([{"samplePoints": [{"key": "CONTINUE_BLOOD_SUGAR", "startTime": 1_709_535_600_000, "value": "6.2"}]}]),
    '{"group":[{"sampleSet":[{"samplePoints":[{"startTime":1709535900000000000,"dataTypeName":"com.huawei.cgm_blood_'
    'glucose","value":[{"fieldName":"level","floatValue":6.2}]}]}]}]}',
    '<?xml version="1.0"?>\n<HealthData><Record type="HKQuantityTypeIdentifierBloodGlucose" unit="mg/dL" '
    'startDate="2024-08-11 21:34:30 -0700" value="112"/></HealthData>',
    '<?xml version="1.0"?>\n<!DOCTYPE HealthData [\n<!ATTLIST V\n brand CDATA #IMPLIED\n<!ELEMENT R EMPTY>\n]>\n<HealthData><Record '
    'type="HKQuantityTypeIdentifierBloodGlucose" unit="mg/dL" startDate="2024-08-11 21:34:30 -0700" value="112"/></HealthData>',
    "ID\t时间\t记录类型\t葡萄糖历史记录（mmol/L）\t扫描的葡萄糖读数（mmol/L）\n1\t2018/09/10 13:50\t0\t5.2\n2\t2018/09/10 14:05\t1\t\t5.0\n",
    "Name:X,Datumsbereich:01.08.2026\nZeitstempel,Insulin-Typ,Kohlenhydrataufnahme (g),Abgegebenes Insulin (E)\n"
    '01.08.2026 08:10,Normal,"30,0","2,5"\n',
    "Index,Date,Time,New Device Time,BWZ Carb Input (grams),Bolus Volume Delivered (U)\n0,7/25/21,00:32:40,,45,4.5\n",
    '{"sgv":112,"date":{"$numberLong":"1709535600000"}}\n{"sgv":118,"date":1709535900000}\n',
    json.dumps(
        [
            {"type": "cbg", "time": "2024-03-04T07:00:00Z", "uploadId": "u", "value": 112, "units": "mg/dL"},
            {"type": "basal", "time": "2024-03-04T07:00:00Z", "localTime": "x", "rate": 1.2, "duration": 60},
            {"type": "food", "time": "2024-03-04T07:00:00Z", "nutrition": '{"carbohydrate":{"net":30}}'},
        ]
    ),
    'time,glucose mg/dL\n45355.29,112\n1709535600,113\n"Mar 4, 2024 7:00 AM",114\n',
]


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_a_damaged_file_is_refused_or_read(good: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 12))
    instead = data.draw(st.text(alphabet="0123456789-:.,;/ \n\"'[]{}<>eETZmgl%\x00ñ时", max_size=8))
    with contextlib.suppress(BadInput):
        found = items(good[:at] + instead + good[at + length :])
        assert all(item.event.time.tzinfo for item in tallied(found, Preview(), latest_us=4_000_000_000_000_000))


def test_what_is_damaged_there_was_good() -> None:
    for good in GOOD:
        assert items(good, Choices(zone=UTC.zone))


def test_json_nested_without_end_is_refused() -> None:
    with contextlib.suppress(BadInput):
        items("[" * 200_000)
        raise AssertionError("it was not refused")


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@settings(max_examples=examples(300))
@given(places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_an_archive_that_is_changed_anywhere_is_read_or_refused(packed: int, places: list[tuple[int, int]]) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as archive:
        archive.writestr("a.csv", GOOD[4] * 20)
        archive.writestr("b.xlsx", workbook({"one": [["bg_ts", "value"]]}))
    content = bytearray(out.getvalue())
    for place, value in places:
        content[place % len(content)] = value
    _read_or_refused(bytes(content))


@pytest.mark.parametrize(("at", "value"), [(46, 0), (9, 8)], ids=["no name", "a name that says it is UTF-8"])
def test_an_archive_whose_list_names_a_file_badly_is_refused(at: int, value: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", GOOD[4])
    content = bytearray(out.getvalue())
    entry = content.index(b"PK\x01\x02")
    content[entry + at], content[entry + 47] = value, 0xFF
    with pytest.raises((BadInput, *DAMAGED)):
        list(parts(io.BytesIO(content), "x.zip"))


def _read_or_refused(content: bytes) -> None:
    with contextlib.suppress(BadInput, *DAMAGED):
        for part in parts(io.BytesIO(content), "x.zip"):
            check_held(part)
            part.stream.seek(0)
            part.stream.read()


def test_an_archive_packed_in_another_way_is_refused_with_what_to_do() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.csv", GOOD[4])
    with pytest.raises(BadInput, match=r"a\.csv: expected a zip archive packed as usual"):
        list(parts(out, "x.zip"))


@pytest.mark.parametrize("kind", [[], {}, 7, None, True])
def test_a_record_whose_type_is_no_text_is_refused_or_read(kind: object) -> None:
    record = {"type": kind, "time": "2024-03-04T07:00:00Z", "deviceId": "D", "value": 6.2}
    with contextlib.suppress(BadInput):
        items(json.dumps([record]))
