"""Flink SQL: doubles removed, then the rule's own window: `python -m benchmarks.peers.flink_sql INPUT OUTPUT`.

Its package reads CSV, not Parquet: the files are rewritten first, in the time of the empty run too. Its answers come
when the watermark passes; at the end of the input it passes all.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from pyflink.table import EnvironmentSettings, TableEnvironment

_SOURCE = """CREATE TABLE arrived (
  patient STRING, device STRING, time_us BIGINT, glucose_tenths INT, came AS PROCTIME(),
  ts AS TO_TIMESTAMP_LTZ(time_us / 1000, 3), WATERMARK FOR ts AS ts - INTERVAL '15' MINUTE
) WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv')"""

_SINK = """CREATE TABLE evaluations (patient STRING, time_us BIGINT, version BIGINT, flagged BOOLEAN)
WITH ('connector' = 'filesystem', 'path' = '{path}', 'format' = 'csv')"""

_RULE = """INSERT INTO evaluations
SELECT patient, time_us, readings, TRUE
FROM (
  SELECT patient, time_us, glucose_tenths, SUM(glucose_tenths) OVER ten AS total, COUNT(*) OVER ten AS readings
  FROM (SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY patient, device, time_us ORDER BY came) AS place FROM arrived
  ) WHERE place = 1)
  WINDOW ten AS (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW)
)
WHERE glucose_tenths > 1800 OR total > 1800 * readings"""


def main(input: Path, output: Path) -> None:
    work = output.parent / f"{output.name}-csv"
    work.mkdir()
    readings = pa.concat_tables(pq.read_table(file) for file in sorted(input.glob("*.parquet")))
    options = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    pyarrow.csv.write_csv(readings, work / "readings.csv", options)
    tables = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    tables.get_config().set("parallelism.default", "1").set("table.exec.state.ttl", "1 h")
    tables.execute_sql(_SOURCE.format(path=work / "readings.csv"))
    tables.execute_sql(_SINK.format(path=work / "evaluations"))
    tables.execute_sql(_RULE).wait()
    names = pyarrow.csv.ReadOptions(column_names=["patient", "time_us", "version", "flagged"])
    for file in (work / "evaluations").rglob("*"):
        if file.is_file() and file.stat().st_size:
            pq.write_table(pyarrow.csv.read_csv(file, names), output / f"{file.name}.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
