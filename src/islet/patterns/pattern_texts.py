"""What each pattern is called and says, in English; every text is in the catalogues.

Fields of a sentence: {n}, {of}, {subject}, and the names of the finding's figures; {name_interval} is a figure's interval.
"""

from typing import Final, NamedTuple

from islet.model.translated import mark as _


class Text(NamedTuple):
    """A pattern's title and its sentence."""

    title: str
    sentence: str


ONCE: Final = {
    "very_lows": _(
        "Glucose was below 54 mg/dL (3.0 mmol/L) once for at least 15 minutes; the lowest was {lowest_mg_dl}."
    ),
    "prolonged_lows": _("There was one low; it lasted {longest_min}."),
    "unrecorded_lows": _("There was one low, and nothing was written down while it lasted."),
    "rebound_after_low": _("There was one low, and glucose above the range followed within three hours."),
    "stacked_insulin": _(
        "One dose was given while earlier insulin was still acting, and a low followed within four hours; {on_board_u} were "
        "still to act."
    ),
}
"""The sentence of a pattern that was seen once (of one occasion), where that of several would not do."""

PATTERNS: Final[dict[str, Text]] = {
    "very_lows": Text(
        _("Very low glucose"),
        _("Glucose was below 54 mg/dL (3.0 mmol/L) for at least 15 minutes {n} times; the lowest was {lowest_mg_dl}."),
    ),
    "night_lows": Text(
        _("Lows at night"),
        _(
            "There was a low between midnight and 6 o'clock in {nights} of {nights_looked_at} nights; the lowest was "
            "{lowest_mg_dl}."
        ),
    ),
    "prolonged_lows": Text(
        _("Long lows"), _("{n} of {of} lows lasted more than two hours; the longest {longest_min}.")
    ),
    "unrecorded_lows": Text(
        _("Lows that may not have been noticed"),
        _("At {n} of {of} lows nothing was written down while they lasted."),
    ),
    "time_below": Text(
        _("Time below range"),
        _(
            "{below_percent} of readings were below the range ({below_percent_interval}), and {below_54_percent} below "
            "54 mg/dL (3.0 mmol/L). The goal is less than {goal_percent}."
        ),
    ),
    "low_risk": Text(
        _("Risk of lows"),
        _(
            "The low blood glucose index is {lbgi}. From the days and nights that were seen, the chance of a low is about "
            "{next_day_low_percent} in a day to come and {next_night_low_percent} in a night."
        ),
    ),
    "rebound_after_low": Text(
        _("High after a low"),
        _("{n} of {of} lows were followed by glucose above the range within three hours."),
    ),
    "compression_lows": Text(
        _("Lows that may be a pressed sensor"),
        _(
            "{n} of {of} lows came at night, fell and rose fast, and were over within the hour with nothing eaten: perhaps "
            "somebody lay on the sensor."
        ),
    ),
    "time_above": Text(
        _("Time above range"),
        _(
            "{above_percent} of readings were above the range ({above_percent_interval}), and {above_250_percent} above "
            "250 mg/dL (13.9 mmol/L). The goal is less than {goal_percent}."
        ),
    ),
    "fasting_level": Text(
        _("Glucose before breakfast"),
        _(
            "Before breakfast glucose was usually {fasting_mg_dl} ({fasting_mg_dl_interval}); above the goal on {n} of {of} mornings."
        ),
    ),
    "dawn_rise": Text(
        _("Rise at dawn"),
        _(
            "From its lowest in the night to breakfast glucose rose by {dawn_rise_mg_dl} as a rule; on {n} of {of} nights "
            "without a low the rise was marked."
        ),
    ),
    "night_profile": Text(
        _("Course of the night"),
        _(
            "At night glucose was usually {night_mean_mg_dl}, and changed by {night_change_mg_dl} from midnight to 6 "
            "o'clock; on {n} of {of} nights it moved by 30 mg/dL (1.7 mmol/L) or more."
        ),
    ),
    "between_meal_highs": Text(
        _("Highs without a meal"),
        _("{n} of {of} highs began with no meal written down in the three hours before."),
    ),
    "variability": Text(
        _("Variability"),
        _("The coefficient of variation is {cv_percent} ({cv_percent_interval}); the goal is {goal_percent} or less."),
    ),
    "meal_spikes": Text(
        _("High after meals"),
        _(
            "After {n} of {of} meals glucose went above the range within two hours, or rose by 60 mg/dL (3.3 mmol/L) or "
            "more; then it reached {peak_mg_dl} as a rule."
        ),
    ),
    "meal_slot": Text(
        _("Meals: {subject}"),
        _(
            "After {n} meals glucose rose by {rise_mg_dl} as a rule ({rise_mg_dl_interval}), to its highest after "
            "{peak_min}."
        ),
    ),
    "food_high": Text(
        _("Meals with {subject}"),
        _(
            "After {n} meals with it glucose rose by {rise_mg_dl} as a rule, {against_slot_mg_dl} beside other meals at that time of day."
        ),
    ),
    "food_small": Text(
        _("Meals with {subject}"),
        _(
            "After {n} meals with it glucose rose by only {rise_mg_dl} as a rule, {against_slot_mg_dl} beside other meals at that time of day."
        ),
    ),
    "stacked_insulin": Text(
        _("Insulin on top of insulin"),
        _(
            "{n} of {of} doses that were given while earlier insulin was still acting were followed by a low within four "
            "hours; {on_board_u} were still to act as a rule."
        ),
    ),
    "late_bolus": Text(
        _("Insulin after the meal"),
        _("With {n} of {of} meals the insulin came {delay_min} after the meal as a rule."),
    ),
    "meal_without_bolus": Text(
        _("Meals without insulin"),
        _(
            "{n} of {of} meals have no insulin written down within an hour, and glucose went above the range after them."
        ),
    ),
    "correction_effect": Text(
        _("What a unit of insulin did"),
        _(
            "Three hours after {n} doses without food, glucose had changed by {change_per_u_mg_dl} for each unit ({change_per_u_mg_dl_interval})."
        ),
    ),
    "drug_effect": Text(
        _("After {subject}"),
        _(
            "In the two hours after {n} doses glucose changed by {change_2_h_mg_dl} as a rule; the difference from times "
            "without a dose is {difference_2_h_mg_dl} ({difference_2_h_mg_dl_interval})."
        ),
    ),
    "exercise_change": Text(
        _("Exercise: {subject}"),
        _(
            "In {n} bouts glucose changed by {change_during_mg_dl} as a rule ({change_during_mg_dl_interval}), and by "
            "{change_1_h_mg_dl} and {change_2_h_mg_dl} one and two hours later."
        ),
    ),
    "low_after_exercise": Text(
        _("Lows around exercise"),
        _(
            "During {n} of {of} bouts of exercise, or within two hours after them, glucose went below the range; "
            "{began_below_126} of them had begun below 126 mg/dL (7.0 mmol/L)."
        ),
    ),
    "night_low_after_exercise": Text(
        _("Lows in the night after exercise"),
        _("{n} of {of} nights after exercise had a low ({nights_percent}; other nights: {other_nights_percent})."),
    ),
    "wear": Text(
        _("Wearing the sensor"),
        _(
            "From the first to the last of these readings {active_percent} are there; the goal is {goal_percent} or more. "
            "Gaps of more than an hour: {n}."
        ),
    ),
    "logging": Text(
        _("Writing down"),
        _("Meals are written down on {days_percent} of days, {meals_per_day} meals a day."),
    ),
    "meal_regularity": Text(
        _("Time of the first meal"),
        _("On {n} of {of} days the first meal was more than 90 minutes away from its usual time."),
    ),
    "streak": Text(
        _("Good days"),
        _("On goal: {good_days}. The longest run was {longest_days}, the present one is {present_days}."),
    ),
    "goal_progress": Text(
        _("Progress"),
        _(
            "Time in range was {first_half_percent} in the first half of the days and {second_half_percent} in the second: "
            "a change of {change_percent} ({change_percent_interval})."
        ),
    ),
    "advice_response": Text(
        _("Since the advice was taken up"),
        _(
            "Time in range changed by {change_percent} ({change_percent_interval}) from the two weeks before to the two weeks after."
        ),
    ),
    "impact_carbs": Text(
        _("Carbohydrate"),
        _(
            "In the three hours after each 10 g, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
    "impact_meal": Text(
        _("Meals"),
        _(
            "In the three hours after a meal, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
    "impact_rescue": Text(
        _("Carbs against a low"),
        _(
            "In the three hours after them, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
    "impact_insulin": Text(
        _("Mealtime insulin"),
        _(
            "In the three hours after each unit, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
    "impact_exercise": Text(
        _("Exercise: {subject}"),
        _(
            "In the three hours after it, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
    "impact_medication": Text(
        _("Medicine: {subject}"),
        _(
            "In the three hours after it, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
    "impact_note": Text(
        _("Note: {subject}"),
        _(
            "In the three hours after it, glucose differed by {impact_3_h_mg_dl} on average ({impact_3_h_mg_dl_interval}), all else alike."
        ),
    ),
}
NOT_ENOUGH: Final = _("Not enough data: {n} occasions so far; at least 5 are needed, on at least 5 full days.")

NOTHING: Final = _("There are no readings to look at, or they are too far apart.")
"""Of somebody without any finding."""

CONFOUNDERS: Final[dict[str, str]] = {
    "breakfast_assumed": _("On some days no breakfast was written down; 7 o'clock was taken."),
    "sensor_noise": _("A sensor's error makes the lowest value of a night look lower than it was."),
    "late_meal": _("A late meal may still act in the morning."),
    "compression": _("Some may be a pressed sensor."),
    "true_low": _("It may also be a true low; a check by finger tells."),
    "not_written_down": _("It may have been noticed and only not written down."),
    "food_after_low": _("Food was eaten after some of them."),
    "meal_not_written": _("A meal may have been eaten and not written down."),
    "insulin_with_meal": _("How much insulin came with the meal, and when, differs."),
    "other_foods": _("It was eaten together with other foods."),
    "meal_with_dose": _("A meal often comes with the dose."),
    "class_curve": _("The curve is that of the insulin's class, not the person's own."),
    "time_written_late": _("The time may have been written down late."),
    "insulin_not_written": _("Insulin may have been given and not written down."),
    "regression_to_mean": _("High glucose comes down without insulin too."),
    "other_drugs": _("Other medicines act at the same time."),
    "no_days_without": _("There are too few times without it to compare with."),
    "insulin_on_board": _("Insulin that is still acting makes a difference."),
    "food_around": _("What was eaten before and after makes a difference."),
    "other_sensor": _("Another sensor may read differently."),
    "other_changes": _("Other things may have changed at the same time."),
    "association_only": _("This is what went together, not a proof of why."),
    "together_with_others": _("What nobody wrote down is not in it."),
    "comes_with_meals": _(
        "It mostly comes with meals whose size is not written down; the two cannot be told apart well."
    ),
    "acted_on_glucose": _("People do it because of their glucose, so that its own part cannot be told."),
}
