"""How much glucose varies, how great the risk of lows is, and highs that no meal explains."""

from math import isfinite
from typing import Final

import numpy as np

from islet.metrics.risk import lbgi
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.patterns.course import Course, Floats
from islet.patterns.findings import Figure, Finding, Priority, Severity, Wheel
from islet.patterns.glucose.low_risk import low_day_chance, low_night_chance
from islet.patterns.intervals import confidence, days_figure, share_figure
from islet.patterns.sources import AACE, CONSENSUS_2017, LOW_INDEX, OUR_CHANCES, OURS, both

CV_OVER_PERCENT: Final = 36.0
_LBGI: Final[tuple[tuple[float, Severity], ...]] = (
    (1.1, "none"),
    (2.5, "mild"),
    (5.0, "moderate"),
    (np.inf, "serious"),
)
_NO_MEAL_US: Final = 3 * HOUR_US
_LEAST_HIGH_MIN: Final = 30
_LEAST_MEALS: Final = 2
_LEAST_HIGHS: Final = 3


def variability(course: Course) -> Finding | None:
    """The coefficient of variation, with its goal of 36 % or less; seen on days above it."""
    days = course.by_day[course.full_days]
    if not len(days):
        return None
    values = course.people.glucose_mg_dl
    figure = days_figure("cv_percent", course.sums_by_day(np.ones(len(values)), values, values**2), _cv, "%")
    own = 100.0 * np.nanstd(days, axis=1, ddof=1) / np.nanmean(days, axis=1)
    wide = course.full_days[own > CV_OVER_PERCENT]
    over = figure.value > CV_OVER_PERCENT
    starts = course.midnight_us + wide * DAY_US
    return Finding(
        pattern="variability",
        wheel=Wheel.GLUCOSE,
        priority=Priority.VARIABILITY if over else Priority.FACTS,
        severity="moderate" if over else "none",
        confidence=confidence(len(days), clear=not over or (figure.low or 0.0) > CV_OVER_PERCENT),
        source=both(CONSENSUS_2017, AACE),
        n=len(wide),
        of=len(days),
        figures=(figure, Figure(name="goal_percent", value=CV_OVER_PERCENT, unit="%")),
        evidence=tuple(
            course.stretch("day", int(begin), int(begin) + DAY_US, float(value), "%")
            for begin, value in zip(starts, own[own > CV_OVER_PERCENT], strict=True)
        ),
    )


def _cv(sums: Floats) -> Floats:
    """100 SD / mean out of count, sum and sum of squares (…, 3)."""
    n, total, squares = sums[..., 0], sums[..., 1], sums[..., 2]
    variance = np.maximum(squares - total**2 / n, 0.0) / np.maximum(n - 1.0, 1.0)
    return np.asarray(100.0 * np.sqrt(variance) / (total / n), np.float64)


def low_risk(course: Course) -> Finding | None:
    """The low blood glucose index with its class (minimal, low, moderate, high), and the chance of a low in a day and
    in a night to come, from those that were seen."""
    if not len(course.full_days):
        return None
    index = float(lbgi(course.people)[0])
    severity = next(name for limit, name in _LBGI if index <= limit)
    nights = len(list(course.nights()))
    chances = (
        ("next_day_low_percent", low_day_chance(course)),
        ("next_night_low_percent", low_night_chance(course)),
    )
    return Finding(
        pattern="low_risk",
        wheel=Wheel.GLUCOSE,
        priority=Priority.LOWS if severity != "none" else Priority.FACTS,
        severity=severity,
        confidence=confidence(len(course.full_days)),
        source=both(LOW_INDEX, OUR_CHANCES),
        n=len(course.lows),
        of=len(course.lows),
        figures=(
            Figure(name="lbgi", value=round(index, 2)),
            *(Figure(name=name, value=round(100.0 * chance), unit="%") for name, chance in chances if isfinite(chance)),
            Figure(name="nights_looked_at", value=nights),
        ),
        evidence=tuple(course.episode("low", course.lows, place) for place in range(len(course.lows))),
    )


def between_meal_highs(course: Course) -> Finding | None:
    """Highs of at least 30 min that began with no meal in the 3 h before, on days with at least two meals written down;
    told from three of them on."""
    meals = np.array([meal.clock_us for meal in course.meals], np.int64)
    if not len(meals) or not course.day_count:
        return None
    per_day = np.bincount(
        np.clip((meals - course.midnight_us) // DAY_US, 0, course.day_count), minlength=course.day_count
    )
    highs = course.highs.where(course.highs.minutes >= _LEAST_HIGH_MIN)
    day = np.clip((highs.begin_us - course.midnight_us) // DAY_US, 0, course.day_count - 1)
    highs = highs.where(per_day[day] >= _LEAST_MEALS)
    eaten = np.searchsorted(meals, highs.begin_us + 15 * MINUTE_US) > np.searchsorted(
        meals, highs.begin_us - _NO_MEAL_US
    )
    found = highs.where(~eaten)
    if len(found) < _LEAST_HIGHS:
        return None
    days = int(np.count_nonzero(per_day[: course.day_count] >= _LEAST_MEALS))
    return Finding(
        pattern="between_meal_highs",
        wheel=Wheel.GLUCOSE,
        priority=Priority.HIGHS,
        severity="moderate" if 2 * len(found) > days else "mild",
        confidence=confidence(days),
        source=OURS,
        n=len(found),
        of=len(highs),
        figures=(share_figure("highs_percent", len(found), len(highs)),),
        evidence=tuple(course.episode("high", found, place) for place in range(len(found))),
        confounders=("meal_not_written",),
    )
