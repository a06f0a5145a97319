"""The report of a week (or two): everything that its pages show, as one record."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from msgspec.structs import asdict

from islet.errors import BadInput
from islet.metrics.ranges import OLDER, PREGNANCY, STANDARD, Goals
from islet.reports.days import days_of
from islet.reports.document import Found, SevenDay
from islet.reports.episodes import episodes_of
from islet.reports.labs import labs_of
from islet.reports.measures import before_of, parts_of, profile_of, report_of
from islet.reports.recorded import Recorded

TARGETS: Final = {goals.name: goals for goals in (STANDARD, PREGNANCY, OLDER)}
"""Whose goals: anybody's with diabetes, in pregnancy, of older people and those at high risk."""
DAYS: Final = (7, 14)
"""How long such a report may be; the consensus asks for 14 days."""


def seven_day(
    recorded: Recorded,
    goals: Goals,
    *,
    days: int = 7,
    last: date,
    found: Sequence[Found] = (),
) -> SevenDay:
    """The `days` that end with the day `last`. `recorded` may hold more: the days before are compared with. Nothing is
    raised for little or no data: the record says so."""
    if days not in DAYS:
        raise BadInput(f"days: expected {' or '.join(map(str, DAYS))}; got {days}", reason="days")
    first = last - timedelta(days=days - 1)
    inside = recorded.between(first, last)
    episodes = episodes_of(inside.people, goals)
    shared = report_of(recorded, goals, first, last, found)
    return SevenDay(
        **asdict(shared),
        profile=profile_of(inside.people),
        parts=parts_of(inside.people, goals),
        episodes=episodes,
        days=days_of(recorded, shared.period, goals, episodes),
        before=before_of(recorded, first - timedelta(days=days), first - timedelta(days=1), goals),
        labs=labs_of(recorded, last),
    )
