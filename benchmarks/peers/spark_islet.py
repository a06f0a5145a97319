"""Islet's engine as a Spark job: `python -m benchmarks.peers.spark_islet INPUT OUTPUT`. The readings pass through JSON, as
they do from Kafka. What it says is episodes, as in `islet_engine`.
"""

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame
from pyspark.sql import functions as f

from benchmarks.peers.data import RULE
from benchmarks.peers.spark_session import run, session, stream
from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.rules import plan, read_rule
from islet.engine.spark import SESSION, Frozen, engine_on
from islet.settings import Settings

SHARDS = 16


def main(input: Path, output: Path) -> None:
    rule = f'/*\nname = "peers"\ntitle = "The rule of the comparison"\nseverity = "notice"\n*/\n{RULE}'
    planned = plan([read_rule(rule)])
    rules = Frozen.of(planned, references(planned, NO_LAYERS, []), Settings())
    spark = session()
    for name, value in SESSION.items():
        spark.conf.set(name, value)
    event = f.struct(
        "patient",
        "device",
        "time_us",
        "glucose_tenths",
        (f.col("glucose_tenths") / 10).alias("value"),
        f.lit("mg/dL").alias("unit"),
        f.lit("within").alias("range"),
        f.lit("cgm").alias("method"),
        f.col("time_us").alias("received_at_us"),
    )
    rows = stream(spark, input).select(
        f.pmod(f.crc32("patient"), f.lit(SHARDS)).cast("int").alias("shard"),
        f.lit(0).alias("topic"),
        f.col("_metadata.row_index").alias("offset"),
        f.to_json(event).cast("binary").alias("value"),
        f.lit(0).cast("long").alias("clock_ms"),
    )
    said: list[pa.Table] = []

    def keep(changes: DataFrame, batch: int) -> None:
        said.append(changes.toArrow())

    run(engine_on(spark, rows, rules).writeStream.outputMode("append").foreachBatch(keep), output)
    pq.write_table(pa.concat_tables(said), output / "changes.parquet", compression="none")
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
