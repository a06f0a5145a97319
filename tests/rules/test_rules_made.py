"""Rounding, remainders, and aggregates of what is made of a column: as DuckDB has them on the whole history."""

from collections import Counter

import pytest
from hypothesis import given, settings

from islet.engine.rules import plan
from tests.rules.asked import by_duckdb, by_the_engine
from tests.rules.slowly import breaches
from tests.rules.streams import Stream, tables
from tests.rules.tried import STREAMS, dense, over, tried

_LAG = "OVER (PARTITION BY patient ORDER BY ts)"


def _earlier(begin: int, end: int) -> str:
    return over(begin).replace("CURRENT ROW", f"INTERVAL '{end}' MINUTE PRECEDING")


def _slope(name: str, minutes: int) -> str:
    return f"REGR_SLOPE(glucose_mg_dl, time_min) {over(minutes)} AS {name}"


_N = f"COUNT(*) {over(20)} AS n"
_MEAN = f"AVG(glucose_mg_dl) {over(30)} AS mean"
_DEVIATION = f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation"

_ROUNDED = tried(
    {
        "ROUND(glucose_mg_dl) = 105 OR ROUND(glucose_mg_dl, -1) = 60": (),
        "ROUND(glucose_mg_dl * 0.25, 1) = 13.8 OR ROUND(-0.25 * glucose_mg_dl, 1) = -17.5": (),
        "ROUND(-glucose_mg_dl * 0.25, 1) = -13.8": (),
        "ROUND(glucose_mg_dl / 18.0182, 1) BETWEEN 3.9 AND 5.8": (),
        "ROUND(mean, 0) > 99 AND ROUND(glucose_mg_dl - mean, 0) < 4": (_MEAN,),
        "FLOOR(mean / 10) = 7 OR CEIL(-glucose_mg_dl / 7) = -15": (_MEAN,),
        "NOT FLOOR(previous / 7) > 11": (f"LAG(glucose_mg_dl) {_LAG} AS previous",),
        "FLOOR(limit_mg_dl / NULLIF(factor, 0)) > 97": (),
        "CEIL(glucose_mg_dl * factor / 10) < 7 AND FLOOR(glucose_mg_dl / 10) * 10 >= 70": (),
        "(glucose_mg_dl - 100) % 7.5 < -2 OR glucose_mg_dl % 10 = 0.1": (),
        "MOD(limit_mg_dl - glucose_mg_dl, 7) BETWEEN -3.5 AND 0.5": (),
        "EXTRACT(MINUTE FROM local_ts) % 15 > 7 AND glucose_mg_dl > 60": (),
        "CAST(glucose_mg_dl * 0.25 AS DECIMAL(8, 1)) = 13.8 OR CAST(glucose_mg_dl AS DECIMAL(6)) = 70": (),
        "HOUR(local_ts) * 60 + MINUTE(local_ts) > 130 AND glucose_mg_dl > 60": (),
        "slope - long < -0.313 AND n > 1": (_slope("slope", 20), _slope("long", 60), _N),
        "0.113 <= slope - long AND n > 1": (_slope("slope", 20), _slope("long", 60), _N),
        "100 * deviation / NULLIF(mean, 0) > 11": (_DEVIATION, _MEAN),
        "(deviation / NULLIF(mean, 0)) * 100 <= 13": (_DEVIATION, _MEAN),
    },
    "readings",
    "patient, device, ts, local_ts, time_min, glucose_mg_dl, limit_mg_dl, factor",
)  # fmt: skip

_LINES = tried(
    {
        "mean > 5.61": (f"AVG(glucose_mg_dl / 18.0182) {over(30)} AS mean",),
        "total > 101.5": (f"SUM(2 * glucose_mg_dl - limit_mg_dl) {over(30)} AS total",),
        "least < -5 AND most > -30.03": (f"MIN(100 - glucose_mg_dl) {over(30)} AS least", f"MAX(factor - glucose_mg_dl / 2) {over(30)} AS most"),
        "deviation > 1.253": (f"STDDEV_SAMP(-glucose_mg_dl / 10) {over(30)} AS deviation",),
        "slope < -0.0613 AND n > 1": (f"REGR_SLOPE(glucose_mg_dl / 18.0182 - 1, time_min) {over(20)} AS slope", _N),
        "previous > 150 OR first < -5": (f"LAG(glucose_mg_dl * 2 + 1) {_LAG} AS previous", f"FIRST_VALUE(limit_mg_dl - glucose_mg_dl) {over(30)} AS first"),
        "below < -2.03 OR n = 4": (f"AVG((limit_mg_dl - glucose_mg_dl) * factor) {over(30)} AS below", f"COUNT(glucose_mg_dl - 5) {over(30)} AS n"),
        "area > 20.3": (f"SUM(CASE WHEN glucose_mg_dl < limit_mg_dl THEN limit_mg_dl - glucose_mg_dl ELSE 0 END) {over(60)} AS area",),
        "outside >= 3": (f"SUM(CASE WHEN glucose_mg_dl < 70 OR glucose_mg_dl > 105 THEN 1 ELSE 0 END) {over(60)} AS outside",),
        "outside = 2": (f"COUNT_IF(glucose_mg_dl NOT BETWEEN 2 * factor + 70 AND limit_mg_dl) {over(60)} AS outside",),
        "n BETWEEN 1 AND 3": (f"COUNT_IF(glucose_mg_dl > limit_mg_dl OR glucose_mg_dl < 2 * factor + 100 AND NOT glucose_mg_dl IN (70, 105)) {over(60)} AS n",),
        "n > 2": (f"COUNT_IF(glucose_mg_dl <> 105 AND glucose_mg_dl > 60 AND glucose_mg_dl > limit_mg_dl - 35) {over(60)} AS n",),
        "n BETWEEN 2 AND 4": (f"COUNT_IF(glucose_mg_dl > CASE WHEN profile = 'pregnancy' THEN 79.9 ELSE 105 END) {over(40)} AS n",),
        "points > 2.2": (f"SUM(CASE WHEN glucose_mg_dl < 60 THEN 3 WHEN glucose_mg_dl < limit_mg_dl THEN 1.5 ELSE -0.5 END) {over(60)} AS points",),
        "total IS NULL OR total > 220": (f"SUM(CASE WHEN glucose_mg_dl > 100 THEN glucose_mg_dl END) {over(20)} AS total",),
        "NOT mean > 85.03": (f"AVG(CASE WHEN glucose_mg_dl BETWEEN 70 AND 110 THEN glucose_mg_dl END) {over(30)} AS mean",),
        "share > 0.41 AND n < 4": (f"AVG(CASE WHEN glucose_mg_dl > 100 THEN 1 WHEN glucose_mg_dl > 75 THEN NULL ELSE 0 END) {over(60)} AS share", f"COUNT(CASE WHEN glucose_mg_dl IS NOT NULL AND glucose_mg_dl < limit_mg_dl THEN glucose_mg_dl END) {over(60)} AS n"),
        "points = 3": (f"SUM(CASE glucose_mg_dl WHEN 70 THEN 2 WHEN 105 THEN 1 ELSE 0 END) {over(60)} AS points",),
        "was_low AND NOT all_high": (f"BOOL_OR(glucose_mg_dl < 60) {over(30)} AS was_low", f"BOOL_AND(glucose_mg_dl >= 70) {over(60)} AS all_high"),
        "before - mean > 3.01": (f"AVG(glucose_mg_dl) {_earlier(60, 20)} AS before", _MEAN),
        "NOT before > 100 OR before IS NULL AND glucose_mg_dl > 100": (f"AVG(glucose_mg_dl) {_earlier(30, 13)} AS before",),
        "COALESCE(total, 0) < 150 AND first > 60": (f"SUM(glucose_mg_dl) {_earlier(40, 10)} AS total", f"FIRST_VALUE(glucose_mg_dl) {_earlier(60, 10)} AS first"),
        "n > 1 AND slope < -0.013 OR deviation > 10.1": (f"COUNT(*) {_earlier(60, 20)} AS n", f"REGR_SLOPE(glucose_mg_dl, time_min) {_earlier(60, 20)} AS slope", f"STDDEV_SAMP(glucose_mg_dl) {_earlier(60, 20)} AS deviation"),
        "lows > 0 AND share < 66": (f"SUM(CASE WHEN glucose_mg_dl < limit_mg_dl THEN 1 ELSE 0 END) {_earlier(60, 20)} AS lows", f"AVG(CASE WHEN glucose_mg_dl > 100 THEN 100 ELSE 0 END) {_earlier(60, 20)} AS share"),
        "NOT low_before": (f"BOOL_OR(glucose_mg_dl < limit_mg_dl) {_earlier(30, 10)} AS low_before",),
        "since > 10.004 OR since IS NULL AND glucose_mg_dl < 60": (f"time_min - MAX(CASE WHEN glucose_mg_dl >= limit_mg_dl THEN time_min END) {over(60)} AS since",),
    },
    "readings",
    "patient, device, ts, local_ts, time_min, glucose_mg_dl, limit_mg_dl, factor",
)  # fmt: skip

_EVENTS = tried(
    {
        "meals >= 2 AND glucose_mg_dl > 1": (f"COUNT(CASE WHEN carbs_g >= 10 THEN 1 END) {over(60)} AS meals",),
        "units > 30.5 AND glucose_mg_dl > 1": (f"SUM(CASE WHEN bolus_u > 2.5 THEN bolus_u ELSE 0 END) {over(90)} AS units",),
        "(carbs IS NULL OR carbs > 50) AND glucose_mg_dl > 1": (f"SUM(CASE WHEN carbs_g > limit_mg_dl - 80 THEN carbs_g END) {over(90)} AS carbs",),
        "NOT mean > 21 AND glucose_mg_dl > 1": (f"AVG(CASE WHEN carbs_g < 40 THEN carbs_g * 2 - 1 END) {over(90)} AS mean",),
        "since > 30.004 AND glucose_mg_dl > 1": (f"time_min - MAX(CASE WHEN bolus_u >= 2.5 THEN time_min END) {over(90)} AS since",),
        "(since IS NULL OR since < 5.004) AND glucose_mg_dl > 1": (f"time_min - MAX(CASE WHEN carbs_g IS NOT NULL THEN time_min END) {over(60)} AS since",),
        "(ate OR NOT moved) AND glucose_mg_dl > 1": (f"BOOL_OR(carbs_g > 20) {over(30)} AS ate", f"BOOL_AND(exercise_min > 5) {over(60)} AS moved"),
        "little = 1 AND COALESCE(before, 0) > 9 AND glucose_mg_dl > 1": (f"COUNT_IF(NOT carbs_g > 20) {over(60)} AS little", f"SUM(carbs_g) {_earlier(90, 30)} AS before"),
        "(tens > 2.3 OR least < -35) AND glucose_mg_dl > 1": (f"AVG(carbs_g / 10) {over(60)} AS tens", f"MIN(-carbs_g) {over(90)} AS least"),
        "area > 20.3 AND glucose_mg_dl > 1": (f"SUM(CASE WHEN glucose_mg_dl < 100 THEN 100 - glucose_mg_dl ELSE 0 END) {over(60)} AS area",),
    },
    "timeline",
    "patient, device, ts, local_ts, time_min, glucose_mg_dl, limit_mg_dl",
)  # fmt: skip

PLANS = {"rounded": plan(_ROUNDED), "lines": plan(_LINES), "events": plan(_EVENTS)}
RULES = {"rounded": _ROUNDED, "lines": _LINES, "events": _EVENTS}


@pytest.mark.parametrize("kind", PLANS)
@given(stream=STREAMS)
@settings(deadline=None, max_examples=10)
def test_a_program_flags_what_duckdb_flags(kind: str, stream: Stream) -> None:
    assert breaches(PLANS[kind], stream) == by_duckdb(PLANS[kind], tables(stream, PLANS[kind]))


@pytest.mark.parametrize("kind", PLANS)
@given(stream=STREAMS)
@settings(deadline=None, max_examples=10)
def test_the_engine_flags_what_duckdb_flags(kind: str, stream: Stream) -> None:
    assert by_the_engine(RULES[kind], stream) == by_duckdb(PLANS[kind], tables(stream, PLANS[kind]))


@pytest.mark.parametrize("kind", PLANS)
def test_each_condition_is_sometimes_true_and_sometimes_not(kind: str) -> None:
    ready, found, values = PLANS[kind], Counter[str](), 0
    for seed in range(6):
        stream = dense(seed)
        wanted = by_duckdb(ready, tables(stream, ready))
        assert breaches(ready, stream) == by_the_engine(RULES[kind], stream) == wanted
        found.update({name: len(places) for name, places in wanted.items()})
        values += len(stream.values)
    assert [rule.name for rule in ready.rules if not 0 < found[rule.name] < values] == []
