"""What every reader of an export is given, and what it gives."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import tzinfo
from typing import BinaryIO, Final, Literal, NamedTuple

from msgspec import Struct

from islet.errors import BadInput
from islet.model.events import AnyEvent

DateOrder = Literal["ymd", "dmy", "mdy"]
NO_MEAL_TIMES: Final[Mapping[str, str]] = {}


class Choices(Struct, frozen=True, kw_only=True):
    """What a person says of a file, where the file does not say it itself.

    `zone`: of local times. `unit`: of glucose without one. `date_order`: of dates that can be read in two ways.
    `mapping`: for the generic reader, what to read (time, glucose …) to the column's heading. `meal_times`: for
    diaries without clock times, the meal's name in small letters to its local time (HH:MM). `person`: whose rows of a table
    of several people, as its column names them.
    """

    zone: tzinfo | None = None
    unit: str | None = None
    date_order: DateOrder | None = None
    mapping: Mapping[str, str] = NO_MEAL_TIMES
    meal_times: Mapping[str, str] = NO_MEAL_TIMES
    person: str | None = None


class Found(NamedTuple):
    """An event, the line (or record) of the file where it stands, and the device that the file says it is from.

    While a file is read, times may be local (naive); what a reader gives has instants. `assumed`: the time of day is
    not in the file.
    """

    line: int
    device: str
    event: AnyEvent
    assumed: bool = False


class Skipped(NamedTuple):
    """A line (or record) that gave nothing, with the reason; the reason holds nothing of its values."""

    line: int
    reason: str


Item = Found | Skipped
Reader = Callable[[BinaryIO, Choices], Iterator[Item]]
"""Gives a file's items in its order. Raises BadInput, with line and column, for a file that cannot be understood; what
it gave until then must not be used. The stream can seek; readers of large formats never hold all of it."""


def wrong(line: int, column: str, expected: str, *, reason: str = "value") -> BadInput:
    """The error for a cell; what stood there is not repeated, it is a person's."""
    return BadInput(f"line {line}, column {column}: expected {expected}; got something else", reason=reason)


def device_name(*parts: str) -> str:
    """A device's name out of what a file says of it, of letters, digits and hyphens, at most 64.

    >>> device_name("libre", "FreeStyle Libre 3", "7F35")
    'libre-FreeStyle-Libre-3-7F35'
    """
    joined = "-".join(part.strip() for part in parts if part.strip())
    return re.sub(r"[^A-Za-z0-9]+", "-", joined).strip("-")[:64]
