"""What glucose did in the hours after a drug, beside the same hours of days without it."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.model.events import Medication
from islet.model.time import DAY_US, HOUR_US
from islet.patterns.course import Course, Floats, Noted, noted_evidence
from islet.patterns.findings import Figure, Finding, Priority, Wheel
from islet.patterns.insulin.names import drug_class
from islet.patterns.intervals import LEAST, confidence, median_figure
from islet.patterns.sources import OURS

LEAST_CONTROLS: Final = 3
_HOURS: Final = (1, 2, 4)
_NEAR_US: Final = 2 * HOUR_US
_WITH_MEAL_US: Final = HOUR_US * 3 // 4
_SEED: Final = 7
_DRAWS: Final = 400


def drug_findings(course: Course) -> list[Finding]:
    """One of each class of drug: the course of glucose aligned to the doses and, where there are five doses and three days
    without the class, the difference between them."""
    by_class: dict[str, list[Noted[Medication]]] = defaultdict(list)
    for one in course.medication:
        kind = drug_class(one.event.name)
        if kind is not None:
            by_class[kind].append(one)
    return [_aligned(course, kind, doses) for kind, doses in sorted(by_class.items())]


def _aligned(course: Course, kind: str, doses: Sequence[Noted[Medication]]) -> Finding:
    changes = {hours: _changes(course, [one.clock_us for one in doses], hours) for hours in _HOURS}
    figures: list[Figure] = []
    for hours, values in changes.items():
        known = values[np.isfinite(values)]
        if len(known) >= LEAST:
            figures.append(median_figure(f"change_{hours}_h_mg_dl", known, "mg/dL"))
    difference = _difference(course, [one.clock_us for one in doses])
    if difference is not None:
        figures.insert(0, difference)
    clear = difference is not None and (difference.low or 0.0) * (difference.high or 0.0) > 0.0
    return Finding(
        pattern="drug_effect",
        wheel=Wheel.INSULIN,
        priority=Priority.FACTS,
        severity="none",
        confidence=confidence(len(doses), clear=clear) if figures else "not_enough",
        source=OURS,
        n=len(doses),
        of=len(doses),
        subject=kind,
        figures=tuple(figures),
        evidence=tuple(noted_evidence("medication", one, text=one.event.name) for one in doses),
        confounders=("meal_with_dose", "other_drugs", *(() if difference is not None else ("no_days_without",))),
    )


def _changes(course: Course, clocks: Sequence[int], hours: int) -> Floats:
    """Change of glucose in so many hours from wall clocks (n,), NaN where unknown."""
    return np.array([course.at(clock + hours * HOUR_US) - course.at(clock) for clock in clocks], np.float64)


def _difference(course: Course, clocks: Sequence[int]) -> Figure | None:
    """The mean change in 2 h after a dose, less that at times without one near; with a bootstrap."""
    free = _controls(course, np.array(clocks, np.int64))
    treated, control = (_changes(course, times, 2) for times in (clocks, free))
    treated, control = treated[np.isfinite(treated)], control[np.isfinite(control)]
    if len(treated) < LEAST or len(control) < LEAST_CONTROLS:
        return None
    rng = np.random.default_rng(_SEED)
    drawn = [rng.choice(one, (_DRAWS, len(one))).mean(axis=1) for one in (treated, control)]
    low, high = np.quantile(drawn[0] - drawn[1], (0.05, 0.95))
    value = float(treated.mean() - control.mean())
    return Figure(
        name="difference_2_h_mg_dl",
        value=round(value, 1),
        unit="mg/dL",
        low=round(float(low), 1),
        high=round(float(high), 1),
    )


def _controls(course: Course, taken: NDArray[np.int64]) -> list[int]:
    """Wall clocks to compare with: where most doses went with a meal, meals at the doses' hours without a dose near; else
    the doses' hours on days without one near."""
    meals = np.array([one.clock_us for index, one in enumerate(course.meals) if index not in course.rescues], np.int64)
    hours = np.unique(np.round((taken % DAY_US) / HOUR_US)).astype(np.int64)
    days = (course.midnight_us if course.day_count else 0) + np.arange(course.day_count, dtype=np.int64) * DAY_US
    clocks = (days[:, None] + hours[None, :] * HOUR_US).ravel()
    with_meal = sum(bool(np.any(np.abs(meals - one) <= _WITH_MEAL_US)) for one in taken)
    if 2 * with_meal > len(taken):
        clocks = meals[np.abs((meals % DAY_US)[:, None] - hours[None, :] * HOUR_US).min(axis=1) <= _NEAR_US]
    return [int(one) for one in clocks if not np.any(np.abs(taken - one) < _NEAR_US)]
