"""What a person says of a file, from the words of a command, a form or a request."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeVar

from islet.decode.imports.found import Choices, DateOrder
from islet.decode.imports.generic import HEADINGS
from islet.decode.imports.local_times import written
from islet.errors import BadInput
from islet.model.time_zones import named_zone

UNITS: Final[tuple[Literal["mg/dL", "mmol/L"], ...]] = ("mg/dL", "mmol/L")
DATE_ORDERS: Final[tuple[DateOrder, ...]] = ("ymd", "dmy", "mdy")
_SHOWN: Final = 60
Word = TypeVar("Word", bound=str)


def choices_of(
    *,
    zone: str = "",
    unit: str = "",
    date_order: str = "",
    mapping: Iterable[str] = (),
    meal_times: Iterable[str] = (),
    person: str = "",
) -> Choices:
    """The choices in these words, "" and () where nothing is said: `mapping` as WHAT=HEADING, `meal_times` as
    MEAL=HH:MM. Raises BadInput, which names the option and what it takes.

    >>> choices_of(unit="mmol/L", meal_times=["lunch=12:30"]).meal_times
    {'lunch': '12:30'}
    """
    return Choices(
        zone=named_zone(zone, "--zone") if zone else None,
        unit=_one_of("--unit", UNITS, unit),
        date_order=_one_of("--date-order", DATE_ORDERS, date_order),
        mapping=_mapping(mapping),
        meal_times=_meal_times(meal_times),
        person=person or None,
    )


def _one_of(option: str, allowed: tuple[Word, ...], said: str) -> Word | None:
    if not said:
        return None
    for one in allowed:
        if one == said:
            return one
    raise _wrong(option, f"one of {', '.join(allowed)}", said)


def _mapping(said: Iterable[str]) -> Mapping[str, str]:
    pairs = dict(_pair("--mapping", f"WHAT=HEADING, WHAT one of {', '.join(HEADINGS)}", one) for one in said)
    for what in pairs:
        _one_of("--mapping", tuple(HEADINGS), what)
    return pairs


def _meal_times(said: Iterable[str]) -> Mapping[str, str]:
    pairs = {meal.lower(): clock for meal, clock in (_pair("--meal-time", "MEAL=HH:MM", one) for one in said)}
    for clock in pairs.values():
        if written(f"2000-01-01 {clock}") is None:
            raise _wrong("--meal-time", "a time as HH:MM", clock)
    return pairs


def _pair(option: str, expected: str, said: str) -> tuple[str, str]:
    name, _, value = said.partition("=")
    if not name or not value:
        raise _wrong(option, expected, said)
    return name, value


def _wrong(option: str, expected: str, said: str) -> BadInput:
    return BadInput(f"{option}: expected {expected}; got {said[:_SHOWN]!r}", reason="choice")
