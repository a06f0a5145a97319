"""Laboratory values, and what the readings before them say beside."""

from datetime import date, timedelta
from typing import Final

from islet.metrics.hba1c import gmi_percent
from islet.metrics.people import DAY_US
from islet.metrics.sufficiency import ENOUGH_ACTIVE_PERCENT, WINDOW_DAYS
from islet.model.events import Hba1c
from islet.model.units import hba1c_percent
from islet.reports.document import Lab, LabGap
from islet.reports.episodes import local
from islet.reports.measures import told, whole_days
from islet.reports.recorded import Recorded, day_us

FOR_LAB_DAYS: Final = 90
"""HbA1c is about the two to three months before the draw (doi:10.2337/dc08-0545)."""


def labs_of(recorded: Recorded, last: date) -> tuple[Lab, ...]:
    """Laboratory values up to a day, the oldest first."""
    every = (one for one in recorded.events if isinstance(one, Hba1c))
    labs = (
        Lab(day=local(recorded.clock_us(one.time)).date(), percent=hba1c_percent(one.value, one.unit)) for one in every
    )
    return tuple(lab for lab in labs if lab.day <= last)


def lab_gaps(recorded: Recorded, first: date, last: date) -> tuple[LabGap, ...]:
    """Values of the period, each with the GMI of up to 90 days before it; of fewer where the person's first reading is
    later, but not of less than 14."""
    return tuple(_gap(recorded, lab) for lab in labs_of(recorded, last) if lab.day >= first)


def _gap(recorded: Recorded, lab: Lab) -> LabGap:
    end_us = day_us(lab.day) + DAY_US
    clock_us = recorded.people.clock_us
    before_us = clock_us[(clock_us >= end_us - FOR_LAB_DAYS * DAY_US) & (clock_us < end_us)]
    days = end_us // DAY_US - int(before_us.min()) // DAY_US if len(before_us) else 0
    active, gmi = 0.0, None
    if days:
        inside, active = whole_days(recorded.people, lab.day - timedelta(days=days - 1), lab.day)
        gmi = told(gmi_percent(inside)) if days >= WINDOW_DAYS and active >= ENOUGH_ACTIVE_PERCENT else None
    return LabGap(
        lab=lab,
        days=days,
        active_percent=active,
        gmi_percent=gmi,
        gap=None if gmi is None else gmi - lab.percent,
    )
