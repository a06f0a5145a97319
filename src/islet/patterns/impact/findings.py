"""Impacts of a person's factors as findings, the greatest first; "not enough data" for those that were too few."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from islet.model.time import MINUTE_US
from islet.patterns.course import Course, Floats
from islet.patterns.findings import Figure, Finding, Priority, Wheel
from islet.patterns.impact.factors import Factor, factors
from islet.patterns.impact.model import IMPACT_MIN, POINTS, STEP_MIN, impacts
from islet.patterns.intervals import LEAST, confidence
from islet.patterns.sources import REGRESSION, WEIGHTS, both

_MOST_FACTORS: Final = 12
_LEAST_DAYS: Final = 5
_WITH_MEAL_US: Final = 45 * MINUTE_US
_ALWAYS: Final = ("association_only", "together_with_others")


def impact_findings(course: Course) -> list[Finding]:
    """One for each factor. Those with fewer than five occasions, or without enough days, say so."""
    found = factors(course)
    enough = [one for one in found if len(one) >= LEAST]
    enough = sorted(enough, key=len, reverse=True)[:_MOST_FACTORS]
    figures = _figures(course, enough) if len(course.full_days) >= _LEAST_DAYS and enough else {}
    told = [_finding(one, figures.get((one.kind, one.subject)), with_meals=_with_meals(one, found)) for one in found]
    return sorted(told, key=lambda one: -abs(one.figures[0].value) if one.figures else 0.0)


def _figures(course: Course, chosen: list[Factor]) -> dict[tuple[str, str], Figure]:
    minutes = [(np.array(one.clock_us, np.int64) - course.midnight_us) / MINUTE_US for one in chosen]
    amounts = [np.array(one.amounts, np.float64) for one in chosen]
    result = impacts(quarter_hours(course), minutes, amounts)
    if result is None:
        return {}
    return {
        (one.kind, one.subject): Figure(
            name="impact_3_h_mg_dl",
            value=round(float(result.mean_mg_dl[place]), 1),
            unit="mg/dL",
            low=round(float(result.low_mg_dl[place]), 1),
            high=round(float(result.high_mg_dl[place]), 1),
        )
        for place, one in enumerate(chosen)
    }


def quarter_hours(course: Course) -> Floats:
    """Glucose of the grid at every quarter of an hour from its first midnight on, (days·POINTS,)."""
    if not course.day_count:
        return np.empty(0)
    clock = course.midnight_us + np.arange(course.day_count * POINTS, dtype=np.int64) * STEP_MIN * MINUTE_US
    place = (clock - course.midnight_us) / course.step_us - 1.0
    left = np.clip(np.floor(place).astype(np.int64), 0, len(course.glucose) - 2)
    share = place - left
    values = course.glucose[left] * (1.0 - share) + np.where(share > 0.0, course.glucose[left + 1], 0.0) * share
    return np.where((share < 0.0) | (share > 1.0), np.nan, values)


def _finding(factor: Factor, figure: Figure | None, *, with_meals: bool) -> Finding:
    clear = figure is not None and (figure.low or 0.0) * (figure.high or 0.0) > 0.0
    known = len(factor) >= LEAST and figure is not None
    reacts = ("acted_on_glucose",) if factor.reacts else ()
    return Finding(
        pattern=f"impact_{factor.kind}",
        wheel=Wheel.IMPACT,
        priority=Priority.FACTS,
        severity="none",
        confidence=confidence(len(factor), clear=clear and not with_meals) if known else "not_enough",
        source=both(REGRESSION, WEIGHTS),
        n=len(factor),
        of=len(factor),
        subject=factor.subject,
        figures=() if figure is None else (figure, Figure(name="minutes", value=IMPACT_MIN, unit="min")),
        evidence=factor.evidence,
        confounders=(*_ALWAYS, *reacts, *(("comes_with_meals",) if with_meals else ())),
    )


def _with_meals(factor: Factor, found: Sequence[Factor]) -> bool:
    """Whether most of a factor's occasions come with meals whose size nobody wrote down, so that the two blend."""
    meals = [clock for one in found if one.kind == "meal" for clock in one.clock_us]
    if factor.kind in ("carbs", "meal", "rescue") or not meals:
        return False
    apart = np.abs(np.array(factor.clock_us)[:, None] - np.array(meals)[None, :]).min(axis=1)
    return bool(np.mean(apart <= _WITH_MEAL_US) > 0.5)
