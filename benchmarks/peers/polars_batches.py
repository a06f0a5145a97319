"""Polars' rolling windows on what is recent, for each micro-batch: `python -m benchmarks.peers.polars_batches INPUT OUTPUT`.

One thread; readings of the last 40 minutes are kept. Sums are whole numbers: an average in floats is wrong at times.
"""

import os
import sys
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

_LIMIT_TENTHS = 1800
_KEPT_US = 40 * 60_000_000
_KEY = ["patient", "device", "time_us"]


def main(input: Path, output: Path) -> None:
    recent = pl.DataFrame(
        schema={
            "patient": pl.String,
            "device": pl.String,
            "time_us": pl.Int64,
            "glucose_tenths": pl.Int32,
            "batch": pl.Int32,
        }
    )
    for number, file in enumerate(sorted(input.glob("*.parquet"))):
        came = pl.read_parquet(file).with_columns(batch=pl.lit(number, pl.Int32))
        recent = pl.concat([recent, came]).unique(_KEY, keep="first", maintain_order=True)
        touched = recent.filter(pl.col("batch") == number).select("patient").unique()
        windows = (
            recent.join(touched, on="patient", how="semi")
            .sort("patient", "time_us")
            .rolling("time_us", period="600000000i", closed="both", group_by="patient")
            .agg(
                pl.col("glucose_tenths").last().alias("glucose"),
                pl.col("glucose_tenths").cast(pl.Int64).sum().alias("sum"),
                pl.len().cast(pl.Int64).alias("version"),
                pl.col("batch").max().alias("newest"),
            )
        )
        over = (pl.col("glucose") > _LIMIT_TENTHS) | (pl.col("sum") > _LIMIT_TENTHS * pl.col("version"))
        windows.filter(pl.col("newest") == number).select("patient", "time_us", "version", flagged=over).write_parquet(
            output / file.name, compression="uncompressed"
        )
        recent = recent.filter(pl.col("time_us") >= pl.col("time_us").max() - _KEPT_US)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
