"""The report of three months: rolling windows of 14 days, three phases, and laboratory values beside the readings."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np

from islet.metrics.grid import steps_min
from islet.metrics.hba1c import gmi_percent
from islet.metrics.people import DAY_US, People
from islet.metrics.ranges import Goals, above_percent, below_percent, in_range_percent
from islet.metrics.sufficiency import ENOUGH_ACTIVE_PERCENT, WINDOW_DAYS
from islet.metrics.summary import cv_percent, mean_mg_dl
from islet.reports.document import Found, Lab, LabGap, Period, Programme, Window
from islet.reports.measures import active_percent, bands_of, glucose_of, goals_of, is_enough, kept, sufficiency_of, told
from islet.reports.recorded import Recorded, day_us
from islet.reports.seven_day import labs_of, zone_name

DAYS: Final = 90
PHASE_DAYS: Final = 30
_STEP_DAYS: Final = 7
_FOR_LAB_DAYS: Final = 90
"""HbA1c is about the two to three months before the draw (doi:10.2337/dc08-0545)."""


def programme(recorded: Recorded, goals: Goals, *, last: date, found: Sequence[Found] = ()) -> Programme:
    """The 90 days that end with the day `last`. Little data makes windows without numbers, never an error."""
    first = last - timedelta(days=DAYS - 1)
    period = Period(first=first, last=last, time_zone=zone_name(recorded))
    inside = recorded.between(first, last)
    people = inside.people
    sufficiency = sufficiency_of(inside, period)
    enough = is_enough(sufficiency)
    ends = [last - timedelta(days=back) for back in range(DAYS - WINDOW_DAYS, -1, -1)]
    rolling = tuple(_window(people, end - timedelta(days=WINDOW_DAYS - 1), end, goals) for end in ends)
    return Programme(
        id=recorded.id,
        label=recorded.label,
        target=goals.name,
        low_mg_dl=goals.low_mg_dl,
        high_mg_dl=goals.high_mg_dl,
        period=period,
        sufficiency=sufficiency,
        bands=bands_of(people, goals),
        goals=goals_of(people, goals, enough=enough),
        glucose=glucose_of(inside, recorded.between(first - timedelta(days=1), last), period, enough=enough),
        rolling=rolling,
        windows=rolling[(len(rolling) - 1) % _STEP_DAYS :: _STEP_DAYS],
        phases=tuple(_phases(people, first, goals)),
        labs=tuple(_gaps(recorded, first, last)),
        found=tuple(found),
    )


def _phases(people: People, first: date, goals: Goals) -> Iterator[Window]:
    for begin in range(0, DAYS, PHASE_DAYS):
        since = first + timedelta(days=begin)
        yield _window(people, since, since + timedelta(days=PHASE_DAYS - 1), goals)


def _window(people: People, first: date, last: date, goals: Goals) -> Window:
    """The measures of whole days; only the share of readings where that is below 70 %."""
    inside, active = _inside(people, first, last)
    if active < ENOUGH_ACTIVE_PERCENT:
        return Window(
            first=first,
            last=last,
            active_percent=active,
            mean_mg_dl=None,
            cv_percent=None,
            gmi_percent=None,
            in_range_percent=None,
            below_percent=None,
            below_54_percent=None,
            above_percent=None,
            above_250_percent=None,
        )
    return Window(
        first=first,
        last=last,
        active_percent=active,
        mean_mg_dl=told(mean_mg_dl(inside)),
        cv_percent=told(cv_percent(inside)),
        gmi_percent=told(gmi_percent(inside)),
        in_range_percent=told(in_range_percent(inside, goals.low_mg_dl, goals.high_mg_dl)),
        below_percent=told(below_percent(inside, goals.low_mg_dl)),
        below_54_percent=told(below_percent(inside, 54.0)),
        above_percent=told(above_percent(inside, goals.high_mg_dl)),
        above_250_percent=told(above_percent(inside, 250.0)),
    )


def _inside(people: People, first: date, last: date) -> tuple[People, float]:
    """The readings of whole days, and the share of them that is there."""
    clock_us = people.clock_us
    inside = kept(people, (clock_us >= day_us(first)) & (clock_us < day_us(last) + DAY_US))
    step = int(steps_min(inside)[0])
    return inside, active_percent(len(inside.clock_us), step, (last - first).days + 1)


def _gaps(recorded: Recorded, first: date, last: date) -> Iterator[LabGap]:
    """Values of the period, each with the GMI of up to 90 days before it; of fewer where the person's first reading is
    later, but not of less than 14."""
    clock_us = recorded.people.clock_us
    for lab in labs_of(recorded, last):
        if lab.day < first:
            continue
        begin_us = day_us(lab.day) - (_FOR_LAB_DAYS - 1) * DAY_US
        before = clock_us[(clock_us >= begin_us) & (clock_us < day_us(lab.day) + DAY_US)]
        yield _gap(recorded, lab, before)


def _gap(recorded: Recorded, lab: Lab, before_us: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> LabGap:
    days = (day_us(lab.day) - int(before_us.min()) // DAY_US * DAY_US) // DAY_US + 1 if len(before_us) else 0
    active, gmi = 0.0, None
    if days:
        inside, active = _inside(recorded.people, lab.day - timedelta(days=days - 1), lab.day)
        gmi = told(gmi_percent(inside)) if days >= WINDOW_DAYS and active >= ENOUGH_ACTIVE_PERCENT else None
    return LabGap(
        lab=lab,
        days=days,
        active_percent=active,
        gmi_percent=gmi,
        gap=None if gmi is None else gmi - lab.percent,
    )
