"""What glucose did after each meal."""

from typing import Final, Literal

import numpy as np
from msgspec import Struct

from islet.model.events import Meal
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.patterns.course import Course, Floats, Noted

WINDOW_MIN: Final = 180
_BASELINE_US: Final = 30 * MINUTE_US
_ONE_MEAL_US: Final = 15 * MINUTE_US
"""What is written down within a quarter of an hour is one meal."""
_LEAST_SHARE: Final = 0.8
_WITHIN_US: Final = WINDOW_MIN * MINUTE_US

Slot = Literal["breakfast", "lunch", "dinner", "snack"]
_SLOTS: Final[tuple[tuple[float, float, Slot], ...]] = (
    (5, 10.5, "breakfast"),
    (10.5, 14.5, "lunch"),
    (17, 21, "dinner"),
)
Excluded = Literal["", "rescue", "overlap", "gap"]


class MealResponse(Struct, frozen=True, kw_only=True):
    """One meal and the three hours after it. Glucose in mg/dL; what is not known is NaN, and everything is for a meal that
    is `excluded`: carbs against a low, another meal within the three hours before or after it, or more than a fifth of the
    readings missing.

    baseline: mean of the 30 min before. peak: the highest; peak_min: when. rise: peak less baseline. iauc_120, iauc_180:
    incremental area above the baseline in mg/dL·h (trapezoids of what lies above it; FAO 1998, Food and Nutrition Paper 66).
    recovery_percent: how much of the rise was gone one hour after the peak (Service 2013, doi:10.2337/db12-1396).
    """

    meal: Noted[Meal]
    clock_us: int
    carbs_g: float
    text: str
    slot: Slot
    excluded: Excluded = ""
    baseline_mg_dl: float = float("nan")
    rise_mg_dl: float = float("nan")
    peak_mg_dl: float = float("nan")
    peak_min: float = float("nan")
    at_1_h_mg_dl: float = float("nan")
    at_2_h_mg_dl: float = float("nan")
    iauc_120_mg_dl_h: float = float("nan")
    iauc_180_mg_dl_h: float = float("nan")
    recovery_percent: float = float("nan")
    over_within_2_h: bool = False


def slot_of(clock_us: int) -> Slot:
    """Which meal of the day an hour belongs to.

    >>> slot_of(8 * 3_600_000_000), slot_of(16 * 3_600_000_000)
    ('breakfast', 'snack')
    """
    hour = clock_us % DAY_US / HOUR_US
    return next((slot for begin, end, slot in _SLOTS if begin <= hour < end), "snack")


def meal_responses(course: Course) -> list[MealResponse]:
    """Every meal in order of time, those that cannot be judged with the reason."""
    meals = _joined(course)
    clocks = [meal.clock_us for meal, *_ in meals]
    found = []
    for place, (meal, carbs_g, text, rescue) in enumerate(meals):
        near = [clocks[i] for i in (place - 1, place + 1) if 0 <= i < len(clocks)]
        overlap = any(abs(other - meal.clock_us) < _WITHIN_US for other in near)
        plain = MealResponse(meal=meal, clock_us=meal.clock_us, carbs_g=carbs_g, text=text, slot=slot_of(meal.clock_us))
        excluded: Excluded = "rescue" if rescue else "overlap" if overlap else ""
        found.append(_with(plain, excluded) if excluded else _measured(course, plain))
    return found


def _joined(course: Course) -> list[tuple[Noted[Meal], float, str, bool]]:
    """Meals with their carbs in g (NaN where unknown), text, and whether they were against a low; what was written down
    within a quarter of an hour of the first is one."""
    out: list[tuple[Noted[Meal], float, str, bool]] = []
    for index, meal in enumerate(course.meals):
        carbs_g = float("nan") if meal.event.carbs_g is None else meal.event.carbs_g
        rescue = index in course.rescues
        if out and meal.clock_us - out[-1][0].clock_us <= _ONE_MEAL_US:
            first, before_g, text, before = out[-1]
            joined = "\n".join(one for one in (text, meal.event.text) if one)
            out[-1] = (first, float(np.nansum([before_g, carbs_g])), joined, before or rescue)
        else:
            out.append((meal, carbs_g, meal.event.text, rescue))
    return out


def _measured(course: Course, plain: MealResponse) -> MealResponse:
    clock = plain.clock_us
    before = course.known(clock - _BASELINE_US, clock, 0.5)
    after = course.values(clock, clock + _WITHIN_US)
    known = np.isfinite(after)
    if not len(before) or known.sum() < _LEAST_SHARE * WINDOW_MIN * MINUTE_US / course.step_us:
        return _with(plain, "gap")
    baseline = float(before.mean())
    minutes = (course.clock_us[course.places(clock, clock + _WITHIN_US)] - clock) / MINUTE_US
    minutes, values = minutes[known], after[known]
    top = int(values.argmax())
    peak = float(values[top])
    one_hour_on = course.at(clock + int(minutes[top] + 60) * MINUTE_US)
    rise = peak - baseline
    return MealResponse(
        meal=plain.meal,
        clock_us=clock,
        carbs_g=plain.carbs_g,
        text=plain.text,
        slot=plain.slot,
        baseline_mg_dl=baseline,
        rise_mg_dl=rise,
        peak_mg_dl=peak,
        peak_min=float(minutes[top]),
        at_1_h_mg_dl=course.at(clock + HOUR_US),
        at_2_h_mg_dl=course.at(clock + 2 * HOUR_US),
        iauc_120_mg_dl_h=_area(minutes, values - baseline, 120.0),
        iauc_180_mg_dl_h=_area(minutes, values - baseline, float(WINDOW_MIN)),
        recovery_percent=100.0 * (peak - one_hour_on) / rise if rise > 0.0 else float("nan"),
        over_within_2_h=bool(np.any(values[minutes <= 120.0] > course.goals.high_mg_dl)),
    )


def _area(minutes: Floats, above: Floats, until: float) -> float:
    """The area of what lies above zero, in mg/dL·h: triangles where the line crosses it."""
    inside = minutes <= until
    t, y = minutes[inside] / 60.0, above[inside]
    if len(t) < 2:
        return 0.0
    width, left, right = np.diff(t), y[:-1], y[1:]
    both, either = (left >= 0) & (right >= 0), (left > 0) | (right > 0)
    high = np.maximum(left, right)
    apart = np.where(left == right, 1.0, np.abs(left - right))
    area = np.where(both, width * (left + right) / 2.0, np.where(either, width * high**2 / (2.0 * apart), 0.0))
    return float(area.sum())


def _with(plain: MealResponse, excluded: Excluded) -> MealResponse:
    return MealResponse(
        meal=plain.meal,
        clock_us=plain.clock_us,
        carbs_g=plain.carbs_g,
        text=plain.text,
        slot=plain.slot,
        excluded=excluded,
    )
