"""What is said of episodes: the difference between what was told before and what is so now."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, making_part, part
from islet.engine.series import FOREVER, NEVER
from islet.engine.told import DEVICE, END, LAST, ONSET, RULE, TOLD, VALUE
from islet.engine.told import WIDTH as EPISODE_WIDTH

OPENED: Final = 0
CLEARED: Final = 1
RETRACTED: Final = 2
KINDS: Final = ("opened", "cleared", "retracted")

CHANGE_WIDTH: Final = 9
"""Columns of a change, int64: kind, rule, patient, onset, at, device (-1: none), value, replaced_by (NEVER: none),
row of the batch that caused it (-1: the time did)."""


class Desk(NamedTuple):
    """Room to work on one series: masks (m,) at its entries of the rules that are active there, and of those that turn
    on or off there otherwise than before; episodes (m, 7) of one rule as they were told (`old`) and as they are
    (`new`)."""

    active: NDArray[np.int64]
    turned: NDArray[np.int64]
    old: NDArray[np.int64]
    new: NDArray[np.int64]


@making_part
def new_desk(readings: Int) -> Desk:
    return Desk(
        np.zeros(readings, np.int64),
        np.zeros(readings, np.int64),
        np.empty((readings + 2, EPISODE_WIDTH), np.int64),
        np.empty((readings + 2, EPISODE_WIDTH), np.int64),
    )


@making_part
def more_room(rows: NDArray[np.int64], n: Int) -> NDArray[np.int64]:
    """The first n rows in an array twice as large."""
    width = rows.shape[1]
    larger = np.empty((2 * len(rows), width), np.int64)
    for k in range(n):  # an assignment of slices takes two seconds longer to compile
        for column in range(width):
            larger[k, column] = rows[k, column]
    return larger


@inlined
def said(
    changes: NDArray[np.int64],
    n: Int,
    kind: Int,
    rule: Int,
    patient: Int,
    onset: Int,
    at: Int,
    row: Int,
    device: Int,
    value: Int,
) -> Int:
    """One more change, at n, where there is room; how many there are now. `device`: -1 for what is about no reading."""
    place = np.uint64(n)
    changes[place, 0] = kind
    changes[place, 1] = rule
    changes[place, 2] = patient
    changes[place, 3] = onset
    changes[place, 4] = at
    changes[place, 5] = device
    changes[place, 6] = value
    changes[place, 7] = NEVER
    changes[place, 8] = row
    return n + 1


@part
def difference(
    changes: NDArray[np.int64], n: Int, rule: Int, patient: Int, row: Int, desk: Desk, n_old: Int, n_new: Int
) -> Int:
    """Say what makes the told episodes of `new` of those of `old`, both ascending and without overlap; how many changes
    there are now. They are at most n_old + 2 n_new more."""
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
            n = said(changes, n, OPENED, rule, patient, onset, onset, row, new[k, DEVICE], new[k, VALUE])
        if end != FOREVER:
            n = said(changes, n, CLEARED, rule, patient, onset, end, row, -1, 0)
    k = 0
    for i in range(n_old):
        if not old[i, TOLD]:
            continue
        onset, end = old[i, ONSET], old[i, END]
        while k < n_new and (new[k, END] <= onset or not new[k, TOLD]):
            k += 1
        if k < n_new and new[k, ONSET] == onset:
            continue
        n = said(changes, n, RETRACTED, rule, patient, onset, onset, row, -1, 0)
        if k < n_new and new[k, ONSET] < end:
            changes[n - 1, 7] = new[k, ONSET]
    return n


@inlined
def begin_episode(
    episodes: NDArray[np.int64], n: Int, rule: Int, onset: Int, told: Int, device: Int, value: Int
) -> Int:
    """One more episode at n, without an end yet; how many there are now."""
    episodes[n, RULE] = rule
    episodes[n, ONSET] = onset
    episodes[n, END] = FOREVER
    episodes[n, TOLD] = told
    episodes[n, DEVICE] = device
    episodes[n, VALUE] = value
    episodes[n, LAST] = onset
    return n + 1
