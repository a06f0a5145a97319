"""Lows: how much of them, at night, long, unnoticed, what follows them, and those that may be none."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.metrics.episodes import EXTENDED_MIN, Episodes
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.patterns.course import Course
from islet.patterns.findings import Figure, Finding, Priority, Severity, Wheel
from islet.patterns.intervals import confidence, days_figure, share_figure
from islet.patterns.sources import CONSENSUS_2017, CONSENSUS_2019, CONSENSUS_2023, DISPUTED, OURS, both

_EPISODES: Final = both(CONSENSUS_2017, CONSENSUS_2023)
_NOTICED_US: Final = 30 * MINUTE_US
_REBOUND_US: Final = 3 * HOUR_US
_PRESSED_MIN: Final = 60
_PRESSED_MG_DL: Final = 25.0
_PRESSED_BACK_MG_DL: Final = 80.0
_LOGS_SHARE: Final = 0.5


def _finding(
    course: Course,
    pattern: str,
    found: Episodes,
    of: int,
    severity: Severity,
    *,
    source: str = _EPISODES,
    figures: tuple[Figure, ...] = (),
    confounders: tuple[str, ...] = (),
    days: int | None = None,
) -> Finding:
    """Lows as a finding; `days` that were looked at make the confidence."""
    return Finding(
        pattern=pattern,
        wheel=Wheel.GLUCOSE,
        priority=Priority.LOWS,
        severity=severity,
        confidence=confidence(of if days is None else days),
        source=source,
        n=len(found),
        of=of,
        figures=figures,
        evidence=tuple(course.episode("low", found, index) for index in range(len(found))),
        confounders=confounders,
    )


def time_below(course: Course) -> Finding | None:
    """The share of readings below the range, beside its goal; seen on each low."""
    goal = course.goals.below_low_under
    share = _share_figure(course, "below_percent", course.goals.low_mg_dl, below=True)
    if share is None or goal is None:
        return None
    very = _share_figure(course, "below_54_percent", 54.0, below=True)
    assert very is not None  # as there was a share
    over = share.value >= goal
    very_goal = course.goals.below_54_under
    serious = very_goal is not None and very.value >= very_goal
    severity: Severity = "serious" if serious else "moderate" if over else "none"
    return _finding(
        course,
        "time_below",
        course.lows,
        len(course.lows),
        severity,
        source=CONSENSUS_2019,
        days=len(course.full_days),
        figures=(share, very, Figure(name="goal_percent", value=goal, unit="%")),
    )


def _share_figure(course: Course, name: str, level: float, *, below: bool) -> Figure | None:
    """The share of readings beyond a level in percent, with the interval over days; None without a full day."""
    if not len(course.full_days):
        return None
    judged = course.people.judged_mg_dl
    table = course.sums_by_day(judged < level if below else judged > level, np.ones(len(judged)))
    return days_figure(name, table, lambda sums: 100.0 * sums[..., 0] / sums[..., 1], "%")


def time_above(course: Course) -> Finding | None:
    """The share of readings above the range, beside its goal; seen on each high."""
    goal = course.goals.above_high_under
    share = _share_figure(course, "above_percent", course.goals.high_mg_dl, below=False)
    if share is None or goal is None:
        return None
    very = _share_figure(course, "above_250_percent", 250.0, below=False)
    assert very is not None
    very_goal = course.goals.above_250_under
    serious = very_goal is not None and very.value >= very_goal
    over = share.value >= goal
    highs = course.highs
    return Finding(
        pattern="time_above",
        wheel=Wheel.GLUCOSE,
        priority=Priority.HIGHS,
        severity="serious" if serious and over else "moderate" if over or serious else "none",
        confidence=confidence(len(course.full_days), clear=not over or (share.low or 0.0) > goal),
        source=CONSENSUS_2019,
        n=len(highs),
        of=len(highs),
        figures=(share, very, Figure(name="goal_percent", value=goal, unit="%")),
        evidence=tuple(course.episode("high", highs, index) for index in range(len(highs))),
    )


def night_lows(course: Course) -> Finding | None:
    """Lows that overlap 00:00 to 06:00; severe where one was long or below 54 mg/dL."""
    nights = [(begin, end) for begin, end, _ in course.nights()]
    lows = course.lows
    inside = np.zeros(len(lows), np.bool_)
    dark = 0
    for begin, end in nights:
        here = (lows.begin_us < end) & (lows.end_us > begin)
        dark += bool(here.any())
        inside |= here
    found = lows.where(inside)
    if not len(found):
        return None
    pressed = int(np.count_nonzero(_pressed(course, found)))
    real = found.where(~_pressed(course, found))
    serious = bool(np.any(real.extreme_mg_dl < 54.0) or np.any(real.minutes > EXTENDED_MIN) or len(real) > 1)
    return _finding(
        course,
        "night_lows",
        found,
        len(lows),
        "serious" if serious else "moderate" if len(real) else "mild",
        figures=(
            share_figure("nights_percent", dark, len(nights)),
            Figure(name="nights", value=dark),
            Figure(name="nights_looked_at", value=len(nights)),
            Figure(name="possible_artefacts", value=pressed),
            Figure(name="lowest_mg_dl", value=round(float(found.extreme_mg_dl.min()), 1), unit="mg/dL"),
        ),
        confounders=("compression",) if pressed else (),
        days=len(nights),
    )


def very_lows(course: Course) -> Finding | None:
    """Episodes below 54 mg/dL: clinically important hypoglycaemia, whatever its share."""
    found = course.very_lows
    if not len(found):
        return None
    lowest = Figure(name="lowest_mg_dl", value=round(float(found.extreme_mg_dl.min()), 1), unit="mg/dL")
    pressed = ("compression",) if _pressed(course, found).any() else ()
    days, of = len(course.full_days), max(len(course.lows), len(found))
    return _finding(course, "very_lows", found, of, "serious", figures=(lowest,), confounders=pressed, days=days)


def prolonged_lows(course: Course) -> Finding | None:
    """Lows of more than 120 min."""
    found = course.lows.where(course.lows.minutes > EXTENDED_MIN)
    if not len(found):
        return None
    longest = Figure(name="longest_min", value=float(found.minutes.max()), unit="min")
    days = len(course.full_days)
    return _finding(course, "prolonged_lows", found, len(course.lows), "serious", figures=(longest,), days=days)


def unrecorded_lows(course: Course) -> Finding | None:
    """Lows without anything written down from 15 min before their begin to 30 min after it, or while they last: perhaps
    not noticed. Only of people who write things down on at least half of their days."""
    lows, entries = course.lows, course.entries_us
    days = np.unique((entries - course.midnight_us) // DAY_US) if len(entries) and course.day_count else entries[:0]
    if not len(lows) or len(days) < _LOGS_SHARE * len(course.full_days):
        return None
    until = np.maximum(lows.begin_us + _NOTICED_US, lows.end_us)
    noticed = np.searchsorted(entries, until, "right") > np.searchsorted(entries, lows.begin_us - 15 * MINUTE_US)
    found = lows.where(~noticed)
    if not len(found):
        return None
    share = share_figure("lows_percent", len(found), len(lows))
    severity: Severity = "serious" if 2 * len(found) > len(lows) and len(found) > 1 else "moderate"
    return _finding(
        course, "unrecorded_lows", found, len(lows), severity, figures=(share,), confounders=("not_written_down",)
    )


def rebound_after_low(course: Course) -> Finding | None:
    """Lows that are followed by glucose above the range within 3 h of their end. Why is open: carbs, counter-regulation,
    or insulin that ran out; what used to be said of it (Somogyi) is disputed."""
    lows = course.lows
    peaks = [course.values(int(end), int(end) + _REBOUND_US) for end in lows.end_us]
    high = np.array([bool(np.any(values > course.goals.high_mg_dl)) for values in peaks], np.bool_)
    found = lows.where(high)
    if not len(found):
        return None
    eaten = np.array([meal.clock_us for meal in course.meals], np.int64)
    fed = np.searchsorted(eaten, found.end_us + HOUR_US) > np.searchsorted(eaten, found.begin_us)
    return _finding(
        course,
        "rebound_after_low",
        found,
        len(lows),
        "mild" if len(found) < 3 else "moderate",
        source=both(OURS, DISPUTED),
        figures=(share_figure("lows_percent", len(found), len(lows)),),
        confounders=("food_after_low",) if fed.any() else ("meal_not_written",),
    )


def compression_lows(course: Course) -> Finding | None:
    """Lows at night that may be a pressed sensor: as the rule `compression_low` has them."""
    found = course.lows.where(_pressed(course, course.lows))
    if not len(found):
        return None
    return _finding(
        course,
        "compression_lows",
        found,
        len(course.lows),
        "none",
        source=OURS,
        confounders=("true_low",),
    )


def _pressed(course: Course, found: Episodes) -> NDArray[np.bool_]:
    """Which lows began from 22:00 to 08:00, lasted an hour at most, fell by 25 mg/dL or more from 80 or more within the
    half hour before and rose so after, without anything eaten."""
    eaten = np.array([meal.clock_us for meal in course.meals], np.int64)
    out = np.zeros(len(found), np.bool_)
    for index in range(len(found)):
        begin, end, lowest = int(found.begin_us[index]), int(found.end_us[index]), float(found.extreme_mg_dl[index])
        hour = begin % DAY_US // HOUR_US
        back = max(_PRESSED_BACK_MG_DL, lowest + _PRESSED_MG_DL)
        around = ((begin - _NOTICED_US, begin), (end, end + _NOTICED_US))
        out[index] = (
            (hour < 8 or hour >= 22)
            and found.minutes[index] <= _PRESSED_MIN
            and all(np.any(course.values(*half) >= back) for half in around)
            and np.searchsorted(eaten, begin - _NOTICED_US) == np.searchsorted(eaten, end + _NOTICED_US)
        )
    return out
