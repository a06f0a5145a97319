"""Personal corrections in the engine: of the person whose they are, whatever the order, the cuts and the restarts."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from islet.engine.parameters import NO_LAYERS
from islet.engine.reference import Reference
from islet.engine.references import references
from islet.engine.rules import Plan, plan
from islet.engine.shard import Shard
from islet.engine.tables import FORECASTS
from islet.forecast.personal import as_bytes, correction
from islet.forecast.personal import given as known_of
from islet.forecast.serving import columns, shipped
from islet.model.ahead import CORRECTION_SHAPE, Corrections
from islet.model.alerts import AlertChange
from islet.model.people import Patient
from tests.forecast.test_serving import LATENESS_US, PLAN, Kept, falling, standing, take

PEOPLE = [Patient(id="p"), Patient(id="q")]
LINES = np.random.default_rng(6).normal(0, 4, CORRECTION_SHAPE).astype(np.float32)
MINE = {"p": as_bytes(LINES)}


class Reckoned(Kept):
    """Keeps what was said, and that it is what the reference says, row by row, in NumPy."""

    def __init__(self) -> None:
        super().__init__()
        self.corrected = 0

    def __call__(
        self,
        history: NDArray[np.float32],
        minute: NDArray[np.float32],
        eaten: NDArray[np.float32],
        corrections: Corrections | None = None,
    ) -> NDArray[np.int32]:
        said = super().__call__(history, minute, eaten, corrections)
        if corrections is not None:
            found = shipped().forecast(history, minute, eaten=eaten)
            mine = corrections.place >= 0
            known = known_of(history[mine], minute[mine], found.quantiles[mine])
            found.quantiles[mine] += correction(LINES, known)[:, :, None]
            assert np.abs(said - columns(found)).max(initial=0) <= 1
            self.corrected += int(mine.sum())
        return said


def two_people() -> list[tuple[str, int, int]]:
    """The same fall, of q a little higher: what is asked tells them apart."""
    rows = [*falling("p"), *((who, minute, tenths + 7) for who, minute, tenths in falling("q"))]
    return sorted(rows, key=lambda row: row[1])


def ruled(foreteller: Kept) -> Plan:
    return plan(PLAN.rules, foreteller=foreteller)


def referenced(ready: Plan, lines: dict[str, bytes]) -> dict[str, Reference]:
    return references(ready, NO_LAYERS, PEOPLE, lines=lines)


def test_lines_correct_the_person_whose_they_are_and_nobody_else() -> None:
    rows = two_people()
    both, alone, other, plain = Reckoned(), Reckoned(), Reckoned(), Kept()
    for said, some, lines in (
        (both, "pq", MINE), (alone, "p", MINE), (other, "q", MINE), (plain, "pq", {}),
    ):  # fmt: skip
        one = Shard(ruled(said), referenced(PLAN, lines), lateness_us=LATENESS_US)
        take(one, [row for row in rows if row[0] in some])
    assert both.said == alone.said | other.said
    assert all(plain.said[key] == what for key, what in other.said.items())
    assert any(plain.said[key] != what for key, what in alone.said.items())
    assert both.corrected == alone.corrected > 0 and other.corrected == 0


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_order_cuts_and_restarts_change_nothing_of_what_is_corrected(data: st.DataObject) -> None:
    rows = two_people()
    straight, said = Kept(), Kept()
    expected = standing(take(Shard(ruled(straight), referenced(PLAN, MINE), lateness_us=LATENESS_US), rows))
    late = data.draw(st.lists(st.integers(0, 60), min_size=len(rows), max_size=len(rows)))
    shuffled = [row for _, row in sorted(zip(late, rows, strict=True), key=lambda pair: pair[0] + pair[1][1])]
    ready = ruled(said)
    one = Shard(ready, referenced(ready, MINE), lateness_us=LATENESS_US)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    changes: list[AlertChange] = []
    for begin, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        changes += take(one, shuffled[begin:end])
        if data.draw(st.booleans()):
            again = Shard(ready, {}, lateness_us=LATENESS_US)
            assert again.load(one.dump())  # with the lines of then, until others are given
            one = again
    assert standing(changes) == expected
    assert {key: said.said.get(key) for key in straight.said} == straight.said


def test_lines_are_given_taken_and_changed_between_two_readings() -> None:
    def said_with(lines: Sequence[dict[str, bytes]]) -> list[bytes]:
        asked = Kept()
        ready = ruled(asked)
        one = Shard(ready, referenced(ready, {}), lateness_us=LATENESS_US)
        rows = falling("p")
        take(one, rows[:40])
        for row, mine in zip(rows[40:], lines, strict=False):
            one.adopt(ready, referenced(ready, mine))
            take(one, [row])
        return list(asked.said.values())[40 : 40 + len(lines)]

    mine, others = MINE, {"p": as_bytes(-LINES), "q": as_bytes(LINES)}
    never, always, turned = said_with([{}] * 4), said_with([mine] * 4), said_with([others] * 4)
    assert said_with([{}, mine, others, {}]) == [never[0], always[1], turned[2], never[3]]
    assert len({never[1], always[1], turned[1]}) == 3


def test_only_people_with_lines_take_memory_for_them() -> None:
    ready = ruled(Kept())
    many = [Patient(id=f"p-{k}") for k in range(1_000)]
    none = references(ready, NO_LAYERS, many)[FORECASTS]
    some = references(ready, NO_LAYERS, many, lines={"p-3": as_bytes(LINES), "stranger": as_bytes(LINES)})[FORECASTS]
    assert not none.patients and some.patients.keys() == {"p-3"}
    assert none.version != some.version
    with_lines = Shard(ready, {FORECASTS: some}, lateness_us=LATENESS_US)
    without = Shard(ready, {FORECASTS: none}, lateness_us=LATENESS_US)
    assert with_lines.nbytes == without.nbytes + 288


@pytest.mark.parametrize("wild", [1e30, -1e30])
def test_no_lines_make_an_alarm_of_more_than_the_bound(wild: float) -> None:
    asked, plain = Kept(), Kept()
    for said, lines in ((asked, {"p": as_bytes(np.full(CORRECTION_SHAPE, wild, np.float32))}), (plain, {})):
        take(Shard(ruled(said), referenced(PLAN, lines), lateness_us=LATENESS_US), falling("p"))
    for key, what in asked.said.items():
        moved = np.frombuffer(what, np.int32)[:30] - np.frombuffer(plain.said[key], np.int32)[:30]
        assert np.abs(moved).max() <= 201
