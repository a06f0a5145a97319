"""Doses that met others which were still acting, doses that came late or not at all, and what corrections did."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from islet.model.events import Insulin
from islet.model.insulins import is_mealtime
from islet.model.time import HOUR_US, MINUTE_US
from islet.patterns.course import Course, Floats, Noted, noted_evidence
from islet.patterns.diet.responses import MealResponse, meal_responses
from islet.patterns.findings import Finding, Priority, Wheel
from islet.patterns.insulin.action import on_board_u
from islet.patterns.intervals import LEAST, confidence, median_figure, share_figure
from islet.patterns.sources import BOLUS_TIME, CLASSES, INSULIN, OUR_LIMIT, OURS, both

_STACKED_U: Final = 1.0
_STACKED_SHARE: Final = 0.25
_LOW_WITHIN_US: Final = 4 * HOUR_US
_AT_MEAL_US: Final = 60 * MINUTE_US
_LATE_MIN: Final = 10.0
_USUAL_SHARE: Final = 0.5
_ALONE_US: Final = 4 * HOUR_US
_EFFECT_US: Final = 3 * HOUR_US


def insulin_findings(course: Course) -> list[Finding]:
    """Stacked doses, insulin that came after the meal, meals without any, and what corrections did."""
    doses = [one for one in course.insulin if is_mealtime(one.event) and one.event.dose_u > 0.0]
    if not doses:
        return []
    responses = [one for one in meal_responses(course) if one.excluded != "rescue"]
    found = (
        _stacked(course, doses),
        _late(course, doses, responses),
        _missed(course, doses, responses),
        _corrections(course, doses),
    )
    return [one for one in found if one is not None]


def _stacked(course: Course, doses: Sequence[Noted[Insulin]]) -> Finding | None:
    """Doses given while at least 1 U, and a quarter of the new dose, was still to act; seen where a low followed in 4 h."""
    stacked = []
    for place, dose in enumerate(doses):
        since = [one.event for one in doses[:place] if 0 < dose.time_us - one.time_us < 8 * HOUR_US]
        left = float(on_board_u(np.array([dose.time_us]), since)[0])
        if left >= max(_STACKED_U, _STACKED_SHARE * dose.event.dose_u):
            stacked.append((dose, left))
    begins = course.lows.begin_us
    low = [
        (dose, left)
        for dose, left in stacked
        if np.any((begins >= dose.clock_us) & (begins <= dose.clock_us + _LOW_WITHIN_US))
    ]
    if not low:
        return None
    return Finding(
        pattern="stacked_insulin",
        wheel=Wheel.INSULIN,
        priority=Priority.LOWS,
        severity="serious" if 4 * len(low) >= len(stacked) and len(low) > 1 else "moderate",
        confidence=confidence(len(stacked)),
        source=both(INSULIN, CLASSES),
        n=len(low),
        of=len(stacked),
        figures=(
            share_figure("doses_percent", len(low), len(stacked)),
            median_figure("on_board_u", np.array([left for _, left in low]), "U"),
        ),
        evidence=tuple(noted_evidence("insulin", dose, left, "U", dose.event.name) for dose, left in low),
        confounders=("meal_with_dose", "class_curve"),
    )


def _nearest_min(response: MealResponse, clocks: Floats) -> float:
    """When the nearest dose within an hour of a meal came, in min after it; NaN without one."""
    away = clocks - response.clock_us
    near = away[np.abs(away) <= _AT_MEAL_US]
    return float(near[np.abs(near).argmin()]) / MINUTE_US if len(near) else float("nan")


def _late(course: Course, doses: Sequence[Noted[Insulin]], responses: Sequence[MealResponse]) -> Finding | None:
    clocks = np.array([float(one.clock_us) for one in doses])
    timed = [(one, _nearest_min(one, clocks)) for one in responses]
    with_dose = [(one, minutes) for one, minutes in timed if np.isfinite(minutes)]
    late = [(one, minutes) for one, minutes in with_dose if minutes >= _LATE_MIN]
    if len(late) < 3 or 4 * len(late) < len(with_dose):
        return None
    return Finding(
        pattern="late_bolus",
        wheel=Wheel.INSULIN,
        priority=Priority.HIGHS,
        severity="mild",
        confidence=confidence(len(with_dose)),
        source=both(BOLUS_TIME, OUR_LIMIT),
        n=len(late),
        of=len(with_dose),
        figures=(
            share_figure("meals_percent", len(late), len(with_dose)),
            median_figure("delay_min", np.array([minutes for _, minutes in late]), "min"),
        ),
        evidence=tuple(noted_evidence("meal", one.meal, minutes, "min", one.text) for one, minutes in late),
        confounders=("time_written_late",),
    )


def _missed(course: Course, doses: Sequence[Noted[Insulin]], responses: Sequence[MealResponse]) -> Finding | None:
    """Meals (no snacks) without insulin within an hour, of people who take it with at least half of them, after which
    glucose rose above the range."""
    clocks = np.array([float(one.clock_us) for one in doses])
    proper = [one for one in responses if one.slot != "snack"]
    without = [one for one in proper if not np.isfinite(_nearest_min(one, clocks))]
    high = [one for one in without if one.over_within_2_h]
    if not high or len(proper) - len(without) < max(LEAST, _USUAL_SHARE * len(proper)):
        return None
    return Finding(
        pattern="meal_without_bolus",
        wheel=Wheel.INSULIN,
        priority=Priority.HIGHS,
        severity="moderate" if len(high) >= 3 else "mild",
        confidence=confidence(len(proper)),
        source=OURS,
        n=len(high),
        of=len(proper),
        figures=(share_figure("meals_percent", len(high), len(proper)),),
        evidence=tuple(noted_evidence("meal", one.meal, one.peak_mg_dl, "mg/dL", one.text) for one in high),
        confounders=("insulin_not_written",),
    )


def _corrections(course: Course, doses: Sequence[Noted[Insulin]]) -> Finding | None:
    """What a unit did in 3 h, of doses with nothing eaten and no other dose within 4 h before and 3 h after."""
    clocks = np.array([one.clock_us for one in doses])
    meals = np.array([one.clock_us for one in course.meals], np.int64)
    effects, used = [], []
    for one in doses:
        near = (clocks > one.clock_us - _ALONE_US) & (clocks < one.clock_us + _EFFECT_US)
        fed = (meals > one.clock_us - _ALONE_US) & (meals < one.clock_us + _EFFECT_US)
        change = course.at(one.clock_us + _EFFECT_US) - course.at(one.clock_us)
        if near.sum() == 1 and not fed.any() and np.isfinite(change):
            effects.append(change / one.event.dose_u)
            used.append(one)
    if not used:
        return None
    enough = len(used) >= LEAST
    return Finding(
        pattern="correction_effect",
        wheel=Wheel.INSULIN,
        priority=Priority.FACTS,
        severity="none",
        confidence=confidence(len(used)),
        source=both(INSULIN, CLASSES),
        n=len(used),
        of=len(used),
        figures=(median_figure("change_per_u_mg_dl", np.array(effects), "mg/dL"),) if enough else (),
        evidence=tuple(
            noted_evidence("insulin", one, effect, "mg/dL", one.event.name)
            for one, effect in zip(used, effects, strict=True)
        ),
        confounders=("regression_to_mean", "class_curve"),
    )
