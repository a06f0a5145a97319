"""The table of rules: from a pattern, for whom, by which guideline, to an advice.

Lows come before highs (AACE 2021: look at time below range first). `does` says in which direction a rule pushes which part
of life; of two rules that push one part in different directions only the first is given.
"""

from typing import Final, Literal

from msgspec import Struct

from islet.patterns.findings import Priority
from islet.patterns.sources import (
    AACE,
    ADA_5,
    ADA_6,
    ADA_7,
    ADA_9,
    ADA_13,
    ADA_15,
    BOLUS_TIME,
    CHINA,
    CONSENSUS_2017,
    CONSENSUS_2019,
    DAWN,
    EXERCISE,
    FOOD_ORDER,
    INSULIN,
    OURS,
    WALK,
    both,
)

Direction = Literal[1, -1]


class Rule(Struct, frozen=True, kw_only=True):
    """patterns: it rests on each of these that is there, and needs the first. does: see above; "{subject}" stands for the
    finding's. goals: whose (names of `metrics.ranges.PRESETS`), everybody's where empty. no_concern: given although the
    finding is none. foods: whether it names some of the person's own. at_most: for so many findings of the pattern."""

    name: str
    patterns: tuple[str, ...]
    priority: Priority
    source: str
    does: tuple[tuple[str, Direction], ...] = ()
    goals: tuple[str, ...] = ()
    clinician: bool = False
    no_concern: bool = False
    foods: bool = False
    at_most: int = 1


_LOW, _HIGH = Priority.LOWS, Priority.HIGHS

RULES: Final = (
    Rule(name="very_low_plan", patterns=("very_lows",), priority=_LOW, source=both(ADA_6, AACE, CHINA), clinician=True),
    Rule(
        name="night_low_review",
        patterns=("night_lows",),
        priority=_LOW,
        source=both(ADA_6, AACE, CHINA),
        does=(("bedtime_check", 1), ("bedtime_carbs", 1)),
        clinician=True,
    ),
    Rule(
        name="long_low_alarm",
        patterns=("prolonged_lows",),
        priority=_LOW,
        source=both(CONSENSUS_2017, CONSENSUS_2019, ADA_7),
        does=(("low_alarm", 1),),
    ),
    Rule(
        name="unnoticed_low_check",
        patterns=("unrecorded_lows",),
        priority=_LOW,
        source=ADA_6,
        does=(("low_alarm", 1), ("write_down", 1)),
        clinician=True,
    ),
    Rule(
        name="low_time_review_older",
        patterns=("time_below", "low_risk"),
        priority=_LOW,
        source=both(ADA_13, CONSENSUS_2019),
        does=(("treatment_strength", -1),),
        goals=("older",),
        clinician=True,
    ),
    Rule(
        name="low_time_review",
        patterns=("time_below", "low_risk"),
        priority=_LOW,
        source=both(CONSENSUS_2019, AACE, CHINA),
        does=(("treatment_strength", -1),),
        goals=("standard", "tight", "pregnancy"),
        clinician=True,
    ),
    Rule(
        name="stacked_insulin_wait",
        patterns=("stacked_insulin",),
        priority=_LOW,
        source=both(ADA_9, INSULIN),
        does=(("correction_doses", -1),),
        clinician=True,
    ),
    Rule(
        name="exercise_low_prepare",
        patterns=("low_after_exercise",),
        priority=_LOW,
        source=EXERCISE,
        does=(("more_exercise", -1), ("carbs_before_exercise", 1)),
        clinician=True,
    ),
    Rule(
        name="exercise_night_earlier",
        patterns=("night_low_after_exercise",),
        priority=_LOW,
        source=EXERCISE,
        does=(("late_exercise", -1), ("bedtime_carbs", 1), ("bedtime_check", 1)),
    ),
    Rule(
        name="low_treat_gently",
        patterns=("rebound_after_low",),
        priority=_LOW,
        source=ADA_6,
        does=(("carbs_in_low", -1),),
    ),
    Rule(
        name="pressed_sensor_check",
        patterns=("compression_lows",),
        priority=_LOW,
        source=OURS,
        no_concern=True,
    ),
    Rule(
        name="pregnancy_highs_soon",
        patterns=("time_above", "fasting_level", "meal_spikes"),
        priority=_HIGH,
        source=ADA_15,
        does=(("treatment_strength", 1),),
        goals=("pregnancy",),
        clinician=True,
    ),
    Rule(
        name="high_time_review",
        patterns=("time_above",),
        priority=_HIGH,
        source=both(CONSENSUS_2019, ADA_9),
        does=(("treatment_strength", 1),),
        goals=("standard", "tight", "older"),
        clinician=True,
    ),
    Rule(
        name="fasting_review",
        patterns=("fasting_level", "dawn_rise"),
        priority=_HIGH,
        source=ADA_9,
        does=(("bedtime_carbs", -1),),
        clinician=True,
    ),
    Rule(name="dawn_review", patterns=("dawn_rise",), priority=_HIGH, source=DAWN, clinician=True),
    Rule(
        name="missed_bolus_reminder",
        patterns=("meal_without_bolus",),
        priority=_HIGH,
        source=ADA_9,
        does=(("mealtime_reminder", 1),),
    ),
    Rule(
        name="late_bolus_review",
        patterns=("late_bolus",),
        priority=_HIGH,
        source=BOLUS_TIME,
        clinician=True,
    ),
    Rule(
        name="food_swap",
        patterns=("food_high",),
        priority=_HIGH,
        source=ADA_5,
        does=(("food {subject}", -1),),
        foods=True,
        at_most=2,
    ),
    Rule(
        name="slot_first",
        patterns=("meal_slot",),
        priority=_HIGH,
        source=both(FOOD_ORDER, ADA_5),
        does=(("carbs {subject}", -1),),
        foods=True,
    ),
    Rule(
        name="walk_after_meals",
        patterns=("meal_spikes",),
        priority=_HIGH,
        source=both(WALK, ADA_5),
        does=(("more_exercise", 1),),
    ),
    Rule(
        name="exercise_that_helps",
        patterns=("exercise_change", "time_above"),
        priority=_HIGH,
        source=both(EXERCISE, ADA_5),
        does=(("more_exercise", 1),),
        no_concern=True,
    ),
    Rule(
        name="write_snacks",
        patterns=("between_meal_highs",),
        priority=_HIGH,
        source=both(ADA_5, OURS),
        does=(("write_down", 1),),
    ),
    Rule(
        name="steady_days",
        patterns=("variability",),
        priority=Priority.VARIABILITY,
        source=both(CONSENSUS_2017, AACE, ADA_5),
        does=(("regular_meals", 1),),
    ),
    Rule(
        name="wear_more",
        patterns=("wear",),
        priority=Priority.HABITS,
        source=both(CONSENSUS_2017, CONSENSUS_2019, ADA_7),
    ),
    Rule(
        name="write_more",
        patterns=("logging",),
        priority=Priority.HABITS,
        source=ADA_7,
        does=(("write_down", 1),),
    ),
    Rule(
        name="regular_meals",
        patterns=("meal_regularity",),
        priority=Priority.HABITS,
        source=ADA_5,
        does=(("regular_meals", 1),),
    ),
    Rule(name="look_back", patterns=("goal_progress",), priority=Priority.HABITS, source=CONSENSUS_2019),
    Rule(name="keep_going", patterns=("streak",), priority=Priority.FACTS, source=ADA_5, no_concern=True),
)
