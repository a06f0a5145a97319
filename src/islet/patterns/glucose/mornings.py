"""Glucose before breakfast, the course of the night, and the rise at dawn."""

from typing import Final, NamedTuple

import numpy as np

from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.patterns.course import Course, Floats
from islet.patterns.findings import Finding, Priority, Severity, Wheel
from islet.patterns.intervals import confidence, median_figure, share_figure
from islet.patterns.sources import ADA_6, ADA_13, ADA_15, DAWN, OUR_LIMIT, OURS, both

FASTING_OVER_MG_DL: Final = {"standard": 130.0, "tight": 130.0, "older": 150.0, "pregnancy": 95.0}
"""What fasting glucose should not exceed: ADA Standards of Care, sections 6 (80 to 130), 13 (older people, complex health:
90 to 150) and 15 (pregnancy: below 95)."""
_FASTING_SOURCES: Final = {"standard": ADA_6, "tight": ADA_6, "older": ADA_13, "pregnancy": ADA_15}
DAWN_MG_DL: Final = 20.0
DAWN_TYPE_1_MG_DL: Final = 10.0
LEAST_NIGHTS: Final = 3
_BREAKFAST_H: Final = (4, 11)
_NO_BREAKFAST_H: Final = 7
_BEFORE_US: Final = 30 * MINUTE_US


class Morning(NamedTuple):
    """The end of a night: the wall clock of breakfast (7:00 where none is known), whether it was written down, and the
    mean glucose of the 30 min before."""

    midnight_us: int
    breakfast_us: int
    written: bool
    fasting_mg_dl: float


def mornings(course: Course) -> list[Morning]:
    """Those with glucose in the half hour before breakfast."""
    first_meals = _breakfasts(course)
    found = []
    for day in range(course.day_count):
        midnight = course.midnight_us + day * DAY_US
        breakfast = first_meals.get(day, midnight + _NO_BREAKFAST_H * HOUR_US)
        values = course.known(breakfast - _BEFORE_US, breakfast, 0.5)
        if len(values):
            found.append(Morning(midnight, breakfast, day in first_meals, float(values.mean())))
    return found


def _breakfasts(course: Course) -> dict[int, int]:
    """Day of the grid to the wall clock of its first meal from 4 to 11 o'clock, carbs against a low left out."""
    first: dict[int, int] = {}
    for index, meal in enumerate(course.meals):
        day, clock = divmod(meal.clock_us - course.midnight_us, DAY_US)
        if index not in course.rescues and _BREAKFAST_H[0] * HOUR_US <= clock < _BREAKFAST_H[1] * HOUR_US:
            first.setdefault(day, meal.clock_us)
    return first


def fasting_level(course: Course) -> Finding | None:
    """Glucose before breakfast; seen on mornings above the goal."""
    found = mornings(course)
    if not found:
        return None
    goal = FASTING_OVER_MG_DL[course.goals.name]
    level = median_figure("fasting_mg_dl", np.array([one.fasting_mg_dl for one in found]), "mg/dL")
    above = [one for one in found if one.fasting_mg_dl > goal]
    severity: Severity = "none"
    if level.value > goal:
        severity = "moderate" if level.value > goal + 50.0 else "mild"
    return Finding(
        pattern="fasting_level",
        wheel=Wheel.GLUCOSE,
        priority=Priority.HIGHS if severity != "none" else Priority.FACTS,
        severity=severity,
        confidence=confidence(len(found), clear=severity == "none" or (level.low or 0.0) > goal),
        source=_FASTING_SOURCES[course.goals.name],
        n=len(above),
        of=len(found),
        figures=(level, share_figure("mornings_percent", len(above), len(found))),
        evidence=tuple(
            course.stretch("reading", one.breakfast_us - _BEFORE_US, one.breakfast_us, one.fasting_mg_dl)
            for one in above
        ),
        confounders=() if all(one.written for one in found) else ("breakfast_assumed",),
    )


def night_profile(course: Course) -> Finding | None:
    """How glucose runs from midnight to six; seen on nights on which it fell or rose by 30 mg/dL or more."""
    nights = [(begin, end, values) for begin, end, values in course.nights()]
    if not nights:
        return None
    changes = np.array([_change(values) for _, _, values in nights])
    means = np.array([values.mean() for _, _, values in nights])
    seen = np.flatnonzero(np.abs(changes) >= 30.0)
    return Finding(
        pattern="night_profile",
        wheel=Wheel.GLUCOSE,
        priority=Priority.FACTS,
        severity="none",
        confidence=confidence(len(nights)),
        source=OURS,
        n=len(seen),
        of=len(nights),
        figures=(
            median_figure("night_mean_mg_dl", means, "mg/dL"),
            median_figure("night_change_mg_dl", changes, "mg/dL"),
        ),
        evidence=tuple(course.stretch("night", nights[i][0], nights[i][1], float(changes[i])) for i in seen),
    )


def _change(values: Floats) -> float:
    """The last sixth of a night less the first."""
    sixth = max(1, len(values) // 6)
    return float(values[-sixth:].mean() - values[:sixth].mean())


def dawn_rise(course: Course) -> Finding | None:
    """From the lowest of the night (00:00 to 06:00) to breakfast by 20 mg/dL or more (type 1: 10), on nights without a
    low; told from three such nights on, where they are at least half."""
    enough = DAWN_TYPE_1_MG_DL if course.person.diabetes == "type_1" else DAWN_MG_DL
    at_breakfast = {one.midnight_us: one for one in mornings(course)}
    rises, stretches = [], []
    for begin, end, values in course.nights():
        morning = at_breakfast.get(begin)
        if morning is None or np.nanmin(course.values(begin, morning.breakfast_us)) < course.goals.low_mg_dl:
            continue
        rises.append(morning.fasting_mg_dl - float(values.min()))
        nadir = begin + int(np.nanargmin(course.values(begin, end))) * course.step_us
        stretches.append((nadir, morning.breakfast_us))
    seen = [index for index, rise in enumerate(rises) if rise >= enough]
    if len(seen) < LEAST_NIGHTS or 2 * len(seen) < len(rises):
        return None
    return Finding(
        pattern="dawn_rise",
        wheel=Wheel.GLUCOSE,
        priority=Priority.HIGHS,
        severity="mild" if np.median(rises) < 2 * DAWN_MG_DL else "moderate",
        confidence=confidence(len(rises)),
        source=both(DAWN, OUR_LIMIT),
        n=len(seen),
        of=len(rises),
        figures=(
            median_figure("dawn_rise_mg_dl", np.array(rises), "mg/dL"),
            share_figure("nights_percent", len(seen), len(rises)),
        ),
        evidence=tuple(course.stretch("night", *stretches[i], rises[i]) for i in seen),
        confounders=("sensor_noise", "late_meal"),
    )
