"""A pool of 32-bit words from which blocks of a few sizes are taken and given back.

The heap beside it (HEAP,) says where the free rest begins, how much lies in blocks given back, and for each size
where the first of those is; a free block's first word names the next one. Places count in units of eight words; unit
0 is never given, so that 0 can mean nothing.
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

END: Final = 0
GIVEN_BACK: Final = 1
FREE: Final = 2
_ROOM: Final = 2_200
"""Units: two of the largest blocks, and some."""
_ONE: Final = np.uint64(1)
HEAP: Final = FREE + len(UNITS)


def new_heap() -> NDArray[np.int64]:
    heap = np.zeros(HEAP, np.int64)
    heap[END] = 1
    return heap


@part
def size_for(words: Int) -> Int:
    """The smallest size class that holds that many words."""
    size = 0
    while UNITS[size] * UNIT < words:
        size += 1
    return size


@inlined
def has_room(pool: NDArray[np.uint32], heap: NDArray[np.int64]) -> bool:
    """Whether what a row or a series may need at once is there: a block of each kind."""
    return bool((heap[END] + _ROOM) * UNIT <= len(pool))


@making_part
def grown(pool: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """The pool with more room."""
    more = np.empty(len(pool) + len(pool) // 8 + 2 * _ROOM * UNIT, np.uint32)
    for k in range(len(pool)):
        more[k] = pool[k]
    return more


@part
def give_back(pool: NDArray[np.uint32], heap: NDArray[np.int64], unit: Int, size: Int) -> None:
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
