"""What each advice says, in English; every text is in the catalogues. Fields as in `pattern_texts`, and {foods}."""

from typing import Final

from islet.model.translated import mark as _

ONCE: Final[dict[str, str]] = {
    "very_low_plan": _(
        "Glucose was very low once. Keep fast sugar at hand, and tell your care team about it; ask whether you should have "
        "glucagon at home."
    ),
    "unnoticed_low_check": _(
        "At the one low nothing was written down. Check with a finger prick when the alarm sounds, treat the low, and write "
        "down what you felt. If you often feel nothing, tell your clinician."
    ),
    "missed_bolus_reminder": _(
        "One meal has no insulin written down, and glucose was high after it. A reminder at mealtimes may help; if you gave "
        "it, write it down."
    ),
    "write_snacks": _(
        "One high began with no meal written down before it. Write down snacks and drinks too for a week; then it can be "
        "told what they are."
    ),
}
"""What an advice says of something that was seen once, where that of several times would not do."""

ADVICE: Final[dict[str, str]] = {
    "very_low_plan": _(
        "Glucose was very low {n} times. Keep fast sugar at hand, and tell your care team about each of these times; ask "
        "whether you should have glucagon at home."
    ),
    "night_low_review": _(
        "Look at your glucose before you go to bed, and have something to eat with you if it is low or falling. Show these "
        "nights to your clinician; together you decide whether the evening's medicines should be looked at."
    ),
    "long_low_alarm": _(
        "Some lows went on for hours. Make the low alarm loud enough to wake you, and let somebody follow your glucose who "
        "can call you."
    ),
    "unnoticed_low_check": _(
        "At {n} of {of} lows nothing was written down. Check with a finger prick when the alarm sounds, treat the low, and "
        "write down what you felt. If you often feel nothing, tell your clinician."
    ),
    "low_time_review": _(
        "You spent {below_percent} of the time below the range; the goal is less than {goal_percent}. Show this to your "
        "clinician before you change anything else: lows come first."
    ),
    "low_time_review_older": _(
        "You spent {below_percent} of the time below the range; for you less than {goal_percent} is safe. Ask your clinician "
        "whether your goals and medicines should be made gentler."
    ),
    "stacked_insulin_wait": _(
        "Lows followed when insulin was given while earlier insulin was still acting. Look at the insulin on board before a "
        "correction, and talk with your clinician about how long to wait."
    ),
    "exercise_low_prepare": _(
        "Begin exercise with glucose from 126 to 180 mg/dL (7.0 to 10.0 mmol/L). If it is lower, eat something first and "
        "wait. Look at it every half hour, and keep fast sugar at hand. Talk with your clinician about insulin around "
        "exercise."
    ),
    "exercise_night_earlier": _(
        "Nights after exercise had more lows. Try to exercise earlier in the day, look at your glucose before you go to bed, "
        "and have a snack if it is low or falling."
    ),
    "low_treat_gently": _(
        "Highs followed some lows. Treat a low with about 15 g of fast sugar, wait 15 minutes, and look again before you "
        "eat more."
    ),
    "pressed_sensor_check": _(
        "Some lows at night may only be a pressed sensor. Check one with a finger prick before you treat it, and wear the "
        "sensor where you do not lie on it."
    ),
    "pregnancy_highs_soon": _(
        "Glucose is above the goals for pregnancy. Show this to your care team soon; do not wait for the next appointment."
    ),
    "high_time_review": _(
        "You spent {above_percent} of the time above the range; the goal is less than {goal_percent}. Discuss it with your "
        "clinician, together with the meals and hours that are named here."
    ),
    "fasting_review": _(
        "Before breakfast glucose was usually {fasting_mg_dl}. Eat dinner early and nothing after it for some evenings, and "
        "see whether mornings change. Discuss the mornings with your clinician."
    ),
    "dawn_review": _(
        "Glucose rises toward the morning by {dawn_rise_mg_dl} as a rule. Show these mornings to your clinician; what helps "
        "depends on your medicines."
    ),
    "missed_bolus_reminder": _(
        "{n} meals have no insulin written down, and glucose was high after them. A reminder at mealtimes may help; if you "
        "gave it, write it down."
    ),
    "late_bolus_review": _(
        "Mealtime insulin often came {delay_min} after the meal began. Discuss with your clinician when you should take it."
    ),
    "food_swap": _(
        "After meals with {subject} glucose rose by {rise_mg_dl} as a rule. Try a smaller portion of it, or one of these in "
        "its place: {foods}."
    ),
    "slot_first": _(
        "Of your meals, glucose rises most after {subject}: by {rise_mg_dl} as a rule. Begin there: vegetables and protein "
        "first, starch last. Good choices for you: {foods}."
    ),
    "walk_after_meals": _(
        "After {n} of {of} meals glucose was high or rose fast. A walk of 10 to 20 minutes soon after eating helps many "
        "people; try it after your largest meal and look at the difference."
    ),
    "exercise_that_helps": _(
        "Exercise ({subject}) went together with falling glucose: {change_during_mg_dl} as a rule. Plan it for the hours in "
        "which your glucose is high, and look at it before you begin."
    ),
    "write_snacks": _(
        "{n} highs began with no meal written down before them. Write down snacks and drinks too for a week; then it can be "
        "told what they are."
    ),
    "steady_days": _(
        "Glucose swings widely (variation {cv_percent}, goal {goal_percent} or less). Meals of similar size at similar times "
        "make days calmer; lows that are treated gently do too."
    ),
    "wear_more": _(
        "Only {active_percent} of the readings are there. Wear the sensor all the time and keep the phone near it: below "
        "{goal_percent} a report may mislead."
    ),
    "write_more": _(
        "Meals are written down on {days_percent} of days. Write them down for one week, with the time: without them nobody "
        "can tell what your meals do."
    ),
    "regular_meals": _(
        "Your first meal moves by hours from day to day. Try to have it at about the same time for a week."
    ),
    "look_back": _(
        "Time in range went from {first_half_percent} to {second_half_percent}. Think of what changed in these weeks, and "
        "tell your clinician."
    ),
    "keep_going": _("{present_days} in a row on goal. Keep going."),
}
DISCUSS: Final = _("Discuss this with your clinician before you change any medicine.")
NO_FOODS: Final = _("ask your dietitian")
