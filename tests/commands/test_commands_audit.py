"""`islet audit verify` on a trail that somebody with the key and the file has changed behind our back."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner

from islet.cli import main
from islet.log.connection import open_database
from islet.log.keys import data_key
from islet.model.people import Patient
from islet.opened import opened_registry
from islet.settings import Settings


def verify(directory: Path, *more: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["--data-dir", str(directory), "audit", "verify", *more])
    return result.exit_code, result.output


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with opened_registry(Settings(data_dir=tmp_path)) as registry:
        registry.put_patient(Patient(id="p-1"))
        for number in range(1, 6):
            registry.note("looked", "patient", f"p-{number}", by="dr-k", at_us=number)
    return tmp_path


@contextlib.contextmanager
def trail(directory: Path) -> Iterator[apsw.Connection]:
    key = data_key(Settings(data_dir=directory), os.environ)
    with contextlib.closing(open_database(directory / "store.db", key, synchronous="FULL")) as database:
        yield database


def spoil(directory: Path, *statements: str) -> None:
    """As somebody who has the key: the triggers go first."""
    with trail(directory) as database:
        for statement in ("DROP TRIGGER audit_is_not_changed", "DROP TRIGGER audit_is_not_removed", *statements):
            database.execute(statement)


CHANGED = "UPDATE audit SET line = CAST(replace(CAST(line AS TEXT), 'dr-k', 'dr-x') AS BLOB) WHERE number = 3"
REMOVED = "DELETE FROM audit WHERE number = 3"
SWAPPED = (
    "UPDATE audit SET number = 99 WHERE number = 2",
    "UPDATE audit SET number = 2 WHERE number = 3",
    "UPDATE audit SET number = 3 WHERE number = 99",
)


def test_a_whole_trail_is_told_with_its_last_seal_which_can_be_noted(directory: Path) -> None:
    code, said = verify(directory)
    assert (code, said.startswith("5 lines, all whole; last seal 5:")) == (0, True)
    noted = said.split()[-1]
    assert verify(directory, "--noted", noted)[0] == 0


@pytest.mark.parametrize(("statements", "line"), [((CHANGED,), 3), ((REMOVED,), 3), (SWAPPED, 2)])
def test_a_changed_removed_or_moved_line_is_found(directory: Path, statements: tuple[str, ...], line: int) -> None:
    spoil(directory, *statements)
    code, said = verify(directory)
    assert (code, said.startswith(f"line {line} does not follow")) == (1, True)


def test_lines_cut_off_at_the_end_are_found_by_the_seal_that_was_noted(directory: Path) -> None:
    noted = verify(directory)[1].split()[-1]
    spoil(directory, "DELETE FROM audit WHERE number > 3")
    assert verify(directory)[0] == 0
    code, said = verify(directory, "--noted", noted)
    assert (code, "line 5 is not there" in said) == (1, True)


@pytest.mark.parametrize("statement", [CHANGED, REMOVED])
def test_the_database_itself_only_adds(directory: Path, statement: str) -> None:
    with trail(directory) as database, pytest.raises(apsw.ConstraintError, match="only added to"):
        database.execute(statement)
