"""The kernel: rings of readings, one per patient, and the features of the trailing windows over them.

A ring is circular, in ascending order of (time, hash of the device); all state is in flat arrays, so that a batch of
rows costs no object. A row that comes after all others is appended; one that is late goes to its place, and
everything behind that place is evaluated again. What the ring can no longer decide exactly is counted, not guessed.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import kernel

ENTRY: Final = np.dtype(
    [
        ("time_us", np.int64),
        ("tenths", np.int32),  # glucose in tenths of mg/dL
        ("device", np.int32),
        ("active", np.uint32),  # rules whose episode was running (or silence followed) here, as last said
        ("fresh", np.uint32),  # 1: came in since the last evaluation
    ]
)
"""One reading in a ring: 24 bytes."""

SERIES: Final = np.dtype(
    [
        ("newest_us", np.int64),
        ("evicted_us", np.int64),  # time of the last reading that left the ring
        ("head", np.int32),  # where in the ring the oldest entry is
        ("count", np.int32),
        ("touched", np.int32),  # first entry to be evaluated again, UNTOUCHED where there is none
        ("row", np.int32),  # the row of the batch that touched it last
        ("base_active", np.uint32),  # `active` of the last reading that left the ring
        ("enabled", np.uint32),  # rules that look at this patient
    ]
)
"""One patient: 40 bytes."""


class Series(Protocol):
    """A record of SERIES, as the type checker sees it."""

    newest_us: int
    evicted_us: int
    head: int
    count: int
    touched: int
    row: int
    base_active: np.uint32
    enabled: np.uint32


NEVER: Final = -(2**62)
UNTOUCHED: Final = -1

ACCEPTED: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
HISTORY: Final = 3
OVERFLOW: Final = 4
TALLIES: Final = 5


@kernel
def slot(ring: NDArray[np.void], head: int, place: int) -> int:
    """Where in the ring the entry at `place` is, counted from the oldest."""
    at = head + place
    return at - len(ring) if at >= len(ring) else at


@kernel
def _find(
    ring: NDArray[np.void], head: int, count: int, time_us: int, device: int, ranks: NDArray[np.uint64]
) -> tuple[int, bool]:
    """The place of (time, device) in the ring, and whether it is there already."""
    place = count
    first = count
    while first > 0:
        entry = ring[slot(ring, head, first - 1)]
        if entry.time_us < time_us:
            break
        if entry.time_us == time_us and entry.device == device:
            return first - 1, True
        if entry.time_us > time_us or ranks[entry.device] > ranks[device]:
            place = first - 1
        first -= 1
    return place, False


@kernel
def _evict(
    one: Series, ring: NDArray[np.void], patient: int, base_onset: NDArray[np.int64], reading_bits: np.uint32
) -> None:
    """Let the oldest entry of a full ring go; what it says about a running episode is kept."""
    oldest = ring[one.head]
    begun = oldest.active & ~one.base_active & reading_bits
    if begun:
        for bit in range(base_onset.shape[1]):
            if (begun >> np.uint32(bit)) & np.uint32(1):
                base_onset[patient, bit] = oldest.time_us
    one.base_active = oldest.active & reading_bits
    one.evicted_us = oldest.time_us
    one.head = slot(ring, one.head, 1)
    one.count -= 1
    if one.touched > 0:
        one.touched -= 1


@kernel
def _put(one: Series, ring: NDArray[np.void], place: int, time_us: int, tenths: int, device: int, row: int) -> bool:
    """Make room at `place` and write the entry; whether the series had not been touched before."""
    head = one.head
    k = int(one.count)
    while k > place:
        ring[slot(ring, head, k)] = ring[slot(ring, head, k - 1)]
        k -= 1
    entry = ring[slot(ring, head, place)]
    entry.time_us = time_us
    entry.tenths = tenths
    entry.device = device
    entry.active = 0
    entry.fresh = 1
    if one.count == 0 or time_us > one.newest_us:
        one.newest_us = time_us
    one.count += 1
    one.row = row
    first = place
    while first > 0 and ring[slot(ring, head, first - 1)].time_us == time_us:
        first -= 1
    untouched: bool = one.touched == UNTOUCHED
    if untouched or first < one.touched:
        one.touched = first
    return untouched


@kernel
def insert(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    base_onset: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    patients: NDArray[np.int64],
    devices: NDArray[np.int64],
    times_us: NDArray[np.int64],
    tenths: NDArray[np.int64],
    start: int,
    stop: int,
    lateness_us: int,
    window_us: int,
    reading_bits: int,
    touched: NDArray[np.int64],
    tally: NDArray[np.int64],
) -> tuple[int, int]:
    """Take rows from `start` on into the rings; (the row to go on with, how many patients are in `touched`).

    Stops early where going on would push out an entry that has not been evaluated yet.
    """
    n_touched = 0
    for row in range(start, stop):
        time_us = times_us[row]
        one = series[patients[row]]
        ring = rings[patients[row]]
        count = int(one.count)
        place, known = count, False
        if count > 0 and time_us <= one.newest_us:
            place, known = _find(ring, one.head, count, time_us, devices[row], ranks)
        if known:
            same = ring[slot(ring, one.head, place)].tenths == tenths[row]
            tally[DUPLICATE if same else CONFLICT] += 1
            continue
        late = place < count
        if late and time_us < one.newest_us - lateness_us:
            tally[HISTORY] += 1
            continue
        full = 1 if count == len(ring) else 0
        evicted_us = ring[one.head].time_us if full else one.evicted_us
        incomplete = evicted_us != NEVER and time_us - window_us <= evicted_us
        if incomplete:
            tally[OVERFLOW] += 1
        if late and (incomplete or (evicted_us != NEVER and place - full < 1)):
            tally[HISTORY] += 1
            continue
        if full:
            if one.touched != UNTOUCHED and one.touched <= 1:
                tally[OVERFLOW] -= incomplete
                return row, n_touched
            _evict(one, ring, patients[row], base_onset, np.uint32(reading_bits))
        if _put(one, ring, place - full, time_us, tenths[row], devices[row], row):
            touched[n_touched] = patients[row]
            n_touched += 1
        tally[ACCEPTED] += 1
    return stop, n_touched


@kernel
def _window(
    ring: NDArray[np.void], head: int, end: int, from_us: int, columns: NDArray[np.int64], first_row: int, n: int
) -> None:
    """Write sum, count, min, max, first and last of the entries before place `end` that are not older than `from_us`."""
    last = int(ring[slot(ring, head, end - 1)].tenths)
    first, low, high, total = last, last, last, 0
    begin = end
    while begin > 0:
        entry = ring[slot(ring, head, begin - 1)]
        if entry.time_us < from_us:
            break
        first = int(entry.tenths)
        total += first
        low = min(low, first)
        high = max(high, first)
        begin -= 1
    columns[first_row, n] = total
    columns[first_row + 1, n] = end - begin
    columns[first_row + 2, n] = low
    columns[first_row + 3, n] = high
    columns[first_row + 4, n] = first
    columns[first_row + 5, n] = last


@kernel
def features(
    series: NDArray[np.void], rings: NDArray[np.void], touched: NDArray[np.int64], windows_us: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Feature columns (1 + 6 w, n), n evaluations in the order of `touched`, then of time: glucose, then for each
    window sum, count, min, max, first and last over [t - window, t], all in tenths of mg/dL."""
    total = 0
    for patient in touched:
        total += series[patient].count - series[patient].touched
    columns = np.empty((1 + 6 * len(windows_us), total), np.int64)
    n = 0
    for patient in touched:
        one = series[patient]
        ring = rings[patient]
        end = int(one.touched)
        for place in range(one.touched, one.count):
            entry = ring[slot(ring, one.head, place)]
            columns[0, n] = entry.tenths
            end = max(end, place + 1)  # readings of the same instant are in the window too
            while end < one.count and ring[slot(ring, one.head, end)].time_us == entry.time_us:
                end += 1
            for w in range(len(windows_us)):
                _window(ring, one.head, end, entry.time_us - windows_us[w], columns, 1 + 6 * w, n)
            n += 1
    return columns
