"""Events, warnings and what they are worth."""

import numpy as np

from islet.forecast.alarms import Tally, onsets, tally, total


def _trace(*pieces: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(n, v, np.float32) for v, n in pieces])


def test_an_event_is_a_quarter_of_an_hour_below_70() -> None:
    assert onsets(_trace((70, 4), (69, 2), (70, 4), (69, 3), (71, 2)), 70) == [10]
    assert onsets(_trace((69, 9), (100, 3)), 70) == []  # it had begun before


def test_a_warning_before_the_event_is_true_and_its_lead_counts_from_the_first() -> None:
    glucose = _trace((100, 20), (60, 5), (100, 20))
    warned = np.zeros(len(glucose), bool)
    warned[[16, 17]] = True
    found = tally(glucose, warned, line=70, horizon=6)
    assert (found.events, found.foretold, found.leads_min, found.alarms, found.false) == (1, 1, (20,), 1, 0)


def test_a_warning_too_early_or_after_the_fact_is_none() -> None:
    glucose = _trace((100, 20), (60, 5), (100, 20))
    warned = np.zeros(len(glucose), bool)
    warned[[10, 21]] = True
    found = tally(glucose, warned, line=70, horizon=6)
    assert (found.foretold, found.alarms, found.false) == (0, 1, 1)


def test_a_second_warning_is_heard_after_half_an_hour_only() -> None:
    glucose = _trace((100, 60))
    found = tally(glucose, np.ones(60, bool), line=70, horizon=6)
    assert found.alarms == found.false == 9  # points 0, 6, … 48; from 54 on the horizon is not whole


def test_tallies_add_up() -> None:
    both = total([Tally(events=2, foretold=1, leads_min=(10,), alarms=3, false=2, days=1.0), Tally(events=2, days=1.0)])
    assert (both.sensitivity, both.false_a_day, both.lead_min) == (0.25, 1.0, 10.0)
