"""The rule about insulin on board has the same numbers as the curve that the portal and reports show."""

import re
from typing import Final

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from islet.engine.rules import load_rules
from islet.model.events import Insulin
from islet.model.time import EPOCH, MINUTE_US, from_us, to_us
from islet.patterns.insulin.action import on_board_u
from islet.patterns.insulin.curves import CURVES, left_share

RULE: Final = next(rule for rule in load_rules() if rule.name == "falling_with_insulin")
WINDOWS_MIN: Final = [
    int(minutes) for minutes in re.findall(r"SUM\(bolus_u\) OVER \([^)]*INTERVAL '(\d+)' MINUTE", RULE.sql)
]
BACK_MIN: Final = 400


def test_the_windows_end_where_the_curve_passes_odd_twelfths() -> None:
    left = left_share(np.arange(361.0), CURVES["rapid"])
    assert [int(np.abs(left - (12 - odd) / 12).argmin()) for odd in range(1, 12, 2)] == WINDOWS_MIN


@given(st.lists(st.tuples(st.integers(0, BACK_MIN), st.floats(0.1, 20.0)), max_size=6))
def test_the_rule_is_within_a_twelfth_of_the_doses_from_what_people_are_shown(doses: list[tuple[int, float]]) -> None:
    now_us = to_us(EPOCH) + BACK_MIN * MINUTE_US
    given = [Insulin(time=from_us(now_us - ago * MINUTE_US), dose_u=u, kind="bolus") for ago, u in doses]
    shown = float(on_board_u(np.array([now_us]), given)[0])
    by_rule = sum(u for window in WINDOWS_MIN for ago, u in doses if ago <= window) / len(WINDOWS_MIN)
    total = sum(u for _, u in doses)
    assert abs(shown - by_rule) <= total * (1 / 12 + 0.005) + 1e-9
