"""What a person has eaten, from the store, as the engine knows it: one meal of one device at one instant is one."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from islet.engine.program import CONTEXT_COLUMNS, CONTEXT_SCALE
from islet.engine.quantities import context
from islet.model.ahead import EATEN_POINTS, EATEN_US, STEP_MIN
from islet.model.time import DAY_US, MINUTE_US
from islet.model.topics import Topic
from islet.store.base import Store, as_entries

_CARBS: Final = CONTEXT_COLUMNS.index("carbs_g")
_GRAM: Final = np.float32(1 / CONTEXT_SCALE[_CARBS])
_MOST_EVENTS: Final = 1_000  # a day
_STEP_US: Final = STEP_MIN * MINUTE_US


def eaten(store: Store, patient: str, at_us: NDArray[np.int64]) -> NDArray[np.float32]:
    """Carbs in g (n, EATEN_POINTS) of the hour up to each of the instants (n,), which ascend; n >= 1."""
    from_us, to_us = int(at_us[0]) - EATEN_US + 1, int(at_us[-1]) + 1
    most = _MOST_EVENTS * -(-(to_us - from_us) // DAY_US)
    acts = context(as_entries(store.documents(Topic.CARE_EVENTS, patient, from_us, to_us, limit=most)))
    told = set(zip(*(acts[name].to_pylist() for name in ("time_us", "column", "key", "amount")), strict=True))
    amounts = np.zeros((len(at_us), EATEN_POINTS), np.float32)
    for time_us, column, _, amount in told:
        if column == _CARBS:
            rows = np.arange(*np.searchsorted(at_us, (time_us, time_us + EATEN_US)))
            amounts[rows, (at_us[rows] - time_us) // _STEP_US] += amount
    return amounts * _GRAM
