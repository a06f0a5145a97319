"""The food logs of BIG IDEAs (doi:10.13026/zthx-5212): a row a food, local time, carbohydrate in g, energy in kcal.

Some rows have a letter before their date, some no `time_begin`; the date and time columns say the same.
"""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped
from islet.decode.imports.local_times import in_zone, local_time
from islet.decode.imports.tables import Row, rows
from islet.errors import BadInput
from islet.model.events import Meal

_DATE, _TIME, _BEGIN, _FOOD, _AMOUNT, _UNIT, _KCAL, _CARBS = 0, 1, 2, 4, 5, 6, 8, 9


def looks(head: Sequence[Row]) -> bool:
    """Whether the first row of a table is that of a food log."""
    return bool(head) and {"logged_food", "time_begin", "total_carb"} <= {cells.text(cell) for cell in head[0].cells}


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of a food log."""
    table = rows(stream)
    header = next(table, None)
    if header is None or not looks([header]):
        raise BadInput("line 1: expected the columns of a food log of BIG IDEAs", reason="format")
    found: list[Found] = []
    skipped: list[Skipped] = []
    for row in table:
        begin = cells.text(row.cell(_BEGIN)) or f"{cells.text(row.cell(_DATE))} {cells.text(row.cell(_TIME))}"
        if not begin.strip():
            skipped.append(Skipped(row.line, "a food without a time"))
            continue
        what = [cells.text(row.cell(column)) for column in (_FOOD, _AMOUNT, _UNIT)]
        meal = Meal(
            time=local_time(begin.lstrip("s"), "ymd", row.line, "time_begin"),
            carbs_g=cells.number(row.cell(_CARBS), row.line, "total_carb"),
            energy_kcal=cells.number(row.cell(_KCAL), row.line, "calorie"),
            text=" ".join(filter(None, what)),
        )
        found.append(Found(row.line, "food-log", meal))
    yield from in_zone(found, choices.zone)
    yield from skipped
