"""What rules would have found in a person's past: all their episodes over a stretch of values, by the real engine.

A fresh state is led through the values in the order of their times, an hour at a time, with what people did beside
them; nothing comes late, so nothing is revised. For history that came late, and for trying a rule before it is used.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from islet.engine.reference import Reference
from islet.engine.rules import Plan, StreamPlan
from islet.engine.state import EngineState
from islet.engine.step import step, tick
from islet.model.alerts import Alert, AlertChange, Severity, fold
from islet.model.batch import int64_column
from islet.model.time import HOUR_US

_PIECE_US: Final = HOUR_US
"""A state is led on by so much at a time. It forgets what people did by the newest value and its lateness bound, which
is why that bound is as long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An episode; `end_us` None: it had not ended at the last value. Values are in the quantity's unit: at the onset,
    the lowest and the highest of the episode; None for a silence."""

    rule: str
    quantity: str
    severity: Severity
    onset_us: int
    end_us: int | None
    device: str
    value: float | None
    lowest: float | None
    highest: float | None


def episodes(
    plan: Plan,
    references: Mapping[str, Reference],
    values: Mapping[str, pa.RecordBatch],
    context: pa.RecordBatch | None = None,
    *,
    silent_until_us: int | None = None,
) -> list[Found]:
    """The episodes of one patient, by onset and rule.

    `references`: per stream, those asked about. `values`: per quantity, columns patient, device, time_us and value or glucose_tenths (n,), in any order. `context`:
    columns patient, time_us, column, amount. Silences are found only where `silent_until_us` says how long after the
    last value it was silent.
    """
    found = [
        one
        for name, stream in plan.streams.items()
        if name in references and stream.quantity in values and values[stream.quantity].num_rows
        for one in _episodes(stream, references[name], values[stream.quantity], context, silent_until_us)
    ]
    return sorted(found, key=lambda one: (one.onset_us, one.rule))


def _episodes(
    plan: StreamPlan,
    reference: Reference,
    batch: pa.RecordBatch,
    context: pa.RecordBatch | None,
    silent_until_us: int | None,
) -> Iterator[Found]:
    batch = _by_time(batch)
    looks = plan.features.context_us > 0 or plan.foreteller is not None
    context = _named(_by_time(context)) if context is not None and looks else None
    alerts: dict[str, Alert] = {}
    for change in _changes(plan, reference, batch, context, silent_until_us):
        after = fold(alerts.get(change.id), change, 0)
        if after is not None:
            alerts[change.id] = after
    name = "value" if "value" in batch.schema.names else "glucose_tenths"
    times_us, levels = int64_column(batch, "time_us"), int64_column(batch, name) / plan.scale
    for alert in alerts.values():
        asked = silent_until_us is not None or alert.rule not in _silences(plan)
        if asked and not alert.retracted:
            yield _found(plan, alert, times_us, levels)


def _changes(
    plan: StreamPlan,
    reference: Reference,
    batch: pa.RecordBatch,
    context: pa.RecordBatch | None,
    silent_until_us: int | None,
) -> Iterator[AlertChange]:
    state = EngineState(lateness_us=_PIECE_US)
    times_us = int64_column(batch, "time_us")
    done = 0
    for begin, end in _pieces(times_us, plan, silences=silent_until_us is not None):
        if silent_until_us is not None and begin:
            yield from tick(state, int(times_us[begin]) - 1, reference, plan).changes
        piece, past = batch.slice(begin, end - begin), None
        if context is not None:
            reached = int(np.searchsorted(int64_column(context, "time_us"), times_us[end - 1], side="right"))
            past, done = context.slice(done, reached - done), reached
        yield from step(state, piece, reference, plan, past).changes
    if silent_until_us is not None:
        yield from tick(state, silent_until_us, reference, plan).changes


def _pieces(times_us: NDArray[np.int64], plan: StreamPlan, *, silences: bool) -> Iterator[tuple[int, int]]:
    """Where the values (n,) are cut: at every hour, and where it was silent long enough for a rule."""
    cuts = np.diff(times_us // _PIECE_US) > 0
    lengths_us = plan.program.silence_us[plan.program.silence_us > 0]
    if silences and len(lengths_us):
        cuts |= np.diff(times_us) >= lengths_us.min()
    bounds = [0, *(np.flatnonzero(cuts) + 1).tolist(), len(times_us)]
    return itertools.pairwise(bounds)


def _found(plan: StreamPlan, alert: Alert, times_us: NDArray[np.int64], levels: NDArray[np.float64]) -> Found:
    value = None if alert.rule in _silences(plan) or alert.glucose_tenths is None else alert.glucose_tenths / plan.scale
    end_us = int(times_us[-1]) + 1 if alert.cleared_us is None else alert.cleared_us
    first, last = np.searchsorted(times_us, (alert.onset_us, end_us)).tolist()
    inside = levels[first:last] if value is not None else levels[:0]
    return Found(
        rule=alert.rule,
        quantity=plan.quantity,
        severity=alert.severity,
        onset_us=alert.onset_us,
        end_us=alert.cleared_us,
        device=alert.device,
        value=value,
        lowest=float(inside.min()) if len(inside) else None,
        highest=float(inside.max()) if len(inside) else None,
    )


def _silences(plan: StreamPlan) -> set[str]:
    return {rule.name for rule, us in zip(plan.rules, plan.program.silence_us, strict=True) if us}


def _by_time(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch.take(np.argsort(int64_column(batch, "time_us"), kind="stable"))


def _named(context: pa.RecordBatch) -> pa.RecordBatch:
    """With a number for each event; a store gives none of them twice."""
    if "event" in context.schema.names:
        return context
    return context.append_column("event", pa.array(np.arange(context.num_rows)))
