"""MyFitnessPal's nutrition summary: a row a day and meal, without clock times, or with one for some meals.

A meal without a time gets the person's own time for it (`meal_times`, by the meal's name in small letters), and is marked
as assumed. Numbers have a point before their decimals, and commas, if any, between thousands.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import BinaryIO, Final

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped
from islet.decode.imports.local_times import date_order, in_zone, local_time, written
from islet.decode.imports.tables import Row, rows
from islet.errors import BadInput
from islet.model.events import Meal

USUAL_TIMES: Final = {"breakfast": "07:30", "lunch": "12:00", "dinner": "18:30", "snacks": "15:30"}
"""Where a person said nothing of their meals."""
_THOUSANDS: Final = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?")
_SUMS: Final = ("total", "totals", "daily total")


def looks(head: Sequence[Row]) -> bool:
    """Whether the first row of a table is that of a nutrition summary."""
    heads = [cells.text(cell).lower() for cell in head[0].cells] if head else []
    return heads[:2] == ["date", "meal"] and any(head.startswith("carbohydrates") for head in heads)


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a diary. Raises BadInput, reason "meal_time", for a meal whose time nobody said."""
    table = list(rows(stream))
    if not looks(table):
        raise BadInput("line 1: expected Date, Meal, Calories, … Carbohydrates (g)", reason="format")
    heads = [cells.text(cell).lower() for cell in table[0].cells]
    carbs = next(place for place, head in enumerate(heads) if head.startswith("carbohydrates"))
    energy = heads.index("calories") if "calories" in heads else None
    clock = heads.index("time") if "time" in heads else None
    times = {**USUAL_TIMES, **choices.meal_times}
    order = date_order(((row.line, cells.text(row.cell(0))) for row in table[1:]), choices.date_order)
    found = []
    skipped = []
    for row in table[1:]:
        meal = cells.text(row.cell(1))
        if not meal or meal.lower() in _SUMS or cells.text(row.cell(0)).lower() in _SUMS:
            skipped.append(Skipped(row.line, "a sum of the day"))
            continue
        told = cells.text(row.cell(clock))
        event = Meal(
            time=_time(row, told or times.get(meal.lower()), local_time(row.cell(0), order, row.line, "Date")),
            carbs_g=_number(row, carbs, "Carbohydrates"),
            energy_kcal=_number(row, energy, "Calories"),
            text=meal,
        )
        found.append(Found(row.line, "myfitnesspal", event, assumed=not told))
    yield from in_zone(found, choices.zone)
    yield from skipped


def _number(row: Row, column: int | None, name: str) -> float | None:
    told = cells.text(row.cell(column))
    return cells.number(told.replace(",", "") if _THOUSANDS.fullmatch(told) else told, row.line, name)


def _time(row: Row, clock: str | None, day: datetime) -> datetime:
    parts = written(f"2000-01-01 {clock}") if clock else None
    if parts is None:
        raise BadInput(
            f"line {row.line}, column Meal: expected a meal with a known time; say it with --meal-time NAME=HH:MM",
            reason="meal_time",
        )
    return datetime.combine(day.date(), parts.clock)
