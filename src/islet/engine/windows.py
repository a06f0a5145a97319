"""The kernel: rings of readings, one per patient, and the features of the trailing windows over them.

A ring is circular, in ascending order of (time, hash of the device); all state is in flat arrays, so that a batch of
rows costs no object. A row that comes after all others is appended; one that is late goes to its place, and
everything behind that place is evaluated again. What the ring can no longer decide exactly is counted, not guessed.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import kernel, prefetch

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
        ("received_us", np.int64),  # when the last reading came in, by our clock
        ("head", np.int32),  # where in the ring the oldest entry is
        ("count", np.int32),
        ("touched", np.int32),  # first entry to be evaluated again, UNTOUCHED where there is none
        ("row", np.int32),  # the row of the batch that touched it last
        ("base_active", np.uint32),  # `active` of the last reading that left the ring
        ("enabled", np.uint32),  # rules that look at this patient
    ]
)
"""One patient: 48 bytes."""


class Series(Protocol):
    """A record of SERIES, as the type checker sees it."""

    newest_us: int
    evicted_us: int
    received_us: int
    head: int
    count: int
    touched: int
    row: int
    base_active: np.uint32
    enabled: np.uint32


AHEAD: Final = 32
NEVER: Final = -(2**62)
UNTOUCHED: Final = -1

ACCEPTED: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
HISTORY: Final = 3
OVERFLOW: Final = 4
TALLIES: Final = 5


@kernel
def slot(rings: NDArray[np.void], head: int, place: int) -> int:
    """Where in its ring the entry at `place` is, counted from the oldest."""
    at = head + place
    return at - rings.shape[1] if at >= rings.shape[1] else at


@kernel
def _announce(series: NDArray[np.void], rings: NDArray[np.void], patients: NDArray[np.int64], first: int) -> None:
    """Have the next patients' series, and the newest and the oldest entry of their rings, brought into the cache."""
    last = min(first + AHEAD, len(patients))
    for k in range(first, last):
        prefetch(series, (patients[k],))
    for k in range(first, last):
        one = series[patients[k]]
        newest = one.head + one.count - 1
        prefetch(rings, (patients[k], newest - rings.shape[1] if newest >= rings.shape[1] else max(newest, 0)))
        prefetch(rings, (patients[k], one.head))


@kernel
def _find(
    rings: NDArray[np.void], patient: int, head: int, count: int, time_us: int, device: int, ranks: NDArray[np.uint64]
) -> tuple[int, bool]:
    """The place of (time, device) in the ring, and whether it is there already."""
    place = count
    first = count
    while first > 0:
        entry = rings[patient, slot(rings, head, first - 1)]
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
    one: Series, rings: NDArray[np.void], patient: int, base_onset: NDArray[np.int64], reading_bits: np.uint32
) -> None:
    """Let the oldest entry of a full ring go; what it says about a running episode is kept."""
    oldest = rings[patient, one.head]
    begun = oldest.active & ~one.base_active & reading_bits
    if begun:
        for bit in range(base_onset.shape[1]):
            if (begun >> np.uint32(bit)) & np.uint32(1):
                base_onset[patient, bit] = oldest.time_us
    one.base_active = oldest.active & reading_bits
    one.evicted_us = oldest.time_us
    one.head = slot(rings, one.head, 1)
    one.count -= 1
    if one.touched > 0:
        one.touched -= 1


@kernel
def _put(
    one: Series,
    rings: NDArray[np.void],
    patient: int,
    place: int,
    time_us: int,
    tenths: int,
    device: int,
    received_us: int,
    row: int,
) -> bool:
    """Make room at `place` and write the entry; whether the series had not been touched before."""
    head = one.head
    k = int(one.count)
    while k > place:
        rings[patient, slot(rings, head, k)] = rings[patient, slot(rings, head, k - 1)]
        k -= 1
    entry = rings[patient, slot(rings, head, place)]
    entry.time_us = time_us
    entry.tenths = tenths
    entry.device = device
    entry.active = 0
    entry.fresh = 1
    if one.count == 0 or time_us > one.newest_us:
        one.newest_us = time_us
    one.received_us = max(one.received_us, received_us)
    one.count += 1
    one.row = row
    first = place
    while first > 0 and rings[patient, slot(rings, head, first - 1)].time_us == time_us:
        first -= 1
    untouched: bool = one.touched == UNTOUCHED
    if untouched or first < one.touched:
        one.touched = first
    return untouched


@kernel
def _still_needed(one: Series, rings: NDArray[np.void], patient: int, window_us: int) -> bool:
    """Whether the oldest entry is, or is in the window of, or just before, one that has not been evaluated yet."""
    if one.touched == UNTOUCHED:
        return False
    if one.touched <= 1:
        return True
    waiting_us = int(rings[patient, slot(rings, one.head, one.touched)].time_us)
    oldest_us = int(rings[patient, one.head].time_us)
    return oldest_us >= waiting_us - window_us


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
    received_us: NDArray[np.int64],
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
        if (row - start) % AHEAD == 0:
            _announce(series, rings, patients, row)
        patient = patients[row]
        time_us = times_us[row]
        one = series[patient]
        count = int(one.count)
        place, known = count, False
        if count > 0 and time_us <= one.newest_us:
            place, known = _find(rings, patient, one.head, count, time_us, devices[row], ranks)
        if known:
            same = rings[patient, slot(rings, one.head, place)].tenths == tenths[row]
            tally[DUPLICATE if same else CONFLICT] += 1
            continue
        late = place < count
        if late and time_us < one.newest_us - lateness_us:
            tally[HISTORY] += 1
            continue
        full = 1 if count == rings.shape[1] else 0
        evicted_us = rings[patient, one.head].time_us if full else one.evicted_us
        incomplete = evicted_us != NEVER and time_us - window_us <= evicted_us
        if incomplete:
            tally[OVERFLOW] += 1
        if late and (incomplete or (evicted_us != NEVER and place - full < 1)):
            tally[HISTORY] += 1
            continue
        if full:
            if _still_needed(one, rings, patient, window_us):
                tally[OVERFLOW] -= incomplete
                return row, n_touched
            _evict(one, rings, patient, base_onset, np.uint32(reading_bits))
        if _put(one, rings, patient, place - full, time_us, tenths[row], devices[row], received_us[row], row):
            touched[n_touched] = patient
            n_touched += 1
        tally[ACCEPTED] += 1
    return stop, n_touched


@kernel
def _write(columns: NDArray[np.int64], row: int, n: int, value: int) -> None:
    if row >= 0:
        columns[row, n] = value


@kernel
def _window(
    rings: NDArray[np.void],
    patient: int,
    head: int,
    end: int,
    from_us: int,
    places: NDArray[np.int64],
    window: int,
    columns: NDArray[np.int64],
    n: int,
) -> None:
    """Aggregates of the entries before place `end` that are not older than `from_us`, written where the plan says."""
    last = int(rings[patient, slot(rings, head, end - 1)].tenths)
    first, low, high, total = last, last, last, 0
    begin = end
    while begin > 0:
        entry = rings[patient, slot(rings, head, begin - 1)]
        if entry.time_us < from_us:
            break
        first = int(entry.tenths)
        total += first
        low = min(low, first)
        high = max(high, first)
        begin -= 1
    _write(columns, places[window, 0], n, total)
    _write(columns, places[window, 1], n, end - begin)
    _write(columns, places[window, 2], n, low)
    _write(columns, places[window, 3], n, high)
    _write(columns, places[window, 4], n, first)
    _write(columns, places[window, 5], n, last)


@kernel
def features(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    touched: NDArray[np.int64],
    windows_us: NDArray[np.int64],
    places: NDArray[np.int64],
    height: int,
) -> NDArray[np.int64]:
    """Feature columns (height, n), n evaluations in the order of `touched`, then of time, in tenths of mg/dL.

    Row 0 is glucose. `places` (w, 6): the row for sum, count, min, max, first and last over [t - window, t] of each
    window, -1 where no rule asks for it.
    """
    total = 0
    for patient in touched:
        total += series[patient].count - series[patient].touched
    columns = np.empty((height, total), np.int64)
    n = 0
    for patient in touched:
        head, count = int(series[patient].head), int(series[patient].count)
        end = int(series[patient].touched)
        for place in range(end, count):
            entry = rings[patient, slot(rings, head, place)]
            columns[0, n] = entry.tenths
            end = max(end, place + 1)  # readings of the same instant are in the window too
            while end < count and rings[patient, slot(rings, head, end)].time_us == entry.time_us:
                end += 1
            for w in range(len(windows_us)):
                _window(rings, patient, head, end, entry.time_us - windows_us[w], places, w, columns, n)
            n += 1
    return columns
