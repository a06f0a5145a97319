"""From values to registers: what a program's flags need, in the order in which it was written, in few registers.

Few, because the work tables have to stay in the nearest cache: a result's register is used again as soon as nothing
needs the result any more. Inputs and constants keep theirs; the kernel fills them in. Numbers and flags have registers
of their own, and where one is needed as the other an instruction turns it into that. A comparison with a multiple is
one instruction.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.code import QUANTITY, Code, Gathered, LocalMinute, Parameter
from islet.engine.interpret import (
    ABOVE_NUMBER,
    AND_NOT,
    AS_NUMBER,
    AT_LEAST,
    AT_LEAST_TIMES,
    COMPARISONS,
    GREATER,
    GREATER_TIMES,
    ON_FLAGS,
    TIMES_AT_LEAST,
    TIMES_GREATER,
    TIMES_NUMBER,
)
from islet.engine.ladders import take_out, write_ladders
from islet.engine.program import Features, Program

Flags = tuple[int, ...]
"""The values of breach and clear, of breach alone where clear is its opposite, of nothing for a silence."""

_NOTHING: Final = -1
_OF_MULTIPLES: Final = {GREATER: (TIMES_GREATER, GREATER_TIMES), AT_LEAST: (TIMES_AT_LEAST, AT_LEAST_TIMES)}


class _Placed(NamedTuple):
    """Registers of inputs and constants, by value."""

    registers: dict[int, int]
    features: list[tuple[Gathered, int]]
    parameters: list[tuple[str, int]]
    local_minute: int
    constants: list[tuple[int, int]]


class _Step(NamedTuple):
    """An instruction on values: its sides (_NOTHING where it has none), its number, and the value that it gives."""

    kind: int
    left: int
    right: int
    number: int
    value: int

    @property
    def sides(self) -> tuple[int, ...]:
        return tuple(side for side in (self.left, self.right) if side != _NOTHING)


def write_program(
    code: Code, flags: Sequence[Flags], silence_us: Sequence[int], sustained_us: Sequence[int]
) -> tuple[Features, Program, tuple[str, ...]]:
    """The program of these rules, what it looks at, and the names of its columns of parameters."""
    taken = take_out(code, flags)
    needs = [
        _needed(code, [*(value for value in rest if value is not None), *looked_at])
        for rest, looked_at in zip(taken.rest, taken.looked_at, strict=True)
    ]
    live = set().union(*needs)
    steps = _Steps(code, live)
    told = [[None if value is None else steps.as_flag(value) for value in rest] for rest in taken.rest]
    placed = _places(code, live)
    numbers, of_flags = placed.registers, dict[int, int]()
    kept = {value for values in told for value in values if value is not None}
    registers, flag_registers = _allocate(steps.steps, kept, numbers, of_flags)
    features = Features(
        table=_table([(*feature[:3], numbers[value]) for feature, value in placed.features], 4),
        asking=np.array([_mask(needs, value) for _, value in placed.features], np.int64),
        bounds=_bounds(placed),
    )
    program = Program(
        parameters=_table([(column, numbers[value]) for column, (_, value) in enumerate(placed.parameters)], 2),
        local_minute=placed.local_minute,
        instructions=_instructions(steps.steps, numbers, of_flags),
        constants=_table([(numbers[value], number) for number, value in placed.constants], 2),
        registers=registers,
        flag_registers=flag_registers,
        ladders=write_ladders(taken.rungs, numbers),
        flags=_table([tuple(_NOTHING if v is None else of_flags[v] for v in values) for values in told], 2),
        opposite=sum(1 << bit for bit, values in enumerate(flags) if len(values) == 1),
        silence_us=np.array(silence_us, np.int64),
        sustained_us=np.array(sustained_us, np.int64),
        reading_bits=sum(1 << bit for bit, values in enumerate(flags) if values),
    )
    return features, program, tuple(name for name, _ in placed.parameters)


class _Steps:
    """The instructions of what is needed, in the order in which they were written."""

    def __init__(self, code: Code, live: set[int]) -> None:
        self.steps: list[_Step] = []
        self._code = code
        self._turned: dict[int, int] = {}  # a value, and the same as a flag or as a number
        order = [value for value in sorted(live) if code.made[value] is not None]
        multiples = _multiples(code, order)
        for value in order:
            if value not in multiples:
                self._write(value, multiples)

    def as_flag(self, value: int) -> int:
        """The value that is the same as a flag."""
        return value if _is_flag(self._code, value) else self._turn(value, ABOVE_NUMBER)

    def _as_number(self, value: int) -> int:
        return self._turn(value, AS_NUMBER) if _is_flag(self._code, value) else value

    def _turn(self, value: int, kind: int) -> int:
        if value not in self._turned:
            self._turned[value] = len(self._code.made) + len(self._turned)
            self.steps.append(_Step(kind, value, _NOTHING, 0, self._turned[value]))
        return self._turned[value]

    def _write(self, value: int, multiples: dict[int, tuple[int, int]]) -> None:
        made = self._code.made[value]
        assert made is not None
        kind, left, right = made
        number = 0
        if kind > AND_NOT:
            right, number = _NOTHING, right
        if kind in _OF_MULTIPLES and left in multiples:
            kind, (left, number) = _OF_MULTIPLES[kind][0], multiples[left]
        elif kind in _OF_MULTIPLES and right in multiples:
            kind, (right, number) = _OF_MULTIPLES[kind][1], multiples[right]
        turn = self.as_flag if kind in ON_FLAGS else self._as_number
        left, right = (side if side == _NOTHING else turn(side) for side in (left, right))
        self.steps.append(_Step(kind, left, right, number, value))


def _multiples(code: Code, order: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The multiples that are only compared, and with what is none: the value of each and how many times it."""
    users = dict[int, list[int]]()
    for value in order:
        for side in _sides(code, value):
            users.setdefault(side, []).append(value)
    found = dict[int, tuple[int, int]]()
    for value in order:
        kind, left, number = code.made[value] or (_NOTHING, 0, 0)
        mine = users.get(value, [])
        others = {side for user in mine for side in _sides(code, user)} - {value}
        compared = all((code.made[user] or (_NOTHING,))[0] in _OF_MULTIPLES for user in mine)
        if kind == TIMES_NUMBER and mine and compared and not others & found.keys():
            found[value] = (left, number)
    return found


def _is_flag(code: Code, value: int) -> bool:
    made = code.made[value]
    return made is not None and (made[0] in ON_FLAGS or made[0] in COMPARISONS)


def _needed(code: Code, values: Sequence[int]) -> set[int]:
    """The values that these are made of, and they themselves."""
    found = set[int]()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            waiting.extend(_sides(code, value))
    return found


def _sides(code: Code, value: int) -> list[int]:
    made = code.made[value]
    if made is None:
        source = code.source(value)
        named = source.bound.parameter if isinstance(source, Gathered) else ""
        return [code.inputs[Parameter(named)]] if named else []
    kind, left, right = made
    return [left, right] if kind <= AND_NOT else [left]


def _bounds(placed: _Placed) -> NDArray[np.int64]:
    columns = {name: column for column, (name, _) in enumerate(placed.parameters)}
    bounds = [feature.bound for feature, _ in placed.features]
    return _table([(columns.get(one.parameter, _NOTHING), one.times, one.plus, one.per) for one in bounds], 4)


def _places(code: Code, live: set[int]) -> _Placed:
    """A register of its own for each input and constant that is needed; the quantity has register 0 in any case."""
    inputs = [(source, value) for source, value in code.inputs.items() if value in live and source != QUANTITY]
    features = sorted((source, value) for source, value in inputs if isinstance(source, Gathered))
    features.sort(key=lambda one: (one[0].source, one[0].window_us, one[0].aggregate, one[0].bound))
    parameters = sorted((source.name, value) for source, value in inputs if isinstance(source, Parameter))
    minutes = [value for source, value in inputs if isinstance(source, LocalMinute)]
    constants = sorted((number, value) for number, value in code.constants.items() if value in live)
    order = [0, *(v for _, v in features), *(v for _, v in parameters), *minutes, *(v for _, v in constants)]
    registers = {value: register for register, value in enumerate(order)}
    return _Placed(registers, features, parameters, registers[minutes[0]] if minutes else -1, constants)


def _allocate(
    steps: Sequence[_Step], kept: set[int], numbers: dict[int, int], flags: dict[int, int]
) -> tuple[int, int]:
    """A register for each value, in `numbers` or in `flags`; how many of each there are. A result never takes the
    register of one of its sides: loops over arrays that may be the same are not vectorised."""
    last_use = {side: step.value for step in steps for side in step.sides}
    placed = set(numbers)
    counts, free = {False: len(numbers), True: 0}, {False: list[int](), True: list[int]()}
    for step in steps:
        flag = _gives_flag(step.kind)
        if free[flag]:
            register = free[flag].pop()
        else:
            register = counts[flag]
            counts[flag] += 1
        (flags if flag else numbers)[step.value] = register
        for side in set(step.sides):
            if last_use[side] == step.value and side not in kept and side not in placed:
                free[side in flags].append((flags if side in flags else numbers)[side])
    return counts[False], counts[True]


def _gives_flag(kind: int) -> bool:
    return kind in ON_FLAGS or kind in COMPARISONS or GREATER_TIMES <= kind <= TIMES_AT_LEAST


def _instructions(steps: Sequence[_Step], numbers: dict[int, int], flags: dict[int, int]) -> NDArray[np.int64]:
    registers = {**numbers, **flags, _NOTHING: _NOTHING}
    return _table(
        [(one.kind, registers[one.left], registers[one.right], one.number, registers[one.value]) for one in steps], 5
    )


def _mask(needs: Sequence[set[int]], value: int) -> int:
    return sum(1 << bit for bit, needed in enumerate(needs) if value in needed)


def _table(rows: Sequence[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(-1, width)
