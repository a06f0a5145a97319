"""Instants as int64 microseconds since 1970-01-01T00:00:00Z, and the words for them. Reads no clock."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

Now = Callable[[], int]
"""A function that gives the present instant in µs. Only `app.py` makes one; everything else is given it."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

DEVICES_SINCE_US: Final = 631_152_000_000_000
"""1990-01-01T00:00:00Z. A device that says less has lost its clock (they restart at 1970 or 1980)."""
RECORDS_SINCE_US: Final = -2_208_988_800_000_000
"""1900-01-01T00:00:00Z. What a file dates is what happened; less is a cell without a date (spreadsheets count from 1900)."""


def to_us(instant: datetime) -> int:
    """Microseconds since the epoch of an aware instant, exactly (no float in between)."""
    return (instant - EPOCH) // _MICROSECOND


def from_us(instant_us: int) -> datetime:
    """The aware UTC instant for microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=instant_us)


def iso(instant_us: int) -> str:
    """RFC 3339 text in UTC, with as many decimals as are needed.

    >>> iso(0)
    '1970-01-01T00:00:00Z'
    """
    return from_us(instant_us).isoformat().replace("+00:00", "Z")
