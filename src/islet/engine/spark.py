"""The engine as a Spark Structured Streaming job: Kafka in, alerts to the log, readings to a lake.

Patients are divided into shards (CRC-32 of the id, as for partitions). Spark keeps a blob of state for each shard and
calls the engine once per shard and micro-batch, with all of its readings. A patient is in one partition, so sorting by
offset gives each shard the log's order, whatever the shuffle did.

Exactly one effect: Spark's checkpoint holds the offsets of a micro-batch before it runs and its state after; after a
crash it runs the same micro-batch again on the state of before. Alerts are committed with the number of their
micro-batch in one transaction of the log, so one that is there already is not said twice; the lake's folder of a
micro-batch is written over.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle, TimerValues

from islet.engine.shard import Shard, ShardRules
from islet.log.base import Append, Commit, Log
from islet.model.batch import DOCUMENTS_SCHEMA
from islet.model.time import Now
from islet.model.topics import Topic

ENGINE_STATE: Final = "spark_engine"
"""State blob of the log: the last micro-batch whose alerts are in it, and of which query."""

SESSION: Final[Mapping[str, str]] = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "100000",
    "spark.sql.session.timeZone": "UTC",
}
"""Settings of the Spark session that this job relies on, or is slow without."""

_SAID: Final = "patient string, device string, time_us long, type string, body string"
_READING: Final = (
    "patient string, device string, time_us long, glucose_tenths int, value double, unit string, range string, "
    "method string, received_at_us long"
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where the job reads, how it divides its work, and where it keeps what it needs after a crash.

    `kafka`: options of Spark's Kafka source (`kafka.bootstrap.servers`, `kafka.security.protocol` …). `shards` is fixed
    when the checkpoint is made. `lake`: a folder for the readings as Parquet; empty for none. `every`: how often a
    micro-batch begins; empty for a run that ends when everything that is there now has been read.
    """

    kafka: Mapping[str, str]
    topic: str
    checkpoint: str
    shards: int = 64
    most_rows: int = 2_000_000
    every: str = "500 milliseconds"
    lake: str = ""


class _Done(msgspec.Struct, frozen=True):
    query: str
    batch: int


class EngineProcessor(StatefulProcessor):
    """Spark's side of a shard."""

    def __init__(self, rules: ShardRules) -> None:
        self._rules = rules

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark in each worker and micro-batch."""
        self._saved = handle.getValueState("engine", "blob binary")

    def handleInputRows(  # noqa: N802
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: TimerValues,  # noqa: N803
    ) -> Iterator[pd.DataFrame]:
        """All records of one shard in this micro-batch, in no order, to what follows from them."""
        records = pd.concat(list(rows)).sort_values("offset", kind="stable")
        before = self._saved.get()
        shard = Shard(self._rules, None if before is None else bytes(before[0]))
        said = shard.take_in(records["value"].tolist())
        self._saved.update((shard.saved(),))
        for documents in said:
            yield documents.to_pandas()

    def close(self) -> None:
        """Nothing is open."""


class Sink:
    """Commits what a micro-batch said, once, in the driver: alerts are few beside readings."""

    def __init__(self, log: Log, now: Now) -> None:
        self._log, self._now = log, now
        self._query = ""
        self._started = threading.Event()

    def started(self, query: str) -> None:
        """The query that it serves; a checkpoint's queries have the same id for ever."""
        self._query = query
        self._started.set()

    def __call__(self, said: DataFrame, batch: int) -> None:
        """Called by Spark with each micro-batch; has it done when it returns."""
        documents = said.toArrow().cast(DOCUMENTS_SCHEMA)
        self._started.wait()
        done = self._done()
        if done is not None and done.query == self._query and done.batch >= batch:
            return
        if documents.num_rows == 0:
            return
        alerts = documents.combine_chunks().to_batches()
        state = {ENGINE_STATE: msgspec.json.encode(_Done(self._query, batch))}
        appends = [Append(topic=Topic.ALERTS, batch=batch) for batch in alerts]
        self._log.commit([Commit(received_at_us=self._now(), appends=appends, states=state)])

    def _done(self) -> _Done | None:
        blob = self._log.state(ENGINE_STATE)
        return None if blob is None else msgspec.json.decode(blob, type=_Done)


def start(spark: SparkSession, job: Job, rules: ShardRules, log: Log, now: Now) -> list[StreamingQuery]:
    """The job's queries, running: the engine, and the lake where one is asked for."""
    records = _records(spark, job)
    shard = f.pmod(f.crc32("key"), f.lit(job.shards)).cast("int").alias("shard")
    said = (
        records.select(shard, "offset", "value")
        .groupBy("shard")
        .transformWithStateInPandas(
            statefulProcessor=EngineProcessor(rules), outputStructType=_SAID, outputMode="append", timeMode="none"
        )
    )
    sink = Sink(log, now)
    engine = _begun(said, job, "engine", sink)
    sink.started(engine.id)
    return [engine, *([_lake(records, job)] if job.lake else [])]


def _records(spark: SparkSession, job: Job) -> DataFrame:
    source = spark.readStream.format("kafka").options(**job.kafka)
    return (
        source.option("subscribe", job.topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", job.most_rows)
        .option("kafka.isolation.level", "read_committed")
        .option("failOnDataLoss", "true")
        .load()
    )


def _begun(frame: DataFrame, job: Job, name: str, sink: Callable[[DataFrame, int], None]) -> StreamingQuery:
    writer: DataStreamWriter = frame.writeStream.queryName(f"islet-{name}").outputMode("append").foreachBatch(sink)
    writer = writer.option("checkpointLocation", f"{job.checkpoint}/{name}")
    writer = writer.trigger(processingTime=job.every) if job.every else writer.trigger(availableNow=True)
    return writer.start()


def _lake(records: DataFrame, job: Job) -> StreamingQuery:
    """The readings as Parquet, a folder for each micro-batch of each query: written again, it holds the same."""
    name: list[str] = []
    started = threading.Event()

    def write(readings: DataFrame, batch: int) -> None:
        started.wait()
        ordered = readings.sortWithinPartitions("patient", "time_us")
        ordered.write.mode("overwrite").parquet(f"{job.lake}/query={name[0]}/batch={batch:012d}")

    readings = records.select(f.from_json(f.col("value").cast("string"), _READING).alias("r")).select("r.*")
    query = _begun(readings, job, "lake", write)
    name.append(str(query.id))
    started.set()
    return query
