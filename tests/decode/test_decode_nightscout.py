"""What apps send to Nightscout's API, and what they read from it."""

from datetime import UTC, datetime

import numpy as np
import pytest

from islet.decode.nightscout import documents_in, events_of, with_id
from islet.decode.nightscout_answers import MOST, entries_of, query_of, treatments_of
from islet.errors import BadInput
from islet.model.events import AnyEvent, DeviceStatus, Exercise, Hba1c, Insulin, Meal, Medication, Note, Reading
from islet.model.series import Series
from islet.model.time import DAY_US, MINUTE_US, to_us

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
AT_US = to_us(AT)
AT_MS = AT_US // 1000
NOW_US = AT_US + 3 * MINUTE_US
RECEIVED = datetime(2026, 11, 21, 8, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {
                "type": "sgv",
                "sgv": 112,
                "date": AT_MS,
                "dateString": "2026-11-21T09:00:00.000+0100",
                "direction": "Flat",
            },
            [Reading(time=AT, value=112, unit="mg/dL")],
        ),
        ({"type": "sgv", "sgv": "112", "date": AT_MS}, [Reading(time=AT, value=112, unit="mg/dL")]),
        ({"type": "sgv", "sgv": 6.2, "units": "mmol", "date": AT_MS}, [Reading(time=AT, value=6.2, unit="mmol/L")]),
        ({"sgv": 112, "dateString": "2026-11-21T16:00:00+08:00"}, [Reading(time=AT, value=112, unit="mg/dL")]),
        ({"type": "mbg", "mbg": 98, "date": AT_MS}, [Reading(time=AT, value=98, unit="mg/dL", method="capillary")]),
        ({"type": "cal", "slope": 850.1, "intercept": 30000, "scale": 1, "date": AT_MS}, []),
        ({"type": "sgv", "sgv": 5, "date": AT_MS}, [DeviceStatus(time=AT, status="calibration_needed")]),
        ({"type": "sgv", "sgv": 10, "date": AT_MS}, [DeviceStatus(time=AT, status="signal_lost")]),
    ],
)
def test_entries_are_readings_or_what_the_sensor_says_instead(
    document: dict[str, object], expected: list[object]
) -> None:
    assert events_of("entries", document, RECEIVED) == expected


@pytest.mark.parametrize(
    "document",
    [
        {"type": "sgv", "sgv": 112},
        {"type": "sgv", "sgv": "many", "date": AT_MS},
        {"type": "sgv", "date": AT_MS},
        {"type": "sgv", "sgv": 112, "dateString": "2026-11-21T08:00:00"},
        {"type": "sgv", "sgv": 112, "date": 10**30},
        {"type": "sgv", "sgv": 112, "units": "stone", "date": AT_MS},
    ],
)
def test_an_entry_that_cannot_be_read_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        events_of("entries", document, RECEIVED)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            {"eventType": "Meal Bolus", "created_at": "2026-11-21T08:00:00Z", "carbs": 40, "insulin": "4.5"},
            [Insulin(time=AT, dose_u=4.5, kind="bolus", name="Meal Bolus"), Meal(time=AT, carbs_g=40)],
        ),
        (
            {"eventType": "Correction Bolus", "created_at": "2026-11-21T08:00:00Z", "insulin": 1.2},
            [Insulin(time=AT, dose_u=1.2, kind="correction", name="Correction Bolus")],
        ),
        (  # xDrip4iOS
            {"eventType": "Bolus", "insulin": 4, "eventTime": "2026-11-21T08:00:00.000Z", "enteredBy": "xDrip4iOS"},
            [Insulin(time=AT, dose_u=4, kind="bolus", name="Bolus")],
        ),
        (  # Juggluco
            {"eventType": "<none>", "notes": "Long-Acting", "insulin": 20, "insulinType": "evening", "mills": AT_MS},
            [Insulin(time=AT, dose_u=20, kind="basal", name="evening"), Note(time=AT, text="Long-Acting")],
        ),
        (  # xDrip, where several insulins are set up
            {
                "eventType": "<none>",
                "insulin": 24,
                "insulinInjections": '[{"insulin":"Lantus","units":20.0},{"insulin":"Novorapid","units":4.0}]',
                "mills": AT_MS,
            },
            [
                Insulin(time=AT, dose_u=20, kind="basal", name="Lantus"),
                Insulin(time=AT, dose_u=4, kind="bolus", name="<none>"),
            ],
        ),
        (
            {"eventType": "<none>", "insulin": 4, "insulinInjections": "[]", "mills": AT_MS},
            [Insulin(time=AT, dose_u=4, kind="bolus", name="<none>")],
        ),
        (  # Loop
            {"eventType": "Correction Bolus", "insulin": 2, "insulinType": "Humalog", "mills": AT_MS},
            [Insulin(time=AT, dose_u=2, kind="correction", name="Correction Bolus")],
        ),
        ({"eventType": "<none>", "carbs": 15, "mills": AT_MS}, [Meal(time=AT, carbs_g=15)]),
        ({"carbs": 15}, [Meal(time=RECEIVED, carbs_g=15)]),
        (
            {"eventType": "Exercise", "duration": 30, "created_at": "2026-11-21T08:00:00Z"},
            [Exercise(time=AT, duration_min=30)],
        ),
        ({"eventType": "Sensor Change", "created_at": "2026-11-21T08:00:00Z"}, [Note(time=AT, text="Sensor Change")]),
        ({"eventType": "Note", "notes": "tired", "created_at": "2026-11-21T08:00:00Z"}, [Note(time=AT, text="tired")]),
        ({"eventType": "Temp Basal", "rate": 0.5, "duration": 30, "created_at": "2026-11-21T08:00:00Z"}, []),
        (
            {
                "eventType": "BG Check",
                "glucose": 6.1,
                "glucoseType": "Finger",
                "units": "mmol",
                "created_at": "2026-11-21T08:00:00Z",
            },
            [Reading(time=AT, value=6.1, unit="mmol/L", method="capillary")],
        ),
        (  # xDrip4iOS
            {
                "eventType": "BG Check",
                "glucose": 110,
                "glucoseType": "Finger: 6,1 mmol",
                "units": "mg/dl",
                "mills": AT_MS,
            },
            [Reading(time=AT, value=110, unit="mg/dL", method="capillary")],
        ),
        (  # Trio, iAPS
            {"eventType": "BG Check", "glucose": "110", "glucoseType": "Manual", "units": "mg/dl", "mills": AT_MS},
            [Reading(time=AT, value=110, unit="mg/dL", method="capillary")],
        ),
        (  # Trio on a phone in German
            {"eventType": "BG Check", "glucose": "6,1", "glucoseType": "Manual", "units": "mmol", "mills": AT_MS},
            [Reading(time=AT, value=6.1, unit="mmol/L", method="capillary")],
        ),
        (
            {"eventType": "BG Check", "glucose": 110, "glucoseType": "Sensor", "units": "mg/dl", "mills": AT_MS},
            [Note(time=AT, text="BG Check")],
        ),
    ],
)
def test_treatments_are_what_people_did(document: dict[str, object], expected: list[object]) -> None:
    assert events_of("treatments", document, RECEIVED) == expected


@pytest.mark.parametrize(
    ("document", "percent"),
    [
        ({"device": "phone", "uploader": {"battery": 71, "type": "PHONE"}}, 71),
        ({"uploaderBattery": 40}, 40),
        ({"uploader": {"battery": 12, "type": "BRIDGE"}}, None),
        ({"uploader": {"battery": "50 days (voltage: 285/275)", "type": "DEXCOM_TRANSMITTER"}}, None),
        ({"uploaderBattery": False}, None),
        ({"uploader": {"battery": -1}}, None),
        ({"pump": {"reservoir": 120}, "loop": {"iob": {"iob": 1.1}}}, None),
    ],
)
def test_of_a_devices_status_the_battery_is_taken(document: dict[str, object], percent: float | None) -> None:
    expected = [] if percent is None else [DeviceStatus(time=RECEIVED, battery_percent=percent)]
    assert events_of("devicestatus", document, RECEIVED) == expected


def test_a_request_brings_one_document_or_many_and_nothing_else() -> None:
    assert documents_in(b'{"sgv": 100}') == [{"sgv": 100}] == documents_in(b'[{"sgv": 100}]')
    assert documents_in(b"[]") == []
    for body in (b"", b"7", b'"x"', b"[1]", b"null", b"[" * 100_000, b"{" * 5, b"\xff"):
        with pytest.raises(BadInput):
            documents_in(body)


def test_an_id_is_the_senders_or_always_the_same() -> None:
    assert with_id({"_id": "abc", "sgv": 1}) == {"_id": "abc", "sgv": 1}
    assert (
        with_id({"a": 1, "sgv": 1})["_id"] == with_id({"sgv": 1, "a": 1})["_id"] != with_id({"sgv": 2, "a": 1})["_id"]
    )


def series(*rows: tuple[int, int, int]) -> Series:
    minutes, tenths, beyond = zip(*rows, strict=True)
    return Series(
        time_us=AT_US + np.array(minutes, np.int64) * MINUTE_US,
        glucose_tenths=np.array(tenths, np.int32),
        range=np.array(beyond, np.int8),
    )


def test_readings_are_entries_the_newest_first_with_their_arrows() -> None:
    found = entries_of(
        series(
            (0, 1000, 0),
            (5, 1024, 0),
            (10, 1100, 0),
            (15, 1210, 0),
            (20, 1370, 0),
            (25, 1300, 0),
            (60, 400, -1),
            (65, 4000, 1),
        ),
        "phone",
        "sgv",
    )
    assert [(one["sgv"], one["delta"], one["direction"]) for one in found] == [
        (401, 362, "DoubleUp"),
        (39, 0, "NONE"),
        (130, -7, "FortyFiveDown"),
        (137, 16, "DoubleUp"),
        (121, 11, "SingleUp"),
        (110, 8, "FortyFiveUp"),
        (102, 2, "Flat"),
        (100, 0, "NONE"),
    ]
    oldest = found[-1]
    assert (oldest["date"], oldest["dateString"], oldest["type"]) == (AT_MS, "2026-11-21T08:00:00.000Z", "sgv")
    assert len({one["_id"] for one in found}) == len(found) and all(len(str(one["_id"])) == 24 for one in found)
    newest = entries_of(series((0, 1000, 0), (5, 1024, 0), (10, 1100, 0)), "phone", "sgv", 2)
    assert [(one["sgv"], one["delta"]) for one in newest] == [(110, 8), (102, 2)]
    [finger] = entries_of(series((0, 985, 0)), "meter", "mbg")
    assert (finger["mbg"], finger["type"], "direction" in finger) == (98, "mbg", False)


def test_what_people_did_is_treatments_and_only_what_acts_at_once_is_insulin() -> None:
    events: list[AnyEvent] = [
        Meal(time=AT, carbs_g=40, text="rice"),
        Insulin(time=AT, dose_u=4, kind="bolus"),
        Insulin(time=AT, dose_u=1, kind="correction"),
        Insulin(time=AT, dose_u=20, kind="basal", name="glargine"),
        Insulin(time=AT, dose_u=6, kind="unknown"),
        Exercise(time=AT, duration_min=30, kind="run"),
        Medication(time=AT, name="metformin", dose=500, dose_unit="mg"),
        Note(time=AT, text="tired"),
        Hba1c(time=AT, value=7.1, unit="%"),
    ]
    found = treatments_of([(f"device-{n}", event) for n, event in enumerate(events)])
    assert [(one["eventType"], one.get("insulin"), one.get("carbs"), one.get("notes")) for one in found] == [
        ("Carb Correction", None, 40, "rice"),
        ("Bolus", 4, None, None),
        ("Correction Bolus", 1, None, None),
        ("Note", None, None, "basal 20 U glargine"),
        ("Note", None, None, "unknown 6 U"),
        ("Exercise", None, None, "run"),
        ("Note", None, None, "metformin 500 mg"),
        ("Note", None, None, "tired"),
    ]
    assert {one["created_at"] for one in found} == {"2026-11-21T08:00:00.000Z"}
    assert [one["enteredBy"] for one in found[:2]] == ["device-0", "device-1"]


def test_what_was_one_treatment_is_told_as_one() -> None:
    rice, dose = Meal(time=AT, carbs_g=40, text="rice"), Insulin(time=AT, dose_u=4, kind="bolus", name="<none>")
    later = Insulin(time=RECEIVED, dose_u=4, kind="bolus", name="Novorapid")
    long = Insulin(time=AT, dose_u=20, kind="basal", name="Lantus")

    def told(*events: AnyEvent) -> list[tuple[object, ...]]:
        found = treatments_of([("phone", event) for event in events])
        assert len({one["_id"] for one in found}) == len(found)
        return [(one["eventType"], one.get("insulin"), one.get("carbs"), one.get("notes")) for one in found]

    assert told(later, dose, rice) == [("Bolus", 4, None, "Novorapid"), ("Meal Bolus", 4, 40, "rice")]
    assert told(dose, Note(time=AT, text="tired")) == [("Bolus", 4, None, "tired")]
    assert told(dose, long) == [("Bolus", 4, None, "basal 20 U Lantus")]
    assert told(dose, dose) == [("Bolus", 4, None, None), ("Bolus", 4, None, None)]
    assert told(rice, Note(time=AT, text="tired")) == [
        ("Carb Correction", None, 40, "rice"),
        ("Note", None, None, "tired"),
    ]
    assert len(treatments_of([("phone", dose), ("pen", rice)])) == 2


def test_a_query_says_from_when_until_when_how_many_and_which() -> None:
    usual = query_of([], NOW_US)
    assert (usual.to_us - usual.from_us, usual.count, dict(usual.equal)) == (4 * DAY_US, 10, {})
    asked = query_of(
        [
            ("count", "288"),
            ("find[date][$gte]", str(AT_MS)),
            ("find[dateString][$lt]", "2026-11-21T09:00:00Z"),
            ("find[type]", "sgv"),
            ("token", "x"),
        ],
        NOW_US,
    )
    assert (asked.from_us, asked.to_us, asked.count) == (AT_US, AT_US + 60 * MINUTE_US, 288)
    assert dict(asked.equal) == {"type": "sgv"}
    assert query_of([("find[date][$gte]", f"{AT_MS}.5")], NOW_US).from_us == AT_US + 500
    others = query_of([("find[type][$ne]", "cal"), ("find[type][$ne]", "mbg"), ("count", "3")], NOW_US)
    assert ([one for one in ("sgv", "mbg", "cal") if others.takes(one)], others.most) == (["sgv"], 3)
    assert query_of([("find[device]", "x")], NOW_US).most == MOST
    assert query_of([("find[created_at][$gt]", "2026-11-21T08:00:00.000Z")], NOW_US).from_us == AT_US + 1
    assert query_of([("count", "99999999")], NOW_US).count == MOST == query_of([("count", "0")], NOW_US).count
    assert query_of([("find[date][$gte]", "0")], NOW_US).from_us == NOW_US + DAY_US - 366 * DAY_US


@pytest.mark.parametrize(
    "parameter",
    [
        ("count", "-1"),
        ("count", "1e3"),
        ("count", "9" * 5000),
        ("find[date][$gte]", "yesterday"),
        ("find[date][$gte]", "9" * 400),
        ("find[sgv][$where]", "120"),
        ("find[date][$where]", "1"),
        ("find[date][$in]", "1"),
        ("find[notes][$regex]", "(a+)+$"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(parameter: tuple[str, str]) -> None:
    with pytest.raises(BadInput):
        query_of([parameter], NOW_US)
