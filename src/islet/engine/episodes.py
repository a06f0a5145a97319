"""Episodes: from breaches to alerts that open, end, or turn out never to have been.

A rule over readings is active at an instant when it is breached there, or was active before and is not cleared:
    active' = breach or (active and not clear)
An episode lasts from the first active instant to the first inactive one. Readings of one instant count together: one
breach is enough, all have to clear. A silence of g lasts from t + g to the next reading, where that is later than
t + g; behind the newest reading only the time begins one (`fold_tick`), and not while readings keep coming in; one
that runs goes on behind a late reading that is followed by silence itself.

What is said is the difference to what was said before, kept in the entries as `active`. So the sum of all changes
depends on the set of readings, not on their order.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.evaluate import Program
from islet.engine.kernel import kernel, part
from islet.engine.windows import NEVER, UNTOUCHED, Series, slot

OPENED: Final = 0
CLEARED: Final = 1
RETRACTED: Final = 2
KINDS: Final = ("opened", "cleared", "retracted")

WIDTH: Final = 9
"""Columns of a change, int64: kind, rule, patient, onset, at, device (-1: none), tenths, replaced_by (NEVER: none),
row of the batch that caused it (-1: the time did)."""

KIND, RULE, PATIENT, ONSET, AT, DEVICE, TENTHS, REPLACED_BY, ROW = range(WIDTH)

_FOREVER: Final = 2**62


@part
def _said(
    changes: NDArray[np.int64], n: int, kind: int, rule: int, patient: int, onset: int, at: int, row: int
) -> NDArray[np.int64]:
    """`changes` with one more at n, about no reading; a larger array when it was full."""
    if n == len(changes):
        larger = np.empty((2 * n, WIDTH), np.int64)
        for k in range(n):  # an assignment of slices takes two seconds longer to compile
            for column in range(WIDTH):
                larger[k, column] = changes[k, column]
        changes = larger
    changes[n, 0] = kind
    changes[n, 1] = rule
    changes[n, 2] = patient
    changes[n, 3] = onset
    changes[n, 4] = at
    changes[n, 5] = -1
    changes[n, 6] = 0
    changes[n, 7] = NEVER
    changes[n, 8] = row
    return changes


@part
def _begin(episodes: NDArray[np.int64], n: int, onset: int, device: int, tenths: int) -> int:
    """One more episode at n, without an end yet; how many there are now. Rows are onset, end, device, tenths."""
    episodes[n, 0] = onset
    episodes[n, 1] = _FOREVER
    episodes[n, 2] = device
    episodes[n, 3] = tenths
    return n + 1


@part
def _difference(
    changes: NDArray[np.int64],
    n: int,
    rule: int,
    patient: int,
    row: int,
    old: NDArray[np.int64],
    n_old: int,
    new: NDArray[np.int64],
    n_new: int,
) -> tuple[NDArray[np.int64], int]:
    """Say what makes the episodes `new` of `old`, both ascending and without overlap."""
    i = 0
    for k in range(n_new):
        onset, end = new[k, 0], new[k, 1]
        while i < n_old and old[i, 0] < onset:
            i += 1
        known = i < n_old and old[i, 0] == onset
        if known and old[i, 1] == end:
            continue
        if not known or end == _FOREVER:
            changes = _said(changes, n, OPENED, rule, patient, onset, onset, row)
            changes[n, 5] = new[k, 2]
            changes[n, 6] = new[k, 3]
            n += 1
        if end != _FOREVER:
            changes = _said(changes, n, CLEARED, rule, patient, onset, end, row)
            n += 1
    k = 0
    for i in range(n_old):
        onset, end = old[i, 0], old[i, 1]
        while k < n_new and new[k, 1] <= onset:
            k += 1
        if k < n_new and new[k, 0] == onset:
            continue
        changes = _said(changes, n, RETRACTED, rule, patient, onset, onset, row)
        if k < n_new and new[k, 0] < end:
            changes[n, 7] = new[k, 0]
        n += 1
    return changes, n


@part
def _activity(
    one: Series,
    rings: NDArray[np.void],
    patient: int,
    base: int,
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    done: int,
    reading_bits: int,
    active_at: NDArray[np.int64],
) -> int:
    """Fill `active_at` for the touched entries; the rules that turn on or off among them, as said before or now."""
    turning = 0
    said = base
    active = base
    first = int(one.touched)
    place = first
    while place < one.count:
        instant_us = rings[patient, slot(rings, one.head, place)].time_us
        any_breach = 0
        all_clear = -1
        end = place
        while end < one.count and rings[patient, slot(rings, one.head, end)].time_us == instant_us:
            any_breach |= breach[done + end - first] & one.enabled
            all_clear &= clear[done + end - first] | ~one.enabled
            entry = rings[patient, slot(rings, one.head, end)]
            if not entry.fresh:
                turning |= (entry.active & reading_bits) ^ said
                said = entry.active & reading_bits
            end += 1
        now = (any_breach | (active & ~all_clear)) & reading_bits
        turning |= now ^ active
        active = now
        while place < end:
            active_at[place] = active
            place += 1
    return turning


@part
def _onset_before(one: Series, rings: NDArray[np.void], patient: int, bit: int, base_onset: int) -> int:
    """When the episode began that was running just before the first touched entry."""
    onset = base_onset
    place = int(one.touched)
    while place > 0:
        entry = rings[patient, slot(rings, one.head, place - 1)]
        if not (entry.active >> bit) & 1:
            return onset
        onset = entry.time_us
        place -= 1
    return base_onset if (one.base_active >> bit) & 1 else onset


@part
def _reading_episodes(
    one: Series,
    rings: NDArray[np.void],
    patient: int,
    running: int,
    bit: int,
    base_onset: int,
    breach: NDArray[np.int64],
    done: int,
    active_at: NDArray[np.int64],
    old: NDArray[np.int64],
    new: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill in the episodes of one rule over the touched entries, as said before and as they are now."""
    n_old, n_new = 0, 0
    was = running
    now = running
    if running:
        onset = _onset_before(one, rings, patient, bit, base_onset)
        n_old = _begin(old, n_old, onset, -1, 0)
        n_new = _begin(new, n_new, onset, -1, 0)
    first = int(one.touched)
    for place in range(first, one.count):
        entry = rings[patient, slot(rings, one.head, place)]
        if not entry.fresh:
            said = (entry.active >> bit) & 1
            if said and not was:
                n_old = _begin(old, n_old, entry.time_us, -1, 0)
            elif was and not said:
                old[n_old - 1, 1] = entry.time_us
            was = said
        active = (active_at[place] >> bit) & 1
        if active and not now:
            n_new = _begin(new, n_new, entry.time_us, -1, 0)
        elif now and not active:
            new[n_new - 1, 1] = entry.time_us
        now = active
        unexplained = active and new[n_new - 1, 2] < 0 and new[n_new - 1, 0] == entry.time_us
        if unexplained and (breach[done + place - first] >> bit) & 1:
            new[n_new - 1, 2] = entry.device
            new[n_new - 1, 3] = entry.tenths
    return n_old, n_new


@part
def _silences(
    one: Series,
    rings: NDArray[np.void],
    patient: int,
    bit: int,
    length_us: int,
    now_us: int,
    active_at: NDArray[np.int64],
    old: NDArray[np.int64],
    new: NDArray[np.int64],
) -> tuple[int, int]:
    """Fill in the silences behind the touched entries and the one before them, as said before and as they are now."""
    n_old, n_new = 0, 0
    running = False
    for place in range(max(one.touched - 1, 0), one.count):
        entry = rings[patient, slot(rings, one.head, place)]
        if not entry.fresh:
            if running:
                old[n_old - 1, 1] = entry.time_us
            running = ((entry.active >> bit) & 1) != 0
            if running:
                n_old = _begin(old, n_old, entry.time_us + length_us, entry.device, entry.tenths)
        newest = place + 1 == one.count
        end_us = _FOREVER if newest else rings[patient, slot(rings, one.head, place + 1)].time_us
        if newest:
            silent = running and (not entry.fresh or now_us - entry.time_us >= length_us)
        else:
            silent = end_us - entry.time_us > length_us
        if (one.enabled >> bit) & 1 and silent:
            active_at[place] |= 1 << bit
            n_new = _begin(new, n_new, entry.time_us + length_us, entry.device, entry.tenths)
            new[n_new - 1, 1] = end_us
    return n_old, n_new


@part
def _nothing_to_say(
    one: Series,
    rings: NDArray[np.void],
    patient: int,
    breach: int,
    clear: int,
    reading_bits: int,
    shortest_us: int,
) -> bool:
    """The usual case in a few instructions: one new reading at the end, which turns no rule on or off and follows and
    leaves no silence. Then it is settled here; otherwise nothing is changed."""
    if one.touched < 1 or one.touched + 1 != one.count:
        return False
    before = rings[patient, slot(rings, one.head, one.touched - 1)]
    entry = rings[patient, slot(rings, one.head, one.touched)]
    active = (breach & one.enabled) | (before.active & ~(clear | ~one.enabled) & reading_bits)
    if active != before.active:  # this also holds where a silence was said behind the entry before
        return False
    if entry.time_us - before.time_us > shortest_us:
        return False
    entry.active = active
    entry.fresh = 0
    one.touched = UNTOUCHED
    return True


@part
def fold(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    base_onset: NDArray[np.int64],
    touched: NDArray[np.int64],
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    program: Program,
    now_us: int,
    changes: NDArray[np.int64],
    n: int,
) -> tuple[NDArray[np.int64], int]:
    """`changes` with those that follow from the evaluations (as `evaluate` orders them) from place n on, and how many
    there are now; nothing is touched after."""
    bits = program.reading_bits
    silence_us = program.silence_us
    size = rings.shape[1]
    active_at = np.zeros(size, np.int64)
    old = np.empty((size + 1, 4), np.int64)
    new = np.empty((size + 1, 4), np.int64)
    done = 0
    shortest_us = _FOREVER
    for rule in range(len(silence_us)):
        if silence_us[rule] > 0:
            shortest_us = min(shortest_us, silence_us[rule])
    for patient in touched:
        one = series[patient]
        if _nothing_to_say(one, rings, patient, breach[done], clear[done], bits, shortest_us):
            done += 1
            continue
        base = one.base_active
        if one.touched > 0:
            base = rings[patient, slot(rings, one.head, one.touched - 1)].active & bits
            active_at[one.touched - 1] = base
        turning = _activity(one, rings, patient, base, breach, clear, done, bits, active_at)
        for rule in range(len(silence_us)):
            bit = rule
            if silence_us[rule] > 0:
                n_old, n_new = _silences(one, rings, patient, bit, silence_us[rule], now_us, active_at, old, new)
            elif (turning >> bit) & 1:
                running = (base >> bit) & 1
                onset = base_onset[patient, rule]
                n_old, n_new = _reading_episodes(
                    one, rings, patient, running, bit, onset, breach, done, active_at, old, new
                )
            else:
                continue
            if n_old or n_new:
                changes, n = _difference(changes, n, rule, patient, one.row, old, n_old, new, n_new)
        for place in range(max(one.touched - 1, 0), one.count):
            entry = rings[patient, slot(rings, one.head, place)]
            entry.active = active_at[place]
            entry.fresh = 0
        done += one.count - one.touched
        one.touched = UNTOUCHED
    return changes, n


@kernel
def fold_tick(
    series: NDArray[np.void],
    rings: NDArray[np.void],
    patients: int,
    silence_us: NDArray[np.int64],
    now_us: int,
    grace_us: int,
) -> NDArray[np.int64]:
    """The changes (n, WIDTH) that follow from the time alone: silences behind the newest readings that are long enough
    by now, and an end for those that run although their rule has been switched off for the patient.

    A patient of whom a reading came in less than `grace_us` ago is not silent, however old the reading: a device that
    was offline is telling what it kept.
    """
    changes = np.empty((256, WIDTH), np.int64)
    n = 0
    for patient in range(patients):
        one = series[patient]
        for rule in range(len(silence_us)):
            length_us = silence_us[rule]
            if one.count == 0 or length_us == 0 or now_us - one.newest_us < length_us:
                continue
            if now_us - one.received_us < grace_us:
                continue
            entry = rings[patient, slot(rings, one.head, one.count - 1)]
            bit = 1 << rule
            runs = (entry.active & bit) != 0
            wanted = (one.enabled & bit) != 0
            onset = one.newest_us + length_us
            if wanted and not runs:
                entry.active |= bit
                changes = _said(changes, n, OPENED, rule, patient, onset, onset, -1)
                changes[n, 5] = entry.device
                changes[n, 6] = entry.tenths
                n += 1
            elif runs and not wanted:
                entry.active &= ~bit
                changes = _said(changes, n, CLEARED, rule, patient, onset, now_us, -1)
                n += 1
    return changes[:n]
