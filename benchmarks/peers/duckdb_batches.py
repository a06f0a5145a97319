"""DuckDB with the rule's own text on what is recent, for each micro-batch:
`python -m benchmarks.peers.duckdb_batches INPUT OUTPUT`. One thread; readings of the last 40 minutes are kept, which is
the lateness bound and the window and some more."""

import sys
from pathlib import Path

import duckdb

from benchmarks.peers.data import LIMIT_MG_DL

_TAKE = """
INSERT INTO recent
SELECT DISTINCT ON (patient, device, ts) patient, device, ts, glucose, $number FROM
  (SELECT patient, device, make_timestamp(time_us) AS ts, (glucose_tenths / 10)::DECIMAL(6, 1) AS glucose FROM read_parquet($file))
  ANTI JOIN recent USING (patient, device, ts)"""

_EVALUATE = f"""
COPY (
  SELECT patient, epoch_us(ts) AS time_us, readings AS version, glucose > {LIMIT_MG_DL} OR average > {LIMIT_MG_DL} AS flagged
  FROM (
    SELECT patient, ts, glucose, AVG(glucose) OVER ten AS average, COUNT(*) OVER ten AS readings, MAX(batch) OVER ten AS newest
    FROM recent WHERE patient IN (SELECT patient FROM recent WHERE batch = $number)
    WINDOW ten AS (PARTITION BY patient ORDER BY ts RANGE BETWEEN INTERVAL '10' MINUTE PRECEDING AND CURRENT ROW)
  ) AS evaluated
  WHERE newest = $number
) TO '{{file}}' (FORMAT parquet, COMPRESSION uncompressed)"""


def main(input: Path, output: Path) -> None:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute(
        "CREATE TABLE recent (patient TEXT, device TEXT, ts TIMESTAMP, glucose DECIMAL(6, 1), batch INTEGER)"
    )
    for number, file in enumerate(sorted(input.glob("*.parquet"))):
        connection.execute(_TAKE, {"number": number, "file": str(file)})
        connection.execute(_EVALUATE.format(file=output / file.name), {"number": number})
        connection.execute("DELETE FROM recent WHERE ts < (SELECT max(ts) - INTERVAL 40 MINUTE FROM recent)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
