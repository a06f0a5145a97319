"""Each day of a period by itself: its curve, its shares, and what was written down."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final

import numpy as np

from islet.metrics.grid import LONGEST_GAP_MIN, steps_min
from islet.metrics.people import DAY_US, MINUTE_US, People
from islet.metrics.ranges import Goals, shares
from islet.metrics.summary import mean_mg_dl
from islet.model.events import AnyEvent, Exercise, Insulin, Meal, Medication, Note
from islet.reports.document import Act, Day, Episode, Left, Period, Point
from islet.reports.episodes import local
from islet.reports.measures import SLOWEST_STEP_MIN, active_percent, days_between, kept, told
from islet.reports.on_board import on_board_of
from islet.reports.recorded import Recorded, day_us

_LONGEST_GAP_STEPS: Final = 3
"""A line is drawn over at most two readings that are missing. Between fingersticks there is none: what happened there
nobody knows."""
_LEAST_GAP_MIN: Final = 20
_LONGEST_TEXT: Final = 200
_BANDS: Final = ("very_low", "low", "in_range", "high", "very_high")


def days_of(recorded: Recorded, period: Period, goals: Goals, episodes: Sequence[Episode]) -> tuple[Day, ...]:
    """Every day of the period, also those without readings. What was on board comes from the days before as well."""
    inside = recorded.between(period.first, period.last)
    acts = [act for event in inside.events for act in _act(recorded, event)]
    left = on_board_of(recorded, list(days_between(period.first, period.last)))
    return tuple(_days(inside.people, period, goals, episodes, acts, left))


def _days(
    people: People,
    period: Period,
    goals: Goals,
    episodes: Sequence[Episode],
    acts: Sequence[Act],
    left: Mapping[date, tuple[Left, ...]],
) -> Iterator[Day]:
    step = int(steps_min(people)[0])
    close = 0 < step <= LONGEST_GAP_MIN
    for day in days_between(period.first, period.last):
        begin_us = day_us(day)
        inside = kept(people, (people.clock_us >= begin_us) & (people.clock_us < begin_us + DAY_US))
        found = shares(inside, goals)
        some = len(inside.clock_us) > 0
        yield Day(
            date=day,
            readings=len(inside.clock_us),
            active_percent=active_percent(len(inside.clock_us), step, 1),
            mean_mg_dl=told(mean_mg_dl(inside)),
            bands=tuple(float(getattr(found, name)[0]) for name in _BANDS) if some else (),
            runs=_runs(inside, begin_us, step),
            acts=tuple(act for act in acts if act.at.date() == day),
            on_board=left.get(day, ()),
            low_episodes=_lows_of(day, episodes) if some and close else None,
        )


def _lows_of(day: date, episodes: Sequence[Episode]) -> int:
    return sum(one.kind.endswith("low") and one.begin.date() == day for one in episodes)


def _runs(people: People, begin_us: int, step_min: int) -> tuple[tuple[Point, ...], ...]:
    """The readings in order of the clock, parted where too many are missing; tenths of a minute are enough for a
    picture. In the hour that comes twice the second pass is left out."""
    clock_us, values = people.clock_us, people.glucose_mg_dl
    forward = np.maximum.accumulate(clock_us) == clock_us if len(clock_us) else np.zeros(0, np.bool_)
    clock_us, values = clock_us[forward], values[forward]
    minutes = np.round((clock_us - begin_us) / MINUTE_US, 1)
    longest = max(_LEAST_GAP_MIN, _LONGEST_GAP_STEPS * min(step_min, SLOWEST_STEP_MIN))
    breaks = np.flatnonzero(np.diff(minutes) > longest) + 1
    return tuple(
        tuple(Point(minute, value) for minute, value in zip(at.tolist(), level.tolist(), strict=True))
        for at, level in zip(np.split(minutes, breaks), np.split(np.round(values, 1), breaks), strict=True)
        if len(at)
    )


def _act(recorded: Recorded, event: AnyEvent) -> Iterator[Act]:
    """What is drawn and listed of an event; a vital or a device's status is not."""
    at = local(recorded.clock_us(event.time))
    match event:
        case Meal():
            yield Act(kind="meal", at=at, amount=event.carbs_g, unit="g", text=event.text[:_LONGEST_TEXT])
        case Insulin():
            yield Act(kind="insulin", at=at, amount=event.dose_u, unit="U", text=event.name[:_LONGEST_TEXT])
        case Exercise():
            yield Act(kind="exercise", at=at, amount=event.duration_min, unit="min", text=event.kind[:_LONGEST_TEXT])
        case Medication():
            yield Act(
                kind="medication", at=at, amount=event.dose, unit=event.dose_unit, text=event.name[:_LONGEST_TEXT]
            )
        case Note():
            yield Act(kind="note", at=at, amount=None, unit="", text=event.text[:_LONGEST_TEXT])
        case _:
            pass
