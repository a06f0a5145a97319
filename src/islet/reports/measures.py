"""The numbers of reports, from the metrics: shares with their goals, sufficiency, means, the usual day."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from math import isnan
from typing import Final

import numpy as np

from islet.metrics.columns import Floats
from islet.metrics.gri import gri
from islet.metrics.grid import steps_min
from islet.metrics.hba1c import gmi_percent
from islet.metrics.people import DAY_US, HOUR_US, People
from islet.metrics.profile import HOURS, percentile_profile
from islet.metrics.ranges import Goals, above_percent, below_percent, in_range_percent, shares
from islet.metrics.risk import lbgi
from islet.metrics.sufficiency import ENOUGH_ACTIVE_PERCENT, WARM_UP_DAYS, WINDOW_DAYS, sufficiency
from islet.metrics.summary import cv_percent, mean_mg_dl, quantile_mg_dl, sd_mg_dl
from islet.reports.document import (
    Aim,
    Band,
    BandName,
    Before,
    DayPart,
    Found,
    Glucose,
    Goal,
    GoalName,
    Hour,
    Missing,
    PartName,
    Period,
    Report,
    Sufficiency,
)
from islet.reports.recorded import Recorded, day_us

DAY_MIN: Final = 1440.0
_LEAST_FOR_SPREAD: Final = 30
"""Readings below which no deviation is told; Tidepool has the same."""
SLOWEST_STEP_MIN: Final = 15
"""Of the sensors that there are: FreeStyle Libre 1 and Pro."""
_PARTS: Final[tuple[tuple[PartName, int, int], ...]] = (
    ("night", 0, 6),
    ("morning", 6, 12),
    ("afternoon", 12, 18),
    ("evening", 18, 24),
)
_TOO_FEW: Final = 2


def report_of(recorded: Recorded, goals: Goals, first: date, last: date, found: Sequence[Found]) -> Report:
    """What a report of these days begins with; `recorded` holds the day before them as well."""
    period = Period(first=first, last=last, time_zone=str(recorded.zone))
    inside = recorded.between(first, last)
    sufficiency = sufficiency_of(inside, period)
    enough = is_enough(sufficiency)
    return Report(
        id=recorded.id,
        label=recorded.label,
        target=goals.name,
        low_mg_dl=goals.low_mg_dl,
        high_mg_dl=goals.high_mg_dl,
        period=period,
        sufficiency=sufficiency,
        bands=bands_of(inside.people, goals),
        goals=goals_of(inside.people, goals, enough=enough),
        glucose=glucose_of(inside, recorded.between(first - timedelta(days=1), last), period, enough=enough),
        found=tuple(found),
    )


def told(column: Floats) -> float | None:
    """The number of one person (1,); None for NaN."""
    value = float(column[0])
    return None if isnan(value) else value


def sufficiency_of(recorded: Recorded, period: Period) -> Sufficiency:
    """How much of the period there is, by the median distance of its readings."""
    people = recorded.people
    step = int(steps_min(people)[0])
    count = len(people.clock_us)
    days = len(np.unique(people.clock_us // DAY_US))
    active = active_percent(count, step, period.days)
    return Sufficiency(
        readings=count,
        hours=period.days * 24.0 * active / 100.0,
        step_min=step or None,
        active_percent=active,
        days_with_readings=days,
        days=period.days,
        short=period.days < WINDOW_DAYS or active < ENOUGH_ACTIVE_PERCENT,
    )


def active_percent(readings: int, step_min: int, days: float) -> float:
    """Share of the readings of whole days that are there, at most 100. A sensor makes one every 15 min or more often:
    what is further apart (fingersticks) is taken for one with gaps."""
    return min(100.0, 100.0 * readings * min(max(step_min, 1), SLOWEST_STEP_MIN) / (days * DAY_MIN))


def is_enough(found: Sufficiency) -> bool:
    """Whether shares of these readings may be graded: at least 70 % of the period's readings are there."""
    return found.active_percent >= ENOUGH_ACTIVE_PERCENT


def bands_of(people: People, goals: Goals) -> tuple[Band, ...]:
    """The five bands, very low first."""
    found = shares(people, goals)
    low, high = goals.low_mg_dl, goals.high_mg_dl
    edges: tuple[tuple[BandName, float | None, float | None], ...] = (
        ("very_low", None, 54.0),
        ("low", 54.0, low),
        ("in_range", low, high),
        ("high", high, 250.0),
        ("very_high", 250.0, None),
    )
    return tuple(
        Band(
            name=name,
            from_mg_dl=begin,
            to_mg_dl=end,
            percent=share,
            minutes_a_day=None if share is None else share * DAY_MIN / 100.0,
        )
        for name, begin, end in edges
        for share in (told(getattr(found, name)),)
    )


def goals_of(people: People, goals: Goals, *, enough: bool) -> tuple[Goal, ...]:
    """The goals that the consensus has for these people, and, with `enough` readings, whether they are met."""
    low, high = goals.low_mg_dl, goals.high_mg_dl
    table: tuple[tuple[GoalName, Floats, Aim, float | None], ...] = (
        ("in_range", in_range_percent(people, low, high), "over", goals.in_range_over),
        ("below_low", below_percent(people, low), "under", goals.below_low_under),
        ("below_54", below_percent(people, 54.0), "under", goals.below_54_under),
        ("above_high", above_percent(people, high), "under", goals.above_high_under),
        ("above_250", above_percent(people, 250.0), "under", goals.above_250_under),
    )
    return tuple(
        Goal(
            name=name,
            percent=share,
            aim=aim,
            bound_percent=bound,
            met=None if share is None or not enough else share > bound if aim == "over" else share < bound,
        )
        for name, column, aim, bound in table
        if bound is not None
        for share in (told(column),)
    )


def glucose_of(recorded: Recorded, before: Recorded, period: Period, *, enough: bool) -> Glucose:
    """The measures of the period; without `enough` readings no index that grades. `before`: readings up to the period's
    end, from which the GMI's days are taken."""
    people = recorded.people
    spread = len(people.clock_us) >= _LEAST_FOR_SPREAD
    gmi, missing = gmi_of(before, period.days)
    risk = gri(people)
    return Glucose(
        mean_mg_dl=told(mean_mg_dl(people)),
        sd_mg_dl=told(sd_mg_dl(people)) if spread else None,
        cv_percent=told(cv_percent(people)) if spread else None,
        gmi_percent=gmi,
        gmi_missing=missing,
        gri=told(risk.index) if enough else None,
        gri_zone=str(risk.zone[0]) if enough else "",
        lbgi=told(lbgi(people)) if enough else None,
        lowest_mg_dl=told(quantile_mg_dl(people, 0.0)),
        highest_mg_dl=told(quantile_mg_dl(people, 1.0)),
    )


def gmi_of(recorded: Recorded, days: int) -> tuple[float | None, Missing]:
    """The glucose management indicator of the `days` times 24 h that end with the last reading, and else why there is
    none: fewer than 14 days are asked for or worn, or fewer than 70 % of the readings of the 14 days are there."""
    people = recorded.people
    if days < WINDOW_DAYS or not len(people.clock_us):
        return None, "days"
    since = people.clock_us.max() - days * DAY_US
    last = kept(people, people.clock_us >= since)
    enough = sufficiency(last)
    if not enough.enough[0]:
        worn = float(enough.days_worn[0])
        return None, "readings" if worn >= WINDOW_DAYS - WARM_UP_DAYS else "days"
    if active_percent(len(last.clock_us), int(enough.step_min[0]), days) < ENOUGH_ACTIVE_PERCENT:
        return None, "readings"
    return told(gmi_percent(last)), ""


def kept(people: People, rows: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> People:
    """One person with some of their readings (n,)."""
    return People(
        ids=people.ids,
        offsets=np.array((0, np.count_nonzero(rows)), np.int64),
        clock_us=people.clock_us[rows],
        glucose_mg_dl=people.glucose_mg_dl[rows],
        judged_mg_dl=people.judged_mg_dl[rows],
    )


def whole_days(people: People, first: date, last: date) -> tuple[People, float]:
    """The readings of whole days, and the share of them that is there."""
    clock_us = people.clock_us
    inside = kept(people, (clock_us >= day_us(first)) & (clock_us < day_us(last) + DAY_US))
    step = int(steps_min(inside)[0])
    return inside, active_percent(len(inside.clock_us), step, (last - first).days + 1)


def profile_of(people: People) -> tuple[Hour, ...]:
    """The percentile profile of the day (`metrics/profile.py`)."""
    profile = percentile_profile(people)
    return tuple(
        Hour(hour=hour, readings=int(profile.readings[0, hour]), p5=p5, p25=p25, p50=p50, p75=p75, p95=p95)
        for hour in range(HOURS)
        for p5, p25, p50, p75, p95 in [
            [None if isnan(value) else value for value in profile.smooth_mg_dl[0, hour].tolist()]
        ]
    )


def parts_of(people: People, goals: Goals) -> tuple[DayPart, ...]:
    """Night, morning, afternoon and evening, six hours each."""
    return tuple(_parts(people, goals))


def _parts(people: People, goals: Goals) -> Iterator[DayPart]:
    hours = people.clock_us // HOUR_US % 24
    for name, begin, end in _PARTS:
        inside = kept(people, (hours >= begin) & (hours < end))
        yield DayPart(
            name=name,
            from_hour=begin,
            to_hour=end,
            readings=len(inside.clock_us),
            mean_mg_dl=told(mean_mg_dl(inside)),
            below_percent=told(below_percent(inside, goals.low_mg_dl)),
            in_range_percent=told(in_range_percent(inside, goals.low_mg_dl, goals.high_mg_dl)),
            above_percent=told(above_percent(inside, goals.high_mg_dl)),
        )


def before_of(recorded: Recorded, first: date, last: date, goals: Goals) -> Before | None:
    """The measures of earlier days to compare with; None where these have below 70 % of their readings."""
    people = recorded.between(first, last).people
    step, days = int(steps_min(people)[0]), (last - first).days + 1
    if len(people.clock_us) < _TOO_FEW or active_percent(len(people.clock_us), step, days) < ENOUGH_ACTIVE_PERCENT:
        return None
    mean, cv = told(mean_mg_dl(people)), told(cv_percent(people))
    assert mean is not None and cv is not None
    return Before(
        first=first,
        last=last,
        mean_mg_dl=mean,
        cv_percent=cv,
        in_range_percent=float(in_range_percent(people, goals.low_mg_dl, goals.high_mg_dl)[0]),
        below_percent=float(below_percent(people, goals.low_mg_dl)[0]),
        above_percent=float(above_percent(people, goals.high_mg_dl)[0]),
    )


def days_between(first: date, last: date) -> Iterator[date]:
    """Each day, both ends included."""
    return (date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1))
