"""Days of people as their devices tell them: sensors that change, phones that are offline, clocks that jump.

Seeded. What arrives is in the order of arrival; `expected` says in plain Python what the engine has to have said.
"""

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.model.time import DAY_US, HOUR_US, MINUTE_US

LATENESS_US: Final = 15 * MINUTE_US
_DAY_MIN: Final = 1440
Table = dict[tuple[str, str, int], int | None]
"""(rule, patient, onset) of each alert, and its end."""


class Days(NamedTuple):
    """Readings of one patient, in order of arrival (n,)."""

    patient: str
    arrives_us: NDArray[np.int64]
    time_us: NDArray[np.int64]
    tenths: NDArray[np.int32]
    device: NDArray[np.int64]


def live(rng: np.random.Generator, patient: str, days: int) -> Days:
    """What a patient's devices tell in so many days: some thousand readings."""
    every = int(rng.choice([3, 5, 5, 5]))
    minutes = np.arange(0, days * _DAY_MIN, every)
    time_us = minutes * MINUTE_US + int(rng.integers(0, 60)) * 1_000_000
    device = np.cumsum(rng.random(len(minutes)) < every / (9 * _DAY_MIN))  # a new sensor every nine days or so
    kept = np.ones(len(minutes), np.bool_)
    for change in np.flatnonzero(np.diff(device)):
        kept[change + 1 : change + 1 + 120 // every] = False  # it warms up
    for begin in np.flatnonzero(rng.random(len(minutes)) < every / (3 * _DAY_MIN)):
        kept[begin : begin + int(rng.integers(1, 60))] = False  # lost for good
    arrives_us = time_us + rng.integers(0, 40 * 1_000_000, len(minutes))
    late = rng.random(len(minutes)) < 0.02
    arrives_us[late] += rng.integers(10, 840, int(late.sum())) * 1_000_000
    for begin in np.flatnonzero(rng.random(len(minutes)) < every / (2 * _DAY_MIN)):  # the phone is offline
        end = min(int(begin) + int(rng.integers(2, 300 // every)), len(minutes) - 1)
        back_us = time_us[end] + HOUR_US // 60
        order = rng.choice(["forward", "newest first", "live first"])
        rank = np.arange(end - begin) if order == "forward" else np.arange(end - begin)[::-1]
        arrives_us[begin:end] = back_us + rank * 1_000_000 + (10 * MINUTE_US if order == "live first" else 0)
    told_us = time_us.copy()
    for begin in np.flatnonzero(rng.random(len(minutes)) < every / (10 * _DAY_MIN)):  # the device's clock is wrong
        wrong_us = int(rng.choice([-60, -17, -7, 4])) * MINUTE_US
        told_us[begin : begin + int(rng.integers(5, 40))] += wrong_us
    values = _glucose(rng, len(minutes))
    keep = np.flatnonzero(kept)
    twice = rng.choice(keep, max(1, len(keep) // 200), replace=False)
    rows = np.concatenate([keep, twice])
    arrival_us = np.concatenate([arrives_us[keep], arrives_us[twice] + rng.integers(0, HOUR_US, len(twice))])
    rows, arrival_us = rows[np.argsort(arrival_us, kind="stable")], np.sort(arrival_us, kind="stable")
    return Days(patient, arrival_us, told_us[rows], values[rows], device[rows])


def _glucose(rng: np.random.Generator, count: int) -> NDArray[np.int32]:
    """Tenths of mg/dL that wander through all thresholds."""
    pull, noise = 0.02, rng.normal(0, 9, count)
    level, levels = 130.0, np.empty(count)
    centre = 130 + 90 * np.sin(np.arange(count) / 40 + rng.uniform(0, 6))
    for k in range(count):
        level += pull * (centre[k] - level) + noise[k]
        levels[k] = level
    return np.clip(levels * 10, 400, 4000).astype(np.int32)


def taken(days: Days) -> list[tuple[int, int]]:
    """The readings that count, ascending: (time, tenths). No second of a time and device, none beyond lateness."""
    known: dict[tuple[int, int], int] = {}
    newest = -(2**62)
    for time_us, tenths, device in zip(days.time_us.tolist(), days.tenths.tolist(), days.device.tolist(), strict=True):
        if time_us < newest - LATENESS_US or (time_us, device) in known:
            continue
        known[time_us, device] = tenths
        newest = max(newest, time_us)
    return sorted((time_us, tenths) for (time_us, _), tenths in known.items())


def expected(days: Days, now_us: int) -> Table:
    """All alerts of five rules and the two silences, as they are at `now_us`."""
    table: Table = {}
    running: dict[str, int] = {}
    window: deque[tuple[int, int]] = deque()
    readings = taken(days)
    total, place = 0, 0
    while place < len(readings):
        time_us = readings[place][0]
        instant = []
        while place < len(readings) and readings[place][0] == time_us:
            instant.append(readings[place][1])
            window.append(readings[place])
            total += readings[place][1]
            place += 1
        while window[0][0] < time_us - 10 * MINUTE_US:
            total -= window.popleft()[1]
        seed = [value > 1150 or total > 1050 * len(window) for value in instant]
        states = {
            "low": ([v < 700 for v in instant], [v >= 750 for v in instant]),
            "urgent_low": ([v <= 550 for v in instant], [v >= 600 for v in instant]),
            "high": ([v > 2500 for v in instant], [v <= 2400 for v in instant]),
            "seed_demonstration": (seed, [not s for s in seed]),
        }
        for rule, (breach, clear) in states.items():
            if rule not in running and any(breach):
                running[rule] = time_us
                table[rule, days.patient, time_us] = None
            elif rule in running and not any(breach) and all(clear):
                table[rule, days.patient, running.pop(rule)] = time_us
    return table | _silences(days.patient, [time_us for time_us, _ in readings], now_us)


def _silences(patient: str, times_us: Sequence[int], now_us: int) -> Table:
    table: Table = {}
    times_us = sorted(set(times_us))
    for rule, length_us in (("no_data", 20 * MINUTE_US), ("no_data_followers", 15 * MINUTE_US)):
        for time_us, following in zip(times_us, [*times_us[1:], None], strict=True):
            if following is None and now_us - time_us >= length_us:
                table[rule, patient, time_us + length_us] = None
            elif following is not None and following - time_us > length_us:
                table[rule, patient, time_us + length_us] = following
    return table


DAY: Final = DAY_US
