"""Spark with the recent readings of each patient as its state: `python -m benchmarks.peers.spark_state INPUT OUTPUT`.

The state is bytes: PySpark 4.3 cannot read its own description of an array (KeyError: 'elementType').
"""

import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from pyspark.sql.streaming.state import GroupState, GroupStateTimeout

from benchmarks.peers.spark_session import run, session, stream

_WINDOW_US = 10 * 60_000_000
_KEPT_US = 40 * 60_000_000
_LIMIT_TENTHS = 1800


def evaluate(key: tuple[str], frames: Iterator[pd.DataFrame], state: GroupState) -> Iterator[pd.DataFrame]:
    """The readings whose window has something new in it, exactly: doubles once, late readings revise."""
    recent = array("q", state.get[0] if state.exists else b"")
    known = dict(zip(recent[::2], recent[1::2], strict=True))
    new = set()
    for frame in frames:
        for time_us, value in zip(frame["time_us"].tolist(), frame["glucose_tenths"].tolist(), strict=True):
            if time_us not in known:
                known[time_us] = value
                new.add(time_us)
    rows = []
    for time_us in sorted(known):
        window = [other for other in known if time_us - _WINDOW_US <= other <= time_us]
        if not new.isdisjoint(window):
            total = sum(known[other] for other in window)
            flagged = known[time_us] > _LIMIT_TENTHS or total > _LIMIT_TENTHS * len(window)
            rows.append((key[0], time_us, len(window), flagged))
    oldest_us = max(known) - _KEPT_US
    kept = array("q", [number for pair in known.items() if pair[0] >= oldest_us for number in pair])
    state.update((kept.tobytes(),))
    yield pd.DataFrame(rows, columns=["patient", "time_us", "version", "flagged"])


def main(input: Path, output: Path) -> None:
    spark = session()
    evaluations = (
        stream(spark, input)
        .groupBy("patient")
        .applyInPandasWithState(
            evaluate,
            "patient string, time_us long, version long, flagged boolean",
            "recent binary",
            "append",
            GroupStateTimeout.NoTimeout,
        )
    )
    run(evaluations.writeStream.outputMode("append").format("parquet").option("path", str(output)), output)
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
