"""What the language means: DuckDB runs each text on the whole history; the planned program has to agree on every row."""

import pytest
from hypothesis import given, settings

from islet.engine.rules import plan, read_rule
from tests.rules.asked import by_duckdb, by_the_engine
from tests.rules.slowly import breaches
from tests.rules.streams import Stream, tables
from tests.rules.tried import FRONT, LIMITS, STREAMS, over, tried

_SLOPE = f"REGR_SLOPE(glucose_mg_dl, time_min) {over(20)} AS slope"
_ELAPSED = f"time_min - MIN(time_min) {over(20)} AS elapsed_min"  # DuckDB's slope through one instant is NaN, not NULL
_LAG = "OVER (PARTITION BY patient ORDER BY ts)"


_WRITTEN = (
    "with recent as (select *, avg(glucose_mg_dl) over w as mean, COUNT(1) OVER W AS n from Readings "
    "window w as (partition by patient order by ts asc range interval '10 minutes' preceding)), "
    "more AS (SELECT *, mean - glucose_mg_dl AS below FROM recent AS r) SELECT m.patient, m.device, m.ts AS ts "
    "FROM more AS m JOIN patients AS p USING (patient) WHERE m.below > 5 AND p.low_mg_dl < m.glucose_mg_dl AND m.n > 1",
    "WITH readings AS (SELECT patient, device, ts, glucose_mg_dl * 2 AS twice FROM readings) "
    "SELECT * FROM readings WHERE twice < 160",
    "SELECT patient, device, ts FROM (SELECT *, MAX(glucose_mg_dl) OVER (PARTITION BY patient ORDER BY ts RANGE BETWEEN "
    "INTERVAL 1 day PRECEDING AND current row) AS highest FROM readings) AS r WHERE highest > 2 * glucose_mg_dl",
)
"""The same things, in other ways that SQL has for them."""

_READING_RULES = tried(
    {
        "glucose_mg_dl < 70.05 OR glucose_mg_dl * 1.1 > 120.3": (),
        "glucose_mg_dl / 3 > 33.3 AND NOT glucose_mg_dl IN (104.9, 105, 110)": (),
        "average > 105.5 AND NOT lowest < 80": (f"AVG(glucose_mg_dl) {over(10)} AS average", f"MIN(glucose_mg_dl) {over(60)} AS lowest"),
        "n >= 3 AND highest - lowest >= 20.5": (f"COUNT(*) {over(10)} AS n", f"MAX(glucose_mg_dl) {over(10)} AS highest", f"MIN(glucose_mg_dl) {over(10)} AS lowest"),
        "total BETWEEN 200 AND 310.1 OR total = 100": (f"SUM(glucose_mg_dl) {over(10)} AS total",),
        "short - long > 2 OR glucose_mg_dl * 2 <> short + long": (f"AVG(glucose_mg_dl) {over(10)} AS short", f"AVG(glucose_mg_dl) {over(60)} AS long"),
        "-glucose_mg_dl < -3 * 35 AND n > 2 OR (glucose_mg_dl <= 55)": (f"COUNT(glucose_mg_dl) {over(60)} AS n",),
        "glucose_mg_dl > limit_mg_dl * factor OR profile = 'pregnancy' AND glucose_mg_dl > 79": (),
        "profile NOT IN ('pregnancy', 'older') AND glucose_mg_dl * factor < glucose_mg_dl - 20": (),
        "CASE WHEN profile = 'pregnancy' THEN limit_mg_dl ELSE high_mg_dl - 50 END < average": (f"AVG(glucose_mg_dl) {over(10)} AS average",),
        "CASE WHEN spread > 100 THEN 1 WHEN glucose_mg_dl > 100 THEN 2.5 ELSE factor END >= 1.5": (f"VAR_SAMP(glucose_mg_dl) {over(30)} AS spread",),
        "deviation > 12.5": (f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation",),
        "NOT deviation > 12.5": (f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation",),
        "2 * deviation <= glucose_mg_dl - 80 OR deviation IS NULL": (f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation",),
        "slope > 1.3 AND elapsed_min > 0.005": (_SLOPE, _ELAPSED),
        "NOT (slope < 0.7) AND elapsed_min > 0.005 OR glucose_mg_dl < 60": (_SLOPE, _ELAPSED),
        "elapsed_min > 0.005 AND ABS(slope) < 1.3 AND glucose_mg_dl + 20 * slope > 100": (_SLOPE, _ELAPSED),
        "elapsed_min >= 17.505 AND last - first > 3.003 * elapsed_min": (f"time_min - MIN(time_min) {over(20)} AS elapsed_min", f"FIRST_VALUE(glucose_mg_dl) {over(20)} AS first", f"LAST_VALUE(glucose_mg_dl) {over(20)} AS last"),
        "ABS(glucose_mg_dl - previous) > 5.003 * since_min": (f"LAG(glucose_mg_dl) {_LAG} AS previous", f"time_min - LAG(time_min) {_LAG} AS since_min"),
        "NOT (previous > 100) OR since_min > 40.004": (f"LAG(glucose_mg_dl) {_LAG} AS previous", f"time_min - LAG(time_min) {_LAG} AS since_min"),
        "(previous IS NULL AND glucose_mg_dl > 60) OR NOT since_min > 10.004": (f"LAG(glucose_mg_dl) {_LAG} AS previous", f"time_min - LAG(time_min) {_LAG} AS since_min"),
        "EXTRACT(HOUR FROM local_ts) BETWEEN 1 AND 2 AND glucose_mg_dl < 100": (),
        "EXTRACT(HOUR FROM local_ts) * 60 + EXTRACT(MINUTE FROM local_ts) >= 121 AND glucose_mg_dl > 60": (),
        "deviation > 0.11 * average": (f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation", f"AVG(glucose_mg_dl) {over(60)} AS average"),
        "NOT glucose_mg_dl - average <= 1.1 * deviation": (f"STDDEV(glucose_mg_dl) {over(30)} AS deviation", f"AVG(glucose_mg_dl) {over(60)} AS average"),
        "short >= 1.7 * long": (f"STDDEV_SAMP(glucose_mg_dl) {over(15)} AS short", f"STDDEV_SAMP(glucose_mg_dl) {over(60)} AS long"),
        "glucose_mg_dl > CASE profile WHEN 'pregnancy' THEN 75 WHEN 'older' THEN previous END": (f"LAG(glucose_mg_dl, 1) {_LAG} AS previous",),
        "NOT CASE WHEN previous > 100 THEN previous WHEN previous < 70 THEN NULL ELSE glucose_mg_dl END > 104": (f"LAG(glucose_mg_dl) {_LAG} AS previous",),
        "COALESCE(NULLIF(previous, 100), NULL, total - 60, 5) > limit_mg_dl": (f"LAG(glucose_mg_dl) {_LAG} AS previous", f"SUM(glucose_mg_dl) {over(10)} AS total"),
        "GREATEST(glucose_mg_dl, limit_mg_dl, 80) > 1.2 * LEAST(glucose_mg_dl, high_mg_dl)": (),
        "IF(profile = 'pregnancy', 70.05, 100) < glucose_mg_dl AND 'older' <> profile": (),
        "glucose_mg_dl / NULLIF(limit_mg_dl, 0) > 1.05 OR total / n < 69.95": (f"SUM(glucose_mg_dl) {over(10)} AS total", f"COUNT(*) {over(10)} AS n"),
        "glucose_mg_dl / NULLIF(factor, 0) > 79.5": (),
        "NOT 100.5 <= -glucose_mg_dl / NULLIF(factor, 0)": (),
        "factor / (glucose_mg_dl + 1.5) BETWEEN 0.0091 AND 3 * factor / NULLIF(average, 0)": (f"AVG(glucose_mg_dl) {over(30)} AS average",),
        "1.05 + 1 / NULLIF(factor, 0) < glucose_mg_dl / NULLIF(average, 0) + 2 / NULLIF(ABS(factor), 0)": (f"AVG(glucose_mg_dl) {over(30)} AS average",),
        "average / NULLIF(limit_mg_dl, 0) + 1 > 2.0505": (f"AVG(glucose_mg_dl) {over(30)} AS average",),
        "CAST(deviation / NULLIF(average, 0) AS DOUBLE) > 0.11": (f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation", f"AVG(glucose_mg_dl) {over(30)} AS average"),
        "deviation / NULLIF(average, 0) <= 0.13 OR 0.3 * deviation / high_so_far > 0.02": (f"STDDEV_SAMP(glucose_mg_dl) {over(30)} AS deviation", f"AVG(glucose_mg_dl) {over(60)} AS average", f"5 + MAX(glucose_mg_dl) {over(60)} AS high_so_far"),
        "elapsed_min > 0.005 AND slope > 1.31 * long AND ABS(slope) > 0.3": (_SLOPE, _ELAPSED, f"REGR_SLOPE(glucose_mg_dl, time_min) {over(60)} AS long"),
        "elapsed_min > 0.005 AND (glucose_mg_dl - 70.05) / NULLIF(-slope, 0) < 20.003": (_SLOPE, _ELAPSED),
        "above >= 2 AND above * 2 > n": (f"SUM(CASE WHEN glucose_mg_dl > 100 THEN 1 ELSE 0 END) {over(30)} AS above", f"COUNT(*) {over(30)} AS n"),
        "share > 33.35 AND NOT low >= 1": (f"AVG(CASE WHEN glucose_mg_dl >= limit_mg_dl THEN 100.0 ELSE 0 END) {over(60)} AS share", f"COUNT(CASE WHEN 70 > glucose_mg_dl THEN 1 END) {over(60)} AS low"),
        "inside < 2 OR same = 2": (f"COUNT_IF(glucose_mg_dl BETWEEN 70 AND limit_mg_dl) {over(60)} AS inside", f"SUM(IF(glucose_mg_dl = 105, 2, 0)) {over(30)} AS same"),
        "part = 0 AND glucose_mg_dl > 60": (f"COUNT_IF(glucose_mg_dl > 2 * factor + 70 AND glucose_mg_dl <= limit_mg_dl - 1.55) {over(20)} AS part",),
        "twice AND glucose_mg_dl > 60": (f"2 * MAX(glucose_mg_dl) {over(30)} > 3 * MIN(glucose_mg_dl) {over(30)} AS twice",),
    },
    "readings",
    "patient, device, ts, local_ts, time_min, glucose_mg_dl, profile, limit_mg_dl, factor, high_mg_dl",
)  # fmt: skip

_TIMELINE_RULES = tried(
    {
        "carbs > 30.5 AND glucose_mg_dl > 60": (f"SUM(carbs_g) {over(30)} AS carbs",),
        "NOT carbs > 30.5 AND glucose_mg_dl IS NOT NULL": (f"SUM(carbs_g) {over(30)} AS carbs",),
        "COALESCE(carbs, 0) = 0 AND n > 1 AND NOT glucose_mg_dl IS NULL": (f"SUM(carbs_g) {over(30)} AS carbs", f"COUNT(glucose_mg_dl) {over(10)} AS n"),
        "meals > 1 AND boluses = 0 AND glucose_mg_dl > 0.5": (f"COUNT(carbs_g) {over(60)} AS meals", f"COUNT(bolus_u) {over(90)} AS boluses"),
        "most - least > 10 AND glucose_mg_dl < 105": (f"MAX(carbs_g) {over(60)} AS most", f"MIN(carbs_g) {over(60)} AS least"),
        "bolus * 10 > average AND glucose_mg_dl > 1 AND n > 1 AND slope < 0.0301": (f"SUM(bolus_u) {over(60)} AS bolus", f"AVG(carbs_g) {over(60)} AS average", f"REGR_SLOPE(glucose_mg_dl, time_min) {over(30)} AS slope", f"COUNT(glucose_mg_dl) {over(30)} AS n"),
        "(exercise IS NULL OR basal * 2.5 > exercise) AND glucose_mg_dl < limit_mg_dl": (f"SUM(exercise_min) {over(60)} AS exercise", f"AVG(basal_u) {over(60)} AS basal"),
        "below > 1 AND glucose_mg_dl < 200": (f"SUM(CASE WHEN glucose_mg_dl < limit_mg_dl THEN 1 ELSE 0 END) {over(30)} AS below",),
        "COALESCE(average, 20) > 19.9 AND glucose_mg_dl > 1": (f"AVG(carbs_g) {over(30)} AS average",),
    },
    "timeline",
    "patient, device, ts, local_ts, time_min, glucose_mg_dl, profile, limit_mg_dl",
)  # fmt: skip

_WRITTEN_RULES = [
    read_rule(FRONT.format(f"written_{number}", "" if number else LIMITS) + sql) for number, sql in enumerate(_WRITTEN)
]
_PLANS = {"written": plan(_WRITTEN_RULES), "readings": plan(_READING_RULES), "timeline": plan(_TIMELINE_RULES)}


@pytest.mark.parametrize("table", _PLANS)
@given(stream=STREAMS)
@settings(deadline=None, max_examples=10)
def test_a_program_flags_what_duckdb_flags(table: str, stream: Stream) -> None:
    assert breaches(_PLANS[table], stream) == by_duckdb(_PLANS[table], tables(stream, _PLANS[table]))


@given(stream=STREAMS)
@settings(deadline=None, max_examples=10)
def test_the_engine_flags_what_duckdb_flags(stream: Stream) -> None:
    found = by_duckdb(_PLANS["readings"], tables(stream, _PLANS["readings"]))
    assert by_the_engine(_READING_RULES, stream) == found
