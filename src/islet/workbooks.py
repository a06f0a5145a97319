"""Whether a workbook can be opened, tried first in a process of its own that has so much memory and time and no more.

The library that reads workbooks makes room for every cell up to the last one: for one in the far corner of a sheet that
is half a terabyte, and where there is none it ends the process that it is in. A file of a kilobyte is enough for that.
"""

import contextlib
import io
import os
import resource
import subprocess
import sys
from typing import BinaryIO, Final

from python_calamine import CalamineError, CalamineWorkbook

from islet.decode.imports.tables import is_workbook
from islet.decode.sheets import sheet_rows
from islet.errors import BadInput

MOST_CELLS: Final = 8_000_000
"""Of all sheets, the empty ones up to the last among them: some 500,000 rows of LibreView's."""

_MOST_BYTES: Final = 1 << 30
_MOST_S: Final = 60
_PATIENCE_S: Final = 300.0
_NICE: Final = 10
_TOO_LARGE: Final = 3
_SIGNS: Final = 16


def check_opens(stream: BinaryIO) -> None:
    """Raises BadInput for a workbook that would take too much memory (reason "too_large"), or that the library fails at
    (reason "format"); what is no workbook is for its reader to judge."""
    stream.seek(0)
    head = stream.read(_SIGNS)
    if not is_workbook(head):
        return
    command = [sys.executable, "-m", "islet.workbooks"]
    quiet = subprocess.DEVNULL
    try:
        tried = subprocess.run(  # noqa: S603  # ourselves
            command, input=head + stream.read(), stdout=quiet, stderr=quiet, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise _too_large() from None
    if tried.returncode == _TOO_LARGE or tried.returncode < 0:  # the latter: it got no memory, or no more time
        raise _too_large()
    if tried.returncode:
        raise BadInput("expected an .xls or .xlsx workbook that opens; got something else", reason="format")


def _too_large() -> BadInput:
    return BadInput(
        f"expected a workbook of at most {MOST_CELLS // 1_000_000} million cells, the empty ones up to the last among "
        "them; remove what stands far from the table, or save it as CSV",
        reason="too_large",
    )


def _is_read(content: bytes) -> bool:
    """Open all sheets at once, and read each cell, unless there are too many: the library fails at some of either."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    sheets = [book.get_sheet_by_index(place) for place in range(len(book.sheet_names))]
    if sum((one.end[0] + 1) * (one.end[1] + 1) for one in sheets if one.end) > MOST_CELLS:
        return False
    for sheet in sheets:
        for _ in sheet_rows(sheet):
            pass
    return True


def main() -> None:
    """Read the workbook that comes in."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_S, _MOST_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with contextlib.suppress(CalamineError, IndexError, ValueError):  # its reader says so
            if not _is_read(sys.stdin.buffer.read()):
                sys.exit(_TOO_LARGE)
    except MemoryError:
        sys.exit(_TOO_LARGE)


if __name__ == "__main__":
    main()
