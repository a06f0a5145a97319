"""Exports as other accounts, languages, programs and years write them: shapes seen in public readers of the same files."""

import io
import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from islet.decode.imports.detect import format_named
from islet.decode.imports.found import Choices, Found
from islet.errors import BadInput
from islet.model.events import Exercise, Insulin, Meal, Note, Reading
from tests.imports.given import Sheet, events, items, readings, skipped, workbook

BERLIN = Choices(zone=ZoneInfo("Europe/Berlin"))
_CLARITY_DE = (
    "Index;Zeitstempel (JJJJ-MM-TTThh:mm:ss);Ereignistyp;Ereignisuntertyp;Patienteninfo;Geräteinfo;Quellgeräte-ID;"
    "Glukosewert (mmol/l);Insulinwert (E);Kohlenhydratwert (Gramm);Dauer (hh:mm:ss)\n"
    "1;;Vorname;;Zoë;;;;;;\n"
    "2;2026-06-02T00:00:00;EGW;;;;iOS;5,8;;;\n"
    "3;2026-06-02T00:05:00;EGW;;;;iOS;Niedrig;;;\n"
    "4;2026-06-02T00:06:00;Kalibrierung;;;;iOS;6,1;;;\n"
    "5;2026-06-02T18:00:00;Bewegung;Schwer;;;iOS;;;;00:45:00\n"
)
_LIBRE_HEADS = "Device,Serial Number,Device Timestamp,Record Type,Historic Glucose mmol/L"
_LIBRE_SOFTWARE = (
    "LYPI\n# R002\nID\t时间\t记录类型\t葡萄糖历史记录（mmol/L）\t扫描的葡萄糖读数（mmol/L）\t没有标注数值的速效胰岛素\t"
    "速效胰岛素（单位）\t没有标注数值的食物\t碳水化合物（克）\t没有标注数值的长效胰岛素\t长效胰岛素（单位）\t备注\t"
    "试纸测得的葡萄糖（mmol/L）\t酮（mmol/L）\t不适用\t不适用\t不适用\t以前的时间\t更新后的时间\n"
    "85\t2018/09/10 13:50\t0\t5.2\n"
    "86\t2018/09/10 14:05\t1\t\t5.0\n"
    "87\t2018/09/10 14:10\t5\t\t\t\t\t\t45\n"
    "88\t2018/09/10 14:12\t4\t\t\t\t4\n"
    "89\t2018/09/10 14:20\t2\t\t\t\t\t\t\t\t\t\t6.1\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_clarity_that_translates_egv_is_read_in_every_encoding(encoding: str) -> None:
    sensor, low, finger, exercise = events(_CLARITY_DE.encode(encoding), BERLIN, "clarity")
    assert isinstance(sensor, Reading) and (sensor.value, sensor.unit, sensor.method) == (5.8, "mmol/L", "cgm")
    assert isinstance(low, Reading) and (low.value, low.range) == (2.2, "below")
    assert isinstance(finger, Reading) and finger.method == "capillary"
    assert isinstance(exercise, Exercise) and exercise.duration_min == 45.0


def test_calibrations_alone_are_no_sensor_s_readings() -> None:
    alone = "\n".join(line for line in _CLARITY_DE.splitlines() if "EGW" not in line)
    assert [one.method for one in readings(alone, BERLIN, "clarity")] == ["capillary"]


def test_a_table_with_an_id_and_a_type_of_its_own_is_not_taken_for_libre_s() -> None:
    (one,) = readings("ID,Time,Type,Glucose mmol/L\n1,2024-03-04 07:00,1,6.2\n", format="table")
    assert one.value == 6.2


def test_western_letters_are_not_taken_for_chinese_nor_the_other_way_round() -> None:
    western = "time;glucose mg/dL;note\n2024-03-04 07:00;112;Frühstück, Café, Grüße\n"
    chinese = "时间,血糖值(mmol/L),备注\n2024-03-04 07:00,6.2,早餐前\n"
    for text, encoding, note in ((western, "cp1252", "Frühstück, Café, Grüße"), (chinese, "gbk", "早餐前")):
        told = [one.text for one in events(text.encode(encoding)) if isinstance(one, Note)]
        assert told == [note]
    assert readings(western.encode("utf-16-le"))[0].value == 112.0


def test_libreview_of_a_few_columns_or_of_more_is_read_by_its_english_headings() -> None:
    (first, second) = readings(f"{_LIBRE_HEADS}\nL3,S1,2026-08-01 08:15,0,6.4\nL3,S1,2026-08-01 08:30,0,7.1\n")
    assert (first.value, second.unit) == (6.4, "mmol/L")
    wide = f"{_LIBRE_HEADS},Historic Ketone mmol/L,Scan Glucose mmol/L\nL3,S1,2026-08-01 08:15,1,,0.3,6.4\n"
    assert readings(wide, format="libreview")[0].value == 6.4
    alone = "Gerät,Seriennummer,Gerätezeitstempel,Aufzeichnungstyp,Glukosewert-Verlauf mg/dL\nX,Y,2024-05-01T10:00:00+02:00,0,112\n"
    (one,) = readings(alone, Choices(), "libreview")
    assert (one.value, one.time) == (112.0, datetime(2024, 5, 1, 8, tzinfo=UTC))


@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_the_table_of_libre_s_program_for_a_computer_has_no_device_and_no_portions(encoding: str) -> None:
    found = [one for one in items(_LIBRE_SOFTWARE.encode(encoding), format="libreview") if isinstance(one, Found)]
    history, scan, meal, insulin, finger = (one.event for one in found)
    assert isinstance(history, Reading) and (history.value, history.unit) == (5.2, "mmol/L")
    assert isinstance(scan, Reading) and found[1].device == "libre-scan"
    assert isinstance(meal, Meal) and meal.carbs_g == 45.0
    assert isinstance(insulin, Insulin) and (insulin.dose_u, insulin.kind) == (4.0, "bolus")
    assert isinstance(finger, Reading) and (finger.value, finger.method) == (6.1, "capillary")


_GLOOKO = "Name:T,Date Range:2026-01-01 - 2026-01-02\n"


def test_a_bolus_file_of_glooko_gives_doses_and_carbohydrates_not_what_the_pump_reckoned_with() -> None:
    bolus = (
        f"{_GLOOKO}Timestamp,Insulin Type,Blood Glucose Input (mg/dl),Carbs Input (g),Carbs Ratio,Insulin Delivered (U),"
        "Initial Delivery (U),Extended Delivery (U),Serial Number\n"
        "2026-01-01 08:10,Normal,120.0,30.0,15.0,2.0,,,S1\n2026-01-01 13:00,Normal,0.0,0.0,15.0,0.5,,,S1\n"
    )
    first, meal, second = events(bolus, format="glooko")
    assert isinstance(first, Insulin) and (first.dose_u, first.kind) == (2.0, "bolus")
    assert isinstance(meal, Meal) and meal.carbs_g == 30.0
    assert isinstance(second, Insulin)
    basal = f"{_GLOOKO}Timestamp,Insulin Type,Duration (minutes),Percentage (%),Rate,Insulin Delivered (U)\n2026-01-01 00:00,Scheduled,60,,0.8,0.8\n"
    (one,) = events(basal, format="glooko")
    assert isinstance(one, Insulin) and one.kind == "basal"
    sums = f"{_GLOOKO}Timestamp,Total Bolus (U),Total Insulin (U),Total Basal (U)\n2026-01-01 00:00,20,40,20\n"
    assert events(sums, format="glooko") == [] and len(skipped(sums)) == 1


def test_glooko_in_german_and_dutch_is_read_and_its_manual_readings_are_fingersticks() -> None:
    german = (
        "Name:T,Datumsbereich:01.08.2026 - 03.08.2026\nZeitstempel,CGM-Glukosewert (mg/dl),Seriennummer\n"
        '01.08.2026 12:00,"100,5",S1\n'
    )
    (sensor,) = readings(german, BERLIN, "glooko")
    assert (sensor.value, sensor.method, sensor.time) == (100.5, "cgm", datetime(2026, 8, 1, 10, tzinfo=UTC))
    dutch = "Naam:T\nTijdstempel,Glucosewaarde (mmol/l),Handmatige meting\n2026-01-13 10:00,5.6,M\n"
    assert readings(dutch, BERLIN, "glooko")[0].method == "capillary"


def _carelink(*rows: str) -> str:
    heads = (
        "Index,Date,Time,New Device Time,BG Reading (mg/dL),Bolus Volume Delivered (U),BWZ Carb Input (grams),"
        "Sensor Glucose (mg/dL),Bolus Source"
    )
    return "\n".join([heads, *rows, ""])


def test_carelink_s_wizard_tells_meals_and_a_closed_loop_s_insulin_is_basal() -> None:
    content = _carelink(
        "0,7/25/21,00:32:40,,,,45,,",
        "1,7/25/21,00:32:50,,,4.5,,,CLOSED_LOOP_FOOD_BOLUS",
        "2,7/25/21,00:35:40,,,0.1,,,CLOSED_LOOP_MICRO_BOLUS",
        "3,7/25/21,00:36:40,,,,,118,",
    )
    meal, bolus, basal, sensor = events(content, format="carelink")
    assert isinstance(meal, Meal) and meal.carbs_g == 45.0
    assert isinstance(bolus, Insulin) and isinstance(basal, Insulin) and (bolus.kind, basal.kind) == ("bolus", "basal")
    assert isinstance(sensor, Reading) and sensor.time == datetime(2021, 7, 25, 0, 36, 40, tzinfo=UTC)
    sums = "-------,MiniMed 670G,Aggregated Auto Insulin Data,-------\n" + _carelink("0,7/25/21,00:00:00,,,22,,,")
    assert len(events(content + sums)) == 4


def test_tidepool_s_export_in_mg_dl_tells_minutes_and_days() -> None:
    told = {"time": "2024-03-04T07:00:00.000Z", "localTime": "2024-03-03T23:00:00.000Z", "deviceId": "D"}
    records = [
        {**told, "type": "cbg", "value": 112.4, "units": "mg/dL"},
        {**told, "type": "basal", "rate": 1.2, "duration": 60},
        {**told, "type": "physicalActivity", "duration": 0.03125},
        {**told, "type": "food", "nutrition": '{"carbohydrate":{"net":30}}'},
    ]
    sensor, basal, activity, meal = events(json.dumps(records), Choices(), "tidepool")
    assert isinstance(sensor, Reading) and (sensor.value, sensor.unit) == (112.4, "mg/dL")
    assert isinstance(basal, Insulin) and basal.dose_u == 1.2
    assert isinstance(activity, Exercise) and activity.duration_min == 45.0
    assert isinstance(meal, Meal) and meal.carbs_g == 30.0


def test_tidepool_s_workbook_is_told_by_its_sheet_of_errors_and_its_times_are_utc() -> None:
    at, local = datetime(2024, 3, 4, 7), datetime(2024, 3, 3, 23)  # noqa: DTZ001 - as a workbook has them
    book = workbook(
        {
            "EXPORT ERROR": [["Due to the size of your export …"]],
            "CGM": [
                ["Zulu Time", "Local Time", "Tidepool Data Type", "Value", "Units"],
                [at, local, "cbg", 112.0, "mg/dL"],
            ],
            "Basal": [
                ["Zulu Time", "Local Time", "Tidepool Data Type", "Duration (mins)", "Rate"],
                [at, local, "basal", 30.0, 1.2],
            ],
            "Upload": [["Zulu Time", "Tidepool Data Type"], [at, "upload"]],
        }
    )
    sensor, basal = events(book, Choices(), "tidepool-workbook")
    assert isinstance(sensor, Reading) and (sensor.value, sensor.unit) == (112.0, "mg/dL")
    assert sensor.time == datetime(2024, 3, 4, 7, tzinfo=UTC)
    assert isinstance(basal, Insulin) and basal.dose_u == 0.6
    assert len(skipped(book)) == 1


def test_of_a_workbook_the_sheet_with_most_rows_is_read() -> None:
    at = datetime(2024, 3, 4, 7)  # noqa: DTZ001
    nothing: Sheet = []
    described: Sheet = [["姓名", "X"]]
    data: Sheet = [["患者血糖记录"], ["时间", "血糖值(mmol/L)"], [at, 6.2], [45355.5, 6.4]]
    for sheets in ({"说明": described, "数据": data}, {"数据": data, "空": nothing}):
        first, second = readings(workbook(sheets), BERLIN, "table")
        assert (first.value, first.time) == (6.2, datetime(2024, 3, 4, 6, tzinfo=UTC))
        assert second.time == datetime(2024, 3, 4, 11, tzinfo=UTC)


def test_nightscout_is_read_as_mongoexport_and_its_third_api_write_it() -> None:
    lines = (
        '{"_id":{"$oid":"6a"},"sgv":112,"date":{"$numberLong":"1709535600000"},"type":"sgv"}\n'
        '{"_id":{"$oid":"6b"},"sgv":118,"date":1.7095359e12,"type":"sgv"}\n'
    )
    first, second = readings(lines, Choices(), "nightscout")
    assert (first.time, second.value) == (datetime(2024, 3, 4, 7, tzinfo=UTC), 118.0)
    answer = {"status": 200, "result": [{"sgv": 6.2, "units": "mmol", "date": 1_709_535_600_000, "type": "sgv"}]}
    (one,) = readings(json.dumps(answer), Choices(), "nightscout")
    assert (one.value, one.unit) == (6.2, "mmol/L")
    with pytest.raises(BadInput, match="line 3, column"):
        items(lines + '{"_id":')


def test_health_connect_s_records_may_stand_in_several_arrays_of_an_object() -> None:
    told = {
        "bloodGlucose": [
            {
                "time": "2024-03-04T07:00:00Z",
                "level": {"inMillimolesPerLiter": 6.2},
                "specimenSource": "INTERSTITIAL_FLUID",
            }
        ],
        "nutrition": [{"startTime": "2024-03-04T07:10:00Z", "totalCarbohydrate": {"inGrams": 45}}],
        "exported": "2024-03-05",
    }
    sensor, meal = events(json.dumps(told), Choices(), "health-connect")
    assert isinstance(sensor, Reading) and (sensor.value, sensor.method) == (6.2, "cgm")
    assert isinstance(meal, Meal) and meal.carbs_g == 45.0


def test_apple_health_of_ios_16_is_read_though_its_dtd_and_its_signs_are_no_xml() -> None:
    content = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE HealthData [\n<!ELEMENT HealthData (Record)*>\n'
        "<!ATTLIST VisionPrescription\n  type CDATA #REQUIRED\n<!ELEMENT RightEye EMPTY>\n device CDATA #IMPLIED\n]>\n"
        '<HealthData locale="de_DE">\n'
        ' <Record type="HKQuantityTypeIdentifierBloodGlucose" sourceName="G\x0b6" unit="mg/dL" '
        'startDate="2024-08-11 21:34:30 +0200" value="{value}"/>\n</HealthData>\n'
    )
    (one,) = readings(content.replace("{value}", "112"), Choices(), "apple-health")
    assert one.value == 112.0
    with pytest.raises(BadInput, match="line 10, column"):  # lines are those of the file
        items(content.replace("{value}", "112")[:-20].replace("<Record", "<Record <"))


def test_a_diary_may_tell_the_time_of_some_meals_and_part_thousands() -> None:
    diary = (
        "Date,Meal,Time,Calories,Carbohydrates (g)\n2026-09-01,Breakfast,8:02 AM,420.5,55\n"
        '2026-09-01,Dinner,,"1,020",90\n2026-09-01,Daily Total,,1440,145\n'
    )
    first, second = (one for one in items(diary, BERLIN, "myfitnesspal") if isinstance(one, Found))
    assert (first.assumed, second.assumed) == (False, True)
    assert first.event.time == datetime(2026, 9, 1, 6, 2, tzinfo=UTC)
    assert isinstance(second.event, Meal) and second.event.energy_kcal == 1020.0
    (comma,) = events('Date,Meal,Carbohydrates (g)\n2026-09-01,Lunch,"12,5"\n', BERLIN, "myfitnesspal")
    assert isinstance(comma, Meal) and comma.carbs_g == 12.5


@pytest.mark.parametrize(
    ("told", "instant"),
    [
        ("45355.291666667", "2024-03-04T06:00:00+00:00"),  # a spreadsheet's days, local
        ("1709535600", "2024-03-04T07:00:00+00:00"),
        ("1709535600000", "2024-03-04T07:00:00+00:00"),
        ('"Mar 4, 2024 7:00 AM"', "2024-03-04T06:00:00+00:00"),
        ("2024年3月4日 上午7:00", "2024-03-04T06:00:00+00:00"),
        ("3/14/24 7:00", "2024-03-14T06:00:00+00:00"),
        ("04.03.2024 07:00", "2024-03-04T06:00:00+00:00"),
        ("14-Mar-24 07:00", "2024-03-14T06:00:00+00:00"),
    ],
)
def test_a_time_is_read_however_it_is_written(told: str, instant: str) -> None:
    (one,) = readings(f"time,glucose mg/dL\n{told},112\n", BERLIN)
    assert one.time.isoformat() == instant


@pytest.mark.parametrize("told", ["24/03/11 07:00", "11/12/13 07:00"])
def test_a_year_of_two_digits_that_could_stand_first_is_refused_with_the_readings(told: str) -> None:
    with pytest.raises(BadInput, match=r"--date-order dmy\).*--date-order ymd"):
        readings(f"time,glucose mg/dL\n{told},112\n", BERLIN)


def test_a_small_number_is_no_time() -> None:
    with pytest.raises(BadInput, match="line 2, column time"):
        readings("time,glucose mg/dL\n1234,112\n", BERLIN)


def test_a_word_for_nothing_is_no_value_and_the_line_is_told() -> None:
    content = "time,glucose_mg_dl\n2024-03-04 07:00,NA\n2024-03-04 07:05,118\n2024-03-04 07:10,--\n"
    assert [one.value for one in readings(content)] == [118.0]
    assert [one.line for one in skipped(content)] == [2, 4]


@pytest.mark.parametrize("carbs", ["1e999", '"inf"', '"nan"'])
def test_a_number_without_end_is_refused(carbs: str) -> None:
    food = '[{"type":"food","time":"2024-03-04T07:00:00Z","uploadId":"u","nutrition":"{\\"carbohydrate\\":{\\"net\\":%s}}"}]'
    with pytest.raises(BadInput, match="field net: expected a number"):
        items(food % carbs.replace('"', '\\"'))


def test_a_time_with_a_control_sign_behind_it_is_read() -> None:
    assert len(readings("time,glucose mg/dL\n1709535600\x1f,112\n")) == 1


def test_nothing_at_all_is_refused_as_a_format_that_was_said() -> None:
    for name in ("nightscout", "tidepool", "health-connect", "records", "huawei"):
        with pytest.raises(BadInput):
            list(format_named(name).read(io.BytesIO(b""), BERLIN))
