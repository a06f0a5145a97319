"""What the engine keeps of one patient in one stream, and how it lies in memory.

A series is a record of a cache line. What has no fixed length lies in blocks of one pool of 32-bit words, and the
series says where: its run (the readings), its episodes, what people did (context), and its devices where there are
several. The pool and its heap are all of the memory; nothing here is an object of Python.
"""

from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, making_part
from islet.engine.pool import grown, has_room
from islet.model.time import SECOND_US

SERIES: Final = np.dtype(
    {
        "names": [
            "base_us", "newest_us", "received_us", "active", "profile", "row", "run", "episodes", "context", "device",
            "count", "first", "size", "flags",
        ],
        "formats": [
            np.int64, np.int64, np.int64, np.int64, np.int32, np.int32, np.uint32, np.uint32, np.uint32, np.int32,
            np.int16, np.int16, np.int8, np.int8,
        ],
        "itemsize": 64,
    }
)  # fmt: skip
"""One patient: 60 bytes in a cache line of its own."""


class Series(Protocol):
    """A record of SERIES, as the type checker sees it."""

    base_us: Int  # what the packed times of the run count from
    newest_us: Int
    received_us: Int  # when the last reading came in, by our clock
    active: Int  # rules whose episode (or silence) runs behind the newest reading
    profile: Int  # the patient's row in `Profiles`
    row: Int  # the row of the batch that touched it last
    run: Int  # unit of the pool; as the next two: 0, nothing there
    episodes: Int
    context: Int
    device: Int  # the only device of the run, or the unit of the table of several
    count: Int  # readings in the run
    first: Int  # first reading to be evaluated again, UNTOUCHED where there is none
    size: Int  # size class of the run
    flags: Int


WIDE: Final = 1
"""Flag: the run's entries are pairs of words."""
SEVERAL: Final = 2
"""Flag: `device` is a table."""
UNTOLD: Final = 4
"""Flag: an episode runs that has not lasted long enough to be told."""

UNTOUCHED: Final = -1
NEVER: Final = -(2**62)
FOREVER: Final = 2**62

MOST_READINGS: Final = 4_096
"""Of one run. A device every second fills it in an hour and eight minutes; more is a sender gone wild."""
MOST_DEVICES: Final = 256
MOST_VALUE: Final = 0xFFFF
"""Values are whole numbers from 0 to this."""

# An entry of a run is a whole number that orders readings by time, value and device. In one word: seconds since the
# base (16 bits), value (13), device (3); it is what nearly all sensors need. Else in two: microseconds (39), value
# (16), device (8).
NARROW_UNIT_US: Final = SECOND_US
NARROW_TIME_SHIFT: Final = 16
NARROW_VALUE_SHIFT: Final = 3
NARROW_TIMES: Final = 1 << 16
NARROW_VALUES: Final = 1 << 13
NARROW_DEVICES: Final = 1 << 3
WIDE_TIME_SHIFT: Final = 24
WIDE_VALUE_SHIFT: Final = 8
WIDE_TIMES: Final = 1 << 39

LONGEST_HORIZON_US: Final = WIDE_TIMES - 2**36
"""How far back windows and lateness together may reach: about six days (an entry's time has 39 bits)."""

RUN_HEADER: Final = 4
"""Words before a run's entries: time (two), value and device of the last reading that has left it."""


class Entries(NamedTuple):
    """A run unpacked, in its order: times, values, and the places of the devices in the series' table."""

    times_us: NDArray[np.int64]
    values: NDArray[np.int64]
    devices: NDArray[np.int64]


class Rows(NamedTuple):
    """A batch of readings in log order (n,): who, by which device, when, what, and when it came in."""

    patients: NDArray[np.int64]
    devices: NDArray[np.int64]
    times_us: NDArray[np.int64]
    values: NDArray[np.int32]
    received_us: NDArray[np.int64]


class ContextRows(NamedTuple):
    """A batch of what people did (n,): who, when, which context column (NOTHING: it only replaces what was said before),
    how much, and the key and rank of the entry."""

    patients: NDArray[np.int64]
    times_us: NDArray[np.int64]
    columns: NDArray[np.int64]
    amounts: NDArray[np.int64]
    keys: NDArray[np.int64]
    ranks: NDArray[np.int64]


class Profiles(NamedTuple):
    """The distinct rows of a reference (q,): rules that look, parameters (q, p), zones; and the zones (z, k, 2)."""

    masks: NDArray[np.int64]
    parameters: NDArray[np.int64]
    zone_of: NDArray[np.int64]
    zones: NDArray[np.int64]


class Bounds(NamedTuple):
    """How far back things matter: `lateness_us` behind the newest a reading still revises; `horizon_us` behind the
    newest readings are kept, `context_us` behind it what people did. `now_us`: the last tick."""

    lateness_us: int
    horizon_us: int
    context_us: int
    now_us: int


class Memory(NamedTuple):
    """What the kernels have before them: the series (patients,), pool and heap, the devices' ranks, by which the first of
    several is chosen (devices,), whom the rules are for, and how far back things matter. Only the pool is ever replaced:
    by a larger one."""

    series: NDArray[np.void]
    pool: NDArray[np.uint32]
    heap: NDArray[np.int64]
    ranks: NDArray[np.uint64]
    profiles: Profiles
    bounds: Bounds


@making_part
def with_room(memory: Memory) -> Memory:
    """The same memory, with a larger pool where there is no room in this one."""
    if has_room(memory.heap):
        return memory
    pool = grown(memory.pool, memory.heap)
    return Memory(memory.series, pool, memory.heap, memory.ranks, memory.profiles, memory.bounds)


ACCEPTED: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
HISTORY: Final = 3
OVERFLOW: Final = 4
EVALUATIONS: Final = 5
TALLIES: Final = 6
