"""What a query asks for, as far as it is on offer."""

from datetime import date
from typing import Final, TypeVar

from islet.errors import BadInput
from islet.model.time import RECORDS_SINCE_US, from_us

_LONGEST_PERIOD: Final = (from_us(RECORDS_SINCE_US).date(), date(2200, 1, 1))
_SHOWN: Final = 40
Choice = TypeVar("Choice", bound=str)


def day_of(text: str) -> date | None:
    """A day as browsers send it; None for nothing. Raises BadInput."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadInput("expected a day such as 2026-03-02", reason="query") from None
    if not _LONGEST_PERIOD[0] <= day <= _LONGEST_PERIOD[1]:
        raise BadInput("expected a day of these centuries", reason="query")
    return day


def one_of(allowed: tuple[Choice, ...], given: str) -> Choice:
    """Raises BadInput that says what there is."""
    for one in allowed:
        if one == given:
            return one
    raise BadInput(f"expected one of {', '.join(allowed)}; got {given[:_SHOWN]!r}", reason="query")


def instant_of(text: str) -> int:
    """An instant in µs. Raises BadInput."""
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise BadInput(f"expected an instant in microseconds since 1970; got {text[:_SHOWN]!r}", reason="query")
    return int(text)


def number_of(text: str, *, least: int, most: int) -> int:
    """A whole number in these bounds. Raises BadInput."""
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
    if not least <= number <= most:
        raise BadInput(f"expected a whole number from {least} to {most}; got {text[:_SHOWN]!r}", reason="query")
    return number
