"""The report of a week (or two): everything that its pages show, as one record."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from islet.errors import BadInput
from islet.metrics.ranges import OLDER, PREGNANCY, STANDARD, Goals
from islet.model.events import Hba1c
from islet.model.units import hba1c_percent
from islet.reports.days import days_of
from islet.reports.document import Found, Lab, Period, SevenDay
from islet.reports.episodes import episodes_of, local
from islet.reports.measures import (
    bands_of,
    before_of,
    glucose_of,
    goals_of,
    is_enough,
    parts_of,
    profile_of,
    sufficiency_of,
)
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
    period = Period(first=first, last=last, time_zone=zone_name(recorded))
    inside = recorded.between(first, last)
    people = inside.people
    sufficiency = sufficiency_of(inside, period)
    enough = is_enough(sufficiency)
    episodes = episodes_of(people)
    return SevenDay(
        id=recorded.id,
        label=recorded.label,
        target=goals.name,
        low_mg_dl=goals.low_mg_dl,
        high_mg_dl=goals.high_mg_dl,
        period=period,
        sufficiency=sufficiency,
        bands=bands_of(people, goals),
        goals=goals_of(people, goals, enough=enough),
        glucose=glucose_of(inside, recorded.between(first - timedelta(days=1), last), period, enough=enough),
        profile=profile_of(people),
        parts=parts_of(people, goals),
        episodes=episodes,
        days=days_of(inside, period, goals, episodes),
        before=before_of(recorded, first - timedelta(days=days), first - timedelta(days=1), goals),
        labs=labs_of(recorded, last),
        found=tuple(found),
    )


def labs_of(recorded: Recorded, last: date) -> tuple[Lab, ...]:
    """Laboratory values up to a day, the oldest first."""
    every = (one for one in recorded.events if isinstance(one, Hba1c))
    labs = (
        Lab(day=local(recorded.clock_us(one.time)).date(), percent=hba1c_percent(one.value, one.unit)) for one in every
    )
    return tuple(lab for lab in labs if lab.day <= last)


def zone_name(recorded: Recorded) -> str:
    """The zone's name, as Europe/Vienna or UTC+08:00."""
    return str(recorded.zone)
