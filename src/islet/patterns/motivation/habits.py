"""Wear of the sensor, writing down, and how regular meals are."""

from typing import Final

import numpy as np

from islet.metrics.sufficiency import ENOUGH_ACTIVE_PERCENT, active_percent
from islet.model.time import DAY_US, HOUR_US
from islet.patterns.course import Course
from islet.patterns.findings import Evidence, Figure, Finding, Priority, Severity, Wheel
from islet.patterns.intervals import confidence, share_figure
from islet.patterns.sources import CONSENSUS_2019, OURS

_LONG_GAP_US: Final = HOUR_US
_FEW_DAYS_PERCENT: Final = 50.0
_IRREGULAR_MIN: Final = 90.0
_DAY_BEGINS_H: Final = 4


def wear(course: Course) -> Finding | None:
    """Percent of readings that are there; seen on gaps of more than an hour. Within a day nothing is sure."""
    if not course.step_us:
        return None
    active = float(active_percent(course.people)[0])
    clock = course.people.clock_us
    gaps = list(np.flatnonzero(np.diff(clock) > _LONG_GAP_US))
    severity: Severity = "none" if active >= ENOUGH_ACTIVE_PERCENT else "moderate"
    lost_h = (np.diff(clock)[gaps] / HOUR_US).tolist()
    return Finding(
        pattern="wear",
        wheel=Wheel.MOTIVATION,
        priority=Priority.HABITS if severity != "none" else Priority.FACTS,
        severity=severity,
        confidence="high" if clock[-1] - clock[0] >= DAY_US else "not_enough",
        source=CONSENSUS_2019,
        n=len(gaps),
        of=len(gaps),
        figures=(
            Figure(name="active_percent", value=round(active, 1), unit="%"),
            Figure(name="full_days", value=len(course.full_days), unit="days"),
            Figure(name="goal_percent", value=ENOUGH_ACTIVE_PERCENT, unit="%"),
        ),
        evidence=tuple(
            course.stretch("gap", int(clock[i]), int(clock[i + 1]), hours, "h")
            for i, hours in zip(gaps, lost_h, strict=True)
        ),
    )


def logging(course: Course) -> Finding | None:
    """Days with at least one meal written down, of the days with glucose; seen on days without."""
    days = course.full_days
    if not len(days):
        return None
    meals = np.array([meal.clock_us for meal in course.meals], np.int64)
    logged = np.isin(days, (meals - course.midnight_us) // DAY_US)
    share = share_figure("days_percent", int(logged.sum()), len(days))
    severity: Severity = "mild" if share.value < _FEW_DAYS_PERCENT else "none"
    missing = days[~logged]
    per_day = round(len(meals) / len(days), 1)
    return Finding(
        pattern="logging",
        wheel=Wheel.MOTIVATION,
        priority=Priority.HABITS if severity != "none" else Priority.FACTS,
        severity=severity,
        confidence="high",
        source=OURS,
        n=len(missing),
        of=len(days),
        figures=(share, Figure(name="meals_per_day", value=per_day)),
        evidence=tuple(_day(course, int(day)) for day in missing),
    )


def meal_regularity(course: Course) -> Finding | None:
    """How far the first meal of a day lies from its usual time; seen on days more than 90 min off."""
    first: dict[int, int] = {}
    for index, meal in enumerate(course.meals):
        day, clock = divmod(meal.clock_us - _DAY_BEGINS_H * HOUR_US, DAY_US)
        if index not in course.rescues:
            first.setdefault(day, clock)
    if len(first) < 3:
        return None
    minutes = np.array(list(first.values())) / (HOUR_US / 60.0)
    usual = float(np.median(minutes))
    off = np.abs(minutes - usual)
    far = [day for day, one in zip(first, off, strict=True) if one > _IRREGULAR_MIN]
    spread = float(1.4826 * np.median(off))
    severity: Severity = "mild" if 3 * len(far) >= len(first) else "none"
    return Finding(
        pattern="meal_regularity",
        wheel=Wheel.MOTIVATION,
        priority=Priority.HABITS if severity != "none" else Priority.FACTS,
        severity=severity,
        confidence=confidence(len(first)),
        source=OURS,
        n=len(far),
        of=len(first),
        figures=(
            Figure(name="spread_min", value=round(spread, 0), unit="min"),
            Figure(name="usual_h", value=round(usual / 60.0 + _DAY_BEGINS_H, 1), unit="h"),
        ),
        evidence=tuple(_clock_day(course, day) for day in far),
    )


def _day(course: Course, day: int) -> Evidence:
    begin = course.midnight_us + day * DAY_US
    return Evidence(kind="day", from_us=course.instant_us(begin), to_us=course.instant_us(begin + DAY_US))


def _clock_day(course: Course, day: int) -> Evidence:
    """A day of the wall clock, by its number since 1970-01-01."""
    return Evidence(kind="day", from_us=course.instant_us(day * DAY_US), to_us=course.instant_us((day + 1) * DAY_US))
