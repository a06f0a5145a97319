"""What a rule would have found in the past, by the real engine: the same as by hand."""

from datetime import UTC, datetime

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.retrospect import Found, episodes
from islet.engine.rules import load_rules, plan
from islet.model.people import Patient
from islet.model.time import MINUTE_US, RECORDS_SINCE_US, to_us
from tests.engine.slow import expected_episodes
from tests.engine.streams import NAMES, Point

PLAN = plan([rule for rule in load_rules() if rule.name in NAMES])
BEGIN_US = 10**15


def found(mg_dl: dict[int, int], *, silent_until: int | None = None, begin_us: int = BEGIN_US) -> list[Found]:
    """By the shipped rules, in readings (minute: mg/dL)."""
    batch = pa.record_batch(
        {
            "patient": ["anna"] * len(mg_dl),
            "device": ["cgm"] * len(mg_dl),
            "time_us": [begin_us + minute * MINUTE_US for minute in mg_dl],
            "glucose_tenths": pa.array([value * 10 for value in mg_dl.values()], pa.int32()),
        }
    )
    until_us = None if silent_until is None else begin_us + silent_until * MINUTE_US
    values = {"glucose_mg_dl": batch}
    return episodes(PLAN, references(PLAN, NO_LAYERS, []), values, silent_until_us=until_us)


def shown(
    all_found: list[Found], begin_us: int = BEGIN_US
) -> list[tuple[str, int, int | None, float | None, float | None]]:
    return [
        (
            one.rule,
            (one.onset_us - begin_us) // MINUTE_US,
            None if one.end_us is None else (one.end_us - begin_us) // MINUTE_US,
            one.lowest,
            one.highest,
        )
        for one in all_found
    ]


def test_episodes_have_onset_end_and_extremes_in_whatever_order_the_rows_are() -> None:
    minutes = {0: 100, 5: 70, 10: 69, 15: 61, 70: 74, 75: 75, 300: 68, 305: 66}
    wanted = [("low", 10, 75, 61.0, 74.0), ("low", 300, None, 66.0, 68.0)]
    assert shown(found(minutes)) == wanted
    assert shown(found(dict(reversed(minutes.items())))) == wanted


def test_silence_is_found_only_when_asked_and_dated_by_the_last_reading() -> None:
    minutes = {0: 100, 5: 100, 65: 100}
    assert found(minutes) == []
    assert shown(found(minutes, silent_until=80)) == [("no_data", 25, 65, None, None)]
    assert shown(found(minutes, silent_until=90))[1:] == [("no_data", 85, None, None, None)]


@given(
    st.dictionaries(st.integers(0, 240), st.sampled_from([50, 55, 60, 69, 70, 75, 120, 240, 251]), min_size=1),
    st.integers(RECORDS_SINCE_US, to_us(datetime(2100, 12, 31, tzinfo=UTC))),
)
def test_the_past_from_1900_to_2100_is_that_of_the_slow_reference(minutes: dict[int, int], begin_us: int) -> None:
    now = max(minutes) + 30
    points = [Point(minute, value) for minute, value in minutes.items()]
    wanted = {
        (name.partition("~")[0], onset, end)
        for name, (onset, end) in expected_episodes(points, now).items()
        if not name.startswith("seed_demonstration")  # for simulated patients only
    }
    told = shown(found(minutes, silent_until=now, begin_us=begin_us), begin_us)
    assert {one[:3] for one in told} == wanted


def test_the_night_of_1989_is_by_the_summer_time_of_then() -> None:
    """Midnight in Vienna before 1 July 1989 was 22:00 UTC (GNU date); by winter time the hour after it was evening."""
    rules = plan([rule for rule in load_rules() if rule.name in ("low", "night_low")])
    times_us = [to_us(datetime(1989, 6, 30, 22, 5 * n, tzinfo=UTC)) for n in range(12)]
    values = {
        "glucose_mg_dl": pa.record_batch(
            {
                "patient": ["anna"] * 12,
                "device": ["cgm"] * 12,
                "time_us": times_us,
                "glucose_tenths": pa.array([600] * 12, pa.int32()),
            }
        )
    }
    vienna = references(rules, NO_LAYERS, [Patient(id="anna", time_zone="Europe/Vienna")])
    nights = [one.onset_us for one in episodes(rules, vienna, values) if one.rule == "night_low"]
    assert nights == [times_us[3]]
