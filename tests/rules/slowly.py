"""Programs of rules on streams, slowly: features gathered in plain Python, so that planner and interpreter are tested
without the engine's kernels."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from islet.engine.interpret import run
from islet.engine.kernel import kernel
from islet.engine.program import BYTES, CONTEXT, CONTEXT_COLUMNS, CONTEXT_SCALE, COUNT_FROM, FORECAST, VALUE, Program
from islet.engine.rules import Plan, StreamPlan
from islet.model.time import MINUTE_US, SECOND_US
from tests.rules.streams import Event, Stream, Value, defaults, foretold, lines_of, local

_WIDE = 128


@kernel
def _run(program: Program, work: NDArray[np.int64], flags: NDArray[np.int8], columns: int, breach: NDArray[np.int64], clear: NDArray[np.int64]) -> None:  # fmt: skip
    run(program, work, flags, columns, breach, clear, 0)


def breaches(plan: Plan, stream: Stream) -> dict[str, set[tuple[str, int]]]:
    """Per rule of the stream's quantity, the patients and microseconds at which it is breached."""
    ready = plan.streams[stream.quantity]
    masks, _ = flags(plan, ready, stream)
    return {
        rule.name: {(v.patient, v.us) for v, mask in zip(stream.values, masks.tolist(), strict=True) if mask >> bit & 1}
        for bit, rule in enumerate(ready.rules)
    }


def flags(plan: Plan, ready: StreamPlan, stream: Stream) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The masks of breach and clear at each value (n,)."""
    breach, clear = (np.zeros(len(stream.values) + _WIDE, np.int64) for _ in range(2))
    for begin in range(0, len(stream.values), _WIDE):
        some = stream.values[begin : begin + _WIDE]
        work = np.zeros((ready.program.registers + 1, _WIDE), np.int64)
        for register, number in ready.program.constants.tolist():
            work[register] = number
        for column, value in enumerate(some):
            _fill(work[:, column], value, plan, ready, stream)
        table = np.zeros((ready.program.flag_registers + BYTES, _WIDE), np.int8)
        _run(ready.program, work, table, len(some), breach[begin:], clear[begin:])
    return breach[: len(stream.values)], clear[: len(stream.values)]


def _fill(work: NDArray[np.int64], value: Value, plan: Plan, ready: StreamPlan, stream: Stream) -> None:
    mine = sorted((v.us, round(v.value * ready.scale)) for v in stream.values if v.patient == value.patient)
    events = [e for e in stream.events if e.patient == value.patient]
    work[0] = round(value.value * ready.scale)
    known = {**defaults(plan), **stream.patients.get(value.patient, {})}
    columns = [fixed_point(plan, name, known) for name in ready.parameters]
    for feature, bound in zip(ready.features.table.tolist(), ready.features.bounds.tolist(), strict=True):
        source, aggregate, window_us, register = feature
        if source == VALUE:
            work[register] = of_values(aggregate, mine, value.us, window_us, _least(bound, columns))
        elif source == FORECAST:
            work[register] = foretold(lines_of(stream), window_us // MINUTE_US)[stream.values.index(value)]
        else:
            work[register] = _of_events(
                aggregate, source - CONTEXT, events, value.us, window_us, _least(bound, columns)
            )
    for column, register in ready.program.parameters.tolist():
        work[register] = columns[column]
    if ready.program.local_minute >= 0:
        clock = local(value.at, stream.time_zone)
        work[ready.program.local_minute] = clock.hour * 60 + clock.minute


def fixed_point(plan: Plan, name: str, known: dict[str, float | str]) -> int:
    if name.startswith("profile="):
        return int(known["profile"] == name.removeprefix("profile="))
    decimals = plan.parameters[name].decimals if name in plan.parameters else 1
    return round(float(known[name]) * 10.0**decimals)


def _least(bound: Sequence[int], columns: Sequence[int]) -> int:
    """The least integer that is counted from a bound upwards."""
    column, times, plus, per = bound
    return ((columns[column] if column >= 0 else 0) * times + plus) // per


def of_values(aggregate: int, mine: Sequence[tuple[int, int]], t_us: int, window_us: int, least: int = 0) -> int:
    """A feature over a patient's values (µs, integer), ascending."""
    window = [(us, v) for us, v in mine if t_us - window_us <= us <= t_us]
    values, ages = [v for _, v in window], [(t_us - us) // SECOND_US for us, _ in window]
    before = [(us, v) for us, v in mine if us < t_us]
    asked: tuple[Callable[[], int], ...] = (
        lambda: sum(values),
        lambda: len(values),
        lambda: min(values),
        lambda: max(values),
        lambda: values[0],
        lambda: values[-1],
        lambda: sum(v * v for v in values),
        lambda: sum(ages),
        lambda: sum(age * age for age in ages),
        lambda: sum(age * v for age, v in zip(ages, values, strict=True)),
        lambda: ages[0],
        lambda: before[-1][1] if before else 0,
        lambda: (t_us - before[-1][0]) // SECOND_US if before else -1,
        lambda: sum(v >= least for v in values),
        lambda: sum(v for v in values if v >= least),
        lambda: 1 + min((age_s for age_s, v in zip(ages, values, strict=True) if v >= least), default=-1),
    )
    return asked[aggregate]()


def _of_events(aggregate: int, place: int, events: Sequence[Event], t_us: int, window_us: int, least: int) -> int:
    window = [
        (t_us - round(e.minute * MINUTE_US), round(e.amount * CONTEXT_SCALE[place]))
        for e in events
        if e.column == CONTEXT_COLUMNS[place] and 0 <= t_us - round(e.minute * MINUTE_US) <= window_us
    ]
    amounts, from_least = [amount for _, amount in window], [one for one in window if one[1] >= least]
    if aggregate >= COUNT_FROM:
        ages = [age_us // SECOND_US for age_us, _ in from_least]
        return (len(ages), sum(amount for _, amount in from_least), 1 + min(ages, default=-1))[aggregate - COUNT_FROM]
    if not amounts:
        return 0 if aggregate < 2 else -999  # has no meaning
    return (sum(amounts), len(amounts), min(amounts), max(amounts))[aggregate]
