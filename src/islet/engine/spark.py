"""The engine as a Spark Structured Streaming job: Kafka in, alerts to the log, readings to a lake (`lake.py`).

Patients are divided into shards (CRC-32 of the id, as for partitions). Spark keeps a blob of state for each shard and
calls the engine once per shard and micro-batch, with everything that came for it. The number of shards is a multiple
of that of partitions, so a shard is in one partition, and sorting by offset gives it the log's order, whatever the
shuffle did.

Exactly one effect: Spark's checkpoint holds the offsets of a micro-batch before it runs and its state after; after a
crash it runs the same micro-batch again on the state of before. Alerts are committed with the number of their
micro-batch in one transaction of the log, so one that is there already is not said twice; the lake's files of a
micro-batch are written over.

Time is the log's: in each partition of glucose, one entry in some is also handed to all shards of that partition, and
says up to when they have read everything. So somebody who sends nothing more is noticed while others send, and nobody
is called silent while a backlog is read.
"""

import atexit
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any, Final

import msgspec
import pandas as pd
from pyspark import SparkFiles, TaskContext
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle, TimerValues

from islet.engine.lake import Lake, file_system
from islet.engine.reference import Reference
from islet.engine.rules import Plan
from islet.engine.shard import TOPICS, Shard
from islet.engine.spark_cursors import SparkCursors
from islet.errors import SettingError
from islet.log.base import Append, Commit, Log
from islet.log.kafka_records import batch_of
from islet.model.batch import DOCUMENTS_SCHEMA, without_patients
from islet.model.time import MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.settings import Settings

ENGINE_STATE: Final = "spark_engine"
"""State blob of the log: the last micro-batch whose alerts are in it, of which query, by which rules."""

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
_QUERY: Final = "sql.streaming.queryId"
_BATCH: Final = "streaming.sql.batchId"
"""Where Spark says in a task which micro-batch of which query it belongs to."""
CLOCK: Final = -1
"""Stands in the column `topic` of a row that only says what time it is."""
_LOOK_S: Final = 5
"""How often the rules are asked whether they have changed."""
_CLOCK_EVERY: Final = 4
"""Such a row for each shard comes with one entry in so many times the shards of a partition: a quarter more rows, which
are small."""


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """The rules as the job has them from its start to its end, on all machines."""

    plan: Plan
    references: Mapping[str, Reference]
    lateness_us: int
    grace_us: int

    @classmethod
    def of(cls, plan: Plan, references: Mapping[str, Reference], settings: Settings) -> "Frozen":
        return cls(
            plan=plan,
            references=dict(references),
            lateness_us=int(settings.lateness_min * MINUTE_US),
            grace_us=int(settings.silence_grace_s * SECOND_US),
        )

    def shard(self, saved: bytes | None) -> Shard:
        """A shard that goes on from what it saved. Raises LogDamaged."""
        shard = Shard(self.plan, self.references, lateness_us=self.lateness_us, grace_us=self.grace_us)
        if saved is not None:
            shard.load(msgspec.msgpack.decode(saved, type=list[bytes]))
            shard.adopt(self.plan, self.references)
        return shard

    @property
    def version(self) -> str:
        """The same for the same rules, of the same people."""
        rules = [rule.sql for stream in self.plan.streams.values() for rule in stream.rules]
        people = sorted((quantity, reference.version) for quantity, reference in self.references.items())
        foretells = "" if self.plan.foreteller is None else self.plan.foreteller.name
        return blake2b(repr((rules, people, foretells)).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Job:
    """Where the job reads, how it divides its work, and where it keeps what it needs after a crash.

    `kafka`: options of Spark's Kafka source (`kafka.bootstrap.servers`, `kafka.security.protocol` …). `topics`: what a
    topic is called there. `shards` is fixed when the checkpoint is made, and a multiple of `partitions`. `lake`: a
    folder for the readings as Parquet; empty for none. `every`: how often a micro-batch begins; empty for a run that
    ends when everything that is there now has been read.
    """

    kafka: Mapping[str, str]
    topics: Mapping[Topic, str]
    checkpoint: str
    partitions: int
    shards: int = 64
    most_rows: int = 2_000_000
    every: str = "500 milliseconds"
    lake: str = ""

    def __post_init__(self) -> None:
        if self.lake:
            file_system(self.lake)
        if self.shards % self.partitions:
            raise SettingError(f"shards: expected a multiple of the {self.partitions} partitions; got {self.shards}")


class _Done(msgspec.Struct, frozen=True):
    query: str
    batch: int
    rules: str


class EngineProcessor(StatefulProcessor):  # type: ignore[misc]
    """Spark's side of a shard."""

    def __init__(self, rules: str, lake: str = "") -> None:
        """`rules`: the name of the file that they are sent to all machines in. `lake`: as in Job."""
        self._rules, self._folder = rules, lake

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Called by Spark in each worker and micro-batch."""
        self._saved = handle.getValueState("engine", "blob binary")
        self._lake = Lake(self._folder) if self._folder else None

    def handleInputRows(  # noqa: N802
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: TimerValues,  # noqa: N803
    ) -> Iterator[pd.DataFrame]:
        """What came for one shard in this micro-batch, in no order, to what follows from it."""
        before = self._saved.get()
        shard = _unpacked(self._rules).shard(None if before is None else bytes(before[0]))
        given = pd.concat(list(rows))
        entries = {}
        for number, topic in enumerate(TOPICS):
            values = given.loc[given["topic"] == number].sort_values("offset", kind="stable")["value"]
            if len(values):
                entries[topic] = batch_of(topic, values.tolist())
        if self._lake is not None and Topic.GLUCOSE_READINGS in entries:
            self._lake.add(without_patients(entries[Topic.GLUCOSE_READINGS], shard.erased))
        said = [shard.take_in(entries)] if entries else []
        clock_ms = given.loc[given["topic"] == CLOCK, "clock_ms"]
        if len(clock_ms):
            said.append(shard.tick(int(clock_ms.max()) * 1000))
        self._saved.update((msgspec.msgpack.encode(shard.dump()),))
        for taken in said:
            if not taken.says_nothing:
                yield taken.documents().to_pandas()

    def close(self) -> None:
        """Called by Spark when a task's shards are done, before their state is: the readings are in the lake first."""
        task = TaskContext.get()
        if self._lake is not None and task is not None:
            query, batch = task.getLocalProperty(_QUERY), task.getLocalProperty(_BATCH)
            if query is not None and batch is not None:  # they are not when Spark looks at the schema only
                self._lake.write(query, int(batch), task.partitionId())


@lru_cache(maxsize=1)
def _unpacked(rules: str) -> Frozen:
    """The rules, unpacked once by each worker."""
    frozen: Frozen = pickle.loads(Path(SparkFiles.get(rules)).read_bytes())  # noqa: S301 - we wrote it
    return frozen


def _sent(spark: SparkSession, rules: Frozen) -> str:
    """Have the rules on all machines (they may be too large for a task); the name of the file that they are in."""
    name = f"islet-rules-{rules.version}"
    if name not in {Path(file).name for file in spark.sparkContext.listFiles}:
        folder = Path(mkdtemp(prefix="islet-rules-"))  # machines fetch it from there when they first need it
        atexit.register(rmtree, folder, ignore_errors=True)
        (folder / name).write_bytes(pickle.dumps(rules))
        spark.sparkContext.addFile(str(folder / name))
    return name


class Sink:
    """Commits what a micro-batch said, once, in the driver: alerts are few beside readings."""

    def __init__(self, log: Log, now: Now, rules: str = "") -> None:
        """`rules`: their version. A micro-batch that is repeated by other rules is said again: what was known is known
        by its id."""
        self._log, self._now, self._rules = log, now, rules
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
        this, done = _Done(self._query, batch, self._rules), self._done()
        if documents.num_rows == 0 or (done is not None and _covers(done, this)):
            return
        appends = [Append(topic=Topic.ALERTS, batch=rows) for rows in documents.combine_chunks().to_batches()]
        states = {ENGINE_STATE: msgspec.json.encode(this)}
        self._log.commit([Commit(received_at_us=self._now(), appends=appends, states=states)])

    def _done(self) -> _Done | None:
        blob = self._log.state(ENGINE_STATE)
        return None if blob is None else msgspec.json.decode(blob, type=_Done)


def _covers(done: _Done, this: _Done) -> bool:
    """Whether what this micro-batch says has been said."""
    if done.query != this.query:
        return False
    return done.batch > this.batch or (done.batch == this.batch and done.rules == this.rules)


def keep(
    spark: SparkSession, job: Job, rules: Callable[[], Frozen], log: Log, now: Now, beat: Callable[[], None]
) -> None:
    """Run the job until its query ends; it begins anew, from where it was, when the rules have changed.

    `beat` is called while it works, with a micro-batch or with none to be done; how far it has read is kept in the log.
    Raises what a query that failed has raised.
    """
    cursors = SparkCursors(log, job.topics, now)
    while True:
        frozen = rules()
        query = start(spark, job, frozen, log, now)
        try:
            if not _changed(job, query, rules, frozen.version, beat, cursors):
                return
        finally:
            query.stop()


def _changed(
    job: Job,
    query: StreamingQuery,
    rules: Callable[[], Frozen],
    version: str,
    beat: Callable[[], None],
    cursors: SparkCursors,
) -> bool:
    """Wait until there are other rules: true; or until the query has ended. It has got on by then: a micro-batch that is
    stopped begins again, and where somebody changes something all the time, one that reads a backlog would never end."""
    seen = None
    while True:
        has_ended = query.awaitTermination(_LOOK_S)
        if (progress := query.lastProgress) is not None:
            if progress.timestamp != seen:  # idle, it says so every 10 s
                seen = progress.timestamp
                beat()
            cursors.keep([source.endOffset for source in progress.sources])
        if has_ended:
            return False
        if job.every and seen is not None and rules().version != version:
            return True


def start(spark: SparkSession, job: Job, rules: Frozen, log: Log, now: Now) -> StreamingQuery:
    """The job's query, running."""
    said = engine_on(spark, _shards(_records(spark, job), job), rules, job.lake)
    sink = Sink(log, now, rules.version)
    writer: DataStreamWriter = said.writeStream.queryName("islet-engine").outputMode("append").foreachBatch(sink)
    writer = writer.option("checkpointLocation", f"{job.checkpoint}/engine")
    writer = writer.trigger(processingTime=job.every) if job.every else writer.trigger(availableNow=True)
    query = writer.start()
    sink.started(str(query.id))
    return query


def engine_on(spark: SparkSession, rows: DataFrame, rules: Frozen, lake: str = "") -> DataFrame:
    """What follows from a stream of rows, as rows of DOCUMENTS_SCHEMA. Columns: shard, topic (its number in TOPICS),
    offset (within topic and shard, for the order), value (a record's JSON); clock_ms where `topic` is CLOCK."""
    return rows.groupBy("shard").transformWithStateInPandas(
        statefulProcessor=EngineProcessor(_sent(spark, rules), lake),
        outputStructType=_SAID,
        outputMode="append",
        timeMode="none",
    )


def _records(spark: SparkSession, job: Job) -> DataFrame:
    source = spark.readStream.format("kafka").options(**job.kafka)
    return (
        source.option("subscribe", ",".join(job.topics[topic] for topic in TOPICS))
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", job.most_rows)
        .option("kafka.isolation.level", "read_committed")
        .option("failOnDataLoss", "true")
        .load()
    )


def _shards(records: DataFrame, job: Job) -> DataFrame:
    """Columns shard, topic (its number in TOPICS), offset, value, clock_ms; CLOCK, and no value, in rows of the clock.

    One entry of glucose in some is told to all shards of its partition, as the time. Only numbers are multiplied here, not
    the values: this is done for each reading.
    """
    each = job.shards // job.partitions
    numbers = f.create_map(*(f.lit(word) for n, topic in enumerate(TOPICS) for word in (job.topics[topic], n)))
    own = f.pmod(f.crc32("key"), f.lit(job.shards)).cast("int")
    tells = (f.col("topic") == job.topics[Topic.GLUCOSE_READINGS]) & (f.col("offset") % (_CLOCK_EVERY * each) == 0)
    all_there = f.sequence(f.col("partition"), f.lit(job.shards - 1), f.lit(job.partitions))
    to = f.when(tells, f.concat(f.array(own), all_there)).otherwise(f.array(own))
    spread = records.select("topic", "offset", "value", "timestamp", f.posexplode(to).alias("place", "shard"))
    is_own = f.col("place") == 0
    return spread.select(
        "shard",
        f.when(is_own, numbers[f.col("topic")]).otherwise(f.lit(CLOCK)).alias("topic"),
        "offset",
        f.when(is_own, f.col("value")).alias("value"),
        f.when(~is_own, f.unix_millis("timestamp")).otherwise(f.lit(0)).alias("clock_ms"),
    )
