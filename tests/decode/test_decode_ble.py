"""Bluetooth's glucose characteristics: public vectors, what was encoded comes back, and any octets give one clear error."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.ble_cgm import (
    CgmFeature,
    CgmMeasurement,
    CgmSensorStatus,
    CgmSessionStart,
    CgmStatus,
    decode_feature,
    decode_measurements,
    decode_run_time,
    decode_session_start,
    decode_status,
    encode_session_start,
)
from islet.decode.ble_control import (
    OPERANDS,
    Op,
    Operator,
    Outcome,
    RecordCount,
    RecordOp,
    RecordRequest,
    RecordResponse,
    decode_answer,
    decode_op_answer,
    decode_request,
    encode_op,
    encode_request,
)
from islet.decode.ble_events import meter_events, sensor_events, sensor_status, utc
from islet.decode.ble_glucose import (
    GlucoseContext,
    GlucoseMeasurement,
    GlucoseStatus,
    decode_context,
    decode_measurement,
)
from islet.decode.ble_numbers import crc, float_32, sfloat
from islet.errors import ProtocolError
from islet.model.codec import decode_event, encode_event
from islet.model.events import DeviceStatus, Exercise, Meal, Note, Reading
from tests.decode import ble_encoder as encoder

EARLIEST = datetime(1990, 1, 1)  # noqa: DTZ001 - devices have local times

numbers = st.builds(
    lambda mantissa, exponent: Decimal(mantissa).scaleb(exponent), st.integers(-2045, 2045), st.integers(-8, 7)
).filter(lambda number: number.as_tuple().exponent in range(-8, 8))
some = st.none() | numbers
times = st.datetimes(EARLIEST, EARLIEST.replace(year=2100)).map(lambda time: time.replace(microsecond=0))
numbered = st.integers(0, 0xFFFF)
octet, nibble = st.integers(0, 255), st.integers(0, 15)

MEASUREMENTS = st.builds(
    GlucoseMeasurement,
    sequence=numbered,
    local_time=times,
    concentration=numbers,
    unit=st.sampled_from(["kg/L", "mol/L"]),
    sample=nibble,
    site=nibble,
    status=st.integers(0, 0xFFF).map(GlucoseStatus),
    context_follows=st.booleans(),
)
CGM = st.builds(
    CgmMeasurement,
    offset_min=numbered,
    glucose_mg_dl=numbers,
    status=st.sets(st.sampled_from(list(CgmStatus))).map(lambda flags: CgmStatus(sum(flags))),
    trend_mg_dl_per_min=some,
    quality_percent=some,
)


# --- public vectors: of Nordic Semiconductor's library for Android, and of the catalogue of CRCs ---


def test_the_checksum_is_the_published_one() -> None:
    assert crc(b"123456789") == 0x6F91
    assert crc(bytes([0x3E, *range(1, 10)])) == 0x2F01


def test_a_full_cgm_measurement_is_read_as_published() -> None:
    [one] = decode_measurements(bytes.fromhex("0fe3d2e405000214ff02f0e5f38e3f"), has_crc=True)
    assert one.glucose_mg_dl == Decimal("12.34")
    assert one.offset_min == 5
    assert one.status == CgmStatus.BATTERY_LOW | CgmStatus.CALIBRATION_RECOMMENDED | CgmStatus.TOO_WARM | CgmStatus(
        0xFF << 16
    )
    assert one.trend_mg_dl_per_min == Decimal("0.2")
    assert one.quality_percent == Decimal("99.7")


def test_two_cgm_measurements_come_in_one_notification() -> None:
    small = bytes.fromhex("06000c100600")
    many = decode_measurements(small * 2, has_crc=False)
    assert [(float(one.glucose_mg_dl), one.offset_min) for one in many] == [(120.0, 6)] * 2


def test_a_meters_measurement_is_read_as_published() -> None:
    one = decode_measurement(bytes.fromhex("1b0100e307021b0b0a1efbff1e00120501"))
    assert one.sequence == 1
    assert str(one.local_time) == "2019-02-27 11:05:30"  # five minutes before the base time
    assert one.concentration == 30
    assert one.unit == "kg/L"
    assert (one.sample, one.site) == (2, 1)
    assert one.status == GlucoseStatus(261)
    assert one.context_follows


@pytest.mark.parametrize(
    ("octets", "value"),
    [("ff07", "NaN"), ("0008", "NaN"), ("fe07", "Infinity"), ("0208", "-Infinity"), ("fff7", "204.7")],
)
def test_special_numbers_are_special_without_an_exponent_only(octets: str, value: str) -> None:
    assert str(sfloat(bytes.fromhex(octets))) == value


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("ffff7f00", "NaN"),
        ("00008000", "NaN"),
        ("feff7f00", "Infinity"),
        ("02008000", "-Infinity"),
        ("6c0100ff", "36.4"),
    ],
)
def test_numbers_of_four_octets_are_what_ieee_11073_says(octets: str, value: str) -> None:
    assert str(float_32(bytes.fromhex(octets))) == value


@pytest.mark.parametrize("decode", [lambda: sfloat(b"\x01\x08"), lambda: float_32(b"\x01\x00\x80\x00")])
def test_the_reserved_number_is_an_error(decode: Callable[[], Decimal]) -> None:
    with pytest.raises(ProtocolError, match="reserved"):
        decode()


# --- round trips ---


@given(MEASUREMENTS)
def test_a_meters_measurement_comes_back(one: GlucoseMeasurement) -> None:
    assert decode_measurement(encoder.meter(one)) == one


@given(MEASUREMENTS, st.integers(-1440, 1440))
def test_a_meters_offset_moves_its_time(one: GlucoseMeasurement, offset_min: int) -> None:
    assert one.local_time is not None
    assert decode_measurement(encoder.meter(one, offset_min)).local_time == one.local_time + timedelta(
        minutes=offset_min
    )


@given(
    st.builds(
        GlucoseContext,
        sequence=numbered,
        carbohydrate=octet,
        carbohydrate_kg=some,
        meal=st.none() | octet,
        tester=nibble,
        health=st.none() | nibble,
        exercise_s=st.none() | st.integers(0, 0xFFFE),
        exercise_percent=octet,
        medication=octet,
        medication_dose=some,
        medication_unit=st.sampled_from(["kg", "L"]),
        hba1c_percent=some,
    )
)
def test_a_context_comes_back(one: GlucoseContext) -> None:
    again = decode_context(encoder.context(one))
    assert encoder.context(again) == encoder.context(one)
    assert (
        again.carbohydrate_kg,
        again.meal,
        again.health,
        again.exercise_s,
        again.medication_dose,
        again.hba1c_percent,
    ) == (
        one.carbohydrate_kg,
        one.meal,
        one.health,
        one.exercise_s,
        one.medication_dose,
        one.hba1c_percent,
    )


@given(st.lists(CGM, min_size=1, max_size=4), st.booleans())
def test_cgm_measurements_come_back(many: list[CgmMeasurement], has_crc: bool) -> None:
    octets = b"".join(encoder.sensor(one, has_crc=has_crc) for one in many)
    assert decode_measurements(octets, has_crc=has_crc) == many


@given(st.integers(0, 0xFFFFFF), nibble, nibble)
def test_a_feature_comes_back(flags: int, sample: int, site: int) -> None:
    one = CgmFeature(flags=flags, sample=sample, site=site)
    assert decode_feature(encoder.feature(one)) == one


@given(numbered, times, st.integers(-48, 56), st.booleans())
def test_what_a_sensor_tells_of_its_session_comes_back(
    offset_min: int, time: datetime, quarters: int, has_crc: bool
) -> None:
    state = CgmSensorStatus(offset_min=offset_min, status=CgmStatus.SESSION_STOPPED)
    assert decode_status(encoder.status(state, has_crc=has_crc), has_crc=has_crc) == state
    start = CgmSessionStart(local_time=time, ahead=timedelta(minutes=15 * quarters))
    assert decode_session_start(encoder.session_start(start, has_crc=has_crc), has_crc=has_crc) == start
    assert decode_session_start(encode_session_start(time, has_crc=has_crc), has_crc=has_crc).utc == time
    hours = encoder.checked((336).to_bytes(2, "little"), has_crc)
    assert decode_run_time(hours, has_crc=has_crc) == timedelta(days=14)


@given(st.sampled_from([RecordOp.REPORT, RecordOp.COUNT]), st.sampled_from(list(Operator)), numbered, numbered)
def test_a_record_request_comes_back(op: RecordOp, operator: Operator, first: int, last: int) -> None:
    one = RecordRequest(op=op, operator=operator, bounds=(first, last)[: OPERANDS.get(operator, 0)])
    assert decode_request(encode_request(one)) == one


@given(st.sampled_from(list(RecordOp)), st.sampled_from([*Outcome, None]), numbered)
def test_a_record_answer_comes_back(op: RecordOp, outcome: Outcome | None, count: int) -> None:
    for one in (RecordResponse(op=op, outcome=outcome), RecordCount(count)):
        assert decode_answer(encoder.answer(one)) == one


def test_a_sensors_operations_are_answered() -> None:
    assert encode_op(Op.START_SESSION, has_crc=False) == b"\x1a"
    assert decode_op_answer(encoder.checked(b"\x1c\x1a\x01", True), has_crc=True).outcome == 1
    assert decode_op_answer(b"\x03\x05", has_crc=False).interval_min == 5
    assert decode_op_answer(b"\x0c" + encoder.number(Decimal(70)), has_crc=False).limit == 70
    octets = b"\x06" + encoder.number(Decimal(101)) + bytes.fromhex("0a00 15 1400 0300 02")
    calibration = decode_op_answer(octets, has_crc=False).calibration
    assert calibration is not None
    assert calibration.glucose_mg_dl == 101
    assert (calibration.at_min, calibration.next_at_min) == (10, 20)
    assert (calibration.sample, calibration.site, calibration.record, calibration.status) == (5, 1, 3, 2)


# --- what is wrong ---

DECODERS: list[Callable[[bytes], object]] = [
    decode_measurement,
    decode_context,
    decode_feature,
    decode_request,
    decode_answer,
    *(
        lambda octets, decode=decode, has_crc=has_crc: decode(octets, has_crc=has_crc)
        for decode in (decode_measurements, decode_status, decode_session_start, decode_run_time, decode_op_answer)
        for has_crc in (False, True)
    ),
]


@given(st.sampled_from(DECODERS), st.binary(max_size=40))
def test_any_octets_are_understood_or_a_protocol_error(decode: Callable[[bytes], object], octets: bytes) -> None:
    try:
        decode(octets)
    except ProtocolError as error:
        assert str(error)


@given(MEASUREMENTS, st.integers(0, 30))
def test_a_measurement_cut_short_or_too_long_is_refused(one: GlucoseMeasurement, length: int) -> None:
    octets = encoder.meter(one)
    for wrong in (octets[: min(length, len(octets) - 1)], octets + b"\0"):
        with pytest.raises(ProtocolError, match="octets"):
            decode_measurement(wrong)


@given(CGM, st.data())
def test_one_changed_bit_is_seen_by_the_checksum(one: CgmMeasurement, data: st.DataObject) -> None:
    octets = bytearray(encoder.sensor(one, has_crc=True))
    bit = data.draw(st.integers(8, 8 * len(octets) - 1))  # the size is checked before
    octets[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError, match="checksum"):
        decode_measurements(bytes(octets), has_crc=True)


# --- events ---

VIENNA = ZoneInfo("Europe/Vienna")
AT = datetime(2026, 11, 21, 8, 3)  # noqa: DTZ001
INSTANT = datetime(2026, 11, 21, 7, 3, tzinfo=UTC)


def meter(concentration: str | None = "0.0067", **fields: Any) -> GlucoseMeasurement:
    told = {"sequence": 1, "local_time": AT, "unit": "mol/L", "sample": 1, "site": 1, **fields}
    return GlucoseMeasurement(concentration=None if concentration is None else Decimal(concentration), **told)


@pytest.mark.parametrize(
    ("concentration", "unit", "value", "known_as"),
    [("0.0067", "mol/L", 6.7, "mmol/L"), ("0.00112", "kg/L", 112.0, "mg/dL"), ("29E-4", "mol/L", 2.9, "mmol/L")],
)
def test_a_meters_value_keeps_its_unit_to_the_digit(concentration: str, unit: str, value: float, known_as: str) -> None:
    told = meter_events(meter(concentration, unit=unit), None, VIENNA)
    assert told.events == (Reading(time=INSTANT, value=value, unit=known_as, method="capillary"),)


def test_control_solution_is_no_reading() -> None:
    for one in (meter(sample=10), meter(site=4)):
        assert meter_events(one, None, VIENNA).events == ()


def test_a_meter_without_clock_tells_nothing() -> None:
    assert meter_events(meter(local_time=None), None, VIENNA).left_out
    assert meter_events(meter(status=GlucoseStatus.TIME_FAULT), None, VIENNA).events == ()


@pytest.mark.parametrize("year", [0, 1, 1581, 1582, 9998, 9999, 65535])
@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/Los_Angeles"])
def test_a_clock_that_was_never_set_ends_nothing(year: int, zone: str) -> None:
    """An OverflowError of one record ended the bridge, at each start again."""
    edge = "0101000000" if year < 2000 else "0c1f173b3b"
    octets = bytes.fromhex("060100" + year.to_bytes(2, "little").hex() + edge + "43c011")
    told = meter_events(decode_measurement(octets), None, ZoneInfo(zone))
    assert bool(told.events) == (1582 <= year <= 9998)
    for quarters in (56, -48):
        stated = octets[3:10] + quarters.to_bytes(1, "little", signed=True) + bytes(1)
        start = decode_session_start(stated, has_crc=False)
        assert (start.utc is None) == (not 1582 <= year <= 9998)


def test_a_measurement_that_went_wrong_is_a_status() -> None:
    told = meter_events(meter(status=GlucoseStatus.SAMPLE_TOO_SMALL), None, VIENNA)
    assert told.events == (DeviceStatus(time=INSTANT, status="sensor_failed"),)


def test_low_and_high_without_a_value_are_readings_at_a_limit() -> None:
    [low] = meter_events(meter(None, status=GlucoseStatus.BELOW_RANGE), None, VIENNA).events
    assert low == Reading(time=INSTANT, value=2.2, unit="mmol/L", method="capillary", range="below")
    [high] = sensor_events(CgmMeasurement(offset_min=5, glucose_mg_dl=Decimal("Infinity")), INSTANT).events
    assert high == Reading(time=INSTANT + timedelta(minutes=5), value=400, unit="mg/dL", range="above")
    assert sensor_events(CgmMeasurement(offset_min=5, glucose_mg_dl=Decimal("NaN")), INSTANT).events == ()


def test_a_context_is_a_meal_a_bout_of_exercise_and_notes() -> None:
    context = GlucoseContext(
        sequence=1,
        carbohydrate=2,
        carbohydrate_kg=Decimal("0.054"),
        exercise_s=1800,
        exercise_percent=60,
        medication=1,
        medication_dose=Decimal("5E-5"),
        medication_unit="L",
        hba1c_percent=Decimal("6.5"),
    )
    _, *others = meter_events(meter(), context, VIENNA).events
    assert others == [
        Meal(time=INSTANT, carbs_g=54, text="lunch"),
        Exercise(time=INSTANT, duration_min=30),
        Note(time=INSTANT, text="rapid-acting insulin: 0.05 mL"),
        Note(time=INSTANT, text="HbA1c: 6.5 %"),
    ]


def test_the_worst_of_a_sensors_states_is_told() -> None:
    stopped = CgmStatus.SESSION_STOPPED | CgmStatus.CALIBRATION_REQUIRED
    assert sensor_status(stopped) == "sensor_expired"
    assert sensor_status(stopped | CgmStatus.MALFUNCTION) == "sensor_failed"
    assert sensor_status(CgmStatus.BATTERY_LOW) == "ok"
    failed = CgmMeasurement(offset_min=5, glucose_mg_dl=Decimal(100), status=CgmStatus.MALFUNCTION)
    assert sensor_events(failed, INSTANT).events == ()


@given(MEASUREMENTS, CGM)
def test_every_event_of_a_record_is_one_that_can_be_sent(one: GlucoseMeasurement, other: CgmMeasurement) -> None:
    events = meter_events(one, None, VIENNA).events + sensor_events(other, utc(AT)).events
    for event in events:
        assert decode_event(encode_event(event)) == event
