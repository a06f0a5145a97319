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

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, making_part
from islet.engine.pool import grown, has_room
from islet.engine.program import Program
from islet.engine.runs import device_number, entry_us, left_us, unpack, value_and_device
from islet.engine.said import CLEARED, OPENED, Desk, begin_episode, difference, said
from islet.engine.series import FOREVER, NEVER, UNTOLD, UNTOUCHED, Bounds, Entries, Profiles, Series
from islet.engine.silences import silences_of
from islet.engine.told import DEVICE, END, LAST, ONSET, RULE, TOLD, VALUE, add, end, keep, recall
from islet.engine.told import WIDTH as EPISODE_WIDTH

MOST_WORKED_ON: Final = 16_384
"""Episodes of one series that the evaluations of one block may make."""


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
            n_new = begin_episode(new, n_new, rule, t_us, 0, -1, 0)
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
            changes = said(changes, n, OPENED, rule, patient, one.newest_us, one.newest_us, one.row)
            changes[n, 5] = device
            changes[n, 6] = value
            n += 1
        else:
            onset_us = end(one, pool, rule, one.newest_us)
            if onset_us != NEVER:
                changes = said(changes, n, CLEARED, rule, patient, onset_us, one.newest_us, one.row)
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
                n_new = silences_of(one, pool, ranks, entries, wanted, rule, length_us, bounds.now_us, desk, n_old)
            else:
                if (running >> rule) & 1:
                    n_new = begin_episode(desk.new, 0, rule, desk.old[0, ONSET], 0, -1, 0)
                n_new = _reading_episodes(
                    one, pool, ranks, entries, rule, program.sustained_us[rule], before_us, breach, done, desk, n_new
                )
            if n_old == 0 and n_new == 0:
                continue
            changed = True
            changes, n = difference(changes, n, rule, patient, one.row, desk, n_old, n_new)
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
