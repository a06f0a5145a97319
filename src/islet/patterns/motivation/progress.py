"""Runs of good days, how the second half of the days compares with the first, and what changed after advice."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.time import DAY_US
from islet.patterns.course import Course, Floats
from islet.patterns.findings import Advised, Evidence, Figure, Finding, Priority, Severity, Wheel
from islet.patterns.intervals import LEAST, confidence
from islet.patterns.sources import CONSENSUS_2019

_SMALLEST_PERCENT: Final = 5.0
"""Five points of time in range are the least benefit of the consensus."""
_ADVICE_DAYS: Final = 14
_DRAWS: Final = 400
_SEED: Final = 7


def in_range_by_day(course: Course) -> Floats:
    """Time in range in percent of each of the full days."""
    days = course.by_day[course.full_days]
    inside = (days >= course.goals.low_mg_dl) & (days <= course.goals.high_mg_dl)
    return np.asarray(100.0 * inside.sum(axis=1) / np.maximum(np.isfinite(days).sum(axis=1), 1), np.float64)


def streak(course: Course) -> Finding | None:
    """The longest run of days on goal, and the present one; told from two days on."""
    goal = course.goals.in_range_over
    if goal is None or not len(course.full_days):
        return None
    good = course.full_days[in_range_by_day(course) > goal]
    runs = np.split(good, np.flatnonzero(np.diff(good) > 1) + 1) if len(good) else []
    longest = max(runs, key=len, default=good)
    if len(longest) < 2:
        return None
    present = len(runs[-1]) if runs[-1][-1] == course.full_days[-1] else 0
    return Finding(
        pattern="streak",
        wheel=Wheel.MOTIVATION,
        priority=Priority.FACTS,
        severity="none",
        confidence="high",
        source=CONSENSUS_2019,
        n=len(longest),
        of=len(course.full_days),
        figures=(
            Figure(name="longest_days", value=len(longest), unit="days"),
            Figure(name="present_days", value=present, unit="days"),
            Figure(name="good_days", value=len(good), unit="days"),
        ),
        evidence=_days(course, longest),
    )


def goal_progress(course: Course) -> Finding | None:
    """Time in range of the second half of the days less that of the first, with a bootstrap over days; seen on the days of
    the second half. A concern where it fell by at least five points and the interval says so."""
    values, days = in_range_by_day(course), course.full_days
    half = len(days) // 2
    change = _difference("change_percent", values[:half], values[half:])
    if change is None:
        return None
    clear = (change.low or 0.0) * (change.high or 0.0) > 0.0
    worse = clear and change.value <= -_SMALLEST_PERCENT
    severity: Severity = "moderate" if worse else "none"
    return Finding(
        pattern="goal_progress",
        wheel=Wheel.MOTIVATION,
        priority=Priority.HIGHS if worse else Priority.FACTS,
        severity=severity,
        confidence=confidence(len(days), clear=clear),
        source=CONSENSUS_2019,
        n=len(days) - half,
        of=len(days),
        figures=(
            change,
            Figure(name="first_half_percent", value=round(float(values[:half].mean()), 1), unit="%"),
            Figure(name="second_half_percent", value=round(float(values[half:].mean()), 1), unit="%"),
        ),
        evidence=_days(course, days[half:]),
        confounders=("other_sensor",),
    )


def advice_responses(course: Course) -> list[Finding]:
    """Time in range of the two weeks after each advice that was taken up, less that of the two weeks before."""
    found = (_response(course, advised) for advised in course.person.advised)
    return [one for one in found if one is not None]


def _response(course: Course, advised: Advised) -> Finding | None:
    days, values = course.full_days, in_range_by_day(course)
    begins = np.array([course.instant_us(course.midnight_us + int(day) * DAY_US) for day in days], np.int64)
    span = _ADVICE_DAYS * DAY_US
    before = (begins + DAY_US <= advised.at_us) & (begins >= advised.at_us - span)
    after = (begins >= advised.at_us) & (begins < advised.at_us + span)
    change = _difference("change_percent", values[before], values[after])
    if change is None:
        return None
    return Finding(
        pattern="advice_response",
        wheel=Wheel.MOTIVATION,
        priority=Priority.FACTS,
        severity="none",
        confidence=confidence(
            int(min(before.sum(), after.sum())), clear=(change.low or 0.0) * (change.high or 0.0) > 0.0
        ),
        source=CONSENSUS_2019,
        n=int(after.sum()),
        of=int(after.sum()),
        subject=advised.rule,
        figures=(change,),
        evidence=_days(course, days[after]),
        confounders=("other_changes", "other_sensor"),
    )


def _difference(name: str, before: Floats, after: Floats) -> Figure | None:
    """The mean of one group of days less that of another; None below five days in either."""
    if min(len(before), len(after)) < LEAST:
        return None
    rng = np.random.default_rng(_SEED)
    drawn = [rng.choice(one, (_DRAWS, len(one))).mean(axis=1) for one in (after, before)]
    low, high = np.quantile(drawn[0] - drawn[1], (0.05, 0.95))
    value = float(after.mean() - before.mean())
    return Figure(name=name, value=round(value, 1), unit="points", low=round(float(low), 1), high=round(float(high), 1))


def _days(course: Course, days: NDArray[np.int64]) -> tuple[Evidence, ...]:
    starts = [course.midnight_us + int(day) * DAY_US for day in days]
    return tuple(
        Evidence(kind="day", from_us=course.instant_us(one), to_us=course.instant_us(one + DAY_US)) for one in starts
    )
