"""A person's change from the night it is found until it is over: at most one at a time, however often one looks."""

from typing import Final, Literal

import numpy as np
from msgspec import Struct, structs

from islet.patterns.changes import TEST_DAYS, Evidence, evidence
from islet.patterns.days import Days

USUAL_AFTER_DAYS: Final = 42
"""A change that lasts this long is what is usual now: the baseline then lies behind its onset."""
_BACK_DAYS: Final = 7
"""It is over when the median of so many sufficient days is nearer to what was before than to what came after."""
_LEAST_BACK_DAYS: Final = 5


class PatternChange(Struct, frozen=True, kw_only=True):
    """Days are days since 1970-01-01 on the person's clock. `ended_day` is the day on which it was over, and `ending`
    why: the days are as before, or they have been so for so long that they are the usual ones. `onset_us` and `ended_us`
    are the midnights before the onset and after the end; whoever knows the person's time zone adds them."""

    onset_day: int
    found_day: int
    evidence: tuple[Evidence, ...]
    ended_day: int | None = None
    ending: Literal["", "as_before", "usual_now"] = ""
    onset_us: int = 0
    ended_us: int = 0

    @property
    def open(self) -> bool:
        return self.ended_day is None


class PatternChanges(Struct, frozen=True, kw_only=True):
    """By patient: the change that is open, or ended in the last TEST_DAYS."""

    changes: dict[str, PatternChange] = {}


def watched(known: PatternChange | None, days: Days) -> PatternChange | None:
    """What is to be known of a person after the last of `days`, given what was known.

    A second look at the same days changes nothing. One that has ended is remembered for TEST_DAYS, so that the days of
    which it consisted are not found again.
    """
    if len(days) == 0:
        return known
    if known is not None and known.open:
        ending = _ending(known, days)
        return structs.replace(known, ended_day=days.last, ending=ending) if ending else known
    since = None if known is None or known.ended_day is None else known.ended_day + 1
    found = evidence(days, since_day=since)
    if found:
        onset = min(one.onset_day for one in found)
        return PatternChange(onset_day=onset, found_day=days.last, evidence=found)
    return None if since is None or days.last - since >= TEST_DAYS else known


def _ending(change: PatternChange, days: Days) -> Literal["", "as_before", "usual_now"]:
    if days.last - change.onset_day >= USUAL_AFTER_DAYS:
        return "usual_now"
    return "as_before" if all(_is_back(one, change.found_day, days) for one in change.evidence) else ""


def _is_back(one: Evidence, found_day: int, days: Days) -> bool:
    counted = np.ones(len(days), np.bool_) if one.metric == "worn_h" else days.sufficient
    day = days.first + np.arange(len(days))
    recent = getattr(days, one.metric)[counted & (day > found_day)][-_BACK_DAYS:]
    if len(recent) < _LEAST_BACK_DAYS:
        return False
    now = float(np.median(recent))
    return abs(now - one.before) < abs(now - one.after)
