"""Patterns: how fast they are found, and whether planted effects are recovered with their sign and size.

`python -m benchmarks.patterns [PEOPLE]`: 205 simulated people by default, each with 21 days and three planted factors.
"""

import sys
import time
from typing import Final, NamedTuple

import numpy as np

from benchmarks.record import figure
from islet.metrics.ranges import STANDARD
from islet.patterns.changes import LOOK_BACK_DAYS
from islet.patterns.course import Course
from islet.patterns.find import find
from islet.patterns.findings import Finding, PersonDays
from islet.patterns.impact.findings import impact_findings
from islet.patterns.watch import watched
from tests.patterns.people import stationary, up_to
from tests.patterns.planted import Planted, planted, simulated

PEOPLE: Final = 205
DAYS: Final = 21
_COVERAGE_PERCENT: Final = 85.0
_FAST_MS: Final = 100.0
_NIGHT_MS: Final = 1.0


class Recovered(NamedTuple):
    """One planted effect and what was found: mg/dL over three hours."""

    truth: float
    value: float
    low: float
    high: float


def recovered(one: Planted) -> list[Recovered]:
    """The planted effects of one person that had enough occasions."""
    found = {(f.pattern.removeprefix("impact_"), f.subject): f for f in impact_findings(Course(one.person, STANDARD))}
    out = []
    for key, truth in one.truth.items():
        finding: Finding | None = found.get(key)
        shown = finding.figure("impact_3_h_mg_dl") if finding else None
        if shown is not None and shown.low is not None and shown.high is not None:
            out.append(Recovered(truth, shown.value, shown.low, shown.high))
    return out


def coverage_percent(results: list[Recovered]) -> float:
    """How many intervals hold the truth."""
    return 100.0 * float(np.mean([one.low <= one.truth <= one.high for one in results]))


def sign_percent(results: list[Recovered]) -> float:
    """Of effects that are not nothing, how many have the right sign."""
    return 100.0 * float(np.mean([one.value * one.truth > 0.0 for one in results if one.truth]))


def slope(results: list[Recovered]) -> float:
    """What is found over what is true, by least squares through zero: 1 is neither too small nor too great."""
    truth, value = (np.array([getattr(one, name) for one in results]) for name in ("truth", "value"))
    return float(truth @ value / (truth @ truth))


def _milliseconds(people: list[PersonDays]) -> float:
    find(people[0])
    spent = []
    for person in people:
        began = time.process_time()
        find(person)
        spent.append(1000.0 * (time.process_time() - began))
    return float(np.median(spent))


def _milliseconds_of_a_night() -> float:
    """Looking whether a person with a quarter of a year of days has changed."""
    days = up_to(stationary(1, 100), 99, LOOK_BACK_DAYS)
    watched(None, days)
    spent = []
    for _ in range(30):
        began = time.process_time()
        watched(None, days)
        spent.append(1000.0 * (time.process_time() - began))
    return float(np.median(spent))


def main() -> None:
    """Record the figures; exit code 1 where a bar is missed."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else PEOPLE
    people = simulated(count, DAYS, seed=11)
    results = [one for place, person in enumerate(people) for one in recovered(planted(person, place))]
    covered = coverage_percent(results)
    bar = f"≥ {_COVERAGE_PERCENT:g} %"
    holds = covered >= _COVERAGE_PERCENT
    figure(f"coverage of {len(results)} 90 % intervals, {count} people", covered, "%", bar=bar, holds=holds)
    figure("planted effects with the right sign", sign_percent(results), "%")
    figure("found over planted", slope(results), "")
    wide = float(np.median([one.high - one.low for one in results]))
    figure("median width of an interval", wide, "mg/dL")
    spent = _milliseconds(simulated(20, 14, seed=12))
    fast = spent <= _FAST_MS
    figure("all patterns of a person with 14 days", spent, "ms of CPU", bar=f"≤ {_FAST_MS:g} ms", holds=fast)
    night = _milliseconds_of_a_night()
    soon = night <= _NIGHT_MS
    figure("changes of a person, each night", night, "ms of CPU", bar=f"≤ {_NIGHT_MS:g} ms", holds=soon)
    sys.exit(0 if holds and fast and soon else 1)


if __name__ == "__main__":
    main()
