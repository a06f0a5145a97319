"""Workbooks are opened in a process of their own first: one that asks for all memory ends that one, and not ours."""

import io
from pathlib import Path

import pytest

from islet.decode.imports.found import Choices
from islet.decode.imports.parts import Part
from islet.decode.imports.tables import rows
from islet.errors import BadInput
from islet.imports import look
from islet.workbooks import MOST_CELLS, check_opens
from tests.imports.given import far_cell, workbook


@pytest.mark.parametrize("place", ["XFD1048576", "ZZ100000"])
def test_a_cell_far_away_ends_the_trial_and_nobody_else(place: str) -> None:
    content = far_cell(place)
    assert len(content) < 10_000
    part = Part("far.xlsx", len(content), io.BytesIO(content), archived=False)
    looked = look(part, Choices(), None, latest_us=0, progress=lambda _: None)
    assert looked.error is not None and looked.error.reason == "too_large"
    assert "at most 8 million cells" in str(looked.error)


def test_as_many_cells_as_may_be_are_read_and_one_row_more_is_not() -> None:
    most = far_cell("CV80000")
    assert MOST_CELLS == 100 * 80_000
    check_opens(io.BytesIO(most))
    assert len(list(rows(io.BytesIO(most)))) == 2
    with pytest.raises(BadInput, match="million cells"):
        check_opens(io.BytesIO(far_cell("CV80001")))


@pytest.mark.parametrize("content", [b"time,glucose\n", b"PK\3\4 no workbook", b"\xd0\xcf\x11\xe0 none either", b""])
def test_what_is_no_workbook_is_left_to_its_reader(content: bytes) -> None:
    check_opens(io.BytesIO(content))


def test_a_library_that_fails_at_a_workbook_fails_in_the_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python_calamine.py").write_text("raise BaseException")  # as its panics are
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    with pytest.raises(BadInput, match="workbook that opens"):
        check_opens(io.BytesIO(workbook({"one": [["time"]]})))


def test_a_cell_that_the_library_fails_at_is_refused() -> None:
    """A length of time beyond what can be counted; others end in a panic, which is no Exception."""
    content = far_cell("A2", number="9e99", style="2")
    with pytest.raises(BadInput, match="workbook that opens"):
        check_opens(io.BytesIO(content))


def test_rows_are_those_of_the_sheet_wherever_its_table_begins() -> None:
    content = workbook({"one": [[None, None], [None, None, 3.0], [None, "x"]]})
    assert [(row.line, row.cells) for row in rows(io.BytesIO(content))] == [(2, ["", "", 3.0]), (3, ["", "x", ""])]
