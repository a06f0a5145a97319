"""Rules of one condition each, over made-up columns, and streams to try them on: for the tests of what the language means."""

import random
from itertools import cycle

from hypothesis import strategies as st

from islet.engine.program import CONTEXT_COLUMNS
from islet.engine.rules import Rule, read_rule
from tests.rules.streams import Event, Stream, Value

FRONT = '/*\nname = "{}"\ntitle = "Tried"\nseverity = "notice"\n{}*/\n'
LIMITS = (
    "[parameters.limit_mg_dl]\ndefault = 100\nmin = 60\nmax = 400\n"
    "[parameters.factor]\ndefault = 1.25\nmin = -2\nmax = 2\ndecimals = 2\n"
)


def over(minutes: int) -> str:
    """A window that ends now."""
    return (
        f"OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '{minutes}' MINUTE PRECEDING AND CURRENT ROW)"
    )


def tried(conditions: dict[str, tuple[str, ...]], table: str, columns: str) -> list[Rule]:
    """A rule for each condition, with the columns that a subquery has for it beside these."""
    rules = []
    for number, (condition, windows) in enumerate(conditions.items()):
        inner = ", ".join([columns, *windows])
        sql = (
            f"SELECT patient, device, ts FROM (SELECT {inner} FROM {table} JOIN patients USING (patient)) AS recent "
            f"WHERE {condition}"
        )
        rules.append(read_rule(FRONT.format(f"tried_{number}", "" if number else LIMITS) + sql))
    return rules


# Seconds that are no multiple of anything: a slope then never lies exactly on a limit, where a float would have to guess.
_MINUTES = st.tuples(st.integers(0, 120), st.sampled_from([0, 7, 13, 29, 41, 59])).map(lambda at: at[0] + at[1] / 60)
_VALUES = st.lists(
    st.builds(
        Value,
        _MINUTES,
        st.sampled_from([55.0, 60.1, 69.9, 70.0, 70.1, 79.9, 80.0, 100.0, 104.9, 105.0, 105.1, 110.0, 115.1, 240.0]),
        st.sampled_from(["p1", "p2"]),
    ),
    max_size=60,
    unique_by=lambda v: (round(v.us / 1_000_000), v.patient),
)
_EVENTS = st.lists(
    st.builds(Event, _MINUTES, st.sampled_from(CONTEXT_COLUMNS), st.sampled_from([0.0, 2.5, 10.0, 30.5, 45.0])),
    max_size=12,
)
STREAMS = st.builds(
    Stream,
    _VALUES,
    _EVENTS,
    patients=st.fixed_dictionaries(
        {
            "p1": st.fixed_dictionaries({"limit_mg_dl": st.sampled_from([60, 99.9, 100, 400]), "factor": st.sampled_from([-2, 0, 1.01])}),
            "p2": st.fixed_dictionaries({"profile": st.sampled_from(["", "pregnancy", "older"])}),
        }
    ),
    time_zone=st.sampled_from(["UTC", "Europe/Vienna", "America/St_Johns"]),
)  # fmt: skip


def dense(seed: int) -> Stream:
    """A stream in which something happens: three hours of two patients who eat, inject and move, as by those strategies."""
    choose = random.Random(seed)
    seconds = choose.sample([60 * minute + second for minute in range(121) for second in (0, 7, 13, 29, 41, 59)], 160)
    levels = [55.0, 60.1, 69.9, 70.0, 70.1, 79.9, 80.0, 100.0, 104.9, 105.0, 105.1, 110.0, 115.1, 240.0]
    values = [Value(second / 60, choose.choice(levels), choose.choice(["p1", "p2"])) for second in seconds[:60]]
    events = [
        Event(second / 60, column, choose.choice([0.0, 2.5, 10.0, 30.5, 45.0]), choose.choice(["p1", "p2"]))
        for second, column in zip(seconds[60:], cycle(CONTEXT_COLUMNS), strict=False)
        if choose.random() < 0.4
    ]
    known: dict[str, dict[str, float | str]] = {
        "p1": {"limit_mg_dl": 99.9, "factor": choose.choice([-2, 0, 1.01])},
        "p2": {"profile": "pregnancy"},
    }
    return Stream(values, events, patients=known, time_zone="America/St_Johns")
