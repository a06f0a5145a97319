"""Which meals raise glucose, and which foods are in those that do and in those that do not."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from islet.patterns.course import Course, noted_evidence
from islet.patterns.diet.foods import foods_in, has_carbohydrate
from islet.patterns.diet.responses import MealResponse, meal_responses
from islet.patterns.findings import Evidence, Figure, Finding, Priority, Severity, Wheel
from islet.patterns.intervals import LEAST, confidence, median_figure, share_figure
from islet.patterns.sources import ADA_6, AREA, OUR_LIMIT, RESPONSE, both

SPIKE_MG_DL: Final = 60.0
LEAST_OF_A_FOOD: Final = 3
_MOST_FOODS: Final = 5
_DIFFERENT_MG_DL: Final = 10.0
_WORTH_MG_DL: Final = 30.0
"""A smaller rise is no concern of the meal's, though glucose was high: it was so before."""


def meal_findings(course: Course) -> list[Finding]:
    """Spikes, each slot's meals, and the foods at both ends."""
    responses = [one for one in meal_responses(course) if not one.excluded]
    if not responses:
        return []
    found = [_spikes(responses), *_slots(responses), *_foods(responses)]
    return [one for one in found if one is not None]


def is_spike(response: MealResponse) -> bool:
    """Above the range within 2 h, or a rise of 60 mg/dL or more."""
    return response.over_within_2_h or response.rise_mg_dl >= SPIKE_MG_DL


def _evidence(responses: Sequence[MealResponse]) -> tuple[Evidence, ...]:
    return tuple(noted_evidence("meal", one.meal, one.rise_mg_dl, "mg/dL", one.text) for one in responses)


def _spikes(responses: Sequence[MealResponse]) -> Finding | None:
    found = [one for one in responses if is_spike(one)]
    if not found:
        return None
    share = share_figure("meals_percent", len(found), len(responses))
    peaks = median_figure("peak_mg_dl", np.array([one.peak_mg_dl for one in found]), "mg/dL")
    severity: Severity = "moderate" if 2 * len(found) > len(responses) else "mild"
    return Finding(
        pattern="meal_spikes",
        wheel=Wheel.GLUCOSE,
        priority=Priority.HIGHS,
        severity=severity,
        confidence=confidence(len(responses)),
        source=both(ADA_6, OUR_LIMIT),
        n=len(found),
        of=len(responses),
        figures=(share, peaks),
        evidence=_evidence(found),
        confounders=("insulin_with_meal",),
    )


def _slots(responses: Sequence[MealResponse]) -> list[Finding]:
    """The meals of each time of day, those that raise glucose most first."""
    by_slot: dict[str, list[MealResponse]] = defaultdict(list)
    for one in responses:
        by_slot[one.slot].append(one)
    found = [
        _group("meal_slot", slot, group, Priority.HIGHS)
        for slot, group in by_slot.items()
        if len(group) >= LEAST_OF_A_FOOD
    ]
    return sorted(found, key=lambda one: -one.figures[0].value)


def _foods(responses: Sequence[MealResponse]) -> list[Finding]:
    """The foods whose meals rose most above, and most below, what is usual at that time of day, among those eaten three
    times or more. A food's rise is that of whole meals, so that its company is a confounder; what has no carbohydrate is
    never said to be in high ones."""
    by_food: dict[str, list[MealResponse]] = defaultdict(list)
    for one in responses:
        for food in foods_in(one.text):
            by_food[food].append(one)
    slots = {slot: _rise([one for one in responses if one.slot == slot]) for slot in {one.slot for one in responses}}
    more = {
        food: float(np.median([one.rise_mg_dl - slots[one.slot] for one in group]))
        for food, group in by_food.items()
        if len(group) >= LEAST_OF_A_FOOD
    }
    ranked = sorted(more, key=lambda food: -more[food])
    high = [food for food in ranked if more[food] >= _DIFFERENT_MG_DL and has_carbohydrate(food)][:_MOST_FOODS]
    small = [food for food in reversed(ranked) if more[food] <= -_DIFFERENT_MG_DL][:_MOST_FOODS]
    return [
        *(_group("food_high", food, by_food[food], Priority.HIGHS, more[food]) for food in high),
        *(_group("food_small", food, by_food[food], Priority.FACTS, more[food]) for food in small),
    ]


def _rise(group: Sequence[MealResponse]) -> float:
    return float(np.median([one.rise_mg_dl for one in group]))


def _group(
    pattern: str, subject: str, group: Sequence[MealResponse], priority: Priority, more: float | None = None
) -> Finding:
    def figure(name: str, values: list[float], unit: str) -> list[Figure]:
        known = np.array([value for value in values if np.isfinite(value)])
        return [median_figure(name, known, unit)] if len(known) else []

    spikes = [one for one in group if is_spike(one)]
    often = 2 * len(spikes) > len(group)
    bad = often and pattern != "food_small" and _rise(group) >= _WORTH_MG_DL
    food = pattern != "meal_slot"
    enough = len(group) >= LEAST
    return Finding(
        pattern=pattern,
        wheel=Wheel.DIET,
        priority=priority if bad else Priority.FACTS,
        severity="moderate" if bad and enough else "mild" if bad else "none",
        confidence=confidence(len(group)) if enough else "low" if food else "not_enough",
        source=both(AREA, RESPONSE),
        n=len(group),
        of=len(group),
        subject=subject,
        figures=(
            *figure("rise_mg_dl", [one.rise_mg_dl for one in group], "mg/dL"),
            *figure("peak_min", [one.peak_min for one in group], "min"),
            *figure("at_1_h_mg_dl", [one.at_1_h_mg_dl for one in group], "mg/dL"),
            *figure("at_2_h_mg_dl", [one.at_2_h_mg_dl for one in group], "mg/dL"),
            *figure("iauc_120", [one.iauc_120_mg_dl_h for one in group], "mg/dL·h"),
            *figure("iauc_180", [one.iauc_180_mg_dl_h for one in group], "mg/dL·h"),
            *figure("recovery_percent", [one.recovery_percent for one in group], "%"),
            share_figure("spikes_percent", len(spikes), len(group)),
            *([] if more is None else [Figure(name="against_slot_mg_dl", value=round(more, 1), unit="mg/dL")]),
        ),
        evidence=_evidence(group),
        confounders=("other_foods", "insulin_with_meal") if food else ("insulin_with_meal",),
    )
