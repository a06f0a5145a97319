"""The workbooks of ShanghaiT1DM and ShanghaiT2DM as an export: their own unit and zone (`decode/shanghai.py`)."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from islet.decode.imports import cells
from islet.decode.imports.found import Choices, Found, Item, Skipped
from islet.decode.imports.tables import Row
from islet.decode.shanghai import decode_workbook
from islet.model.events import Reading


def looks(head: Sequence[Row]) -> bool:
    """Whether the first row of a table is that of a Shanghai workbook."""
    if not head:
        return False
    first, second = (cells.text(head[0].cell(column)) for column in (0, 1))
    return first == "Date" and second.startswith("CGM")


def read(stream: BinaryIO, choices: Choices) -> Iterator[Item]:
    """The items of one wearing. Capillary readings are of a device of their own: they may share a sensor's instant."""
    stream.seek(0)
    wearing = decode_workbook(stream.read())
    for line, event in zip(wearing.lines, wearing.events, strict=True):
        meter = isinstance(event, Reading) and event.method == "capillary"
        yield Found(line, "shanghai-meter" if meter else "shanghai", event)
    yield from (Skipped(one.row, one.reason) for one in wearing.skipped)
