"""DuckDB runs each shipped rule's own text on the whole history; the engine has to flag exactly the same values.

The streams are made so that every rule is breached somewhere: a test in which nothing happens agrees with everything.
"""

import random
from functools import cache

import pytest

from islet.engine.rules import Rule, load_rules, plan
from islet.engine.tables import PROMPTS, STATUSES
from tests.rules.asked import Found, by_duckdb, by_the_engine
from tests.rules.streams import Event, Stream, Value, tables

PLAN = plan(load_rules())
ASKED = {
    quantity: [rule for rule in ready.rules if "last_readings" not in rule.sql]
    for quantity, ready in PLAN.streams.items()
}
_RANGES = {
    "pulse_bpm": (30, 150),
    "systolic_mm_hg": (80, 200),
    "diastolic_mm_hg": (60, 130),
    "battery_percent": (0, 100),
    "status": (0, len(STATUSES) - 1),
    "prompt": (0, len(PROMPTS) - 1),
}
_SEEDS = (1, 2)


def _glucose(seed: int) -> Stream:
    """A day of four patients: drifts, slopes, plateaus, notches and gaps, at times that are no multiple of anything."""
    choose = random.Random(seed)
    values, events = list[Value](), list[Event]()
    for patient in ("p1", "p2", "p3", "p4"):
        minute, level, slope = choose.uniform(0, 5), choose.uniform(80, 220), 0.0
        left, notch, depth = 0, 0, 0
        while minute < 1440:
            if left == 0:
                left, slope = choose.randint(6, 30), choose.choice([0, 0, -3.6, -2.3, -1.1, 1.2, 2.4, 3.7])
                notch, depth = choose.randint(0, 3), choose.choice([40, 40, 90])
            left -= 1
            level = min(max(level + slope * 5, 45), 330)
            shown = level + choose.choice([0, 0.3, -0.4]) - (depth if notch and left in (2, 3) else 0)
            if slope == 0 and notch == 0:
                shown = round(level)  # stuck
            values.append(Value(round(minute * 60) / 60, round(max(shown, 41), 1), patient))
            if choose.random() < 0.05:
                column = choose.choice(["carbs_g", "carbs_g", "bolus_u", "exercise_min"])
                events.append(Event(round(minute * 60 + 17) / 60, column, choose.choice([0.5, 15, 33.5, 60]), patient))
            minute += choose.choice([4.9, 5.0, 5.1, 5.02, 11.3]) if choose.random() < 0.98 else choose.uniform(20, 90)
    known: dict[str, dict[str, float | str]] = {
        "p2": {"low_alarm_mg_dl": 90, "high_mg_dl": 140},
        "p3": {"high_alarm_mg_dl": 180.5, "meal_g": 15},
    }
    return Stream(values, events, patients=known, time_zone="Europe/Vienna")


def _other(quantity: str, seed: int) -> Stream:
    choose = random.Random(seed)
    low, high = _RANGES[quantity]
    values = [Value(3 * n, choose.randint(low, high), choose.choice(["p1", "p2"])) for n in range(300)]
    return Stream(values, quantity=quantity)


@cache
def _both(quantity: str, seed: int) -> tuple[dict[str, Found], dict[str, Found]]:
    stream = _glucose(seed) if quantity == "glucose_mg_dl" else _other(quantity, seed)
    asked = plan(ASKED[quantity], beside=PLAN.rules)
    return by_the_engine(ASKED[quantity], stream), by_duckdb(asked, tables(stream, PLAN))


@pytest.mark.parametrize(
    ("quantity", "rule"),
    [(quantity, rule) for quantity, rules in ASKED.items() for rule in rules],
    ids=lambda one: one.name if isinstance(one, Rule) else "",
)
def test_the_engine_flags_what_duckdb_flags_on_the_whole_history(quantity: str, rule: Rule) -> None:
    flagged = [(found[rule.name], wanted[rule.name]) for found, wanted in (_both(quantity, seed) for seed in _SEEDS)]
    assert any(wanted for _, wanted in flagged), "nothing happens in this stream"
    for found, wanted in flagged:
        assert found == wanted
