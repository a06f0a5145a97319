"""The table of rules: from a pattern, for whom, by which guideline, to an advice.

Order is the order of guidelines that put lows before highs (AACE; the Chinese guideline on continuous monitoring: night,
before meals, after meals). `does` says in which direction a rule pushes which part of life; of two rules that push one part
in different directions only the first is given.
"""

from typing import Final, Literal

from msgspec import Struct

from islet.patterns.findings import Priority

Direction = Literal[1, -1]

ADA_6: Final = "ADA Standards of Care, section 6 (glycemic goals and hypoglycemia)"
ADA_5: Final = "ADA Standards of Care, section 5 (nutrition, activity, behaviour)"
ADA_7: Final = "ADA Standards of Care, section 7 (diabetes technology)"
ADA_9: Final = "ADA Standards of Care, section 9 (pharmacologic approaches)"
ADA_13: Final = "ADA Standards of Care, section 13 (older adults)"
ADA_15: Final = "ADA Standards of Care, section 15 (pregnancy)"
ATTD: Final = "ATTD consensus: doi:10.2337/dc17-1600, doi:10.2337/dci19-0028"
EXERCISE: Final = "EASD/ISPAD 2020, doi:10.1007/s00125-020-05263-9"
CHINA: Final = "Chinese guideline on continuous glucose monitoring (lows first; night, before meals, after meals)"
FOOD_ORDER: Final = "Shukla 2015, doi:10.2337/dc15-0429; ADA Standards of Care, section 5"
WALK: Final = "DiPietro 2013, doi:10.2337/dc13-0084; ADA Standards of Care, section 5"


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
    Rule(name="very_low_plan", patterns=("very_lows",), priority=_LOW, source=f"{ADA_6}; {CHINA}", clinician=True),
    Rule(
        name="night_low_review",
        patterns=("night_lows",),
        priority=_LOW,
        source=f"{ADA_6}; {CHINA}",
        does=(("bedtime_check", 1), ("bedtime_carbs", 1)),
        clinician=True,
    ),
    Rule(
        name="long_low_alarm",
        patterns=("prolonged_lows",),
        priority=_LOW,
        source=f"{ATTD}; {ADA_7}",
        does=(("low_alarm", 1),),
    ),
    Rule(
        name="unnoticed_low_check",
        patterns=("unrecorded_lows",),
        priority=_LOW,
        source=f"{ADA_6} (hypoglycemia unawareness)",
        does=(("low_alarm", 1), ("write_down", 1)),
        clinician=True,
    ),
    Rule(
        name="low_time_review_older",
        patterns=("time_below", "low_risk"),
        priority=_LOW,
        source=f"{ADA_13}; {ATTD}",
        does=(("treatment_strength", -1),),
        goals=("older",),
        clinician=True,
    ),
    Rule(
        name="low_time_review",
        patterns=("time_below", "low_risk"),
        priority=_LOW,
        source=f"{ATTD}; {CHINA}",
        does=(("treatment_strength", -1),),
        goals=("standard", "tight", "pregnancy"),
        clinician=True,
    ),
    Rule(
        name="stacked_insulin_wait",
        patterns=("stacked_insulin",),
        priority=_LOW,
        source=f"{ADA_9}; insulin action as in Loop and oref0",
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
        source=f"{ADA_6} (15 g, then look again after 15 min)",
        does=(("carbs_in_low", -1),),
    ),
    Rule(
        name="pressed_sensor_check",
        patterns=("compression_lows",),
        priority=_LOW,
        source="Our choice, after reviews of CGM traces",
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
        source=f"{ATTD}; {ADA_9}",
        does=(("treatment_strength", 1),),
        goals=("standard", "tight", "older"),
        clinician=True,
    ),
    Rule(
        name="fasting_review",
        patterns=("fasting_level", "dawn_rise"),
        priority=_HIGH,
        source=f"{ADA_9}; {CHINA}",
        does=(("bedtime_carbs", -1),),
        clinician=True,
    ),
    Rule(name="dawn_review", patterns=("dawn_rise",), priority=_HIGH, source="PMC3836163", clinician=True),
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
        source="Slattery 2018, doi:10.1111/dme.13525",
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
        source=f"{FOOD_ORDER}; {CHINA}",
        does=(("carbs {subject}", -1),),
        foods=True,
    ),
    Rule(name="walk_after_meals", patterns=("meal_spikes",), priority=_HIGH, source=WALK, does=(("more_exercise", 1),)),
    Rule(
        name="exercise_that_helps",
        patterns=("exercise_change", "time_above"),
        priority=_HIGH,
        source=f"{EXERCISE}; {ADA_5}",
        does=(("more_exercise", 1),),
        no_concern=True,
    ),
    Rule(
        name="write_snacks",
        patterns=("between_meal_highs",),
        priority=_HIGH,
        source=f"{ADA_5}; our definition",
        does=(("write_down", 1),),
    ),
    Rule(
        name="steady_days",
        patterns=("variability",),
        priority=Priority.VARIABILITY,
        source=f"{ATTD}; {ADA_5}",
        does=(("regular_meals", 1),),
    ),
    Rule(name="wear_more", patterns=("wear",), priority=Priority.HABITS, source=f"{ATTD}; {ADA_7}"),
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
    Rule(name="look_back", patterns=("goal_progress",), priority=Priority.HABITS, source=ATTD),
    Rule(name="keep_going", patterns=("streak",), priority=Priority.FACTS, source=ADA_5, no_concern=True),
)
