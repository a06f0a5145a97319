"""Whom a job looks at, and their readings by the hour of their own clock."""

from collections.abc import Sequence
from typing import Final
from zlib import crc32
from zoneinfo import ZoneInfo

from islet.model.hours import Hours, joined_hours
from islet.model.people import Patient
from islet.patterns.local_time import clock_us, local_day, stretches
from islet.store.base import Store

MOST_PEOPLE: Final = 20_000
"""So many at most, as what a job finds is kept as one entry; of more people always the same ones are looked at."""


def looked_at(patients: Sequence[Patient]) -> list[Patient]:
    """All patients, or the MOST_PEOPLE with the least hash of their id; by id."""
    chosen = sorted(patients, key=lambda patient: (crc32(patient.id.encode()), patient.id))[:MOST_PEOPLE]
    return sorted(chosen, key=lambda patient: patient.id)


def yesterday(zone: ZoneInfo, now_us: int) -> int:
    """The last local day that is over."""
    return local_day(zone, now_us) - 1


def local_hours(store: Store, patient: str, zone: ZoneInfo, last: int, days: int) -> Hours:
    """A patient's hours, by the local clock, of so many days up to and with the day `last`."""
    from_us, to_us = clock_us(zone, last - days + 1), clock_us(zone, last + 1)
    return joined_hours(
        [store.hours(patient, one.from_us, one.to_us, one.offset_us) for one in stretches(zone, from_us, to_us)]
    )
