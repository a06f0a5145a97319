"""What the octets of Bluetooth's glucose characteristics have in common: numbers, times, and the checksum.

Numbers are those of IEEE 11073-20601 (a mantissa and a power of ten), kept as decimals, so that 6.7 stays 6.7. All
fields have their least significant octet first (Bluetooth Core, Vol 3, Part G; GATT Specification Supplement).
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from islet.errors import ProtocolError

CRC_OCTETS: Final = 2
_NAN, _INFINITY, _MINUS_INFINITY = Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")
_SPECIAL: Final = {2047: _NAN, -2048: _NAN, 2046: _INFINITY, -2046: _MINUS_INFINITY}
_SPECIAL_FLOAT: Final = {
    (1 << 23) - 1: _NAN,
    -(1 << 23): _NAN,
    (1 << 23) - 2: _INFINITY,
    2 - (1 << 23): _MINUS_INFINITY,
}
_FIRST_YEAR, _LAST_YEAR = 1582, 9999
_RESERVED: Final = -2047
_RESERVED_FLOAT: Final = 1 - (1 << 23)


def sfloat(octets: bytes) -> Decimal:
    """The number in the two octets of an SFLOAT: 12 bits of mantissa below 4 of exponent.

    "Not a number" and "not at this resolution" are both NaN; plus and minus infinity are themselves. Raises
    ProtocolError for the one value that is reserved.

    >>> sfloat(bytes.fromhex("d2e4"))
    Decimal('12.34')
    """
    raw = int.from_bytes(octets, "little")
    mantissa, exponent = _signed(raw & 0xFFF, 12), _signed(raw >> 12, 4)
    return _number(mantissa, exponent, _SPECIAL, _RESERVED)


def float_32(octets: bytes) -> Decimal:
    """The number in the four octets of a FLOAT: 24 bits of mantissa below 8 of exponent; otherwise as `sfloat`.

    >>> float_32(bytes.fromhex("6c0100ff"))
    Decimal('36.4')
    """
    raw = int.from_bytes(octets, "little")
    mantissa, exponent = _signed(raw & 0xFFFFFF, 24), _signed(raw >> 24, 8)
    return _number(mantissa, exponent, _SPECIAL_FLOAT, _RESERVED_FLOAT)


def _number(mantissa: int, exponent: int, special: dict[int, Decimal], reserved: int) -> Decimal:
    if exponent == 0 and mantissa in special:
        return special[mantissa]
    if exponent == 0 and mantissa == reserved:
        raise ProtocolError("Bluetooth: expected a number; got a value that is reserved")
    return Decimal(mantissa).scaleb(exponent)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def crc(octets: bytes) -> int:
    """The E2E-CRC of the Continuous Glucose Monitoring Service: polynomial 0x1021 with its bits reversed, from 0xFFFF
    (elsewhere named CRC-16/MCRF4XX).

    >>> hex(crc(b"123456789"))
    '0x6f91'
    """
    value = 0xFFFF
    for octet in octets:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ 0x8408 if value & 1 else value >> 1
    return value


def without_crc(octets: bytes, what: str) -> bytes:
    """What the checksum at the end is of. Raises ProtocolError when it does not match."""
    body, told = octets[:-CRC_OCTETS], octets[-CRC_OCTETS:]
    if len(octets) < CRC_OCTETS or crc(body) != int.from_bytes(told, "little"):
        raise ProtocolError(f"{what}: expected a checksum that matches; it was damaged on its way")
    return body


class Octets:
    """The fields of one value, from the first to the last. `what` names it in errors.

    Every method raises ProtocolError when fewer octets are left than the field has.
    """

    def __init__(self, octets: bytes, what: str) -> None:
        self._octets, self._what, self._at = octets, what, 0

    def take(self, count: int) -> bytes:
        """The next octets."""
        begin, self._at = self._at, self._at + count
        if self._at > len(self._octets):
            raise ProtocolError(f"{self._what}: expected at least {self._at} octets; got {len(self._octets)}")
        return self._octets[begin : self._at]

    def unsigned(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "little")

    def signed(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "little", signed=True)

    def number(self) -> Decimal:
        """An SFLOAT."""
        return sfloat(self.take(2))

    def local_time(self) -> datetime | None:
        """A date and time (characteristic 0x2A08) without zone; None where year, month or day is not known, or the year is
        none of the specification's or its last: a clock that was never set, and its instant may be none."""
        year, month, day = self.unsigned(2), self.unsigned(1), self.unsigned(1)
        hour, minute, second = self.unsigned(1), self.unsigned(1), self.unsigned(1)
        if not (_FIRST_YEAR <= year < _LAST_YEAR and month and day):
            return None
        try:
            return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is told
        except ValueError:
            raise ProtocolError(f"{self._what}: expected a date and time; there is none such") from None

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._octets) - self._at)

    def end(self) -> None:
        """Raises ProtocolError when something is left."""
        if self._at != len(self._octets):
            raise ProtocolError(f"{self._what}: expected {self._at} octets; got {len(self._octets)}")
