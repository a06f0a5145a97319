"""The other direction, for tests: what a meter or sensor would send."""

from datetime import datetime
from decimal import Decimal

from islet.decode.ble_cgm import CgmFeature, CgmMeasurement, CgmSensorStatus, CgmSessionStart
from islet.decode.ble_control import RecordCount, RecordResponse
from islet.decode.ble_glucose import GlucoseContext, GlucoseMeasurement
from islet.decode.ble_numbers import crc


def number(value: Decimal) -> bytes:
    """An SFLOAT, of a decimal with a mantissa and an exponent that fit."""
    if value.is_nan():
        return bytes.fromhex("ff07")
    if value.is_infinite():
        return bytes.fromhex("0208" if value < 0 else "fe07")
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    return ((exponent & 0xF) << 12 | mantissa & 0xFFF).to_bytes(2, "little")


def checked(octets: bytes, has_crc: bool) -> bytes:
    return octets + crc(octets).to_bytes(2, "little") if has_crc else octets


def date(time: datetime | None) -> bytes:
    if time is None:
        return bytes(7)
    return time.year.to_bytes(2, "little") + bytes([time.month, time.day, time.hour, time.minute, time.second])


def meter(one: GlucoseMeasurement, offset_min: int | None = None) -> bytes:
    """A measurement; with an offset, its time is the base time."""
    flags = (one.unit == "mol/L") << 2 | bool(one.status) << 3 | one.context_follows << 4
    octets = one.sequence.to_bytes(2, "little") + date(one.local_time)
    if offset_min is not None:
        flags |= 1
        octets += offset_min.to_bytes(2, "little", signed=True)
    if one.concentration is not None:
        flags |= 2
        octets += number(one.concentration) + bytes([one.site << 4 | one.sample])
    if one.status:
        octets += int(one.status).to_bytes(2, "little")
    return bytes([flags]) + octets


def context(one: GlucoseContext) -> bytes:
    flags, octets = 0, one.sequence.to_bytes(2, "little")
    if one.carbohydrate is not None and one.carbohydrate_kg is not None:
        flags |= 0x01
        octets += bytes([one.carbohydrate]) + number(one.carbohydrate_kg)
    if one.meal is not None:
        flags |= 0x02
        octets += bytes([one.meal])
    if one.tester is not None and one.health is not None:
        flags |= 0x04
        octets += bytes([one.health << 4 | one.tester])
    if one.exercise_s is not None and one.exercise_percent is not None:
        flags |= 0x08
        octets += one.exercise_s.to_bytes(2, "little") + bytes([one.exercise_percent])
    if one.medication is not None and one.medication_dose is not None:
        flags |= 0x10 | (one.medication_unit == "L") << 5
        octets += bytes([one.medication]) + number(one.medication_dose)
    if one.hba1c_percent is not None:
        flags |= 0x40
        octets += number(one.hba1c_percent)
    return bytes([flags]) + octets


def sensor(one: CgmMeasurement, *, has_crc: bool) -> bytes:
    flags, octets = 0, number(one.glucose_mg_dl) + one.offset_min.to_bytes(2, "little")
    for flag, shift in ((0x80, 0), (0x40, 8), (0x20, 16)):
        octet = int(one.status) >> shift & 0xFF
        if octet:
            flags |= flag
            octets += bytes([octet])
    if one.trend_mg_dl_per_min is not None:
        flags |= 0x01
        octets += number(one.trend_mg_dl_per_min)
    if one.quality_percent is not None:
        flags |= 0x02
        octets += number(one.quality_percent)
    return checked(bytes([2 + len(octets) + 2 * has_crc, flags]) + octets, has_crc)


def feature(one: CgmFeature) -> bytes:
    octets = one.flags.to_bytes(3, "little") + bytes([one.site << 4 | one.sample])
    return checked(octets, True) if one.has_crc else octets + b"\xff\xff"


def status(one: CgmSensorStatus, *, has_crc: bool) -> bytes:
    return checked(one.offset_min.to_bytes(2, "little") + int(one.status).to_bytes(3, "little"), has_crc)


def session_start(one: CgmSessionStart, *, has_crc: bool) -> bytes:
    """In summer time's absence."""
    quarters = -128 if one.ahead is None else int(one.ahead.total_seconds()) // 900
    return checked(date(one.local_time) + quarters.to_bytes(1, "little", signed=True) + b"\0", has_crc)


def answer(one: RecordResponse | RecordCount) -> bytes:
    if isinstance(one, RecordCount):
        return b"\x05\x00" + one.count.to_bytes(2, "little")
    return bytes([6, 0, one.op, one.outcome or 0])
