"""Rings of readings, one per patient.

A ring is circular, in ascending order of (time, hash of the device); all state is in flat arrays, so that a batch of
rows costs no object. A row that comes after all others is appended; one that is late goes to its place, and
everything behind that place is evaluated again. What the ring can no longer decide exactly is counted, not guessed.
"""

from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import part, prefetch

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

_SERIES_FIELDS: Final = (
    ("newest_us", np.int64),
    ("evicted_us", np.int64),  # time of the last reading that left the ring
    ("received_us", np.int64),  # when the last reading came in, by our clock
    ("head", np.int32),  # where in the ring the oldest entry is
    ("count", np.int32),
    ("touched", np.int32),  # first entry to be evaluated again, UNTOUCHED where there is none
    ("row", np.int32),  # the row of the batch that touched it last
    ("base_active", np.uint32),  # `active` of the last reading that left the ring
    ("enabled", np.uint32),  # rules that look at this patient
)

SERIES: Final = np.dtype(
    {"names": [n for n, _ in _SERIES_FIELDS], "formats": [f for _, f in _SERIES_FIELDS], "itemsize": 64}
)
"""One patient: 48 bytes in a cache line of its own."""


class Series(Protocol):
    """A record of SERIES, as the type checker sees it."""

    newest_us: int
    evicted_us: int
    received_us: int
    head: int
    count: int
    touched: int
    row: int
    base_active: int
    enabled: int


class Rows(NamedTuple):
    """A batch of readings in log order (n,): who, by which device, when, what, and when it came in."""

    patients: NDArray[np.int64]
    devices: NDArray[np.int64]
    times_us: NDArray[np.int64]
    tenths: NDArray[np.int32]
    received_us: NDArray[np.int64]


AHEAD: Final = 32
NEVER: Final = -(2**62)
UNTOUCHED: Final = -1

ACCEPTED: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
HISTORY: Final = 3
OVERFLOW: Final = 4
EVALUATIONS: Final = 5
TALLIES: Final = 6


@part
def slot(rings: NDArray[np.void], head: int, place: int) -> int:
    """Where in its ring the entry at `place` is, counted from the oldest."""
    at = head + place
    return at - rings.shape[1] if at >= rings.shape[1] else at


@part
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


@part
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


@part
def _evict(
    one: Series, rings: NDArray[np.void], patient: int, base_onset: NDArray[np.int64], reading_bits: int
) -> None:
    """Let the oldest entry of a full ring go; what it says about a running episode is kept."""
    oldest = rings[patient, one.head]
    begun = oldest.active & ~one.base_active & reading_bits
    if begun:
        for bit in range(base_onset.shape[1]):
            if (begun >> bit) & 1:
                base_onset[patient, bit] = oldest.time_us
    one.base_active = oldest.active & reading_bits
    one.evicted_us = oldest.time_us
    one.head = slot(rings, one.head, 1)
    one.count -= 1
    if one.touched > 0:
        one.touched -= 1


@part
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


@part
def _still_needed(one: Series, rings: NDArray[np.void], patient: int, window_us: int) -> bool:
    """Whether the oldest entry is, or is in the window of, or just before, one that has not been evaluated yet."""
    if one.touched == UNTOUCHED:
        return False
    if one.touched <= 1:
        return True
    waiting_us = int(rings[patient, slot(rings, one.head, one.touched)].time_us)
    oldest_us = int(rings[patient, one.head].time_us)
    return oldest_us >= waiting_us - window_us


@part
def insert(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    base_onset: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    rows: Rows,
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
            _announce(series, rings, rows.patients, row)
        patient = rows.patients[row]
        time_us = rows.times_us[row]
        device = rows.devices[row]
        tenths = rows.tenths[row]
        one = series[patient]
        count = int(one.count)
        place, known = count, False
        if count > 0 and time_us <= one.newest_us:
            place, known = _find(rings, patient, one.head, count, time_us, device, ranks)
        if known:
            same = rings[patient, slot(rings, one.head, place)].tenths == tenths
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
            _evict(one, rings, patient, base_onset, reading_bits)
        if _put(one, rings, patient, place - full, time_us, tenths, device, rows.received_us[row], row):
            touched[n_touched] = patient
            n_touched += 1
        tally[ACCEPTED] += 1
    return stop, n_touched
