"""Small files that unpack, or grow, to more than there is memory for: refused, or read with little of it."""

import contextlib
import io
import struct
import tracemalloc
import zipfile
from datetime import datetime
from pathlib import Path
from time import process_time

import pytest

from islet.decode.imports.bounds import check_held
from islet.decode.imports.elements import elements
from islet.decode.imports.parts import Part, bytes_to_read
from islet.errors import BadInput
from tests.imports.given import items, workbook

MB = 1_000_000
HELD_BYTES = 5 * MB
SHANGHAI = ["Date", "CGM (mg / dl)", "CBG", "Ketone", "Diet", "饮食", "s.c.", "Drugs"]


@pytest.mark.parametrize(
    ("document", "refused"),
    [
        (b"<HealthData><Record>" + b" " * 20 * MB + b"</Record></HealthData>", ""),
        (b'<HealthData><Record type="' + b"x" * 20 * MB + b'"/></HealthData>', "tags and comments"),
        (b"<HealthData><!--" + b">" * 20 * MB + b"--></HealthData>", "tags and comments"),
        (b"<HealthData>" + b"<a>" * 5 * MB, "32 deep"),
        (b"<HealthData><Record>" + b"<a/>" * 5 * MB, "100000 elements"),
        (
            b'<!DOCTYPE HealthData [<!ENTITY a "'
            + b"x" * 100_000
            + b'">]><HealthData>'
            + b"&a;" * 70
            + b"</HealthData>",
            "no declarations of entities",
        ),
    ],
)
def test_xml_that_would_fill_the_memory_is_refused_or_read_without(document: bytes, refused: str) -> None:
    stream = io.BytesIO(document)
    tracemalloc.start()
    said = ""
    try:
        for _ in elements(stream):
            pass
    except BadInput as error:
        said = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused in said and bool(refused) == bool(said)
    assert peak < 25 * HELD_BYTES if "elements" in refused else peak < HELD_BYTES


@pytest.mark.parametrize(
    "document",
    [
        "time," + "(" * 40_000 + ",glucose (mg/dL)\n2024-03-04 07:00,,112\n",
        "time,glucose (mg/dL)\n2024-03-04" + " " * 40_000 + "x,112\n",
        "<!DOCTYPE HealthData " * 15_000,
        workbook({"one": [SHANGHAI, [datetime(2021, 7, 30, 8), 112.0, *[None] * 4, "a" + " " * 500]]}),  # noqa: DTZ001
        workbook({"one": [SHANGHAI, [datetime(2021, 7, 30, 8), 112.0, *[None] * 5, "a" + " " * 3_000 + "b"]]}),  # noqa: DTZ001
    ],
    ids=["heading", "time", "DTD", "insulin", "drug"],
)
def test_a_long_cell_is_looked_at_once_and_stops_nobody(document: str | bytes) -> None:
    """A regular expression that goes back over what it has read takes minutes for each of these, holds the interpreter
    meanwhile, and with it every alarm."""
    began_s = process_time()
    with contextlib.suppress(BadInput):
        items(document)
    assert process_time() - began_s < 3.0


def test_a_declared_entity_is_not_known_in_a_file_of_that_kind() -> None:
    document = '<?xml version="1.0"?><!DOCTYPE HealthData [<!ENTITY a "1">]><HealthData><Record a="&a;"/></HealthData>'
    with pytest.raises(BadInput, match="expected XML"):
        items(document)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"time,glucose (mg/dL)\n" + b"1\n" * 600_000, "at most 600,000 rows"),
        (b"time,glucose (mg/dL)\r" + b"1\r" * 600_000, "at most 600,000 rows"),
        (b"time,glucose (mg/dL)\n" + b"1," * 9_000_000, "at most 9,000,000 cells"),
        (b" [" + b"{}," * 1_000_000 + b"{}]", "at most 1,000,000 objects"),
        (b'\xef\xbb\xbf{"a":[' + b"[]," * 1_000_000 + b"[]]}", "at most 1,000,000 objects"),
    ],
    ids=["rows", "old rows", "cells", "objects", "lists"],
)
def test_a_file_of_many_short_rows_or_objects_is_refused_unread(content: bytes, expected: str) -> None:
    """Each of them is a hundred times as large in memory; all of them are far below the bound in bytes."""
    with pytest.raises(BadInput, match=expected):
        check_held(Part("a", len(content), io.BytesIO(content), archived=False))


def test_half_a_million_rows_of_a_sensors_export_are_read() -> None:
    row = b"1,2024-03-04T07:00:00,EGV,,,,iOS,112,,,,,12345678,8ABCD\n"
    content = row * 500_000
    check_held(Part("a.csv", len(content), io.BytesIO(content), archived=False))


def many_files(count: int, *, large: bool) -> bytes:
    """An archive that is nothing but its list of files (PKWARE's APPNOTE, 4.3.12, 4.3.14 and 4.3.16)."""
    one = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, 0, 0, 0, 33, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0) + b"a"
    files = one * count
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(files), 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(files), 1)
    told = 0xFFFF_FFFF if large else len(files)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), told, 0, 0)
    return files + (end_64 + locator if large else b"") + end


@pytest.mark.parametrize("large", [True, False])
def test_an_archive_of_more_files_than_anybody_looks_at_is_refused_unread(large: bool) -> None:
    assert bytes_to_read(io.BytesIO(many_files(1000, large=large))) == 1000
    content = many_files(200_000, large=large)
    for check in (bytes_to_read, _held):
        tracemalloc.start()
        with pytest.raises(BadInput, match="fewer files"):
            check(io.BytesIO(content))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3 * len(content)


def test_an_archive_with_a_comment_is_read_as_any_other() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", "bg_ts,value\n")
        archive.comment = b"said somebody" * 100
    assert bytes_to_read(out) == len("bg_ts,value\n")


def test_old_workbooks_are_no_archives_of_too_many_files(shared_data: Path) -> None:
    for file in (shared_data / "shanghai" / "Shanghai_T1DM").glob("*.xls"):
        content = file.read_bytes()
        check_held(Part(file.name, len(content), io.BytesIO(content), archived=False))


def test_a_workbook_of_that_kind_alone_is_no_archive_either() -> None:
    content = b"\xd0\xcf\x11\xe0" + bytes(range(256)) * 400
    check_held(Part("a.xls", len(content), io.BytesIO(content), archived=False))


def _held(stream: io.BytesIO) -> None:
    """The same as a workbook inside of an archive would be."""
    check_held(Part("a.xlsx", len(stream.getvalue()), io.BytesIO(b"PK\3\4" + stream.getvalue()), archived=True))
