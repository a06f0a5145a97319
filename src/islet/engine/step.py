"""The engine as one function: readings and what is known so far, to changes of alerts.

`step` and `tick` change the state they are given, for speed, and depend on nothing else: no clock, no order within
the lateness bound, no size of batches.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.advance import advance
from islet.engine.changes import Changes
from islet.engine.foresee import foresee
from islet.engine.program import MOST_RULES, Program
from islet.engine.reference import PatientReference, Reference
from islet.engine.said import CHANGE_WIDTH, CLEARED
from islet.engine.series import (
    CONFLICT,
    DUPLICATE,
    EVALUATIONS,
    HISTORY,
    NEVER,
    OVERFLOW,
    TALLIES,
    ContextRows,
    Rows,
)
from islet.engine.silences import fold_tick
from islet.engine.state import EngineState, Ruled
from islet.engine.windows import Planned
from islet.model.ahead import CORRECTION_SHAPE, EATEN_POINTS, POINTS, Corrections, Foreteller
from islet.model.alerts import AlertChange
from islet.model.batch import numbers_of
from islet.model.time import DAY_US, HOUR_US

_NO_ROWS: Final = np.empty(0, np.int64)
_CONTEXT: Final = ("time_us", "column", "amount", "key", "rank")


@dataclass(kw_only=True, slots=True)
class Output:
    """What a step or a tick gave.

    `received_us`: when each row was received; of no row where there were none, or only the time was looked at.
    `history`: rows too old to revise anything; they are in the log and the store, but raise no alert. `conflicts`: a
    known (device, time) with another value; the first one stays. `overflows`: evaluations that could not see their
    whole window, and readings beyond what is kept of one series.
    """

    said: Changes
    received_us: NDArray[np.int64]
    readings: int = 0
    evaluations: int = 0
    duplicates: int = 0
    conflicts: int = 0
    history: int = 0
    overflows: int = 0

    @property
    def changes(self) -> list[AlertChange]:
        """What was said, as records."""
        return self.said.records

    @property
    def causes(self) -> list[int]:
        """Per change, the row of the batch behind it; -1 where it was the time (or something that people did)."""
        causes: list[int] = self.said.rows.tolist()
        return causes


def step(
    state: EngineState,
    readings: pa.RecordBatch | None,
    reference: Reference,
    plan: Ruled,
    context: pa.RecordBatch | None = None,
) -> Output:
    """Take in readings and what people did; changes `state`.

    Readings: columns patient, device, time_us, glucose_tenths (a whole number from 0 to 65,535 in the stream's fixed
    point, whatever it measures), and received_at_us where they are from a log; n rows in log order. Context: columns
    patient, time_us, column (a number of `CONTEXT_COLUMNS` of `islet.engine.program`, or NOTHING), amount (fixed point),
    key and rank (`islet.model.care_events`); it counts as there before the readings of the same step.

    The stream of forecasts counts only what it evaluates: its readings are those of glucose, which are counted there.

    Linear in n; a late reading costs as much as its run has. Evaluations use the rules that `reference` enables now.
    """
    state.adopt(plan, reference)
    known = len(state.patients)
    rows = _rows(state, readings)
    context_rows = _context_rows(state, context)
    state.make_series(known)
    state.make_room(len(rows.times_us) + len(context_rows.times_us))
    tally = np.zeros(TALLIES, np.int64)
    if plan.foreteller is not None:
        return _foreseen(state, context_rows, rows, _ranges(readings), plan.program, plan.foreteller, tally)
    planned = Planned(plan.program, state.windows)
    state.pool, changes = advance(state.memory, context_rows, rows, planned, tally, 2 * state.said)
    state.said = len(changes)
    return Output(
        said=Changes(changes, state.patients, state.devices, state.rules),
        received_us=rows.received_us,
        readings=len(rows.times_us),
        evaluations=int(tally[EVALUATIONS]),
        duplicates=int(tally[DUPLICATE]),
        conflicts=int(tally[CONFLICT]),
        history=int(tally[HISTORY]),
        overflows=int(tally[OVERFLOW]),
    )


def _foreseen(
    state: EngineState,
    context: ContextRows,
    rows: Rows,
    ranges: NDArray[np.int8],
    program: Program,
    foreteller: Foreteller,
    tally: NDArray[np.int64],
) -> Output:
    planned = Planned(program, state.windows)
    state.pool, changes = foresee(state.memory, context, rows, ranges, planned, foreteller, state.corrections, tally)
    said = Changes(changes, state.patients, state.devices, state.rules)
    received_us, evaluations, overflows = rows.received_us, int(tally[EVALUATIONS]), int(tally[OVERFLOW])
    return Output(said=said, received_us=received_us, evaluations=evaluations, overflows=overflows)


def tick(state: EngineState, now_us: int, reference: Reference, plan: Ruled) -> Output:
    """Look at the time: silences that are long enough at `now_us` open, and alerts whose rule is no more end. Changes
    `state`; time never goes back."""
    state.adopt(plan, reference)
    state.now_us = max(state.now_us, now_us)
    state.pool, changes = fold_tick(state.memory, len(state.patients), plan.program.silence_us, state.grace_us)
    ended, rules = state.ended, state.rules
    if ended:
        state.ended = []
        rules = (*rules, *dict.fromkeys(one.rule for one in ended))
        numbers = {rule: place for place, rule in enumerate(rules) if place >= len(state.rules)}
        more = np.empty((len(ended), CHANGE_WIDTH), np.int64)
        for row, one in zip(more, ended, strict=True):
            row[:] = CLEARED, numbers[one.rule], one.patient, one.onset_us, state.now_us, -1, 0, NEVER, -1
        changes = np.concatenate([changes, more])
    return Output(said=Changes(changes, state.patients, state.devices, rules), received_us=_NO_ROWS)


def _rows(state: EngineState, readings: pa.RecordBatch | None) -> Rows:
    if readings is None:
        return Rows(_NO_ROWS, _NO_ROWS, _column(_NO_ROWS), _column(np.empty(0, np.int32)), _column(_NO_ROWS))
    patients, devices = state.pairs.numbers(readings.column("patient"), readings.column("device"))
    if readings.schema.get_field_index("received_at_us") >= 0:
        received_us = _numbers(readings, "received_at_us", np.int64)
    else:  # not from a log: long ago
        received_us = _never(readings.num_rows)
    times_us, values = _numbers(readings, "time_us", np.int64), _numbers(readings, "glucose_tenths", np.int32)
    return Rows(patients, devices, times_us, values, received_us)


def _ranges(readings: pa.RecordBatch | None) -> NDArray[np.int8]:
    """RANGE_CODES (n,) of the readings; all within where the batch does not say."""
    if readings is None or "range" not in readings.schema.names:
        return np.zeros(0 if readings is None else readings.num_rows, np.int8)
    return _numbers(readings, "range", np.int8)


def _context_rows(state: EngineState, context: pa.RecordBatch | None) -> ContextRows:
    if context is None:
        return _no_context()
    patients = state.patients.numbers(context.column("patient"))
    return ContextRows(patients, *(_numbers(context, name, np.int64) for name in _CONTEXT))


@cache
def _no_context() -> ContextRows:
    return ContextRows(_NO_ROWS, *(_column(_NO_ROWS) for _ in _CONTEXT))


@lru_cache(maxsize=2)
def _never(rows: int) -> NDArray[np.int64]:
    return _column(np.full(rows, NEVER, np.int64))


def _numbers(readings: pa.RecordBatch, name: str, kind: type[Any]) -> NDArray[Any]:
    """A column (n,) of numbers, always of one type: a kernel is compiled for each type that it meets."""
    return _column(numbers_of(readings.column(name), kind))


def _column(column: NDArray[Any]) -> NDArray[Any]:
    column = column.view()
    column.flags.writeable = False
    return column


def warm_up(plan: Ruled) -> None:
    """Have the kernels compiled (or read from their cache) before the first reading needs them: a made-up patient's
    three readings, one of them late, a look at the time, and what is to be said of it."""
    state = EngineState(lateness_us=HOUR_US)
    everything = Reference(otherwise=PatientReference(mask=(1 << MOST_RULES) - 1, parameters=(0,) * 64))
    for time_us in (0, 2 * HOUR_US, HOUR_US + 1):
        step(state, _made_up(time_us), everything, plan)
    tick(state, DAY_US, everything, plan).said.documents()
    if plan.foreteller is not None:
        history, eaten = np.full((1, POINTS), 100, np.float32), np.zeros((1, EATEN_POINTS), np.float32)
        somebodys = Corrections(np.zeros((1, *CORRECTION_SHAPE), np.float32), np.zeros(1, np.int64))
        plan.foreteller(history, np.zeros(1, np.float32), eaten, somebodys)
    state.patients.find(["-"])
    state.tidy()
    state.begin_to_tidy()
    state.go_on_tidying(1)


def _made_up(time_us: int) -> pa.RecordBatch:
    tenths, low = pa.array([500], pa.int32()), pa.array([-1], pa.int8())
    return pa.record_batch(
        {"patient": ["-"], "device": ["-"], "time_us": [time_us], "glucose_tenths": tenths, "range": low}
    )
