"""The engine as one function: readings and what is known so far, to changes of alerts.

`step` and `tick` change the state they are given, for speed, and depend on nothing else: no clock, no order within
the lateness bound, no size of batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.episodes import DEVICE, KINDS, PATIENT, fold, fold_tick
from islet.engine.ids import Ids
from islet.engine.predicates import Columns
from islet.engine.rules import Plan, Reference
from islet.engine.windows import (
    CONFLICT,
    DUPLICATE,
    ENTRY,
    HISTORY,
    NEVER,
    OVERFLOW,
    SERIES,
    TALLIES,
    UNTOUCHED,
    features,
    insert,
)
from islet.model.alerts import AlertChange, alert_id
from islet.model.batch import int64_column

_CHUNK_ROWS: Final = 8192
"""Rows taken at once: their rings and feature columns stay in the cache between the stages."""

_ALL_BITS: Final = 0xFFFFFFFF


@dataclass(kw_only=True, slots=True)
class Output:
    """What a step or a tick gave. `causes[i]` is the row of the batch behind `changes[i]`, -1 where it was the time.

    `history`: readings too old to revise anything (or of a time the ring no longer holds); they are in the log and
    the store, but raise no alert. `conflicts`: a known (device, time) with another value; the first one stays.
    `overflows`: readings for which the ring was too short to be exact (the setting `ring_readings`).
    """

    changes: list[AlertChange] = field(default_factory=list)
    causes: list[int] = field(default_factory=list)
    readings: int = 0
    evaluations: int = 0
    duplicates: int = 0
    conflicts: int = 0
    history: int = 0
    overflows: int = 0


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
        self.series = np.zeros(0, SERIES)
        self.rings = np.zeros((0, ring_readings), ENTRY)
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
        series = np.zeros(patients, SERIES)
        series["newest_us"] = NEVER
        series["evicted_us"] = NEVER
        series["received_us"] = NEVER
        series["touched"] = UNTOUCHED
        rings = np.zeros((patients, self.rings.shape[1]), ENTRY)
        base_onset = np.zeros((patients, len(self.rule_names)), np.int64)
        series[:known], rings[:known], base_onset[:known] = self.series, self.rings, self.base_onset
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
    output = Output()
    tally = np.zeros(TALLIES, np.int64)
    touched = np.empty(_CHUNK_ROWS, np.int64)
    for start in range(0, readings.num_rows, _CHUNK_ROWS):
        chunk = readings.slice(start, _CHUNK_ROWS)
        known = len(state.patients)
        patients = state.patients.numbers(chunk.column("patient"))
        state.make_series(known)
        devices = state.devices.numbers(chunk.column("device"))
        times, tenths = int64_column(chunk, "time_us"), int64_column(chunk, "glucose_tenths")
        rows = (patients, devices, times, tenths, _received(chunk))
        row = 0
        while row < chunk.num_rows:
            row = _advance(state, plan, rows, row, touched, tally, start, output)
    output.readings += readings.num_rows
    output.duplicates += int(tally[DUPLICATE])
    output.conflicts += int(tally[CONFLICT])
    output.history += int(tally[HISTORY])
    output.overflows += int(tally[OVERFLOW])
    return output


def tick(state: EngineState, now_us: int, reference: Reference, plan: Plan) -> Output:
    """Look at the time: silences that are long enough at `now_us` open. Changes `state`; time never goes back."""
    state.adopt(plan, reference)
    state.now_us = max(state.now_us, now_us)
    output = Output()
    patients = len(state.patients)
    changes = fold_tick(state.series, state.rings, patients, plan.silence_us, state.now_us, state.grace_us)
    _say(state, plan, changes, 0, output)
    return output


def _received(chunk: pa.RecordBatch) -> NDArray[np.int64]:
    """When the rows (n,) came in, as the log gives it; long ago for rows that are not from a log."""
    if "received_at_us" in chunk.schema.names:
        return int64_column(chunk, "received_at_us")
    return np.full(chunk.num_rows, NEVER, np.int64)


def masks(plan: Plan, columns: Columns) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Breach and clear masks (n,) of evaluations, from their feature columns (c, n)."""
    breach = np.zeros(columns.shape[1], np.uint32)
    clear = np.zeros(columns.shape[1], np.uint32)
    for bit in range(len(plan.rules)):
        for mask, predicate in ((breach, plan.breach[bit]), (clear, plan.clear[bit])):
            if predicate is not None:
                mask |= predicate(columns).astype(np.uint32) << np.uint32(bit)
    return breach, clear


def _advance(
    state: EngineState,
    plan: Plan,
    rows: tuple[NDArray[np.int64], ...],
    row: int,
    touched: NDArray[np.int64],
    tally: NDArray[np.int64],
    first_row: int,
    output: Output,
) -> int:
    """Insert from `row` on, evaluate, fold; the row to go on with."""
    window_us = int(plan.windows_us[-1]) if len(plan.windows_us) else 0
    series, rings, onsets, bits = state.series, state.rings, state.base_onset, plan.reading_bits
    ranks, lateness_us = state.devices.hashes, state.lateness_us
    row, count = insert(
        series, rings, onsets, ranks, *rows, row, len(rows[0]), lateness_us, window_us, bits, touched, tally
    )
    mine = touched[:count]
    columns = features(series, rings, mine, plan.windows_us, plan.places, plan.height)
    breach, clear = masks(plan, columns)
    output.evaluations += columns.shape[1]
    changes = fold(series, rings, onsets, mine, breach, clear, plan.silence_us, bits, state.now_us)
    _say(state, plan, changes, first_row, output)
    return row


def _say(state: EngineState, plan: Plan, changes: NDArray[np.int64], first_row: int, output: Output) -> None:
    """The kernel's numbers as alert changes."""
    if len(changes) == 0:
        return
    patients = state.patients.texts(changes[:, PATIENT])
    devices = state.devices.texts(np.maximum(changes[:, DEVICE], 0))
    rules = [(rule.name, rule.severity) for rule in plan.rules]
    for who, where, (kind, rule, _, onset, at, device, tenths, replaced_by, row) in zip(
        patients, devices, changes.tolist(), strict=True
    ):
        name, severity = rules[rule]
        output.changes.append(
            AlertChange(
                change=KINDS[kind],
                rule=name,
                patient=who,
                onset_us=onset,
                at_us=at,
                severity=severity,
                device=where if device >= 0 else "",
                glucose_tenths=tenths if device >= 0 else None,
                replaced_by="" if replaced_by == NEVER else alert_id(name, who, replaced_by),
            )
        )
        output.causes.append(first_row + row if row >= 0 else -1)
