"""Change of glucose during exercise, one and two hours after it, and lows in the night that follows."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from islet.model.events import Exercise
from islet.model.time import DAY_US, HOUR_US, MINUTE_US
from islet.patterns.course import Course, Noted, noted_evidence
from islet.patterns.findings import Figure, Finding, Priority, Severity, Wheel
from islet.patterns.intervals import LEAST, confidence, median_figure, share_figure
from islet.patterns.sources import EXERCISE, OURS, both

START_MG_DL: Final = (126.0, 180.0)
"""Where to start exercise from at moderate risk of lows (EASD/ISPAD 2020): 7.0 to 10.0 mmol/L."""
_BEFORE_US: Final = 30 * MINUTE_US
_AROUND_US: Final = 15 * MINUTE_US


class Bout(NamedTuple):
    """Exercise with glucose in mg/dL before it (mean of 30 min), the change to its end, and to one and two hours after;
    the lowest from its begin to two hours after its end; all NaN where unknown. night_low: whether the night that follows
    had a value below the range; None where that night is not known."""

    noted: Noted[Exercise]
    start_mg_dl: float
    during_mg_dl: float
    after_1_h_mg_dl: float
    after_2_h_mg_dl: float
    lowest_mg_dl: float
    night_low: bool | None


def bouts(course: Course) -> list[Bout]:
    """Bouts with glucose before and after."""
    nights = {begin: bool(values.min() < course.goals.low_mg_dl) for begin, _, values in course.nights()}
    found = []
    for noted in course.exercise:
        begin = noted.clock_us
        end = begin + int(noted.event.duration_min * MINUTE_US)
        before = course.known(begin - _BEFORE_US, begin - 1, 0.5)
        after = course.known(begin, end + 2 * HOUR_US, 0.5)
        if not len(before) or not len(after):
            continue
        start = float(before.mean())
        at_end, at_1_h, at_2_h = (_around(course, end + hours * HOUR_US) - start for hours in (0, 1, 2))
        midnight = (end // DAY_US + 1) * DAY_US
        found.append(Bout(noted, start, at_end, at_1_h, at_2_h, float(after.min()), nights.get(midnight)))
    return found


def _around(course: Course, clock_us: int) -> float:
    values = course.known(clock_us - _AROUND_US, clock_us + _AROUND_US, 0.3)
    return float(values.mean()) if len(values) else float("nan")


def exercise_findings(course: Course) -> list[Finding]:
    """What each kind does, in all and by where glucose was at its start; and nights after exercise beside other nights."""
    found = bouts(course)
    if not found:
        return []
    by_kind: dict[str, list[Bout]] = defaultdict(list)
    for one in found:
        by_kind[one.noted.event.kind.strip().lower()].append(one)
    out = [_change(course, kind, group) for kind, group in sorted(by_kind.items())]
    lows = [one for one in found if one.lowest_mg_dl < course.goals.low_mg_dl]
    if lows:
        out.append(_lows(course, found, lows))
    night = _nights(course, found)
    return [*out, night] if night else out


def _change(course: Course, kind: str, group: Sequence[Bout]) -> Finding:
    columns = (
        ("change_during_mg_dl", [one.during_mg_dl for one in group]),
        ("change_1_h_mg_dl", [one.after_1_h_mg_dl for one in group]),
        ("change_2_h_mg_dl", [one.after_2_h_mg_dl for one in group]),
        ("start_mg_dl", [one.start_mg_dl for one in group]),
        *_by_start(group),
    )
    known = [(name, np.array(values)[np.isfinite(values)]) for name, values in columns]
    figures = tuple(median_figure(name, values, "mg/dL") for name, values in known if len(values))
    first = figures[0] if figures else None
    clear = first is not None and first.low is not None and first.high is not None and first.low * first.high > 0.0
    return Finding(
        pattern="exercise_change",
        wheel=Wheel.EXERCISE,
        priority=Priority.FACTS,
        severity="none",
        confidence=confidence(len(group), clear=clear),
        source=both(EXERCISE, OURS),
        n=len(group),
        of=len(group),
        subject=kind,
        figures=figures if len(group) >= LEAST else (),
        evidence=tuple(noted_evidence("exercise", one.noted, one.during_mg_dl, "mg/dL", kind) for one in group),
        confounders=("insulin_on_board", "food_around"),
    )


def _by_start(group: Sequence[Bout]) -> list[tuple[str, list[float]]]:
    """The change of bouts that began below, in and above the window of EASD/ISPAD, each with at least three of them."""
    low, high = START_MG_DL
    split = {
        "change_from_below_126": [one.during_mg_dl for one in group if one.start_mg_dl < low],
        "change_from_126_to_180": [one.during_mg_dl for one in group if low <= one.start_mg_dl <= high],
        "change_from_above_180": [one.during_mg_dl for one in group if one.start_mg_dl > high],
    }
    return [(f"{name}_mg_dl", values) for name, values in split.items() if len(values) >= 3]


def _lows(course: Course, found: Sequence[Bout], lows: Sequence[Bout]) -> Finding:
    below = [one for one in lows if one.start_mg_dl < START_MG_DL[0]]
    severity: Severity = "serious" if 4 * len(lows) >= len(found) and len(lows) > 1 else "moderate"
    return Finding(
        pattern="low_after_exercise",
        wheel=Wheel.EXERCISE,
        priority=Priority.LOWS,
        severity=severity,
        confidence=confidence(len(found)),
        source=both(EXERCISE, OURS),
        n=len(lows),
        of=len(found),
        figures=(
            share_figure("bouts_percent", len(lows), len(found)),
            Figure(name="began_below_126", value=len(below)),
            median_figure("start_mg_dl", np.array([one.start_mg_dl for one in lows]), "mg/dL"),
        ),
        evidence=tuple(
            noted_evidence("exercise", one.noted, one.lowest_mg_dl, "mg/dL", one.noted.event.kind) for one in lows
        ),
        confounders=("insulin_on_board",),
    )


def _nights(course: Course, found: Sequence[Bout]) -> Finding | None:
    """Nights after exercise that had a low, beside nights that did not follow exercise; told where they are more."""
    after = {(one.noted.clock_us // DAY_US + 1) * DAY_US: one for one in found if one.night_low is not None}
    lows = [one for one in after.values() if one.night_low]
    other = [bool(values.min() < course.goals.low_mg_dl) for begin, _, values in course.nights() if begin not in after]
    if not lows or len(lows) * max(1, len(other)) <= sum(other) * len(after):
        return None
    shares = [share_figure("nights_percent", len(lows), len(after))]
    if other:
        shares.append(share_figure("other_nights_percent", sum(other), len(other)))
    apart = len(shares) == 2 and (shares[0].low or 0.0) > shares[1].value
    return Finding(
        pattern="night_low_after_exercise",
        wheel=Wheel.EXERCISE,
        priority=Priority.LOWS,
        severity="moderate",
        confidence=confidence(min(len(after), len(other)), clear=apart),
        source=both(EXERCISE, OURS),
        n=len(lows),
        of=len(after),
        figures=tuple(shares),
        evidence=tuple(noted_evidence("exercise", one.noted, None, "", one.noted.event.kind) for one in lows),
        confounders=("food_around", "insulin_on_board"),
    )
