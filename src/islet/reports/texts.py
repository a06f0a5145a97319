"""The words of reports that stand in code: names of ranges, episodes, acts, parts of the day, goals and targets."""

from typing import Final

from islet.model.translated import mark as _
from islet.reports.document import Band, Goal, SevenDay
from islet.reports.voice import Voice, share_decimals

BANDS: Final = {
    "very_low": _("Very low"),
    "low": _("Low"),
    "in_range": _("In range"),
    "high": _("High"),
    "very_high": _("Very high"),
}
EPISODES: Final = {
    "low": _("Low"),
    "very_low": _("Very low"),
    "extended_low": _("Low for over 2 hours"),
    "high": _("High"),
    "very_high": _("Very high"),
    "extended_high": _("Very high for 2 hours or more"),
}
ACTS: Final = {
    "meal": _("Meal"),
    "insulin": _("Insulin"),
    "exercise": _("Exercise"),
    "medication": _("Medication"),
    "note": _("Note"),
}
PARTS: Final = {
    "night": _("Night"),
    "morning": _("Morning"),
    "afternoon": _("Afternoon"),
    "evening": _("Evening"),
}
TARGETS: Final = {
    "standard": _("Diabetes type 1 or type 2"),
    "pregnancy": _("Pregnancy (type 1)"),
    "older": _("Older or at high risk"),
}
MISSING: Final = {
    "days": _("not told: needs 14 days"),
    "readings": _("not told: needs 70 % of readings"),
}
CONFIDENCE: Final = {
    "high": _("sure"),
    "moderate": _("fairly sure"),
    "low": _("not sure"),
    "not_enough": _("not enough data"),
}
SEVERITY: Final = {
    "serious": _("Serious"),
    "moderate": _("Moderate"),
    "mild": _("Mild"),
    "none": _("Good to know"),
}


_LEAST_PRAISED_PERCENT: Final = 1.0


def told_range(band: Band, voice: Voice) -> str:
    """The range of a band with its unit: below 54, 54–69, 70–180, 181–250, above 250 mg/dL; in mmol/L likewise."""
    step = 1.0 if voice.unit == "mg/dL" else 0.1
    if band.from_mg_dl is None:
        return voice.text(_("below {value} {unit}")).format(value=voice.glucose(band.to_mg_dl), unit=voice.unit)
    if band.to_mg_dl is None:
        return voice.text(_("above {value} {unit}")).format(value=voice.glucose(band.from_mg_dl), unit=voice.unit)
    begin, end = voice.number(band.from_mg_dl), voice.number(band.to_mg_dl)
    if band.name == "high":
        begin += step
    if band.name == "low":
        end -= step
    decimals = 0 if step == 1.0 else 1
    return f"{begin:.{decimals}f}–{end:.{decimals}f} {voice.unit}"


def goal_name(goal: Goal, low_mg_dl: float, high_mg_dl: float, voice: Voice) -> str:
    """What a goal is about, as "70–180 mg/dL"."""
    low, high = voice.glucose(low_mg_dl), voice.glucose(high_mg_dl)
    named = {
        "in_range": f"{low}–{high}",
        "below_low": f"< {low}",
        "below_54": f"< {voice.glucose(54.0)}",
        "above_high": f"> {high}",
        "above_250": f"> {voice.glucose(250.0)}",
    }
    return f"{named[goal.name]} {voice.unit}"


def goal_bound(goal: Goal, voice: Voice) -> str:
    """How much of it one aims at."""
    sentence = _("over {percent} %") if goal.aim == "over" else _("under {percent} %")
    return voice.text(sentence).format(percent=f"{goal.bound_percent:g}").replace(" %", "\N{NO-BREAK SPACE}%")


def goal_share(goal: Goal, voice: Voice) -> str:
    """The share with as many decimals (at most two) as tell on which side of its bound it is: 69.8 % is not 70 %."""
    percent, bound = goal.percent, goal.bound_percent
    if percent is None or percent == bound or round(percent, share_decimals(percent)) != bound:
        return voice.share(percent)
    return voice.percent(percent, 2 if round(percent, 1) == bound else 1)


def in_range_share(report: SevenDay, voice: Voice) -> str:
    """The share in range, as it stands beside its goal."""
    goal = next((goal for goal in report.goals if goal.name == "in_range"), None)
    return voice.share(report.bands[2].percent) if goal is None else goal_share(goal, voice)


def full_days(report: SevenDay) -> list[tuple[float, int]]:
    """Of the days with 70 % of their readings the share in range, and the place with a minus before it."""
    return [(day.bands[2], -place) for place, day in enumerate(report.days) if day.bands and day.active_percent >= 70.0]


def best_day(report: SevenDay) -> "tuple[int, float] | None":
    """The full day with the greatest share in range: its place, and the share. None where there is no other to compare it
    with, or where it was hardly ever in range."""
    known = full_days(report)
    if len(known) < 2:
        return None
    share, place = max(known)
    return (-place, share) if share >= _LEAST_PRAISED_PERCENT else None
