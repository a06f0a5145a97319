"""Simulated people into whose glucose effects are planted that only the planter knows."""

from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from islet.model.events import AnyEvent, Exercise, Medication, Note
from islet.model.series import Series
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, from_us
from islet.patterns.findings import PersonDays
from islet.simulate import PROFILES, care_events, make_population, tick

START_US: Final = 20_400 * DAY_US
STEP_MIN: Final = 5
IMPACT_MIN: Final = 180
_LONGEST_MIN: Final = 480


class Planted(NamedTuple):
    """A person with planted events, and by (kind, subject) the true mean change of glucose in mg/dL over three hours."""

    person: PersonDays
    truth: dict[tuple[str, str], float]


def simulated(
    n: int, days: int, seed: int, zone: str = "UTC", profiles: tuple[str, ...] = PROFILES
) -> list[PersonDays]:
    """n people of `profiles` in turn with so many days after a first one that is left out, what the sensor showed and
    what they did."""
    population = make_population(n, seed, profiles=profiles, start_us=START_US - DAY_US, interval_min=STEP_MIN)
    shown: list[NDArray[np.float32]] = []
    beyond: list[NDArray[np.int8]] = []
    events: list[list[AnyEvent]] = [[] for _ in range(n)]
    times = []
    while population.time_us < START_US + days * DAY_US:
        one = tick(population)
        if one.time_us < START_US:
            continue
        times.append(one.time_us)
        shown.append(one.cgm_mg_dl)
        beyond.append(one.range)
        for who, event in care_events(one):
            events[who].append(event)
    glucose, range_, time_us = np.array(shown), np.array(beyond), np.array(times, np.int64)
    return [
        PersonDays(
            id=f"s{who}",
            series=_series(time_us, glucose[:, who].astype(np.float64), range_[:, who]),
            events=tuple(events[who]),
            zone=ZoneInfo(zone),
        )
        for who in range(n)
    ]


def _series(time_us: NDArray[np.int64], glucose: NDArray[np.float64], range_: NDArray[np.int8]) -> Series:
    known = np.isfinite(glucose)
    tenths = np.round(glucose[known] * 10).astype(np.int32)
    return Series(time_us=time_us[known], glucose_tenths=tenths, range=range_[known])


def planted(person: PersonDays, seed: int) -> Planted:
    """The person with walks that lower glucose, stress that raises it, and a tablet that does nothing; each at hours that
    glucose has no part in, of a size that varies from event to event, and in a shape that no model of ours has."""
    rng = np.random.default_rng(seed)
    first, last = int(person.series.time_us[0]), int(person.series.time_us[-1])
    effects = {
        ("exercise", "walk"): -rng.uniform(10.0, 40.0),
        ("note", "stress"): rng.uniform(10.0, 60.0),
        ("medication", "tablet"): 0.0,
    }
    glucose = person.series.glucose_mg_dl.copy()
    events, truth = list(person.events), dict[tuple[str, str], float]()
    for (kind, subject), peak in effects.items():
        tau_min = rng.uniform(35.0, 60.0)
        for begin in _instants(rng, first, last):
            glucose += peak * rng.normal(1.0, 0.3) * _answer((person.series.time_us - begin) / MINUTE_US, tau_min)
            events.append(_event(kind, subject, begin))
        truth[kind, subject] = peak * float(_answer(np.arange(IMPACT_MIN + 1.0), tau_min).mean())
    tenths = np.round(np.maximum(glucose, 15.0) * 10).astype(np.int32)
    series = Series(time_us=person.series.time_us, glucose_tenths=tenths, range=person.series.range)
    changed = PersonDays(id=person.id, series=series, events=tuple(events), zone=person.zone)
    return Planted(changed, truth)


def _instants(rng: np.random.Generator, first: int, last: int) -> list[int]:
    """On about two days of three, some time from 6 to 22 o'clock."""
    days = np.arange(first // DAY_US, last // DAY_US + 1)
    taken = days[rng.random(len(days)) < 0.67]
    return [int(day * DAY_US + rng.uniform(6.0, 22.0) * HOUR_US) for day in taken]


def _answer(minutes: NDArray[np.float64], tau_min: float) -> NDArray[np.float64]:
    """1 at the peak after tau_min, nothing before 0 and after eight hours."""
    t = np.clip(minutes, 0.0, None) / tau_min
    inside = (minutes > 0.0) & (minutes < _LONGEST_MIN)
    return np.where(inside, t * np.exp(1.0 - t), 0.0)


def _event(kind: str, subject: str, at_us: int) -> AnyEvent:
    time = from_us(at_us)
    if kind == "exercise":
        return Exercise(time=time, duration_min=30.0, kind=subject)
    if kind == "note":
        return Note(time=time, text=subject)
    return Medication(time=time, name=subject)
