"""Many comparisons of one quantity are looked up at once, and say what they say when they are made one by one."""

from itertools import product
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from islet.engine.rules import Rule, plan, read_rule
from tests.conftest import examples
from tests.rules.slowly import flags
from tests.rules.streams import Stream, Value

_AVERAGE = (
    "AVG(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts "
    "RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW)"
)


def _rule(number: int, condition: str, clear: str = "") -> Rule:
    ends = f'clear = "{clear}"\n' if clear else ""
    return read_rule(
        f'/*\nname = "tried_{number}"\ntitle = "Tried"\nseverity = "notice"\n{ends}*/\n'
        f"SELECT patient, device, ts FROM (SELECT patient, device, ts, glucose_mg_dl, {_AVERAGE} AS average"
        f" FROM readings) AS recent WHERE {condition}"
    )


_RULES = [
    _rule(number, f"{what} {how} {limit}" + more, clear)
    for number, (what, (limit, more, clear), how) in enumerate(
        product(
            ("glucose_mg_dl", "average"),
            (
                (70, "", "glucose_mg_dl > 75 OR glucose_mg_dl < 40"),
                (100.5, " OR glucose_mg_dl > 300", "glucose_mg_dl < 110 OR glucose_mg_dl > 290"),
                (101, " OR glucose_mg_dl = 71 AND average < 99", "glucose_mg_dl <= 100 OR glucose_mg_dl >= 120.1"),
            ),
            (">", ">=", "<", "<="),
        )
    )
]
_LOOKED_UP = plan(_RULES).streams["glucose_mg_dl"]
with patch("islet.engine.ladders._FEWEST", 1_000):
    _PLAN = plan(_RULES)
_MADE = _PLAN.streams["glucose_mg_dl"]
_LIMITS_TENTHS = (400, 700, 710, 750, 990, 1000, 1005, 1010, 1100, 1201, 2900, 3000)
_TENTHS = st.sampled_from(_LIMITS_TENTHS).flatmap(
    lambda limit: st.lists(
        st.tuples(st.integers(0, 20), st.integers(limit - 2, limit + 2) | st.integers(0, 15_000)), min_size=1
    )
)


@settings(max_examples=examples(80), deadline=None)
@given(_TENTHS)
def test_comparisons_that_are_looked_up_say_what_they_say_when_made(given: list[tuple[int, int]]) -> None:
    stream = Stream([Value(minute, tenths / 10) for minute, tenths in dict(given).items()])
    for found, expected in zip(flags(_PLAN, _LOOKED_UP, stream), flags(_PLAN, _MADE, stream), strict=True):
        assert found.tolist() == expected.tolist()


def test_many_comparisons_of_one_quantity_are_looked_up() -> None:
    looked_up, made = _LOOKED_UP.program, _MADE.program
    assert len(made.ladders.table) == 0
    assert len(looked_up.ladders.table) == 4  # breach: the value, the average rounded up and down; clear: the value
    assert len(looked_up.instructions) < 10 < 50 < len(made.instructions)
