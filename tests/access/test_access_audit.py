"""A trail that was tampered with shows where."""

import pytest
from msgspec import structs

from islet.access.audit import FIRST_SEAL, AuditLine, first_broken, sealed


def trail(length: int) -> list[AuditLine]:
    lines: list[AuditLine] = []
    for number in range(1, length + 1):
        line = AuditLine(number=number, at_us=number, by="dr-k", action="changed", kind="rule", id="low", after="{}")
        lines.append(sealed(line, lines[-1].seal if lines else FIRST_SEAL))
    return lines


def test_a_whole_trail_and_an_empty_one_are_sound() -> None:
    assert first_broken(trail(5)) is None
    assert first_broken([]) is None


@pytest.mark.parametrize("field", ["at_us", "by", "action", "kind", "id", "before", "after"])
def test_a_line_that_was_changed_is_found(field: str) -> None:
    lines = trail(5)
    other = 99 if field == "at_us" else "other"
    lines[2] = structs.replace(lines[2], **{field: other})
    assert first_broken(lines) == 3


def test_a_line_that_was_taken_out_or_moved_is_found() -> None:
    lines = trail(5)
    assert first_broken(lines[:1] + lines[2:]) == 2
    assert first_broken([lines[1], lines[0], *lines[2:]]) == 1


def test_a_line_that_was_sealed_anew_breaks_the_one_behind_it() -> None:
    lines = trail(5)
    lines[2] = sealed(structs.replace(lines[2], by="somebody"), lines[1].seal)
    assert first_broken(lines) == 4
