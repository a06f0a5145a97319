"""A Spark of two cores on this machine, and the readings as a stream of micro-batches."""

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming import DataStreamWriter


def session() -> SparkSession:
    return (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "4g")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )


def stream(spark: SparkSession, input: Path) -> DataFrame:
    """The readings with `ts`, a file for each micro-batch, in order of arrival."""
    columns = "patient string, device string, time_us long, glucose_tenths int"
    files = spark.readStream.schema(columns).option("maxFilesPerTrigger", 1).parquet(str(input))
    return files.withColumn("ts", f.timestamp_micros("time_us"))


def run(writer: DataStreamWriter, output: Path) -> None:
    """Until all files are read."""
    checkpoint = str(output.parent / f"{output.name}-checkpoint")
    query = writer.option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
    query.awaitTermination()
