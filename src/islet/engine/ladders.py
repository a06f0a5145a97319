"""Ladders: what many comparisons of one quantity with numbers say, looked up at once.

Fifty limits on a value cut its range in fifty-one, and within each part the same rules are breached: so the value finds
one mask that says it of all of them, however many they are. An average over a window is such a quantity too: sum >
count * 1800 where sum / count, rounded up, is above 1800.

A comparison is taken out of a rule where it decides by itself: as an alternative (OR) in its breach or its clear.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final, NamedTuple

import numpy as np

from islet.engine.code import Code
from islet.engine.interpret import ABOVE_NUMBER, AT_LEAST, BELOW_NUMBER, GREATER, OR, TIMES_NUMBER
from islet.engine.program import Ladders

_FEWEST: Final = 6
"""Comparisons of a ladder; fewer cost less than the look-up."""
_WIDEST: Final = 1 << 16
"""From the lowest number of a ladder to the highest."""
_LARGEST: Final = 1 << 50
"""A quotient is made of floats, which are exact so far."""
_NOTHING: Final = -1


class Quantity(NamedTuple):
    """The value `left`, or it over the value `right`, rounded down or up. Both are inputs, which keep their registers."""

    left: int
    right: int = _NOTHING
    up: bool = False


class _Rung(NamedTuple):
    """What a rule has in a ladder: the comparison `value`, which is true where the quantity is above the number, or
    where it is not."""

    rule: int
    value: int
    number: int
    above: bool


_Rungs = Mapping[tuple[int, Quantity], Sequence[_Rung]]
"""By side (0: breach, 1: clear) and quantity."""


class Taken(NamedTuple):
    """The ladders; what is left of each rule's (breach, clear), None where it is nothing; and the values that each
    rule's ladders look at."""

    rungs: _Rungs
    rest: list[tuple[int | None, int | None]]
    looked_at: list[set[int]]


def take_out(code: Code, flags: Sequence[Sequence[int]]) -> Taken:
    """The ladders of rules whose flags these are: breach and clear, breach alone, or none."""
    found: dict[tuple[int, Quantity], list[_Rung]] = {}
    for rule, values in enumerate(flags):
        for side, value in enumerate(values):
            for one in _alternatives(code, value):
                if (compared := _comparison(code, one)) is not None:
                    quantity, number, above = compared
                    found.setdefault((side, quantity), []).append(_Rung(rule, one, number, above))
    rungs = {place: those for place, those in found.items() if _is_worth_it(those)}
    taken = {(side, rung.rule, rung.value) for (side, _), those in rungs.items() for rung in those}
    rest = list[tuple[int | None, int | None]]()
    for rule, values in enumerate(flags):
        left = [
            [one for one in _alternatives(code, v) if (side, rule, one) not in taken] for side, v in enumerate(values)
        ]
        breach, clear, *_ = [*(reduce(code.either, one) if one else None for one in left), None, None]
        rest.append((breach, clear))
    looked_at = [set[int]() for _ in flags]
    for (_, quantity), those in rungs.items():
        for rung in those:
            looked_at[rung.rule] |= {quantity.left, quantity.right} - {_NOTHING}
    return Taken(rungs, rest, looked_at)


def write_ladders(rungs: _Rungs, registers: Mapping[int, int]) -> Ladders:
    """The ladders as the kernel reads them; `registers` of their values."""
    table, parts, masks = list[tuple[int, ...]](), list[int](), list[int]()
    for (side, quantity), those in rungs.items():
        numbers = np.array(sorted({rung.number for rung in those}), np.int64)
        low, width = int(numbers[0]), int(numbers[-1] - numbers[0]) + 1
        left, right = registers[quantity.left], registers.get(quantity.right, _NOTHING)
        table.append((side, left, right, quantity.up, low, width, len(parts), len(masks)))
        parts += np.searchsorted(numbers, low + np.arange(width + 1)).tolist()
        for part in range(len(numbers) + 1):
            below = set(numbers[:part].tolist())
            masks.append(sum(1 << rule for rule in {r.rule for r in those if (r.number in below) == r.above}))
    return Ladders(np.array(table, np.int64).reshape(-1, 8), np.array(parts, np.uint16), np.array(masks, np.int64))


def _alternatives(code: Code, value: int) -> list[int]:
    """The values of which one is enough."""
    found, waiting = list[int](), [value]
    while waiting:
        kind, left, right = code.made[waiting[-1]] or (_NOTHING, 0, 0)
        one = waiting.pop()
        if kind == OR:
            waiting += (right, left)
        else:
            found.append(one)
    return found


def _is_worth_it(rungs: Sequence[_Rung]) -> bool:
    numbers = [rung.number for rung in rungs]
    return len({rung.value for rung in rungs}) >= _FEWEST and max(numbers) - min(numbers) < _WIDEST


def _comparison(code: Code, value: int) -> tuple[Quantity, int, bool] | None:
    """The quantity that the value compares, with which number, and whether it is true above it or elsewhere."""
    made = code.made[value]
    if made is None:
        return None
    kind, left, right = made
    if kind in (ABOVE_NUMBER, BELOW_NUMBER) and code.made[left] is None:
        above = kind == ABOVE_NUMBER
        return Quantity(left), right if above else right - 1, above
    if kind not in (GREATER, AT_LEAST):
        return None
    strictly = kind == GREATER
    if (multiple := _multiple(code, right, left)) is not None:  # left > of * times
        of, times = multiple
        return Quantity(left, of, strictly), times if strictly else times - 1, True
    if (multiple := _multiple(code, left, right)) is not None:  # of * times > right
        of, times = multiple
        return Quantity(right, of, not strictly), times - 1 if strictly else times, False
    return None


def _multiple(code: Code, value: int, other: int) -> tuple[int, int] | None:
    """Of what input the value is which multiple, where `other` is an input that can be divided by that one."""
    kind, of, times = code.made[value] or (_NOTHING, 0, 0)
    if kind != TIMES_NUMBER or code.made[of] is not None or code.made[other] is not None:
        return None
    least, most = code.bounds[other]
    return (of, times) if code.bounds[of][0] > 0 and least >= 0 and most + code.bounds[of][1] <= _LARGEST else None
