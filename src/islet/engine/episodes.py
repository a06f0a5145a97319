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

from islet.engine.kernel import Int, inlined, lowest_bit, part, prefetch
from islet.engine.pool import UNIT, has_room
from islet.engine.program import MOST_RULES, Program
from islet.engine.revise import Kinds, kinds_of, revise
from islet.engine.runs import entry_us, value_and_device
from islet.engine.said import CLEARED, OPENED, said
from islet.engine.series import FOREVER, NEVER, UNTOLD, UNTOUCHED, Memory, Profiles, Series
from islet.engine.told import add, end
from islet.engine.workplace import Verdicts, Workplace

AHEAD: Final = 16


@inlined
def _announce(one: Series, pool: NDArray[np.uint32], profiles: Profiles, breach: NDArray[np.int64], done: Int) -> None:
    """Have the episodes brought into the cache of a patient who will probably need them: whose alerts differ from what
    is breached, or of whom more than the newest reading is new."""
    enabled = profiles.masks[np.uint64(one.profile)]
    likely = np.uint64(min(done, len(breach) - 1))  # where each patient before had one evaluation
    if (breach[likely] ^ one.active) & enabled or one.first + 1 != one.count:
        begin = int(one.episodes) * UNIT  # of nobody, where there are none: to ask would cost more
        prefetch(pool, (begin,))
        prefetch(pool, (begin + 2 * UNIT,))


@inlined
def _is_simple(one: Series, pool: NDArray[np.uint32], turned: Int, kinds: Kinds) -> bool:
    """Whether this is the usual case: one new reading at the end, which follows and leaves no silence and turns none
    of the `slow` rules on or off, the silences among them."""
    if one.first < 1 or one.first + 1 != one.count or one.flags & UNTOLD or turned & kinds.slow:
        return False
    if kinds.shortest_us == FOREVER:
        return True
    return bool(one.newest_us - entry_us(one, pool, one.first - 1) <= kinds.shortest_us)


@part
def _turn(one: Series, memory: Memory, patient: Int, active: Int, changes: NDArray[np.int64], n: Int) -> Int:
    """Open and end the episodes that the newest reading turns on and off: what `revise` does, in few steps. How many
    changes there are now."""
    pool = memory.pool
    turned: Int = active ^ one.active
    value, device = value_and_device(one, pool, int(one.count) - 1)
    while turned:
        rule = lowest_bit(turned)
        turned &= turned - 1
        if (active >> rule) & 1:
            add(one, pool, memory.heap, rule, one.newest_us, one.newest_us - memory.bounds.lateness_us)
            n = said(changes, n, OPENED, rule, patient, one.newest_us, one.newest_us, int(one.row), device, value)
        else:
            onset_us = end(one, pool, rule, one.newest_us)
            if onset_us != NEVER:
                n = said(changes, n, CLEARED, rule, patient, onset_us, one.newest_us, int(one.row), -1, 0)
    one.active = active
    return n


@part
def fold(
    memory: Memory,
    touched: NDArray[np.int64],
    start: Int,
    done: Int,
    verdicts: Verdicts,
    program: Program,
    room: Workplace,
    changes: NDArray[np.int64],
    n: Int,
) -> tuple[Int, Int, Int]:
    """Write the changes that follow from the verdicts (as `evaluate` orders them; those on the patient at place `start`
    begin at `done`) from place n on; (the patient to go on with, where the verdicts on that one begin, how many changes
    there are now). Stops early where a larger pool or more room for changes is needed. Nothing is touched after."""
    pool, heap, profiles, breach = memory.pool, memory.heap, memory.profiles, verdicts.breach
    kinds = kinds_of(program)
    for k in range(start, len(touched)):
        if k + AHEAD < len(touched):
            _announce(memory.series[np.uint64(touched[np.uint64(k + AHEAD)])], pool, profiles, breach, done + AHEAD)
        patient = touched[np.uint64(k)]
        one = memory.series[np.uint64(patient)]
        enabled = profiles.masks[np.uint64(one.profile)]
        at = np.uint64(done)
        now_active = (breach[at] & enabled) | (one.active & ~(verdicts.clear[at] | ~enabled) & kinds.reading)
        if _is_simple(one, pool, now_active ^ one.active, kinds):
            if now_active != one.active:
                if not has_room(heap) or n + MOST_RULES > len(changes):
                    return k, done, n
                n = _turn(one, memory, patient, now_active, changes, n)
            done += 1
        else:
            if not has_room(heap):
                return k, done, n
            end = done + one.count - one.first
            mine = Verdicts(breach[done:end], verdicts.clear[done:end])
            after = revise(one, memory, patient, mine, kinds, room, changes, n)
            if after < 0:
                return k, done, n
            n = after
            done = end
        one.first = UNTOUCHED
    return len(touched), done, n
