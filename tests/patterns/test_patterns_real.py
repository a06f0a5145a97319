"""Real people over months (T1D-UOM, doi:10.5281/zenodo.15169263): few changes, and such as can be seen in the data."""

import csv
from pathlib import Path

import numpy as np
import pytest

from islet.model.hours import COLUMNS, HOURS, Hours, hours_of
from islet.model.units import MG_DL_PER_MMOL_L
from islet.patterns.changes import LOOK_BACK_DAYS
from islet.patterns.days import daily
from islet.patterns.watch import PatternChange, watched


def hours_in(file: Path) -> Hours:
    """A person's hours, of a file of local times (DD/MM/YYYY HH:MM) and mmol/L."""
    with file.open(encoding="utf-8-sig") as lines:
        rows = [(when, float(value)) for when, value, *_ in list(csv.reader(lines))[1:] if when and value]
    when = np.array([f"{text[6:10]}-{text[3:5]}-{text[:2]}T{text[11:13]}" for text, _ in rows], "datetime64[h]")
    mmol_l = np.array([value for _, value in rows])
    tenths = np.round(mmol_l * MG_DL_PER_MMOL_L * 10).astype(np.int64)
    hour, place = np.unique(when.astype(np.int64), return_inverse=True)
    counted = (np.ones(len(rows)), tenths, tenths**2, mmol_l < 3.9, mmol_l > 10.0)
    sums = [np.bincount(place, weights=column).astype(np.int64) for column in counted]
    return hours_of(np.column_stack([hour, *sums]))


def nights(hours: Hours) -> list[PatternChange]:
    """What was found, looking each night at what was known then."""
    found: list[PatternChange] = []
    known: PatternChange | None = None
    for last in range(int(hours.day[0]) + 1, int(hours.day[-1]) + 1):
        begin, end = np.searchsorted(hours.hour, [(last - LOOK_BACK_DAYS + 1) * HOURS, (last + 1) * HOURS])
        past = Hours(**{name: getattr(hours, name)[begin:end] for name in COLUMNS})
        known = watched(known, daily(past, last))
        if known is not None and known.open and (not found or known.onset_day != found[-1].onset_day):
            found.append(known)
    return found


@pytest.mark.parametrize(
    ("person", "metrics"),
    [
        ("2301", []),  # 110 days
        ("2304", ["worn_h", "worn_h"]),  # no sensor for five weeks, and one again
        ("2313", ["tbr_percent"]),  # a fortnight with lows after months with hardly any
    ],
)
def test_in_months_of_a_real_person_what_is_found_is_what_happened(
    shared_data: Path, person: str, metrics: list[str]
) -> None:
    found = nights(hours_in(shared_data / "t1d_uom" / "glucose" / f"UoMGlucose{person}.csv"))
    assert [one.evidence[0].metric for one in found] == metrics
