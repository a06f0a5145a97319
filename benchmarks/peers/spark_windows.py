"""Spark as one writes it first: aggregates over time windows. Nothing is written: its sink costs nothing."""

from pathlib import Path

from pyspark.sql import functions as f

from benchmarks.peers.spark_session import run, session, stream


def main(input: Path, output: Path, slide: str) -> None:
    """`slide`: how far one window of ten minutes lies from the next."""
    spark = session()
    readings = stream(spark, input).withWatermark("ts", "15 minutes")
    once = readings.dropDuplicates(["patient", "device", "ts"])
    windows = once.groupBy("patient", f.window("ts", "10 minutes", slide)).agg(
        f.avg("glucose_tenths").alias("average"), f.max("glucose_tenths").alias("highest")
    )
    alerts = windows.where("highest > 1800 OR average > 1800")
    run(alerts.writeStream.outputMode("update").format("noop"), output)
    spark.stop()
