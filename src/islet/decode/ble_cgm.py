"""Values of Bluetooth's Continuous Glucose Monitoring Service 1.0.2: measurements (0x2AA7), feature (0x2AA8), status
(0x2AA9), session start (0x2AAA) and run time (0x2AAB).

Layout: GATT Specification Supplement, "CGM …". A sensor whose feature says so puts a checksum behind every value;
`has_crc` tells the decoders that it does. Bits that are reserved are ignored.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import IntFlag
from typing import Final

from msgspec import Struct

from islet.decode.ble_numbers import CRC_OCTETS, Octets, crc, without_crc
from islet.errors import ProtocolError

SERVICE: Final = 0x181F
MEASUREMENT: Final = 0x2AA7
FEATURE: Final = 0x2AA8
STATUS: Final = 0x2AA9
SESSION_START: Final = 0x2AAA

_NO_CRC: Final = b"\xff\xff"
_LEAST_SIZE: Final = 6
_QUARTERS_FROM, _QUARTERS_TO = -48, 56
_SUMMER_MIN: Final = {0: 0, 2: 30, 4: 60, 8: 120}


class CgmStatus(IntFlag):
    """Sensor status annunciation: three octets, named by what they announce."""

    SESSION_STOPPED = 1 << 0
    BATTERY_LOW = 1 << 1
    SENSOR_OF_WRONG_TYPE = 1 << 2
    MALFUNCTION = 1 << 3
    DEVICE_ALERT = 1 << 4
    DEVICE_FAULT = 1 << 5
    TIME_WANTED = 1 << 8
    CALIBRATION_NOT_ALLOWED = 1 << 9
    CALIBRATION_RECOMMENDED = 1 << 10
    CALIBRATION_REQUIRED = 1 << 11
    TOO_WARM = 1 << 12
    TOO_COLD = 1 << 13
    CALIBRATION_PENDING = 1 << 14
    BELOW_PATIENT_LOW = 1 << 16
    ABOVE_PATIENT_HIGH = 1 << 17
    BELOW_HYPO = 1 << 18
    ABOVE_HYPER = 1 << 19
    FALLING_FAST = 1 << 20
    RISING_FAST = 1 << 21
    BELOW_RANGE = 1 << 22
    ABOVE_RANGE = 1 << 23


_KNOWN: Final = CgmStatus(0xFF7F3F)


class CgmMeasurement(Struct, frozen=True, kw_only=True):
    """One measurement, `offset_min` minutes after the session began; None is not told, NaN is not known."""

    offset_min: int
    glucose_mg_dl: Decimal
    status: CgmStatus = CgmStatus(0)
    trend_mg_dl_per_min: Decimal | None = None
    quality_percent: Decimal | None = None


class CgmFeature(Struct, frozen=True, kw_only=True):
    """What the sensor can do; `flags` are the specification's 24, of which we need one. `sample` and `site` are its
    numbers."""

    flags: int
    sample: int
    site: int

    @property
    def has_crc(self) -> bool:
        return bool(self.flags & 1 << 12)


class CgmSensorStatus(Struct, frozen=True, kw_only=True):
    """The sensor's state, `offset_min` minutes after the session began."""

    offset_min: int
    status: CgmStatus


class CgmSessionStart(Struct, frozen=True, kw_only=True):
    """When the session began by the clock that the sensor was given (None: by none yet), and how far that clock is
    ahead of UTC, summer time included (None: not told)."""

    local_time: datetime | None
    ahead: timedelta | None

    @property
    def utc(self) -> datetime | None:
        """The beginning in UTC, without zone; None where the sensor does not know it."""
        return None if self.local_time is None or self.ahead is None else self.local_time - self.ahead


def decode_measurements(octets: bytes, *, has_crc: bool) -> list[CgmMeasurement]:
    """The measurements, one or more, in a notification of 0x2AA7. Raises ProtocolError.

    >>> [one] = decode_measurements(bytes.fromhex("06000c100600"), has_crc=False)
    >>> float(one.glucose_mg_dl), one.offset_min
    (120.0, 6)
    """
    found = []
    rest = octets
    while rest:
        size = rest[0]
        if not _LEAST_SIZE <= size <= len(rest):
            raise ProtocolError(f"CGM measurement: expected a size of {_LEAST_SIZE} to {len(rest)} octets; got {size}")
        found.append(_measurement(rest[:size], has_crc=has_crc))
        rest = rest[size:]
    if not found:
        raise ProtocolError("CGM measurement: expected at least one; got none")
    return found


def _measurement(octets: bytes, *, has_crc: bool) -> CgmMeasurement:
    fields = Octets(without_crc(octets, "CGM measurement") if has_crc else octets, "CGM measurement")
    fields.take(1)
    flags, glucose, offset_min = fields.unsigned(1), fields.number(), fields.unsigned(2)
    status = 0
    for flag, octet in ((0x80, 0), (0x40, 1), (0x20, 2)):  # in this order on the wire
        if flags & flag:
            status |= fields.unsigned(1) << 8 * octet
    trend = fields.number() if flags & 0x01 else None
    quality = fields.number() if flags & 0x02 else None
    fields.end()
    return CgmMeasurement(
        offset_min=offset_min,
        glucose_mg_dl=glucose,
        status=_KNOWN & status,
        trend_mg_dl_per_min=trend,
        quality_percent=quality,
    )


def decode_feature(octets: bytes) -> CgmFeature:
    """The value of 0x2AA8, which always has room for a checksum. Raises ProtocolError.

    >>> decode_feature(bytes.fromhex("00900159c45c")).has_crc
    True
    """
    fields = Octets(octets, "CGM feature")
    flags, both, _ = fields.unsigned(3), fields.unsigned(1), fields.take(CRC_OCTETS)
    fields.end()
    feature = CgmFeature(flags=flags, sample=both & 0x0F, site=both >> 4)
    if feature.has_crc:
        without_crc(octets, "CGM feature")
    elif octets[-CRC_OCTETS:] != _NO_CRC:
        raise ProtocolError("CGM feature: expected FFFF in place of a checksum")
    return feature


def decode_status(octets: bytes, *, has_crc: bool) -> CgmSensorStatus:
    """The value of 0x2AA9. Raises ProtocolError."""
    fields = _fields(octets, "CGM status", has_crc)
    offset_min, status = fields.unsigned(2), fields.unsigned(3)
    fields.end()
    return CgmSensorStatus(offset_min=offset_min, status=_KNOWN & status)


def decode_session_start(octets: bytes, *, has_crc: bool) -> CgmSessionStart:
    """The value of 0x2AAA. Raises ProtocolError.

    >>> decode_session_start(bytes.fromhex("ea070b15080000" "04" "00"), has_crc=False).utc
    datetime.datetime(2026, 11, 21, 7, 0)
    """
    fields = _fields(octets, "CGM session start", has_crc)
    local_time, quarters, summer = fields.local_time(), fields.signed(1), fields.unsigned(1)
    fields.end()
    known = _QUARTERS_FROM <= quarters <= _QUARTERS_TO and summer in _SUMMER_MIN
    ahead = timedelta(minutes=15 * quarters + _SUMMER_MIN[summer]) if known else None
    return CgmSessionStart(local_time=local_time, ahead=ahead)


def encode_session_start(utc: datetime, *, has_crc: bool) -> bytes:
    """The time that a sensor is given: now, in UTC. It works out itself when its session began."""
    date = bytes([utc.month, utc.day, utc.hour, utc.minute, utc.second])
    body = utc.year.to_bytes(2, "little") + date + bytes(2)
    return body + crc(body).to_bytes(CRC_OCTETS, "little") if has_crc else body


def decode_run_time(octets: bytes, *, has_crc: bool) -> timedelta:
    """The value of 0x2AAB: how long a session lasts at most. Raises ProtocolError."""
    fields = _fields(octets, "CGM run time", has_crc)
    hours = fields.unsigned(2)
    fields.end()
    return timedelta(hours=hours)


def _fields(octets: bytes, what: str, has_crc: bool) -> Octets:
    return Octets(without_crc(octets, what) if has_crc else octets, what)
