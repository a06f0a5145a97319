"""Episodes of a series where more than its newest reading is new, or where how long they last decides.

The rules whose episodes are as they were are found first, all at once: their bits turn on and off at the same instants
as before. Only the others are gone through one by one.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, lowest_bit, part
from islet.engine.program import Program
from islet.engine.runs import device_number, left_us, unpack
from islet.engine.said import Desk, begin_episode, difference
from islet.engine.series import FOREVER, NEVER, UNTOLD, Entries, Memory, Series
from islet.engine.silences import silences_of
from islet.engine.told import DEVICE, END, LAST, ONSET, RULE, TOLD, VALUE, keep, recall
from islet.engine.told import WIDTH as EPISODE_WIDTH
from islet.engine.workplace import Verdicts, Workplace


class Kinds(NamedTuple):
    """The rules of a program as masks: those that look at values, the silences, and those that are not told of at once
    (the silences among them); the length of the shortest silence, FOREVER where there is none; and of each rule (r,) the
    length of its silence, and how long an episode has to last before anybody is told."""

    reading: Int
    silences: Int
    slow: Int
    shortest_us: Int
    silence_us: NDArray[np.int64]
    sustained_us: NDArray[np.int64]


class _Since(NamedTuple):
    """The instant of the first touched entry, and the one before it (NEVER: there is none)."""

    from_us: Int
    before_us: Int


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
    reading = np.int64(program.reading_bits)
    return Kinds(reading, silences, slow, shortest_us, program.silence_us, program.sustained_us)


@inlined
def _activity(
    one: Series, times_us: NDArray[np.int64], enabled: Int, running: Int, mine: Verdicts, kinds: Kinds, desk: Desk
) -> Int:
    """Fill in what is active at the touched entries; the rules that are at any of them."""
    ever: Int = 0
    active: Int = running
    first = int(one.first)
    place = first
    while place < one.count:
        instant_us = times_us[place]
        any_breach = 0
        all_clear = -1
        end = place
        while end < one.count and times_us[end] == instant_us:
            any_breach |= mine.breach[end - first] & enabled
            all_clear &= mine.clear[end - first] | ~enabled
            end += 1
        active = (any_breach | (active & ~all_clear)) & kinds.reading
        ever |= active
        while place < end:
            desk.active[place] = active
            place += 1
    return ever


@inlined
def _explain(
    one: Series,
    memory: Memory,
    entries: Entries,
    place: Int,
    breached: Int,
    ranked: Int,
    episode: NDArray[np.int64],
) -> Int:
    """Have the entry explain the episode where it does so better than what explains it: by a breach, then by the rank of
    its device. Whether what explains it now is a breach."""
    device = device_number(one, memory.pool, entries.devices[place])
    if breached > ranked or (breached == ranked and memory.ranks[device] < memory.ranks[episode[DEVICE]]):
        episode[DEVICE] = device
        episode[VALUE] = entries.values[place]
        return breached
    return ranked


@inlined
def _reading_episodes(
    one: Series,
    memory: Memory,
    mine: Verdicts,
    room: Workplace,
    rule: Int,
    sustained_us: Int,
    before_us: Int,
    n_new: Int,
) -> Int:
    """Fill in the episodes of one rule as they are over the touched entries; the one that was running is there."""
    new = room.desk.new
    now = n_new
    if now:
        new[0, LAST] = before_us
        new[0, TOLD] = before_us - new[0, ONSET] >= sustained_us
    first = int(one.first)
    explained_us = NEVER  # the instant that the last episode is explained by
    ranked: Int = 0  # whether its reading is breached
    for place in range(first, one.count):
        active = (room.desk.active[place] >> rule) & 1
        t_us = room.entries.times_us[place]
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
            breached = (mine.breach[place - first] >> rule) & 1
            ranked = _explain(one, memory, room.entries, place, breached, ranked, last)
    return n_new


@inlined
def _can_change(episode: NDArray[np.int64], rule: Int, silence: bool, since: _Since) -> bool:
    """Whether it is one of the rule's that a touched instant can lie in, or ends."""
    if episode[RULE] != rule:
        return False
    return bool(episode[ONSET] > since.before_us if silence else episode[END] >= since.from_us)


@inlined
def _old_of(room: Workplace, n_known: Int, rule: Int, silence: bool, since: _Since) -> Int:
    """Fill in the known episodes of one rule that can change; how many."""
    n_old = 0
    for k in range(n_known):
        if _can_change(room.known[k], rule, silence, since):
            for column in range(EPISODE_WIDTH):
                room.desk.old[n_old, column] = room.known[k, column]
            n_old += 1
    return n_old


@inlined
def _settle(room: Workplace, n_known: Int, rule: Int, silence: bool, since: _Since, n_new: Int) -> Int:
    """The known episodes with the new ones of one rule in the place of those that could change; how many."""
    known = room.known
    stay = 0
    for k in range(n_known):
        if _can_change(known[k], rule, silence, since):
            continue
        for column in range(EPISODE_WIDTH):
            known[stay, column] = known[k, column]
        stay += 1
    skip = max(stay + n_new - len(known), 0)  # of absurdly many only the last ones can be kept
    for k in range(skip, n_new):
        for column in range(EPISODE_WIDTH):
            known[stay + k - skip, column] = room.desk.new[k, column]
    return stay + n_new - skip


@inlined
def _differing(one: Series, room: Workplace, n_known: Int, from_us: Int, running: Int) -> Int:
    """The rules that turn on or off at other touched instants than their known episodes do."""
    entries, desk, known = room.entries, room.desk, room.known
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
def _running(known: NDArray[np.int64], n_known: Int, from_us: Int) -> Int:
    """The rules of which a known episode runs when the touched entries begin."""
    running: Int = 0
    for k in range(n_known):
        if known[k, ONSET] < from_us <= known[k, END]:
            running |= np.int64(1) << known[k, RULE]
    return running


@inlined
def _renewed(
    one: Series,
    memory: Memory,
    mine: Verdicts,
    kinds: Kinds,
    room: Workplace,
    rule: Int,
    running: Int,
    before_us: Int,
    n_old: Int,
) -> Int:
    """Fill in the episodes of one rule as they are now; how many there are."""
    if kinds.silence_us[rule] > 0:
        wanted = (memory.profiles.masks[one.profile] >> rule) & 1 != 0
        return silences_of(one, memory, room, wanted, rule, kinds.silence_us[rule], n_old)
    n_new: Int = 0
    if (running >> rule) & 1:
        n_new = begin_episode(room.desk.new, 0, rule, room.desk.old[0, ONSET], 0, -1, 0)
    return _reading_episodes(one, memory, mine, room, rule, kinds.sustained_us[rule], before_us, n_new)


@part
def revise(
    one: Series,
    memory: Memory,
    patient: Int,
    mine: Verdicts,
    kinds: Kinds,
    room: Workplace,
    changes: NDArray[np.int64],
    n: Int,
) -> Int:
    """Say what follows from the touched entries, of which `mine` are the verdicts; how many changes there are now.
    -1 where there is no room for all that is to be said: then nothing has happened."""
    desk, known, times_us = room.desk, room.known, room.entries.times_us
    unpack(one, memory.pool, max(one.first - 1, 0), room.entries)
    since = _Since(times_us[one.first], times_us[one.first - 1] if one.first > 0 else left_us(one, memory.pool))
    n_known = recall(one, memory.pool, known)
    running = _running(known, n_known, since.from_us) & kinds.reading
    ever = _activity(one, times_us, memory.profiles.masks[one.profile], running, mine, kinds, desk)
    differ = _differing(one, room, n_known, since.from_us, running) & kinds.reading
    differ |= (running | ever) & kinds.reading & (-1 if one.flags & UNTOLD else kinds.slow)
    active: Int = desk.active[one.count - 1] & ~differ
    left: Int = differ | kinds.silences
    untold, changed = False, False
    while left:
        rule = lowest_bit(left)
        left &= left - 1
        silence = kinds.silence_us[rule] > 0
        n_old = _old_of(room, n_known, rule, silence, since)
        n_new = _renewed(one, memory, mine, kinds, room, rule, running, since.before_us, n_old)
        if n_old == 0 and n_new == 0:
            continue
        if n + n_old + 2 * n_new > len(changes):
            return -1
        changed = True
        n = difference(changes, n, rule, patient, int(one.row), desk, n_old, n_new)
        n_known = _settle(room, n_known, rule, silence, since, n_new)
        if n_new and desk.new[n_new - 1, END] == FOREVER:
            active |= np.int64(1) << rule
            untold = untold or desk.new[n_new - 1, TOLD] == 0
    if changed:
        keep(one, memory.pool, memory.heap, known, n_known, one.newest_us - memory.bounds.lateness_us)
    one.active = active
    one.flags = one.flags | UNTOLD if untold else one.flags & ~UNTOLD
    return n
