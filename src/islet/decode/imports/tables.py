"""Tables out of CSV files and workbooks: rows with their line numbers, whatever the encoding and the delimiter."""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final, NamedTuple

from python_calamine import CalamineError, CalamineWorkbook

from islet.decode.sheets import Cell as Cell
from islet.decode.sheets import sheet_rows
from islet.errors import BadInput

_WORKBOOK_SIGNS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_DELIMITERS: Final = (",", ";", "\t", "|")
HEAD_BYTES: Final = 65_536
_FEW: Final = 200


class Row(NamedTuple):
    """One line of a file, or one row of a sheet, numbered as a spreadsheet shows it."""

    line: int
    cells: Sequence[Cell]

    def cell(self, column: int | None) -> Cell:
        """The cell of a column (from 0), empty where the row is shorter or there is no such column."""
        return self.cells[column] if column is not None and column < len(self.cells) else ""


def is_workbook(head: bytes) -> bool:
    """Whether a file is an .xls or .xlsx, by its first bytes."""
    return head.startswith(_WORKBOOK_SIGNS)


def is_binary(head: bytes) -> bool:
    """Whether bytes are no text in any encoding: they hold zeros, but not as UTF-16 of western letters has them."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" not in head:
        return False
    start = head[: _FEW - _FEW % 2]
    return min(start[::2].count(0), start[1::2].count(0)) > 0 or start.count(0) < len(start) // 4


def rows(stream: BinaryIO, *, sheet: str | None = None) -> Iterator[Row]:
    """All rows that are not empty. A CSV is read as a stream; a workbook is held in memory, and one of its sheets read, by
    default the first of those with most rows. Try first whether it opens (`islet.workbooks`).

    Raises BadInput, reason "format" or "encoding".
    """
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    stream.seek(0)
    found = _sheet(stream, sheet) if is_workbook(head) else _csv(stream, head)
    return (row for row in found if any(str(cell).strip() for cell in row.cells))


def _sheet(stream: BinaryIO, sheet: str | None) -> Iterator[Row]:
    try:
        stream.seek(0)
        book = CalamineWorkbook.from_filelike(stream)
        sheets = [book.get_sheet_by_index(place) for place in range(len(book.sheet_names))]
        chosen = max(sheets, key=lambda one: one.total_height) if sheet is None else book.get_sheet_by_name(sheet)
    except (CalamineError, IndexError, ValueError):
        raise BadInput("expected an .xls or .xlsx workbook that opens; got something else", reason="format") from None
    return (Row(number, cells) for number, cells in enumerate(sheet_rows(chosen), start=1))


def _csv(stream: BinaryIO, head: bytes) -> Iterator[Row]:
    encoding = _encoding(head)
    wrapper = io.TextIOWrapper(stream, encoding=encoding, newline="")
    try:
        sample = head.decode(encoding, errors="ignore")
        reader = csv.reader(wrapper, delimiter=_delimiter(sample))
        for cells in reader:
            yield Row(reader.line_num, cells)
    except UnicodeDecodeError:
        raise BadInput(
            f"expected text in UTF-8 or UTF-16; the file is neither (nor {encoding}): save it as UTF-8",
            reason="encoding",
        ) from None
    except csv.Error:
        raise BadInput(f"line {reader.line_num}: expected a line of CSV; got something else", reason="format") from None
    finally:
        wrapper.detach()


def _encoding(head: bytes) -> str:
    """What a text is written in; its errors are told when it is read."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    if b"\x00" in head[:_FEW]:
        return "utf-16-le" if head[1:2] == b"\x00" else "utf-16-be"
    if _decoded(head, "utf-8") is not None:
        return "utf-8"
    return "gb18030" if _is_chinese(head) else "cp1252"


def _is_chinese(head: bytes) -> bool:
    """Whether bytes are what Chinese spreadsheets save, and not what western ones do: most of the signs that come out are
    common ones (GB 2312), where an accent and the letter after it would make a rare one."""
    signs = [sign for sign in _decoded(head, "gb18030") or "" if sign > "\x7f"]
    common = sum(_decoded(sign.encode("gb18030"), "gb2312") is not None for sign in signs)
    return common * 2 > len(signs)


def _decoded(head: bytes, encoding: str) -> str | None:
    """The text, whose last sign may be cut; None where it is none."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return None


def _delimiter(sample: str) -> str:
    """The sign that stands in most of the first lines as often as in the others, outside of quotation marks; of equals the
    one that stands there most. A heading has no decimals: commas that are some are fewer there than below."""
    plain = ["".join(line.split('"')[::2]) for line in sample.splitlines()[:12]]

    def evenness(sign: str) -> tuple[int, int]:
        counts = Counter(line.count(sign) for line in plain if sign in line)
        return max(counts.values(), default=0), sum(count * lines for count, lines in counts.items())

    return max(_DELIMITERS, key=evenness)


def sheet_names(stream: BinaryIO) -> list[str]:
    """The names of a workbook's sheets. Raises BadInput, reason "format"."""
    stream.seek(0)
    try:
        return list(CalamineWorkbook.from_filelike(stream).sheet_names)
    except (CalamineError, ValueError):
        raise BadInput("expected an .xls or .xlsx workbook that opens; got something else", reason="format") from None
