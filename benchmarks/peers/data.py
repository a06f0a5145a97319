"""The readings that every peer gets, and which of them the rule flags."""

import os
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

PATIENTS: Final = 100_000
EACH: Final = 60
BATCH: Final = 50_000
START_US: Final = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z
MINUTE_US: Final = 60_000_000
LIMIT_MG_DL: Final = 180

RULE: Final = f"""SELECT patient, device, ts, glucose_mg_dl
FROM (
  SELECT patient, device, ts, glucose_mg_dl,
    AVG(glucose_mg_dl) OVER (
      PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW
    ) AS average_10_min
  FROM readings
) AS recent
WHERE glucose_mg_dl > {LIMIT_MG_DL} OR average_10_min > {LIMIT_MG_DL}"""


def arrivals(rng: np.random.Generator) -> pa.Table:
    """6.03 million readings in order of arrival: a reading every 5 minutes, 2 % late by 10 to 840 s, 0.5 % twice."""
    count = PATIENTS * EACH
    patient = np.tile(np.arange(PATIENTS), EACH)
    minute = np.repeat(np.arange(EACH), PATIENTS) * 5 + np.tile(rng.integers(0, 5, PATIENTS), EACH)
    level = np.empty((EACH, PATIENTS))
    level[0] = rng.normal(145, 50, PATIENTS)
    for k in range(1, EACH):
        level[k] = level[k - 1] + 0.03 * (145 - level[k - 1]) + rng.normal(0, 9, PATIENTS)
    tenths = np.clip(level.ravel() * 10, 400, 4000).astype(np.int32)
    arrival_s = minute * 60 + rng.uniform(0, 10, count) + (rng.random(count) < 0.02) * rng.uniform(10, 840, count)
    twice = rng.choice(count, count // 200, replace=False)
    order = np.concatenate([np.arange(count), twice])
    order = order[np.argsort(np.concatenate([arrival_s, arrival_s[twice] + rng.uniform(0, 600, len(twice))]))]
    return pa.table(
        {
            "patient": _names("patient", patient[order]),
            "device": _names("cgm", patient[order]),
            "time_us": pa.array(START_US + minute[order] * MINUTE_US),
            "glucose_tenths": pa.array(tenths[order]),
        }
    )


def _names(prefix: str, numbers: NDArray[np.int64]) -> "pa.Array[pa.StringScalar]":
    return pa.array([f"{prefix}-{number:06d}" for number in range(PATIENTS)]).take(numbers)


def write_batches(readings: pa.Table, folder: Path) -> None:
    """A file for each micro-batch; each is a second younger than the one before, since Spark goes by that."""
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(readings), BATCH)):
        file = folder / f"part-{number:06d}.parquet"
        pq.write_table(readings.slice(start, BATCH), file, compression="none")
        os.utime(file, (START_US // 1_000_000 + number,) * 2)


def compare(readings: pa.Table, output: Path) -> tuple[int, int, int]:
    """How many of the readings the rule flags on the whole history; how many of these the peer does not flag; and how
    many it flags that are not among them."""
    connection = duckdb.connect()
    connection.register("arrived", readings)
    connection.execute(
        "CREATE TABLE readings AS SELECT DISTINCT ON (patient, device, time_us) patient, device,"
        " make_timestamp(time_us) AS ts, (glucose_tenths / 10)::DECIMAL(6, 1) AS glucose_mg_dl FROM arrived"
    )
    connection.execute(f"CREATE TABLE expected AS SELECT patient, epoch_us(ts) AS time_us FROM ({RULE})")
    connection.execute(
        "CREATE TABLE found AS SELECT patient, time_us FROM"
        f" (SELECT patient, time_us, arg_max(flagged, version) AS flagged FROM '{output}/**/*.parquet' GROUP BY ALL) WHERE flagged"
    )
    counts = connection.execute(
        "SELECT (SELECT count(*) FROM expected), (SELECT count(*) FROM (FROM expected EXCEPT FROM found)),"
        " (SELECT count(*) FROM (FROM found EXCEPT FROM expected))"
    ).fetchone()
    assert counts is not None
    expected, missing, wrong = counts
    return int(expected), int(missing), int(wrong)
