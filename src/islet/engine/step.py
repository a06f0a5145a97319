"""The engine as one function: readings and what is known so far, to changes of alerts.

`step` and `tick` change the state they are given, for speed, and depend on nothing else: no clock, no order within
the lateness bound, no size of batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.advance import advance
from islet.engine.changes import Changes
from islet.engine.episodes import fold_tick
from islet.engine.ids import Ids, Pairs
from islet.engine.rules import Plan, Reference
from islet.engine.windows import (
    CONFLICT,
    DUPLICATE,
    ENTRY,
    EVALUATIONS,
    HISTORY,
    NEVER,
    OVERFLOW,
    SERIES,
    TALLIES,
    UNTOUCHED,
    Rows,
)
from islet.model.alerts import AlertChange
from islet.model.batch import ReadingRow, readings_batch
from islet.model.time import DAY_US, HOUR_US

_ALL_BITS: Final = 0xFFFFFFFF
_CACHE_LINE: Final = 64


@dataclass(kw_only=True, slots=True)
class Output:
    """What a step or a tick gave.

    `history`: readings too old to revise anything (or of a time the ring no longer holds); they are in the log and
    the store, but raise no alert. `conflicts`: a known (device, time) with another value; the first one stays.
    `overflows`: readings for which the ring was too short to be exact (the setting `ring_readings`).
    """

    said: Changes
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
        """Per change, the row of the batch behind it; -1 where it was the time."""
        causes: list[int] = self.said.rows.tolist()
        return causes


class EngineState:
    """All that the engine remembers: `ring_readings` entries a patient, and who has which number."""

    def __init__(self, *, ring_readings: int, lateness_us: int, grace_us: int = 0) -> None:
        """`ring_readings`: at least 4; see the setting. `lateness_us`: how far behind the newest still revises.
        `grace_us`: how long after a reading came in nobody is called silent."""
        if ring_readings < 4:
            raise ValueError(f"ring_readings: expected at least 4; got {ring_readings}")
        self.lateness_us = lateness_us
        self.grace_us = grace_us
        self.now_us = NEVER  # the last tick
        self.rule_names: tuple[str, ...] = ()
        self.reference = Reference(otherwise=0)
        self.patients = Ids()
        self.devices = Ids()
        self.pairs = Pairs(self.patients, self.devices)
        self.series = _zeros(0, SERIES)
        self.rings = _zeros((0, ring_readings), ENTRY)
        self.base_onset = np.zeros((0, 0), np.int64)

    def adopt(self, plan: Plan, reference: Reference) -> None:
        """Work by this plan and reference from now on. Bits follow their rule's name; a new rule begins with nothing."""
        names = tuple(rule.name for rule in plan.rules)
        if names != self.rule_names:
            self._move_bits(names)
            self.rule_names = names
            self.reference = Reference(otherwise=-1)  # masks are by bit: none of the old ones holds
        if reference is not self.reference and reference != self.reference:
            self.reference = reference
            self._enable(0)
        self.reference = reference

    def make_series(self, before: int) -> None:
        """A series for each patient that is new; there were `before`."""
        count = len(self.patients)
        if count > len(self.series):
            self.reserve(max(count, 2 * len(self.series)))
        if count > before:
            self._enable(before)

    def reserve(self, patients: int) -> None:
        """Room for that many patients."""
        known = len(self.series)
        series = _zeros(patients, SERIES)
        series["newest_us"] = NEVER
        series["evicted_us"] = NEVER
        series["received_us"] = NEVER
        series["touched"] = UNTOUCHED
        rings = _zeros((patients, self.rings.shape[1]), ENTRY)
        base_onset = np.zeros((patients, len(self.rule_names)), np.int64)
        series[:known], base_onset[:known] = self.series, self.base_onset
        rings.view(np.uint8)[:known] = self.rings.view(np.uint8)  # as bytes; NumPy copies records field by field
        self.series, self.rings, self.base_onset = series, rings, base_onset

    def _enable(self, begin: int) -> None:
        """Set the rules that look at the patients from number `begin` on."""
        enabled = self.series["enabled"][: len(self.patients)]
        enabled[begin:] = self.reference.otherwise & _ALL_BITS
        if self.reference.masks:
            for number in range(begin, len(self.patients)):
                enabled[number] = self.reference.mask(self.patients[number]) & _ALL_BITS

    def _move_bits(self, names: Sequence[str]) -> None:
        before = {name: bit for bit, name in enumerate(self.rule_names)}
        moves = [(before[name], bit) for bit, name in enumerate(names) if name in before]
        for masks in (self.series["base_active"], self.rings["active"]):
            moved = np.zeros_like(masks)
            for old, new in moves:
                moved |= (masks >> np.uint32(old) & np.uint32(1)) << np.uint32(new)
            masks[...] = moved
        base_onset = np.zeros((len(self.series), len(names)), np.int64)
        for old, new in moves:
            base_onset[:, new] = self.base_onset[:, old]
        self.base_onset = base_onset


def step(state: EngineState, readings: pa.RecordBatch, reference: Reference, plan: Plan) -> Output:
    """Take in readings (columns patient, device, time_us, glucose_tenths; n rows in log order); changes `state`.

    Linear in n; a late reading costs as much as the readings behind it in its ring. Evaluations use the rules that
    `reference` enables now.
    """
    state.adopt(plan, reference)
    known = len(state.patients)
    patients, devices = state.pairs.numbers(readings.column("patient"), readings.column("device"))
    state.make_series(known)
    rows = Rows(
        patients=patients,
        devices=devices,
        times_us=_numbers(readings, "time_us", np.int64),
        tenths=_numbers(readings, "glucose_tenths", np.int32),
        received_us=_received(readings),
    )
    tally = np.zeros(TALLIES, np.int64)
    memory = (state.series, state.rings, state.base_onset, state.devices.hashes)
    changes = advance(*memory, rows, plan.program, state.lateness_us, state.now_us, tally)
    return Output(
        said=Changes(changes, state.patients, state.devices, plan.rules),
        readings=readings.num_rows,
        evaluations=int(tally[EVALUATIONS]),
        duplicates=int(tally[DUPLICATE]),
        conflicts=int(tally[CONFLICT]),
        history=int(tally[HISTORY]),
        overflows=int(tally[OVERFLOW]),
    )


def tick(state: EngineState, now_us: int, reference: Reference, plan: Plan) -> Output:
    """Look at the time: silences that are long enough at `now_us` open. Changes `state`; time never goes back."""
    state.adopt(plan, reference)
    state.now_us = max(state.now_us, now_us)
    patients = len(state.patients)
    changes = fold_tick(state.series, state.rings, patients, plan.program.silence_us, state.now_us, state.grace_us)
    return Output(said=Changes(changes, state.patients, state.devices, plan.rules))


def _received(readings: pa.RecordBatch) -> NDArray[np.int64]:
    """When the rows (n,) came in, as the log gives it; long ago for rows that are not from a log."""
    if "received_at_us" in readings.schema.names:
        return _numbers(readings, "received_at_us", np.int64)
    return _read_only(np.full(readings.num_rows, NEVER, np.int64))


def _numbers(readings: pa.RecordBatch, name: str, kind: type[Any]) -> NDArray[Any]:
    """A column (n,) of numbers, always of one type: a kernel is compiled for each type that it meets."""
    column: NDArray[Any] = readings.column(name).to_numpy(zero_copy_only=False)
    return _read_only(column.astype(kind, copy=False))


def _read_only(column: NDArray[Any]) -> NDArray[Any]:
    column.flags.writeable = False
    return column


def _zeros(shape: int | tuple[int, int], kind: np.dtype[np.void]) -> NDArray[np.void]:
    """Zeros that begin with a cache line, so that no patient's series lies in two."""
    size = int(np.prod(shape)) * kind.itemsize
    memory = np.zeros(size + _CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % _CACHE_LINE
    return memory[begin : begin + size].view(kind).reshape(shape)


def warm_up(plan: Plan) -> None:
    """Have the kernels compiled (or read from their cache) before the first reading needs them: a made-up patient's
    three readings, one of them late, and a look at the time."""
    state = EngineState(ring_readings=4, lateness_us=HOUR_US)
    everything = Reference(otherwise=_ALL_BITS)
    for time_us in (0, 2 * HOUR_US, HOUR_US + 1):
        step(state, readings_batch([ReadingRow("-", "-", time_us, 500, 50.0, 0, 0, 0)]), everything, plan)
    tick(state, DAY_US, everything, plan)
