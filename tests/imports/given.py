"""Exports written in a test, and their reading."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from islet.decode.imports.detect import detected
from islet.decode.imports.found import Choices, Found, Item, Skipped
from islet.model.events import AnyEvent, Reading

Sheet = Sequence[Sequence[str | float | datetime | None]]
UTC = Choices(zone=ZoneInfo("UTC"))


def items(content: str | bytes, choices: Choices = UTC, format: str = "") -> list[Item]:
    """What a file gives; with `format`, only when that is what it is taken for."""
    stream = io.BytesIO(content.encode() if isinstance(content, str) else content)
    found = detected(stream, mapped=bool(choices.mapping))
    assert found.name == format or not format
    return list(found.read(stream, choices))


def events(content: str | bytes, choices: Choices = UTC, format: str = "") -> list[AnyEvent]:
    """The events of a file."""
    return [item.event for item in items(content, choices, format) if isinstance(item, Found)]


def readings(content: str | bytes, choices: Choices = UTC, format: str = "") -> list[Reading]:
    """The readings of a file."""
    return [event for event in events(content, choices, format) if isinstance(event, Reading)]


def skipped(content: str | bytes, choices: Choices = UTC) -> list[Skipped]:
    """What a file's reader left out."""
    return [item for item in items(content, choices) if isinstance(item, Skipped)]


def workbook(sheets: Mapping[str, Sheet]) -> bytes:
    """An .xlsx of these sheets, as little of one as programs open."""
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    of_package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    titles = list(sheets)
    listed = "".join(f'<sheet name="{escape(one)}" sheetId="{n}" r:id="r{n}"/>' for n, one in enumerate(titles, 1))
    linked = "".join(
        f'<Relationship Id="r{n}" Type="{links}/worksheet" Target="worksheets/{n}.xml"/>'
        for n in range(1, len(titles) + 1)
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{of_package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kind}.styles+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{of_package}/relationships"><Relationship Id="r" '
        f'Type="{links}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{name}" xmlns:r="{links}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{of_package}/relationships">{linked}'
        f'<Relationship Id="s" Type="{links}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{name}"><cellXfs><xf numFmtId="0"/><xf numFmtId="22"/><xf numFmtId="46"/></cellXfs></styleSheet>',
    }
    for number, rows in enumerate(sheets.values(), 1):
        inside = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        parts[f"xl/worksheets/{number}.xml"] = f'<worksheet xmlns="{name}"><sheetData>{inside}</sheetData></worksheet>'
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in parts.items():
            archive.writestr(path, text)
    return content.getvalue()


def far_cell(place: str, number: str = "1", style: str = "0") -> bytes:
    """An .xlsx with a heading in its first cell and a number in the cell of that place, as "CV80000". Styles: 0 for a
    number, 1 for a time, 2 for a length of time."""
    row = place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    content = io.BytesIO(workbook({"one": [["time"]]}))
    with zipfile.ZipFile(content) as archive:
        parts = {one: archive.read(one).decode() for one in archive.namelist()}
    sheet = "xl/worksheets/1.xml"
    far = f'<row r="{row}"><c r="{place}" s="{style}"><v>{number}</v></c></row></sheetData>'
    parts[sheet] = parts[sheet].replace("</sheetData>", far)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, text in parts.items():
            archive.writestr(path, text)
    return out.getvalue()


def _cell(value: str | float | datetime | None) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, datetime):
        return f'<c s="1"><v>{(value - datetime(1899, 12, 30)).total_seconds() / 86400!r}</v></c>'  # noqa: DTZ001
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value!r}</v></c>"
