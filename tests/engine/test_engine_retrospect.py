"""What a rule would have found in the past, by the real engine: the same as by hand."""

import pyarrow as pa

from islet.engine.parameters import NO_LAYERS, references
from islet.engine.retrospect import Found, episodes
from islet.engine.rules import load_rules, plan
from islet.model.time import MINUTE_US
from tests.engine.streams import NAMES

PLAN = plan([rule for rule in load_rules() if rule.name in NAMES])
BEGIN_US = 10**15


def found(mg_dl: dict[int, int], *, silent_until: int | None = None) -> list[Found]:
    """By the shipped rules, in readings (minute: mg/dL)."""
    batch = pa.record_batch(
        {
            "patient": ["anna"] * len(mg_dl),
            "device": ["cgm"] * len(mg_dl),
            "time_us": [BEGIN_US + minute * MINUTE_US for minute in mg_dl],
            "glucose_tenths": pa.array([value * 10 for value in mg_dl.values()], pa.int32()),
        }
    )
    until_us = None if silent_until is None else BEGIN_US + silent_until * MINUTE_US
    values = {"glucose_mg_dl": batch}
    return episodes(PLAN, references(PLAN, NO_LAYERS, []), values, silent_until_us=until_us)


def shown(all_found: list[Found]) -> list[tuple[str, int, int | None, float | None, float | None]]:
    return [
        (
            one.rule,
            (one.onset_us - BEGIN_US) // MINUTE_US,
            None if one.end_us is None else (one.end_us - BEGIN_US) // MINUTE_US,
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
