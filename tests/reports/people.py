"""People to report on: simulated ones, with what they ate and injected, and ones made of a few readings."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, tzinfo
from functools import cache

import numpy as np
from babel.support import NullTranslations

from islet.model.events import AnyEvent
from islet.model.series import Series
from islet.model.time import DAY_US, MINUTE_US, to_us
from islet.reports.recorded import Recorded
from islet.reports.voice import Voice
from islet.simulate.population import care_events, make_population, tick

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
ENGLISH = Voice(language="en", translations=NullTranslations(), unit="mg/dL")


@cache
def simulated(days: int, *, seed: int = 7, profile: str = "diabetic", every_min: int = 5) -> Recorded:
    """A person with a sensor who lives to the end of Sunday, 2026-03-08, and begins a day before it is recorded."""
    end_us = to_us(MONDAY) + 7 * DAY_US
    start_us = end_us - (days + 1) * DAY_US
    population = make_population(1, seed, profiles=(profile,), start_us=start_us, interval_min=every_min)
    times: list[int] = []
    tenths: list[int] = []
    events: list[AnyEvent] = []
    while population.time_us < end_us - every_min * MINUTE_US:
        now = tick(population)
        if now.time_us < end_us - days * DAY_US:
            continue
        events += [event for _, event in care_events(now)]
        if not np.isnan(now.cgm_mg_dl[0]):
            times.append(now.time_us)
            tenths.append(round(float(now.cgm_mg_dl[0]) * 10))
    return Recorded(id="sim-1", series=series(times, tenths), events=tuple(events))


def series(time_us: Sequence[int], tenths: Sequence[int]) -> Series:
    return Series(
        time_us=np.array(time_us, np.int64),
        glucose_tenths=np.array(tenths, np.int32),
        range=np.zeros(len(time_us), np.int8),
    )


def made(
    values: Sequence[float], *, every_min: float = 5.0, zone: tzinfo = UTC, events: Sequence[AnyEvent] = ()
) -> Recorded:
    """Readings in mg/dL from midnight of Monday, 2026-03-02; NaN is a gap."""
    rows = [(i, value) for i, value in enumerate(values) if value == value]
    times = [to_us(MONDAY) + round(i * every_min * MINUTE_US) for i, _ in rows]
    return Recorded(
        id="p-1", series=series(times, [round(value * 10) for _, value in rows]), events=tuple(events), zone=zone
    )


SUNDAY = date(2026, 3, 8)
