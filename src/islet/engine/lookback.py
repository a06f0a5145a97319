"""A person's past out of the store, and the rules' episodes in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from islet.engine.backfill import Episode, Evaluate
from islet.engine.in_force import Rules
from islet.engine.quantities import GLUCOSE, QUANTITIES, context, values
from islet.engine.retrospect import Found, episodes
from islet.model.topics import Topic
from islet.store.base import Store, as_entries

_ALL: Final = 10_000_000  # documents; more than anybody's
_TENTHS: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """Values by quantity, and what the person did beside them: as `islet.engine.retrospect.episodes` takes them."""

    values: Mapping[str, pa.RecordBatch]
    context: pa.RecordBatch


def past(store: Store, patient: str, from_us: int, to_us: int) -> Past:
    """All that rules can look at with from_us <= time < to_us. The store does not say which device a glucose value is
    from."""
    series = store.series(patient, from_us, to_us)
    nobody = pa.repeat("", len(series))
    glucose = pa.record_batch(
        {
            "patient": pa.repeat(patient, len(series)),
            "device": nobody,
            "time_us": series.time_us,
            "glucose_tenths": series.glucose_tenths,
            "range": series.range,
        }
    )
    found = {GLUCOSE: glucose}
    for topic in sorted(set(QUANTITIES.values()) - {Topic.GLUCOSE_READINGS}):
        found |= values(_documents(store, topic, patient, from_us, to_us))
    return Past(values=found, context=context(_documents(store, Topic.CARE_EVENTS, patient, from_us, to_us)))


def evaluation(store: Store, rules: Callable[[], Rules]) -> Evaluate:
    """What the follower of late readings asks: by the rules in force when it asks. Silences are no part of history."""

    def evaluate(patient: str, from_us: int, to_us: int) -> Sequence[Episode]:
        now, seen = rules(), past(store, patient, from_us, to_us)
        return [_episode(one) for one in episodes(now.plan, now.references, seen.values, seen.context)]

    return evaluate


def _episode(found: Found) -> Episode:
    of_glucose = found.quantity == GLUCOSE and found.value is not None
    return Episode(
        rule=found.rule,
        severity=found.severity,
        onset_us=found.onset_us,
        end_us=found.end_us,
        device=found.device,
        glucose_tenths=round((found.value or 0) * _TENTHS) if of_glucose else None,
    )


def _documents(store: Store, topic: Topic, patient: str, from_us: int, to_us: int) -> pa.RecordBatch:
    return as_entries(store.documents(topic, patient, from_us, to_us, _ALL)[::-1])
