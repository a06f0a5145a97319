"""Episodes of a series where more than its newest reading is new, or where how long they last decides.

The rules whose episodes are as they were are found first, all at once: their bits turn on and off at the same instants
as before. Only the others are gone through one by one.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, lowest_bit, part
from islet.engine.program import Program
from islet.engine.runs import device_number, left_us, unpack
from islet.engine.said import Desk, begin_episode, difference
from islet.engine.series import FOREVER, NEVER, UNTOLD, Bounds, Entries, Series
from islet.engine.silences import silences_of
from islet.engine.told import DEVICE, END, LAST, ONSET, RULE, TOLD, VALUE, keep, recall
from islet.engine.told import WIDTH as EPISODE_WIDTH

MOST_WORKED_ON: Final = 16_384
"""Episodes of one series that the evaluations of one block may make."""


class Kinds(NamedTuple):
    """The rules of a program as masks: those that look at values, the silences, and those that are not told of at once
    (the silences among them); and the length of the shortest silence, FOREVER where there is none."""

    reading: Int
    silences: Int
    slow: Int
    shortest_us: Int


@inlined
def kinds_of(program: Program) -> Kinds:
    silences, slow = np.int64(0), np.int64(0)
    shortest_us = np.int64(FOREVER)
    for rule in range(len(program.silence_us)):
        bit = np.int64(1) << rule
        if program.sustained_us[rule] > 0:
            slow |= bit
        if program.silence_us[rule] > 0:
            silences |= bit
            slow |= bit
            shortest_us = min(shortest_us, program.silence_us[rule])
    return Kinds(np.int64(program.reading_bits), silences, slow, shortest_us)


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


@inlined
def _differing(
    one: Series, entries: Entries, known: NDArray[np.int64], n_known: Int, from_us: Int, running: Int, desk: Desk
) -> Int:
    """The rules that turn on or off at other touched instants than their known episodes do."""
    first, count = int(one.first), int(one.count)
    before: Int = running
    for place in range(first, count):
        desk.turned[place] = desk.active[place] ^ before
        before = desk.active[place]
    differ: Int = 0
    for k in range(n_known):
        bit = np.int64(1) << known[k, RULE]
        for column in range(ONSET, END + 1):
            t_us = known[k, column]
            if t_us < from_us or t_us == FOREVER:
                continue
            place = first
            while place < count and entries.times_us[place] < t_us:
                place += 1
            if place < count and entries.times_us[place] == t_us:
                desk.turned[place] ^= bit
            else:
                differ |= bit
    for place in range(first, count):
        differ |= desk.turned[place]
    return differ


@inlined
def _renewed(
    one: Series,
    pool: NDArray[np.uint32],
    ranks: NDArray[np.uint64],
    entries: Entries,
    bounds: Bounds,
    rule: Int,
    wanted: bool,
    runs: bool,
    before_us: Int,
    breach: NDArray[np.int64],
    done: Int,
    program: Program,
    desk: Desk,
    n_old: Int,
) -> Int:
    """Fill in the episodes of one rule as they are now; how many there are."""
    length_us = program.silence_us[rule]
    if length_us > 0:
        return silences_of(one, pool, ranks, entries, wanted, rule, length_us, bounds.now_us, desk, n_old)
    n_new: Int = 0
    if runs:
        n_new = begin_episode(desk.new, 0, rule, desk.old[0, ONSET], 0, -1, 0)
    return _reading_episodes(
        one, pool, ranks, entries, rule, program.sustained_us[rule], before_us, breach, done, desk, n_new
    )


@part
def revise(
    one: Series,
    pool: NDArray[np.uint32],
    heap: NDArray[np.int64],
    ranks: NDArray[np.uint64],
    bounds: Bounds,
    patient: Int,
    enabled: Int,
    breach: NDArray[np.int64],
    clear: NDArray[np.int64],
    done: Int,
    program: Program,
    kinds: Kinds,
    desk: Desk,
    known: NDArray[np.int64],
    entries: Entries,
    changes: NDArray[np.int64],
    n: Int,
) -> Int:
    """Say what follows from the touched entries, whose evaluations begin at `done`; how many changes there are now.
    -1 where there is no room for all that is to be said: then nothing has happened."""
    unpack(one, pool, max(one.first - 1, 0), entries)
    from_us = entries.times_us[one.first]
    before_us = entries.times_us[one.first - 1] if one.first > 0 else left_us(one, pool)
    n_known = recall(one, pool, known)
    running: Int = 0
    for k in range(n_known):
        if known[k, ONSET] < from_us <= known[k, END]:
            running |= np.int64(1) << known[k, RULE]
    running &= kinds.reading
    ever = _activity(one, entries, enabled, running, breach, clear, done, kinds.reading, desk.active)
    differ = _differing(one, entries, known, n_known, from_us, running, desk) & kinds.reading
    differ |= (running | ever) & kinds.reading & (-1 if one.flags & UNTOLD else kinds.slow)
    active: Int = desk.active[one.count - 1] & ~differ
    left: Int = differ | kinds.silences
    untold, changed = False, False
    while left:
        rule = lowest_bit(left)
        left &= left - 1
        silence = program.silence_us[rule] > 0
        n_old = _old_of(desk, known, n_known, rule, silence, from_us, before_us)
        n_new = _renewed(
            one, pool, ranks, entries, bounds, rule, (enabled >> rule) & 1 != 0, (running >> rule) & 1 != 0, before_us,
            breach, done, program, desk, n_old,
        )  # fmt: skip
        if n_old == 0 and n_new == 0:
            continue
        if n + n_old + 2 * n_new > len(changes):
            return -1
        changed = True
        n = difference(changes, n, rule, patient, int(one.row), desk, n_old, n_new)
        n_known = _settle(known, n_known, rule, silence, from_us, before_us, desk, n_new)
        if n_new and desk.new[n_new - 1, END] == FOREVER:
            active |= np.int64(1) << rule
            untold = untold or desk.new[n_new - 1, TOLD] == 0
    if changed:
        keep(one, pool, heap, known, n_known, one.newest_us - bounds.lateness_us)
    one.active = active
    one.flags = one.flags | UNTOLD if untold else one.flags & ~UNTOLD
    return n
