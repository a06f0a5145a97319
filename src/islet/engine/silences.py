"""Silences: episodes of no reading, said when one comes late, and when the time has come (`fold_tick`)."""

import numpy as np
from numpy.typing import NDArray

from islet.engine.kernel import Int, inlined, kernel, part
from islet.engine.pool import UNIT, has_room
from islet.engine.runs import last_of_instant, left_us
from islet.engine.said import CHANGE_WIDTH, CLEARED, OPENED, begin_episode, more_room, said
from islet.engine.series import FOREVER, NEVER, Memory, Series, with_room
from islet.engine.told import END, MOST_EPISODES, ONSET, RULE, keep, recall
from islet.engine.told import WIDTH as EPISODE_WIDTH
from islet.engine.workplace import Workplace


@inlined
def silences_of(
    one: Series, memory: Memory, room: Workplace, wanted: bool, rule: Int, length_us: Int, n_old: Int
) -> Int:
    """Fill in the silences behind the touched entries and the one before them, as they are."""
    pool, entries, desk = memory.pool, room.entries, room.desk
    n_new: Int = 0
    ran = n_old > 0 and desk.old[n_old - 1, END] == FOREVER
    place = int(one.first) - 1
    if place < 0 and left_us(one, pool) == NEVER:
        place = 0
    while place < one.count:
        t_us = entries.times_us[place] if place >= 0 else left_us(one, pool)
        following = place + 1
        if following == one.count:
            known = ran and desk.old[n_old - 1, ONSET] == t_us + length_us
            silent = ran and (known or memory.bounds.now_us - t_us >= length_us)
            end_us = FOREVER
        else:
            end_us = entries.times_us[following]
            silent = end_us - t_us > length_us
        if wanted and silent:
            if place >= 0:
                _, value, device = last_of_instant(one, pool, place, memory.ranks)
            else:
                value = np.int64(pool[int(one.run) * UNIT + 2])
                device = np.int64(pool[int(one.run) * UNIT + 3])
            n_new = begin_episode(desk.new, n_new, rule, t_us + length_us, 1, device, value)
            desk.new[n_new - 1, END] = end_us
        place += 1
    return n_new


@part
def _look(
    one: Series,
    memory: Memory,
    patient: Int,
    rule: Int,
    length_us: Int,
    known: NDArray[np.int64],
    changes: NDArray[np.int64],
    n: Int,
) -> Int:
    """Turn the silence behind the newest reading on or off, for which there has to be room; how many changes there are
    now."""
    bit = np.int64(1) << rule
    onset = one.newest_us + length_us
    n_known = recall(one, memory.pool, known)
    if one.active & bit == 0:
        _, value, device = last_of_instant(one, memory.pool, one.count - 1, memory.ranks)
        n_known = begin_episode(known, n_known, rule, onset, 1, device, value)
        n = said(changes, n, OPENED, rule, patient, onset, onset, -1, device, value)
        one.active |= bit
    else:
        for k in range(n_known):
            if known[k, RULE] == rule and known[k, END] == FOREVER:
                onset = known[k, ONSET]
                known[k, END] = NEVER
        n = said(changes, n, CLEARED, rule, patient, onset, memory.bounds.now_us, -1, -1, 0)
        one.active &= ~bit
    keep(one, memory.pool, memory.heap, known, n_known, one.newest_us - memory.bounds.lateness_us)
    return n


@part
def _silent(
    memory: Memory,
    start: Int,
    stop: Int,
    silence_us: NDArray[np.int64],
    grace_us: Int,
    known: NDArray[np.int64],
    changes: NDArray[np.int64],
    n: Int,
) -> tuple[Int, Int]:
    """Look at the patients from `start` on; (the one to go on with, how many changes there are now). Stops early where a
    larger pool or more room for changes is needed."""
    now_us = memory.bounds.now_us
    for patient in range(start, stop):
        one = memory.series[np.uint64(patient)]
        if one.count == 0 or now_us - one.received_us < grace_us:
            continue
        for rule in range(len(silence_us)):
            length_us = silence_us[rule]
            if length_us == 0 or now_us - one.newest_us < length_us:
                continue
            bit = np.int64(1) << rule
            if (one.active & bit != 0) == (memory.profiles.masks[one.profile] & bit != 0):
                continue
            if not has_room(memory.heap) or n == len(changes):
                return patient, n
            n = _look(one, memory, patient, rule, length_us, known, changes, n)
    return stop, n


@kernel
def fold_tick(
    memory: Memory, patients: Int, silence_us: NDArray[np.int64], grace_us: Int
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The pool, and the changes (n, CHANGE_WIDTH) that follow from the time alone: silences behind the newest readings
    that are long enough by now, and an end for those that run although their rule has been switched off for the
    patient.

    A patient of whom a reading came in less than `grace_us` ago is not silent, however old the reading: a device that
    was offline is telling what it kept.
    """
    changes = np.empty((256, CHANGE_WIDTH), np.int64)
    known = np.empty((MOST_EPISODES + 1, EPISODE_WIDTH), np.int64)
    n: Int = 0
    patient: Int = 0
    while patient < patients:
        patient, n = _silent(memory, patient, patients, silence_us, grace_us, known, changes, n)
        if not has_room(memory.heap):
            memory = with_room(memory)
        elif patient < patients:
            changes = more_room(changes, n)
    return memory.pool, changes[:n]
