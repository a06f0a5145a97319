"""The report of three months: rolling windows of 14 days, three phases, and laboratory values beside the readings."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from msgspec.structs import asdict

from islet.metrics.hba1c import gmi_percent
from islet.metrics.people import People
from islet.metrics.ranges import Goals, above_percent, below_percent, in_range_percent
from islet.metrics.sufficiency import ENOUGH_ACTIVE_PERCENT, WINDOW_DAYS
from islet.metrics.summary import cv_percent, mean_mg_dl
from islet.reports.document import Found, Programme, Window
from islet.reports.labs import lab_gaps
from islet.reports.measures import report_of, told, whole_days
from islet.reports.recorded import Recorded

DAYS: Final = 90
PHASE_DAYS: Final = 30
_STEP_DAYS: Final = 7


def programme(recorded: Recorded, goals: Goals, *, last: date, found: Sequence[Found] = ()) -> Programme:
    """The 90 days that end with the day `last`. Little data makes windows without numbers, never an error."""
    first = last - timedelta(days=DAYS - 1)
    people = recorded.between(first, last).people
    ends = [last - timedelta(days=back) for back in range(DAYS - WINDOW_DAYS, -1, -1)]
    rolling = tuple(_window(people, end - timedelta(days=WINDOW_DAYS - 1), end, goals) for end in ends)
    return Programme(
        **asdict(report_of(recorded, goals, first, last, found)),
        rolling=rolling,
        windows=rolling[(len(rolling) - 1) % _STEP_DAYS :: _STEP_DAYS],
        phases=tuple(_phases(people, first, goals)),
        labs=lab_gaps(recorded, first, last),
    )


def _phases(people: People, first: date, goals: Goals) -> Iterator[Window]:
    for begin in range(0, DAYS, PHASE_DAYS):
        since = first + timedelta(days=begin)
        yield _window(people, since, since + timedelta(days=PHASE_DAYS - 1), goals)


def _window(people: People, first: date, last: date, goals: Goals) -> Window:
    """The measures of whole days; only the share of readings where that is below 70 %."""
    inside, active = whole_days(people, first, last)
    if active < ENOUGH_ACTIVE_PERCENT:
        return Window(
            first=first,
            last=last,
            active_percent=active,
            mean_mg_dl=None,
            cv_percent=None,
            gmi_percent=None,
            in_range_percent=None,
            below_percent=None,
            below_54_percent=None,
            above_percent=None,
            above_250_percent=None,
        )
    return Window(
        first=first,
        last=last,
        active_percent=active,
        mean_mg_dl=told(mean_mg_dl(inside)),
        cv_percent=told(cv_percent(inside)),
        gmi_percent=told(gmi_percent(inside)),
        in_range_percent=told(in_range_percent(inside, goals.low_mg_dl, goals.high_mg_dl)),
        below_percent=told(below_percent(inside, goals.low_mg_dl)),
        below_54_percent=told(below_percent(inside, 54.0)),
        above_percent=told(above_percent(inside, goals.high_mg_dl)),
        above_250_percent=told(above_percent(inside, 250.0)),
    )
