"""Numbers and times out of a text in machine code, in their usual form only; see `usual.py`.

A text is looked at eight bytes at a time: word i is the bytes i to i + 7, the first one lowest. Nothing compares with
the end of the text: the byte behind it is NOT_JSON or above, which nothing takes, and so nothing goes beyond it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.compiled import part
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

WORD: Final = 8
NOT_JSON: Final = 0x80
NOWHERE: Final = -1
"""Where the text goes on behind what is not usual."""

MASKS: Final = np.array([(1 << 8 * length) - 1 for length in range(WORD + 1)], np.uint64)
"""By length, what keeps that many bytes of a word."""


def as_word(text: str) -> np.uint64:
    """Up to eight ASCII characters as the low bytes of a word."""
    return np.uint64(int.from_bytes(text.encode("ascii"), "little"))


def _digits(form: str) -> np.uint64:
    """0xFF where the form has a digit."""
    return np.uint64(int.from_bytes(bytes(0xFF * sign.isdigit() for sign in form), "little"))


_SPACE, _TAB, _LINE, _RETURN, _QUOTE, _POINT = (ord(sign) for sign in ' \t\n\r".')
_ZERO, _NINE, _PLUS, _MINUS, _UTC = (ord(sign) for sign in "09+-Z")

_MOST_DIGITS: Final = 15  # any such whole number is a float64, and so is the power of ten that it is divided by
_TENS: Final = np.array([10.0**power for power in range(_MOST_DIGITS + 1)])

# A time in words. XOR with them leaves the values of the digits, and nothing of the signs between.
_DATE, _DATE_DIGITS = as_word("0000-00-"), _digits("0000-00-")
_CLOCK, _CLOCK_DIGITS = as_word("00T00:00"), _digits("00T00:00")
_SECOND, _SECOND_DIGITS = as_word(":00"), _digits(":00")
_ZONE, _ZONE_DIGITS = as_word("00:00"), _digits("00:00")
_NO_DIGIT: Final = np.uint64(0x7676767676767676)  # carries a byte above 9 into its highest bit
_HIGHEST_BITS: Final = np.uint64(0x8080808080808080)
_BYTE: Final = np.uint64(0xFF)

_EARLIEST_YEAR: Final = 1970
_LEAP_DAYS_TO_1970: Final = 477
_DAYS_BEFORE: Final = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])


@part
def skip_space(text: Bytes, at: int) -> int:
    """Where something else than JSON's white space is."""
    while text[at] <= _SPACE and (text[at] == _SPACE or text[at] == _LINE or text[at] == _RETURN or text[at] == _TAB):
        at += 1
    return at


@part
def read_number(text: Bytes, at: int) -> tuple[float, int]:
    """The number at `at`, rounded once as IEEE 754 has it, and where the text goes on; NOWHERE when it is not usual."""
    first = at
    digits = np.int64(0)
    while _ZERO <= text[at] <= _NINE:
        digits = digits * 10 + (text[at] - _ZERO)
        at += 1
    whole = at - first
    if whole == 0 or whole > _MOST_DIGITS or (whole > 1 and text[first] == _ZERO):
        return 0.0, NOWHERE
    if text[at] != _POINT:
        return float(digits), at
    at += 1
    point = at
    while _ZERO <= text[at] <= _NINE:
        digits = digits * 10 + (text[at] - _ZERO)
        at += 1
    decimals = at - point
    if decimals == 0 or whole + decimals > _MOST_DIGITS:
        return 0.0, NOWHERE
    return digits / _TENS[decimals], at


@part
def read_time(text: Bytes, words: Words, at: int) -> tuple[int, int]:
    """Microseconds since the epoch of the time at `at`, and where the text goes on behind its closing quotation mark;
    NOWHERE when it is not usual."""
    time_us, at = _date_and_clock(words, at)
    if at == NOWHERE:
        return 0, NOWHERE
    if text[at] == _POINT:
        at += 1
        first = at
        digit_us = SECOND_US // 10
        while digit_us and _ZERO <= text[at] <= _NINE:
            time_us += (text[at] - _ZERO) * digit_us
            digit_us //= 10
            at += 1
        if at == first:
            return 0, NOWHERE
    ahead_us, at = _zone(words, at)
    if at == NOWHERE or text[at] != _QUOTE:
        return 0, NOWHERE
    return time_us - ahead_us, at + 1


@part
def _date_and_clock(words: Words, at: int) -> tuple[int, int]:
    """Microseconds since the epoch of YYYY-MM-DDTHH:MM:SS in UTC, and where the text goes on."""
    date = words[at] ^ _DATE
    if not _are_digits(date, _DATE_DIGITS):
        return 0, NOWHERE
    clock = words[at + WORD] ^ _CLOCK
    if not _are_digits(clock, _CLOCK_DIGITS):
        return 0, NOWHERE
    rest = (words[at + 2 * WORD] ^ _SECOND) & MASKS[3]
    year, month, day = _pair(date, 0) * 100 + _pair(date, 2), _pair(date, 5), _pair(clock, 0)
    hour, minute, second = _pair(clock, 3), _pair(clock, 6), _pair(rest, 1)
    if not _are_digits(rest, _SECOND_DIGITS) or hour > 23 or minute > 59 or second > 59:
        return 0, NOWHERE
    day_number = _day_number(year, month, day)
    if day_number < 0:
        return 0, NOWHERE
    return day_number * DAY_US + hour * HOUR_US + minute * MINUTE_US + second * SECOND_US, at + 2 * WORD + 3


@part
def _day_number(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 (Gregorian calendar); negative for an earlier or impossible date."""
    if year < _EARLIEST_YEAR or not 1 <= month <= 12:
        return -1
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = _DAYS_BEFORE[month + 1] - _DAYS_BEFORE[month] + (1 if leap and month == 2 else 0)
    if not 1 <= day <= last:
        return -1
    before = year - 1
    leap_days = before // 4 - before // 100 + before // 400 - _LEAP_DAYS_TO_1970 + (1 if leap and month > 2 else 0)
    return int(365 * (year - _EARLIEST_YEAR) + leap_days + _DAYS_BEFORE[month] + day - 1)


@part
def _zone(words: Words, at: int) -> tuple[int, int]:
    """How far a zone is ahead of UTC, in microseconds, and where the text goes on."""
    sign = np.int64(words[at] & _BYTE)
    if sign == _UTC:
        return 0, at + 1
    ahead = (words[at + 1] ^ _ZONE) & MASKS[5]
    hours, minutes = _pair(ahead, 0), _pair(ahead, 3)
    if (sign != _PLUS and sign != _MINUS) or not _are_digits(ahead, _ZONE_DIGITS) or hours > 23 or minutes > 59:
        return 0, NOWHERE
    ahead_us = hours * HOUR_US + minutes * MINUTE_US
    return (ahead_us if sign == _PLUS else -ahead_us), at + 6


@part
def _are_digits(value: np.uint64, digits: np.uint64) -> bool:
    """Whether the bytes are 0 to 9 where `digits` has 0xFF, and 0 elsewhere."""
    above_nine = (value | (value + (digits & _NO_DIGIT))) & _HIGHEST_BITS
    return bool((value & ~digits) == 0 and above_nine == 0)


@part
def _pair(value: np.uint64, first: int) -> int:
    """The number that two digits (values, not characters) of a word make, the bytes `first` and `first + 1`."""
    tens, ones = value >> np.uint64(8 * first), value >> np.uint64(8 * first + 8)
    return int(np.int64(tens & _BYTE) * 10 + np.int64(ones & _BYTE))
