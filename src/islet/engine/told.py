"""What was said of a series: its episodes, in a block of the pool, for as long as a late reading could change them.

The first word holds how many there are, the second the size class of the block; then come four words an episode:
onset, rule and whether anybody was told in one number, the end in the other (FOREVER while it runs). Of one rule they
are ascending and do not overlap.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, part
from islet.engine.pool import UNIT, UNITS, allocate, give_back, long_at, put_long, size_for
from islet.engine.series import FOREVER, NEVER, Series

HEADER: Final = 2
EPISODE: Final = 4

MOST_EPISODES: Final = 2_000
"""Of one series: thirty of every rule within the lateness bound."""

RULE, ONSET, END, TOLD, DEVICE, VALUE, LAST = range(7)
WIDTH: Final = 7
"""Columns of an episode while one works with it: rule, onset, end, told; what it is explained by (device -1: nothing);
and its last active instant."""


@inlined
def recall(one: Series, pool: NDArray[np.uint32], known: NDArray[np.int64]) -> Int:
    """Fill in the episodes (n, WIDTH) as they were kept; how many there are, at most MOST_EPISODES."""
    if not one.episodes:
        return 0
    begin = int(one.episodes) * UNIT
    count: Int = np.int64(pool[begin])
    if count > MOST_EPISODES:
        count = MOST_EPISODES
    for k in range(count):
        packed = long_at(pool, begin + HEADER + EPISODE * k)
        known[k, RULE] = (packed >> 1) & 63
        known[k, ONSET] = packed >> 7
        known[k, END] = long_at(pool, begin + HEADER + EPISODE * k + 2)
        known[k, TOLD] = packed & 1
        known[k, DEVICE] = -1
        known[k, VALUE] = 0
        known[k, LAST] = known[k, END]
    return count


@part
def keep(
    one: Series, pool: NDArray[np.uint32], heap: NDArray[np.int64], known: NDArray[np.int64], count: Int, old_us: Int
) -> None:
    """Keep those of the first `count` episodes that end at `old_us` or after it (of too many, the last ones)."""
    stay = 0
    first = count
    while first > 0 and stay < MOST_EPISODES:
        first -= 1
        stay += known[first, END] >= old_us
    size = np.int64(pool[int(one.episodes) * UNIT + 1]) if one.episodes else -1
    need = size_for(HEADER + EPISODE * stay) if stay else -1
    if one.episodes and (stay == 0 or UNITS[size] < UNITS[need]):
        give_back(pool, heap, int(one.episodes), size)
        one.episodes = 0
    if stay == 0:
        return
    if not one.episodes:
        unit = allocate(pool, heap, need)
        one.episodes = unit
        size = need
    begin = int(one.episodes) * UNIT
    pool[begin] = stay
    pool[begin + 1] = size
    at = begin + HEADER
    for k in range(first, count):
        if known[k, END] >= old_us:
            put_long(pool, at, known[k, ONSET] << 7 | known[k, RULE] << 1 | known[k, TOLD])
            put_long(pool, at + 2, known[k, END])
            at += EPISODE


@part
def add(one: Series, pool: NDArray[np.uint32], heap: NDArray[np.int64], rule: Int, onset_us: Int, old_us: Int) -> None:
    """One more episode, which runs and has been told; it begins after all others of its rule. Where there is no room,
    those that ended before `old_us` are forgotten first."""
    if not one.episodes:
        unit = allocate(pool, heap, 0)
        pool[unit * UNIT] = 0
        pool[unit * UNIT + 1] = 0
        one.episodes = unit
    begin: Int = int(one.episodes) * UNIT
    count: Int = np.int64(pool[begin])
    size: Int = np.int64(pool[begin + 1])
    if count >= MOST_EPISODES or HEADER + EPISODE * (count + 1) > UNITS[size] * UNIT:
        count = _forget(pool, begin, count, old_us)
    if HEADER + EPISODE * (count + 1) > UNITS[size] * UNIT:
        larger = size_for(HEADER + EPISODE * (count + 1))
        unit = allocate(pool, heap, larger)
        for k in range(HEADER + EPISODE * count):
            pool[unit * UNIT + k] = pool[begin + k]
        give_back(pool, heap, int(one.episodes), size)
        one.episodes = unit
        begin = unit * UNIT
        pool[begin + 1] = larger
    at = begin + HEADER + EPISODE * count
    put_long(pool, at, onset_us << 7 | rule << 1 | 1)
    put_long(pool, at + 2, FOREVER)
    pool[begin] = count + 1


@part
def _forget(pool: NDArray[np.uint32], begin: Int, count: Int, old_us: Int) -> Int:
    """Close the ranks over those that ended before `old_us` (of too many, the first one); how many stay."""
    stay: Int = 0
    for k in range(int(count >= MOST_EPISODES), count):
        at = begin + HEADER + EPISODE * k
        if long_at(pool, at + 2) < old_us:
            continue
        for word in range(EPISODE):
            pool[begin + HEADER + EPISODE * stay + word] = pool[at + word]
        stay += 1
    return stay


@part
def end(one: Series, pool: NDArray[np.uint32], rule: Int, end_us: Int) -> Int:
    """Have the rule's episode that runs end; its onset, NEVER where it is among those that were too many."""
    begin = int(one.episodes) * UNIT
    for k in range(np.int64(pool[begin])):
        at = begin + HEADER + EPISODE * k
        if long_at(pool, at + 2) == FOREVER and (long_at(pool, at) >> 1) & 63 == rule:
            put_long(pool, at + 2, end_us)
            return long_at(pool, at) >> 7
    return NEVER
