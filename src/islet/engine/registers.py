"""From values to registers: what a program's flags need, in the order in which it was written, in few registers.

Few, because the work table has to stay in the nearest cache: a result's register is used again as soon as nothing
needs the result any more. Inputs and constants keep theirs; the kernel fills them in.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.code import QUANTITY, Code, Gathered, LocalMinute, Parameter
from islet.engine.interpret import AND_NOT
from islet.engine.program import Program

Flags = tuple[int, ...]
"""The values of breach and clear, of breach alone where clear is its opposite, of nothing for a silence."""


class _Placed(NamedTuple):
    """Registers of inputs and constants, by value."""

    registers: dict[int, int]
    features: list[tuple[Gathered, int]]
    parameters: list[tuple[str, int]]
    local_minute: int
    constants: list[tuple[int, int]]


def write_program(
    code: Code, flags: Sequence[Flags], silence_us: Sequence[int], sustained_us: Sequence[int]
) -> tuple[Program, tuple[str, ...]]:
    """The program of these rules, and the names of its columns of parameters."""
    needs = [_needed(code, values) for values in flags]
    live = set().union(*needs)
    placed = _places(code, live)
    registers, count = _allocated(code, sorted(live), {v for values in flags for v in values}, placed.registers)
    program = Program(
        features=_table([(*feature, registers[value]) for feature, value in placed.features], 4),
        asking=np.array([_mask(needs, value) for _, value in placed.features], np.int64),
        parameters=_table([(column, registers[value]) for column, (_, value) in enumerate(placed.parameters)], 2),
        local_minute=placed.local_minute,
        instructions=_instructions(code, sorted(live), registers),
        constants=_table([(registers[value], number) for number, value in placed.constants], 2),
        registers=count,
        flags=_table([_pair([registers[value] for value in values]) for values in flags], 2),
        silence_us=np.array(silence_us, np.int64),
        sustained_us=np.array(sustained_us, np.int64),
        reading_bits=sum(1 << bit for bit, values in enumerate(flags) if values),
    )
    return program, tuple(name for name, _ in placed.parameters)


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
        return []
    kind, left, right = made
    return [left, right] if kind <= AND_NOT else [left]


def _places(code: Code, live: set[int]) -> _Placed:
    """A register of its own for each input and constant that is needed; the quantity has register 0 in any case."""
    inputs = [(source, value) for source, value in code.inputs.items() if value in live and source != QUANTITY]
    features = sorted((source, value) for source, value in inputs if isinstance(source, Gathered))
    features.sort(key=lambda one: (one[0].source, one[0].window_us, one[0].aggregate))
    parameters = sorted((source.name, value) for source, value in inputs if isinstance(source, Parameter))
    minutes = [value for source, value in inputs if isinstance(source, LocalMinute)]
    constants = sorted((number, value) for number, value in code.constants.items() if value in live)
    order = [0, *(v for _, v in features), *(v for _, v in parameters), *minutes, *(v for _, v in constants)]
    registers = {value: register for register, value in enumerate(order)}
    return _Placed(registers, features, parameters, registers[minutes[0]] if minutes else -1, constants)


def _allocated(code: Code, order: Sequence[int], kept: set[int], placed: dict[int, int]) -> tuple[dict[int, int], int]:
    """A register for each value, and how many there are. A result never takes the register of one of its sides:
    loops over arrays that may be the same are not vectorised."""
    last_use = {side: value for value in order for side in _sides(code, value)}
    registers = dict(placed)
    count = len(placed)
    free = list[int]()
    for value in order:
        if value in placed:
            continue
        if free:
            registers[value] = free.pop()
        else:
            registers[value] = count
            count += 1
        for side in set(_sides(code, value)):
            if last_use[side] == value and side not in kept and side not in placed:
                free.append(registers[side])
    return registers, count


def _instructions(code: Code, order: Sequence[int], registers: dict[int, int]) -> NDArray[np.int64]:
    rows = []
    for value in order:
        made = code.made[value]
        if made is not None:
            kind, left, right = made
            rows.append((kind, registers[left], registers[right] if kind <= AND_NOT else right, registers[value]))
    return _table(rows, 4)


def _pair(registers: Sequence[int]) -> tuple[int, int]:
    breach, clear, *_ = [*registers, -1, -1]
    return breach, clear


def _mask(needs: Sequence[set[int]], value: int) -> int:
    return sum(1 << bit for bit, needed in enumerate(needs) if value in needed)


def _table(rows: Sequence[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(-1, width)
