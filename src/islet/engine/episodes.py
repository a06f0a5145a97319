"""Episodes: from breaches to alerts that open, end, or turn out never to have been.

A rule over readings is active at an instant when it is breached there, or was active before and is not cleared:
    active' = breach or (active and not clear)
An episode lasts from the first active instant to the first inactive one. Readings of one instant count together: one
breach is enough, all have to clear. It is told once it has an active instant at its onset + `sustained` or later. A
silence of g lasts from t + g to the next reading, where that is later than t + g; behind the newest reading only the
time begins one (`fold_tick`), and not while readings keep coming in; one that runs goes on behind a late reading that
is followed by silence itself.

What is said is the difference to what was said before. So the sum of all changes depends on the set of readings, not
on their order.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, kernel, making_part
from islet.engine.pool import UNIT, grown, has_room
from islet.engine.program import Program
from islet.engine.runs import device_number, entry_us, last_of_instant, left_us, unpack, value_and_device
from islet.engine.series import FOREVER, NEVER, UNTOLD, UNTOUCHED, Bounds, Entries, Profiles, Series
from islet.engine.told import DEVICE, END, LAST, MOST_EPISODES, ONSET, RULE, TOLD, VALUE, add, end, keep, recall
from islet.engine.told import WIDTH as EPISODE_WIDTH

OPENED: Final = 0
CLEARED: Final = 1
RETRACTED: Final = 2
KINDS: Final = ("opened", "cleared", "retracted")

MOST_WORKED_ON: Final = 16_384
"""Episodes of one series that the evaluations of one block may make."""
CHANGE_WIDTH: Final = 9
"""Columns of a change, int64: kind, rule, patient, onset, at, device (-1: none), value, replaced_by (NEVER: none),
row of the batch that caused it (-1: the time did)."""


class Desk(NamedTuple):
    """Room to work on one series: `active` (m,) masks at its entries; episodes (m, 7) of one rule as they were told
    (`old`) and as they are (`new`)."""

    active: NDArray[np.int64]
    old: NDArray[np.int64]
    new: NDArray[np.int64]


@making_part
def new_desk(readings: Int) -> Desk:
    return Desk(
        np.zeros(readings, np.int64),
        np.empty((readings + 2, EPISODE_WIDTH), np.int64),
        np.empty((readings + 2, EPISODE_WIDTH), np.int64),
    )


@making_part
def _said(
    changes: NDArray[np.int64], n: Int, kind: Int, rule: Int, patient: Int, onset: Int, at: Int, row: Int
) -> NDArray[np.int64]:
    """`changes` with one more at n, about no reading; a larger array when it was full."""
    if n == len(changes):
        larger = np.empty((2 * n, CHANGE_WIDTH), np.int64)
        for k in range(n):  # an assignment of slices takes two seconds longer to compile
            for column in range(CHANGE_WIDTH):
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


@making_part
def _difference(
    changes: NDArray[np.int64], n: Int, rule: Int, patient: Int, row: Int, desk: Desk, n_old: Int, n_new: Int
) -> tuple[NDArray[np.int64], Int]:
    """Say what makes the told episodes of `new` of those of `old`, both ascending and without overlap."""
    old, new = desk.old, desk.new
    i = 0
    for k in range(n_new):
        if not new[k, TOLD]:
            continue
        onset, end = new[k, ONSET], new[k, END]
        while i < n_old and old[i, ONSET] < onset:
            i += 1
        known = i < n_old and old[i, ONSET] == onset and old[i, TOLD] != 0
        if known and old[i, END] == end:
            continue
        if not known or end == FOREVER:
            changes = _said(changes, n, OPENED, rule, patient, onset, onset, row)
            changes[n, 5] = new[k, DEVICE]
            changes[n, 6] = new[k, VALUE]
            n += 1
        if end != FOREVER:
            changes = _said(changes, n, CLEARED, rule, patient, onset, end, row)
            n += 1
    k = 0
    for i in range(n_old):
        if not old[i, TOLD]:
            continue
        onset, end = old[i, ONSET], old[i, END]
        while k < n_new and (new[k, END] <= onset or not new[k, TOLD]):
            k += 1
        if k < n_new and new[k, ONSET] == onset:
            continue
        changes = _said(changes, n, RETRACTED, rule, patient, onset, onset, row)
        if k < n_new and new[k, ONSET] < end:
            changes[n, 7] = new[k, ONSET]
        n += 1
    return changes, n


@inlined
def _begin(episodes: NDArray[np.int64], n: Int, rule: Int, onset: Int, told: Int, device: Int, value: Int) -> Int:
    """One more episode at n, without an end yet; how many there are now."""
    episodes[n, RULE] = rule
    episodes[n, ONSET] = onset
    episodes[n, END] = FOREVER
    episodes[n, TOLD] = told
    episodes[n, DEVICE] = device
    episodes[n, VALUE] = value
    episodes[n, LAST] = onset
    return n + 1


@inlined
def _activity(
    one: Series,
    entries: Entries,
    enabled: Int,
    running: Int,
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    done: Int,
    reading_bits: Int,
    active_at: NDArray[np.int64],
) -> Int:
    """Fill `active_at` for the touched entries; the rules that are active at any of them."""
    ever: Int = 0
    active: Int = running
    first = int(one.first)
    place = first
    while place < one.count:
        instant_us = entries.times_us[place]
        any_breach = 0
        all_clear = -1
        end = place
        while end < one.count and entries.times_us[end] == instant_us:
            any_breach |= breach[done + end - first] & enabled
            all_clear &= clear[done + end - first] | ~enabled
            end += 1
        active = (any_breach | (active & ~all_clear)) & reading_bits
        ever |= active
        while place < end:
            active_at[place] = active
            place += 1
    return ever


@inlined
def _reading_episodes(
    one: Series,
    pool: NDArray[np.uint32],
    ranks: NDArray[np.uint64],
    entries: Entries,
    rule: Int,
    sustained_us: Int,
    before_us: Int,
    breach: NDArray[np.int64],
    done: Int,
    desk: Desk,
    n_new: Int,
) -> Int:
    """Fill in the episodes of one rule as they are over the touched entries; the one that was running is there."""
    new = desk.new
    now = n_new
    if now:
        new[0, LAST] = before_us
        new[0, TOLD] = before_us - new[0, ONSET] >= sustained_us
    first = int(one.first)
    explained_us = NEVER  # the instant that the last episode is explained by
    ranked = 0  # whether its reading is breached
    for place in range(first, one.count):
        active = (desk.active[place] >> rule) & 1
        t_us = entries.times_us[place]
        if active and not now:
            n_new = _begin(new, n_new, rule, t_us, 0, -1, 0)
            explained_us = NEVER
        elif now and not active:
            new[n_new - 1, END] = t_us
        now = active
        if not active:
            continue
        last = new[n_new - 1]
        last[LAST] = t_us
        if not last[TOLD] and t_us - last[ONSET] >= sustained_us:
            last[TOLD] = 1
            explained_us = t_us
            ranked = -1
        if explained_us == t_us:
            device = device_number(one, pool, entries.devices[place])
            breached = (breach[done + place - first] >> rule) & 1
            if breached > ranked or (breached == ranked and ranks[device] < ranks[last[DEVICE]]):
                last[DEVICE] = device
                last[VALUE] = entries.values[place]
                ranked = breached
    return n_new


@inlined
def _silences(
    one: Series,
    pool: NDArray[np.uint32],
    ranks: NDArray[np.uint64],
    entries: Entries,
    wanted: bool,
    rule: Int,
    length_us: Int,
    now_us: Int,
    desk: Desk,
    n_old: Int,
) -> Int:
    """Fill in the silences behind the touched entries and the one before them, as they are."""
    n_new: Int = 0
    ran = n_old > 0 and desk.old[n_old - 1, END] == FOREVER
    place = int(one.first) - 1
    if place < 0 and left_us(one, pool) == NEVER:
        place = 0
    while place < one.count:
        t_us = entries.times_us[place] if place >= 0 else left_us(one, pool)
        following = place + 1
        if following == one.count:
            known = ran and desk.old[n_old - 1, ONSET] == t_us + length_us
            silent = ran and (known or now_us - t_us >= length_us)
            end_us = FOREVER
        else:
            end_us = entries.times_us[following]
            silent = end_us - t_us > length_us
        if wanted and silent:
            if place >= 0:
                _, value, device = last_of_instant(one, pool, place, ranks)
            else:
                value = np.int64(pool[int(one.run) * UNIT + 2])
                device = np.int64(pool[int(one.run) * UNIT + 3])
            n_new = _begin(desk.new, n_new, rule, t_us + length_us, 1, device, value)
            desk.new[n_new - 1, END] = end_us
        place += 1
    return n_new


@inlined
def _is_simple(one: Series, pool: NDArray[np.uint32], turned: Int, slow: Int, shortest_us: Int) -> bool:
    """Whether this is the usual case: one new reading at the end, which follows and leaves no silence and turns none
    of the `slow` rules on or off, the silences among them."""
    if one.first < 1 or one.first + 1 != one.count or one.flags & UNTOLD or turned & slow:
        return False
    return bool(one.newest_us - entry_us(one, pool, one.first - 1) <= shortest_us)


@making_part
def _turn(
    one: Series,
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    patient: Int,
    active: Int,
    old_us: Int,
    changes: NDArray[np.int64],
    n: Int,
) -> tuple[NDArray[np.int64], Int]:
    """Open and end the episodes that the newest reading turns on and off: what `fold` does in that case, in few steps."""
    turned = active ^ one.active
    place = int(one.count) - 1
    rule = 0
    while turned >> rule:
        if (turned >> rule) & 1 == 0:
            rule += 1
            continue
        if (active >> rule) & 1:
            value, device = value_and_device(one, pool, place)
            add(one, pool, heap, rule, one.newest_us, old_us)
            changes = _said(changes, n, OPENED, rule, patient, one.newest_us, one.newest_us, one.row)
            changes[n, 5] = device
            changes[n, 6] = value
            n += 1
        else:
            onset_us = end(one, pool, rule, one.newest_us)
            if onset_us != NEVER:
                changes = _said(changes, n, CLEARED, rule, patient, onset_us, one.newest_us, one.row)
                n += 1
        rule += 1
    one.active = active
    return changes, n


@inlined
def _old_of(
    desk: Desk, known: NDArray[np.int64], n_known: Int, rule: Int, silence: bool, from_us: Int, before_us: Int
) -> Int:
    """Fill in the episodes of one rule that may change: those that a touched instant can lie in, or ends."""
    n_old = 0
    for k in range(n_known):
        if known[k, RULE] != rule:
            continue
        if known[k, ONSET] > before_us if silence else known[k, END] >= from_us:
            for column in range(EPISODE_WIDTH):
                desk.old[n_old, column] = known[k, column]
            n_old += 1
    return n_old


@inlined
def _settle(
    known: NDArray[np.int64],
    n_known: Int,
    rule: Int,
    silence: bool,
    from_us: Int,
    before_us: Int,
    desk: Desk,
    n_new: Int,
) -> Int:
    """The known episodes with the new ones of one rule in the place of those that could change; how many."""
    stay = 0
    for k in range(n_known):
        if known[k, RULE] == rule and (known[k, ONSET] > before_us if silence else known[k, END] >= from_us):
            continue
        for column in range(EPISODE_WIDTH):
            known[stay, column] = known[k, column]
        stay += 1
    skip = max(stay + n_new - len(known), 0)  # of absurdly many only the last ones can be kept
    for k in range(skip, n_new):
        for column in range(EPISODE_WIDTH):
            known[stay + k - skip, column] = desk.new[k, column]
    return stay + n_new - skip


@making_part
def fold(
    series: NDArray[np.void],
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    profiles: Profiles,
    bounds: Bounds,
    touched: NDArray[np.int64],
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    program: Program,
    desk: Desk,
    known: NDArray[np.int64],
    entries: Entries,
    changes: NDArray[np.int64],
    n: Int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64], Int]:
    """The pool; `changes` with those that follow from the evaluations (as `evaluate` orders them) from place
    n on, and how many there are now. Nothing is touched after."""
    bits = program.reading_bits
    rules = len(program.silence_us)
    silences, slow = 0, 0
    shortest_us = FOREVER
    for rule in range(rules):
        if program.sustained_us[rule] > 0:
            slow |= 1 << rule
        if program.silence_us[rule] > 0:
            silences |= 1 << rule
            slow |= 1 << rule
            shortest_us = min(shortest_us, program.silence_us[rule])
    done = 0
    for patient in touched:
        one = series[np.uint64(patient)]
        enabled = profiles.masks[np.uint64(one.profile)]
        breached, stays = breach[np.uint64(done)] & enabled, ~(clear[np.uint64(done)] | ~enabled) & bits
        now_active = breached | (one.active & stays)
        if _is_simple(one, pool, now_active ^ one.active, slow, shortest_us):
            if now_active != one.active:
                if not has_room(pool, heap):
                    pool = grown(pool)
                old_us = one.newest_us - bounds.lateness_us
                changes, n = _turn(one, pool, heap, patient, now_active, old_us, changes, n)
            one.first = UNTOUCHED
            done += 1
            continue
        if not has_room(pool, heap):
            pool = grown(pool)
        unpack(one, pool, max(one.first - 1, 0), entries)
        from_us = entries.times_us[one.first]
        before_us = entries.times_us[one.first - 1] if one.first > 0 else left_us(one, pool)
        n_known = recall(one, pool, known)
        running: Int = 0
        relevant: Int = 0
        for k in range(n_known):
            bit = 1 << known[k, RULE]
            if known[k, END] >= from_us or bit & silences:
                relevant |= bit
            if known[k, ONSET] < from_us <= known[k, END] and bit & bits:
                running |= bit
        relevant |= _activity(one, entries, enabled, running, breach, clear, done, bits, desk.active)
        relevant |= silences
        active, untold, changed = 0, False, False
        for rule in range(rules):
            if not (relevant >> rule) & 1:
                continue
            length_us = program.silence_us[rule]
            n_old = _old_of(desk, known, n_known, rule, length_us > 0, from_us, before_us)
            n_new: Int = 0
            if length_us > 0:
                wanted = (enabled >> rule) & 1 != 0
                n_new = _silences(one, pool, ranks, entries, wanted, rule, length_us, bounds.now_us, desk, n_old)
            else:
                if (running >> rule) & 1:
                    n_new = _begin(desk.new, 0, rule, desk.old[0, ONSET], 0, -1, 0)
                n_new = _reading_episodes(
                    one, pool, ranks, entries, rule, program.sustained_us[rule], before_us, breach, done, desk, n_new
                )
            if n_old == 0 and n_new == 0:
                continue
            changed = True
            changes, n = _difference(changes, n, rule, patient, one.row, desk, n_old, n_new)
            n_known = _settle(known, n_known, rule, length_us > 0, from_us, before_us, desk, n_new)
            if n_new and desk.new[n_new - 1, END] == FOREVER:
                active |= 1 << rule
                untold = untold or desk.new[n_new - 1, TOLD] == 0
        if changed:
            keep(one, pool, heap, known, n_known, one.newest_us - bounds.lateness_us)
        one.active = active
        one.flags = one.flags | UNTOLD if untold else one.flags & ~UNTOLD
        done += one.count - one.first
        one.first = UNTOUCHED
    return pool, changes, n


@kernel
def fold_tick(
    series: NDArray[np.void],
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    profiles: Profiles,
    bounds: Bounds,
    patients: Int,
    silence_us: NDArray[np.int64],
    grace_us: Int,
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes (n, CHANGE_WIDTH) that follow from the time alone: silences behind the newest readings
    that are long enough by now, and an end for those that run although their rule has been switched off for the
    patient.

    A patient of whom a reading came in less than `grace_us` ago is not silent, however old the reading: a device that
    was offline is telling what it kept.
    """
    changes = np.empty((256, CHANGE_WIDTH), np.int64)
    known = np.empty((MOST_EPISODES + 1, EPISODE_WIDTH), np.int64)
    now_us = bounds.now_us
    n = 0
    for patient in range(patients):
        one = series[patient]
        for rule in range(len(silence_us)):
            length_us = silence_us[rule]
            if one.count == 0 or length_us == 0 or now_us - one.newest_us < length_us:
                continue
            if now_us - one.received_us < grace_us:
                continue
            bit = 1 << rule
            runs = (one.active & bit) != 0
            wanted = (profiles.masks[one.profile] & bit) != 0
            if runs == wanted:
                continue
            onset = one.newest_us + length_us
            if not has_room(pool, heap):
                pool = grown(pool)
            n_known = recall(one, pool, known)
            if n_known == len(known):
                n_known = recall(one, pool, np.empty((2 * n_known, EPISODE_WIDTH), np.int64))
            if wanted:
                _, value, device = last_of_instant(one, pool, one.count - 1, ranks)
                n_known = _begin(known, n_known, rule, onset, 1, device, value)
                changes = _said(changes, n, OPENED, rule, patient, onset, onset, -1)
                changes[n, 5] = device
                changes[n, 6] = value
                one.active |= bit
            else:
                for k in range(n_known):
                    if known[k, RULE] == rule and known[k, END] == FOREVER:
                        onset = known[k, ONSET]
                        known[k, END] = NEVER
                changes = _said(changes, n, CLEARED, rule, patient, onset, now_us, -1)
                one.active &= ~bit
            n += 1
            keep(one, pool, heap, known, n_known, one.newest_us - bounds.lateness_us)
    return pool, changes[:n]
