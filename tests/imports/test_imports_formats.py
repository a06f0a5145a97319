"""Formats of which no sample is at hand, and the corners of those of which there is one: files after their descriptions."""

import io
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from islet.decode.imports import apple_health
from islet.decode.imports.found import Choices, Found
from islet.errors import BadInput
from islet.model.events import Exercise, Insulin, Meal, Note, Reading
from tests.imports.given import UTC as IN_UTC
from tests.imports.given import events, items, readings, skipped

_LIBRE = (
    "Glucosedaten,Erstellt am,25-04-2021 17:25 UTC,Erstellt von,X\n"
    "Gerät,Seriennummer,Gerätezeitstempel,Aufzeichnungstyp,Glukosewert-Verlauf{unit},Glukose-Scan{unit},a,b,c,d,e,f,g,"
    "Notizen,Glukose-Teststreifen{unit},Keton mmol/L,h,i,j\n"
)
_APPLE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE HealthData [
<!ELEMENT HealthData (ExportDate,Me,(Record|Workout)*)>
]>
<HealthData locale="de_AT">
 <ExportDate value="2024-08-12 10:00:00 +0200"/>
 <Record type="HKQuantityTypeIdentifierStepCount" sourceName="Phone" unit="count" startDate="x" value="7"/>
 <Record type="HKQuantityTypeIdentifierBloodGlucose" sourceName="Dexcom G6" unit="mg/dL"
   startDate="2024-08-11 21:34:30 -0700" endDate="2024-08-11 21:34:30 -0700" value="112"/>
 <Record type="HKQuantityTypeIdentifierBloodGlucose" sourceName="Contour" unit="mmol&lt;180.1558800000541&gt;/L"
   startDate="2024-08-11 21:35:00 -0700" value="6.4"><MetadataEntry key="HKBloodGlucoseMealTime" value="1"/></Record>
 <Record type="HKQuantityTypeIdentifierInsulinDelivery" sourceName="Pen" unit="IU"
   startDate="2024-08-11 21:36:00 -0700" value="4"><MetadataEntry key="HKInsulinDeliveryReason" value="2"/></Record>
 <Record type="HKQuantityTypeIdentifierDietaryCarbohydrates" unit="g" startDate="2024-08-11 21:37:00 -0700" value="45"/>
 <Workout workoutActivityType="HKWorkoutActivityTypeRunning" duration="32.5" durationUnit="min"
   startDate="2024-08-11 18:00:00 -0700"/>
</HealthData>
"""


def libre(rows: str, unit: str = "") -> str:
    return _LIBRE.format(unit=unit) + rows


def test_libreview_without_a_unit_is_in_mmol_l_until_a_value_is_40_or_more() -> None:
    low = libre("L3,S1,25-04-2021 08:00,0,6.2\nL3,S1,25-04-2021 08:15,0,HI\n")
    assert [(one.value, one.unit, one.range) for one in readings(low, format="libreview")] == [
        (6.2, "mmol/L", "within"),
        (27.8, "mmol/L", "above"),
    ]
    high = libre("L3,S1,25-04-2021 08:00,0,39\nL3,S1,25-04-2021 08:15,0,40\n")
    assert {one.unit for one in readings(high)} == {"mg/dL"}


def test_the_heading_of_libreview_goes_before_the_rule() -> None:
    (one,) = readings(libre("L3,S1,25-04-2021 08:00,0,39\n", " mg/dL"))
    assert one.unit == "mg/dL"


def test_every_record_type_of_libreview_becomes_what_it_says() -> None:
    rows = (
        "L2,S1,25-04-2021 08:00,0,6.2\n"
        "L2,S1,25-04-2021 08:00,1,,6.4\n"
        "L2,S1,25-04-2021 08:01,2,,,,,,,,,,,6.9\n"
        'L2,S1,25-04-2021 08:02,3,,,,,,,,,,,,"0,4"\n'
        "L2,S1,25-04-2021 08:03,4,,,,4,,,,,\n"
        "L2,S1,25-04-2021 08:04,4,,,,,,,,,12\n"
        "L2,S1,25-04-2021 08:05,5,,,,,,45\n"
        "L2,S1,25-04-2021 08:06,6,,,,,,,,,,Lauf\n"
        "L2,S1,25-04-2021 08:07,6\n"
    )
    found = [item for item in items(libre(rows, " mmol/L")) if isinstance(item, Found)]
    assert [type(one.event).__name__ for one in found] == [
        *("Reading", "Reading", "Reading", "Note", "Insulin", "Insulin", "Meal", "Note"),
    ]
    assert [one.device for one in found[:3]] == ["libre-S1", "libre-S1-scan", "libre-S1-meter"]
    assert [one.line for one in skipped(libre(rows, " mmol/L"))] == [11]


def test_an_unknown_record_type_of_libreview_is_refused() -> None:
    with pytest.raises(BadInput, match="line 4, column Record Type"):
        items(libre("L3,S1,25-04-2021 08:00,0,6.2\nL3,S1,25-04-2021 08:15,9,6.2\n", " mmol/L"))


def test_clarity_in_another_language_gives_insulin_food_and_exercise() -> None:
    head = "Index,Zeitstempel,Ereignistyp,Untertyp,P,G,Quelle,Glukosewert (mmol/L),Insulin,KH,Dauer,Rate,Zeit,ID\n"
    rows = (
        "1,,Vorname,,X\n"
        "2,2024-03-04T07:00:00,EGV,,,,iPhone,Low,,,,,1,ABC\n"
        "3,2024-03-04T07:01:00,Insulin,Fast-Acting,,,iPhone,,4.5\n"
        "4,2024-03-04T07:02:00,Carbs,,,,iPhone,,,45\n"
        "5,2024-03-04T07:03:00,Exercise,Heavy,,,iPhone,,,,0:30:00\n"
        "6,2024-03-04T07:04:00,Calibration,,,,iPhone,6.4\n"
        "7,2024-03-04T07:05:00,EGV,,,,iPhone,\n"
    )
    low, insulin, meal, exercise, finger = events(head + rows, format="clarity")
    assert isinstance(low, Reading) and (low.value, low.range) == (2.2, "below")
    assert isinstance(insulin, Insulin) and (insulin.dose_u, insulin.kind) == (4.5, "bolus")
    assert isinstance(meal, Meal) and meal.carbs_g == 45.0
    assert isinstance(exercise, Exercise) and (exercise.duration_min, exercise.intensity) == (30.0, "vigorous")
    assert isinstance(finger, Reading) and finger.method == "capillary"
    assert [one.line for one in skipped(head + rows)] == [8]


def test_nightscout_gives_readings_and_treatments_and_leaves_error_codes_out() -> None:
    entries = [
        {"type": "sgv", "sgv": 112, "date": 1_709_535_600_000, "device": "xDrip"},
        {"type": "sgv", "sgv": 10, "date": 1_709_535_900_000},
        {"type": "mbg", "mbg": 115, "date": 1_709_536_200_000},
    ]
    sensor, finger = readings(json.dumps(entries), Choices(), "nightscout")
    assert (sensor.value, sensor.unit, sensor.method) == (112.0, "mg/dL", "cgm")
    assert sensor.time == datetime(2024, 3, 4, 7, tzinfo=UTC)
    assert finger.method == "capillary"
    assert [one.line for one in skipped(json.dumps(entries))] == [2]
    treatments = [
        {"eventType": "Meal Bolus", "insulin": "4.5", "carbs": 45, "created_at": "2024-03-04T07:00:00Z"},
        {
            "eventType": "BG Check",
            "glucose": 6.4,
            "units": "mmol",
            "glucoseType": "Finger",
            "created_at": "2024-03-04T07:05:00Z",
        },
        {"eventType": "Exercise", "duration": 30, "notes": "run", "created_at": "2024-03-04T08:00:00Z"},
    ]
    insulin, meal, check, exercise = events(json.dumps(treatments), Choices(), "nightscout")
    assert isinstance(insulin, Insulin) and insulin.dose_u == 4.5
    assert isinstance(meal, Meal) and meal.carbs_g == 45.0
    assert isinstance(check, Reading) and check.unit == "mmol/L"
    assert isinstance(exercise, Exercise) and exercise.kind == "run"


def test_tidepool_keeps_mmol_l_and_what_was_out_of_range() -> None:
    records = [
        {"type": "cbg", "time": "2024-03-04T07:00:00.000Z", "deviceId": "D", "value": 2.2, "units": "mg/dL",
         "annotations": [{"code": "bg/out-of-range", "value": "low", "threshold": 40}]},
        {"type": "basal", "time": "2024-03-04T07:00:00.000Z", "deviceId": "D", "rate": 1.15, "duration": 14_400_000},
        {"type": "food", "time": "2024-03-04T07:00:00.000Z", "deviceId": "D", "nutrition": {"carbohydrate": {"net": 30}}},
        {"type": "physicalActivity", "time": "2024-03-04T07:00:00.000Z", "deviceId": "D",
         "duration": {"value": 0.5, "units": "hours"}},
    ]  # fmt: skip
    low, basal, meal, activity = events(json.dumps(records), Choices(), "tidepool")
    assert isinstance(low, Reading) and (low.unit, low.range) == ("mmol/L", "below")
    assert isinstance(basal, Insulin) and (basal.dose_u, basal.kind) == (4.6, "basal")
    assert isinstance(meal, Meal) and meal.carbs_g == 30.0
    assert isinstance(activity, Exercise) and activity.duration_min == 30.0


def test_health_connect_names_the_unit_in_the_field_and_a_sensor_by_its_specimen() -> None:
    records = [
        {
            "time": "2024-03-04T07:00:00Z",
            "zoneOffset": "+01:00",
            "level": {"inMillimolesPerLiter": 6.2},
            "specimenSource": 1,
        },
        {"time": "2024-03-04T07:05:00Z", "level": {"inMilligramsPerDeciliter": 115}, "specimenSource": 2},
    ]
    sensor, finger = readings(json.dumps({"records": records}), Choices(), "health-connect")
    assert (sensor.value, sensor.unit, sensor.method) == (6.2, "mmol/L", "cgm")
    assert (finger.unit, finger.method) == ("mg/dL", "capillary")
    with pytest.raises(BadInput, match="record 1, field level"):
        items(json.dumps([{"time": "2024-03-04T07:00:00Z", "level": {"value": 6.2}}]))


def test_apple_health_gives_glucose_in_its_unit_insulin_food_and_workouts() -> None:
    run_, pen = "apple", "apple-Pen"
    sensor, finger, insulin, meal, workout = (
        i for i in items(_APPLE, Choices(), "apple-health") if isinstance(i, Found)
    )
    assert isinstance(sensor.event, Reading) and isinstance(finger.event, Reading)
    assert (sensor.event.value, sensor.event.unit, sensor.event.method) == (112.0, "mg/dL", "cgm")
    assert sensor.event.time == datetime(2024, 8, 12, 4, 34, 30, tzinfo=UTC)
    assert (finger.event.unit, finger.event.method, finger.device) == ("mmol/L", "capillary", "apple-Contour-meter")
    assert isinstance(insulin.event, Insulin) and (insulin.event.kind, insulin.device) == ("bolus", pen)
    assert isinstance(meal.event, Meal) and meal.event.carbs_g == 45.0
    assert isinstance(workout.event, Exercise) and (workout.event.kind, workout.device) == ("Running", run_)


def test_apple_health_that_is_cut_off_is_refused_with_line_and_column() -> None:
    with pytest.raises(BadInput, match=r"line \d+, column \d+: expected XML"):
        items(_APPLE[:-40])


def test_apple_health_is_read_with_no_more_than_a_record_in_memory() -> None:
    """The root would keep every record: it is emptied, so that what is held does not grow with the file."""
    import tracemalloc

    record = _APPLE[_APPLE.index(' <Record type="HKQuantityTypeIdentifierBlood') : _APPLE.index(" <Workout")]
    begin, end = _APPLE[: _APPLE.index(" <Record")], "</HealthData>"

    def peak_bytes(times: int) -> int:
        stream = io.BytesIO((begin + record * times + end).encode())
        tracemalloc.start()
        count = sum(1 for _ in apple_health.read(stream, Choices()))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 4 * times
        return peak

    small = peak_bytes(50)
    assert peak_bytes(500) < small + 100_000


def test_carelink_is_read_section_by_section_with_delivered_boluses_only() -> None:
    heads = "Index;Date;Time;New Device Time;BG Reading (mg/dL);Bolus Volume Selected (U);Bolus Volume Delivered (U);Event Marker;Sensor Glucose (mg/dL)"
    content = (
        "Last Name;First Name;Patient ID\nX;Y;Z\nPatient DOB;;\n"
        f"-------;MiniMed 780G;Pump;-------\n{heads}\n"
        "1;2021/07/25;00:32:50;;;4,5;;;\n2;2021/07/25;00:33:50;;;4,5;4,5;;\n3;2021/07/25;00:34:50;;112;;;Meal: 60,00grams;\n"
        f"-------;MiniMed 780G;Sensor;-------\n{heads}\n"
        "4;2021/07/25;00:35:00;;;;;;118\n5;2021/07/25;00:40:00;;-------;;;;-------\n"
    )
    bolus, finger, meal, sensor = events(content, format="carelink")
    assert isinstance(bolus, Insulin) and bolus.dose_u == 4.5
    assert isinstance(finger, Reading) and finger.method == "capillary"
    assert isinstance(meal, Meal) and meal.carbs_g == 60.0
    assert isinstance(sensor, Reading) and sensor.value == 118.0
    assert len(skipped(content)) == 2


def test_a_diary_without_clock_times_gets_the_persons_meal_times_marked_as_assumed() -> None:
    diary = "Date,Meal,Calories,Fat (g),Carbohydrates (g)\n2024-03-04,Breakfast,320,10,45\n2024-03-04,Zweites Frühstück,90,1,20\n"
    with pytest.raises(BadInput, match=r"line 3, column Meal.*--meal-time"):
        items(diary)
    vienna = Choices(zone=ZoneInfo("Europe/Vienna"), meal_times={"zweites frühstück": "10:00", "breakfast": "06:45"})
    first, second = (item for item in items(diary, vienna, "myfitnesspal") if isinstance(item, Found))
    assert first.assumed and second.assumed
    assert [one.event.time.isoformat()[11:16] for one in (first, second)] == ["05:45", "09:00"]


def test_a_note_of_the_glooko_alarms_is_kept_as_a_note() -> None:
    content = "Name:X, Date Range:2025-01-01 - 2025-01-03\nTimestamp,Alarm/Event,Severity,Serial Number\n13/1/2025 2:45,Low,Warning,1\n"
    (note,) = events(content, IN_UTC, "glooko")
    assert isinstance(note, Note) and note.text == "Alarm of the device: Low"


COPY = (
    '[{"type":500035,"deviceCode":77,"version":1,"samplePoints":[{"key":"CONTINUE_BLOOD_SUGAR","unit":"0",'
    '"startTime":1709535900000,"endTime":1709535900000,"value":"6.2"}]},'
    '{"type":500035,"deviceCode":77,"version":2,"samplePoints":[{"key":"CONTINUE_BLOOD_SUGAR",'
    '"startTime":1709535900000,"value":"{\\"bloodSugar\\":6.4}"}]},'
    '{"type":500047,"version":1,"samplePoints":[{"key":"BLOODGLUCOSE_BLOODSUGAR","startTime":1709536000000,'
    '"value":{"BLOOD_SUGAR_BF_BEFORE":0,"BLOOD_SUGAR_BF_AFTER":8.1}}]},'
    '{"type":7,"samplePoints":[{"key":"DATA_POINT_DYNAMIC_HEARTRATE","startTime":1709536000000,"value":"70.0"}]},'
    '{"subUser":"Bo","samplePoints":[{"key":"CONTINUE_BLOOD_SUGAR","startTime":1709536000000,"value":"9"}]}]'
)
API = (
    '{"group":[{"sampleSet":[{"dataCollectorId":"derived:x","samplePoints":[{"startTime":1709535900000000000,'
    '"dataTypeName":"com.huawei.cgm_blood_glucose","originalDataCollectorId":"raw:com.huawei.cgm_blood_glucose:1:gs1",'
    '"value":[{"fieldName":"level","floatValue":6.2}]},'
    '{"startTime":1709536200000000000,"dataTypeName":"com.huawei.instantaneous.blood_glucose",'
    '"value":[{"fieldName":"level","floatValue":7.5},{"fieldName":"measure_time","integerValue":2}]},'
    '{"startTime":1709536500000000000,"dataTypeName":"com.huawei.instantaneous.blood_glucose",'
    '"value":[{"fieldName":"level","floatValue":7.7},{"fieldName":"sample_source","integerValue":1}]}]}]}]}'
)


def test_huawei_s_copy_gives_the_sensor_and_fingersticks_in_mmol_l_the_newer_version_first() -> None:
    newer, older, finger = readings(COPY, format="huawei")
    assert (newer.value, older.value, newer.unit, newer.method) == (6.4, 6.2, "mmol/L", "cgm")
    assert newer.time.isoformat() == "2024-03-04T07:05:00+00:00"
    assert (finger.value, finger.method) == (8.1, "capillary")
    assert {one.reason for one in skipped(COPY)} == {
        "a record of another kind, or without a value",
        "a record of another person",
    }
    assert [one.device for one in items(COPY) if isinstance(one, Found)] == ["huawei-77", "huawei-77", "huawei-meter"]


def test_huawei_s_api_tells_times_in_nanoseconds_and_a_sensor_by_its_type_or_its_source() -> None:
    sensor, finger, interstitial = readings(API, format="huawei")
    assert (sensor.time.isoformat(), sensor.value, sensor.method) == ("2024-03-04T07:05:00+00:00", 6.2, "cgm")
    assert (finger.method, interstitial.method) == ("capillary", "cgm")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('{"sugar": 6.2}', "record 1, field value"),
        ('"{6.2"', "record 1, field value: expected JSON"),
        ('"much"', "record 1, field value: expected a number"),
        ('6.2, "startTime": 5', "record 1, field startTime"),
    ],
)
def test_what_huawei_does_not_say_so_is_refused(value: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        items('[{"samplePoints":[{"key":"CONTINUE_BLOOD_SUGAR","startTime":1709535900000,"value":' + value + "}]}]")
