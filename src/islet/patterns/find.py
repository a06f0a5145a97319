"""All patterns of a person, in the order in which to read them."""

from collections.abc import Callable
from typing import Final

from islet.metrics.ranges import STANDARD, Goals
from islet.patterns.course import Course
from islet.patterns.diet.meals import meal_findings
from islet.patterns.exercise.bouts import exercise_findings
from islet.patterns.findings import Finding, PersonDays
from islet.patterns.glucose.lows import (
    compression_lows,
    night_lows,
    prolonged_lows,
    rebound_after_low,
    time_above,
    time_below,
    unrecorded_lows,
    very_lows,
)
from islet.patterns.glucose.mornings import dawn_rise, fasting_level, night_profile
from islet.patterns.glucose.spread import between_meal_highs, low_risk, variability
from islet.patterns.impact.findings import impact_findings
from islet.patterns.insulin.doses import insulin_findings
from islet.patterns.insulin.drugs import drug_findings
from islet.patterns.motivation.habits import logging, meal_regularity, wear
from islet.patterns.motivation.progress import advice_responses, goal_progress, streak

_ONE: Final[tuple[Callable[[Course], Finding | None], ...]] = (
    very_lows,
    night_lows,
    prolonged_lows,
    unrecorded_lows,
    time_below,
    low_risk,
    rebound_after_low,
    compression_lows,
    time_above,
    fasting_level,
    dawn_rise,
    between_meal_highs,
    variability,
    night_profile,
    wear,
    logging,
    meal_regularity,
    streak,
    goal_progress,
)
_MANY: Final[tuple[Callable[[Course], list[Finding]], ...]] = (
    meal_findings,
    insulin_findings,
    drug_findings,
    exercise_findings,
    advice_responses,
    impact_findings,
)
_SEVERITY: Final = {"serious": 0, "moderate": 1, "mild": 2, "none": 3}


def find(person: PersonDays, goals: Goals = STANDARD) -> list[Finding]:
    """What is seen in a person's days: lows before highs, and the serious before the mild. Empty without readings and
    events; little data gives few findings, whose confidence says so. About 30 ms for two weeks.
    """
    course = Course(person, goals)
    single = (look(course) for look in _ONE)
    found = [one for one in single if one is not None]
    found += [one for look in _MANY for one in look(course)]
    return sorted(found, key=lambda one: (one.priority, _SEVERITY[one.severity]))
