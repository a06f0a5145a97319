"""A pool of 32-bit words from which blocks of a few sizes are taken and given back.

The heap beside it (HEAP,) says which units are in use and how many of them lie in blocks given back, and for each size
where the first of those is; a free block's first word names the next one. Places count in units of eight words; unit
0 is never given, so that 0 can mean nothing.

A pool is tidied a few series at a time: new blocks come from elsewhere (BEGIN to END) until nothing that is needed is
left in what was used before (FROM to UPTO), which then is free as a whole.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, making_part, part

UNIT: Final = 8
UNITS: Final[NDArray[np.int64]] = np.array(
    [1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1026], np.int64
)
"""Units of each size class, all but the first even; the last one holds the longest run."""

BEGIN: Final = 0
END: Final = 1
LIMIT: Final = 2
FROM: Final = 3
UPTO: Final = 4
GIVEN_BACK: Final = 5
FREE: Final = 6
ROOM: Final = 2_200
"""Units: two of the largest blocks, and some."""
_ONE: Final = np.uint64(1)
HEAP: Final = FREE + len(UNITS)


def new_heap(words: int, begin: int = 1) -> NDArray[np.int64]:
    """Of a pool of that many words; the first block begins at that unit."""
    heap = np.zeros(HEAP, np.int64)
    heap[BEGIN] = heap[END] = begin
    heap[LIMIT] = words // UNIT
    return heap


@part
def size_for(words: Int) -> Int:
    """The smallest size class that holds that many words."""
    size = 0
    while UNITS[size] * UNIT < words:
        size += 1
    return size


@inlined
def has_room(heap: NDArray[np.int64]) -> bool:
    """Whether what a row or a series may need at once is there: a block of each kind."""
    return bool(heap[END] + ROOM <= heap[LIMIT])


@making_part
def grown(pool: NDArray[np.uint32], heap: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The pool with more room: behind what is being moved, where that is in the way, or a larger one."""
    if heap[END] <= heap[FROM]:
        heap[END] = heap[UPTO]
        heap[LIMIT] = len(pool) // UNIT
        if has_room(heap):
            return pool
    used = max(heap[END], heap[UPTO]) * UNIT
    more = np.empty(used + used // 2 + 2 * ROOM * UNIT, np.uint32)
    for k in range(used):
        more[k] = pool[k]
    heap[LIMIT] = len(more) // UNIT
    return more


@part
def give_back(pool: NDArray[np.uint32], heap: NDArray[np.int64], unit: Int, size: Int) -> None:
    """The block may be had again; not one where nothing is to stay."""
    if heap[FROM] <= unit < heap[UPTO]:
        return
    pool[unit * UNIT] = heap[FREE + size]
    heap[FREE + size] = unit
    heap[GIVEN_BACK] += UNITS[size]


@part
def allocate(pool: NDArray[np.uint32], heap: NDArray[np.int64], size: Int) -> Int:
    """The unit where a new block of that size begins. Whoever calls has seen to it that there is room.

    Two units are a cache line; a block of several begins with one. A unit that is left out for that is for the next
    block of one.
    """
    unit: Int = heap[FREE + size]
    if unit:
        heap[FREE + size] = pool[unit * UNIT]
        heap[GIVEN_BACK] -= UNITS[size]
        return unit
    unit = heap[END]
    if unit & 1 and size:
        heap[END] += 1
        for k in range(unit * UNIT, (unit + 1) * UNIT):  # the same state is the same bytes
            pool[k] = 0
        give_back(pool, heap, unit, 0)
        unit += 1
    heap[END] += UNITS[size]
    return unit


@inlined
def long_at(pool: NDArray[np.uint32], at: Int) -> Int:
    """The signed 64-bit number in two words."""
    place = np.uint64(at)  # an index without a sign: it need not be looked at whether it counts from the end
    return np.int64(pool[place]) | (np.int64(pool[place + _ONE]) << 32)


@inlined
def put_long(pool: NDArray[np.uint32], at: Int, value: Int) -> None:
    place = np.uint64(at)
    pool[place] = value & 0xFFFFFFFF
    pool[place + _ONE] = (value >> 32) & 0xFFFFFFFF
