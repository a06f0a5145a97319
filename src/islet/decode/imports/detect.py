"""Which format a file has, by what stands in it; its name decides nothing."""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import BinaryIO, Final, NamedTuple

from islet.decode.imports import (
    apple_health,
    big_ideas,
    carelink,
    clarity,
    eversense,
    generic,
    glooko,
    health_connect,
    huawei,
    libre,
    myfitnesspal,
    nightscout,
    own,
    shanghai,
    t1d_uom,
    tables,
    tidepool,
)
from islet.decode.imports.found import Reader
from islet.decode.imports.records import loaded
from islet.decode.imports.tables import Row
from islet.errors import BadInput, SettingError

_HEAD_ROWS: Final = 60
_GZIP: Final = b"\x1f\x8b"


class Format(NamedTuple):
    """A format's name for `--format`, what people call it, and its reader."""

    name: str
    title: str
    read: Reader


_TABLES: Final[Sequence[tuple[Callable[[Sequence[Row]], bool], Format]]] = (
    (shanghai.looks, Format("shanghai", "Shanghai workbook", shanghai.read)),
    (clarity.looks, Format("clarity", "Dexcom Clarity", clarity.read)),
    (glooko.looks, Format("glooko", "Glooko", glooko.read)),
    (carelink.looks, Format("carelink", "Medtronic CareLink", carelink.read)),
    (libre.looks, Format("libreview", "LibreView", libre.read)),
    (eversense.looks, Format("eversense", "Eversense", eversense.read)),
    (t1d_uom.looks, Format("t1d-uom", "T1D-UOM", t1d_uom.read)),
    (big_ideas.looks, Format("big-ideas", "BIG IDEAs food log", big_ideas.read)),
    (myfitnesspal.looks, Format("myfitnesspal", "MyFitnessPal diary", myfitnesspal.read)),
    (generic.looks, Format("table", "table with headings", generic.read)),
)
_JSON: Final[Sequence[tuple[Callable[[object], bool], Format]]] = (
    (tidepool.looks, Format("tidepool", "Tidepool", tidepool.read)),
    (nightscout.looks, Format("nightscout", "Nightscout", nightscout.read)),
    (health_connect.looks, Format("health-connect", "Health Connect", health_connect.read)),
    (huawei.looks, Format("huawei", "Huawei Health", huawei.read)),
)
_RECORDS: Final = Format("records", "JSON array of objects", generic.read_records)
_OWN: Final = Format("islet", "Islet", own.read)
_APPLE: Final = Format("apple-health", "Apple Health", apple_health.read)
_TIDEPOOL_SHEETS: Final = Format("tidepool-workbook", "Tidepool workbook", tidepool.read_sheets)

FORMATS: Final = {
    one.name: one
    for one in (*(f for _, f in _TABLES), *(f for _, f in _JSON), _OWN, _RECORDS, _APPLE, _TIDEPOOL_SHEETS)
}


def format_named(name: str) -> Format:
    """The format of that name. Raises SettingError that lists what there is."""
    if name not in FORMATS:
        raise SettingError(f"--format {name[:40]!r} is not known; there is: {', '.join(sorted(FORMATS))}")
    return FORMATS[name]


def detected(stream: BinaryIO, *, mapped: bool = False) -> Format:
    """The format of a file. `mapped`: a person said which column is which, so that it is a table if it is nothing else.

    Raises BadInput, reason "format", for one that none understands, with what to do.
    """
    stream.seek(0)
    head = stream.read(tables.HEAD_BYTES)
    if not head.strip():
        raise BadInput("line 1: expected an export; the file is empty", reason="empty")
    if head.startswith(_GZIP):
        raise BadInput("expected an export; the file is packed (gzip): unpack it first", reason="packed")
    found = _workbook(stream) if tables.is_workbook(head) else _text(stream, head)
    if found is None and mapped:
        return FORMATS["table"]
    if found is None:
        raise BadInput(
            "line 1, column 1: expected an export of a known system, or a table with headings such as time and glucose; "
            f"say which column is which with --mapping, or the format with --format ({', '.join(sorted(FORMATS))})",
            reason="format",
        )
    return found


def _workbook(stream: BinaryIO) -> Format | None:
    names = tables.sheet_names(stream)
    head = list(islice(tables.rows(stream), _HEAD_ROWS))
    return _TIDEPOOL_SHEETS if tidepool.looks_sheets(names, head) else _table(head)


def _text(stream: BinaryIO, head: bytes) -> Format | None:
    if own.looks(head):
        return _OWN
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"<":
        return _APPLE if apple_health.looks(head) else None
    if first in (b"[", b"{"):
        return _json(stream)
    if tables.is_binary(head):
        return None
    return _table(list(islice(tables.rows(stream), _HEAD_ROWS)))


def _json(stream: BinaryIO) -> Format | None:
    content = loaded(stream)
    if not content:
        raise BadInput("line 1: expected records; the file holds none", reason="empty")
    otherwise = _RECORDS if generic.looks_records(content) else None
    return next((one for looks, one in _JSON if looks(content)), otherwise)


def _table(head: Sequence[Row]) -> Format | None:
    return next((one for looks, one in _TABLES if looks(head)), None)
