"""The engine on Spark says what the embedded one says, whatever is killed meanwhile. ISLET_SCALE_READINGS: how many."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from islet.engine.embedded import EmbeddedEngine
from islet.engine.in_force import FixedRules, Rules
from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.rules import load_rules, plan
from islet.errors import SettingError
from islet.log.base import Commit, Log
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.ahead import Foreteller
from islet.model.batch import DocumentRow, documents_batch
from islet.model.people import Patient
from islet.model.topics import Topic
from islet.settings import Settings
from tests.services.crowd import START_US, commits, everything, readings
from tests.services.fixtures import KafkaLogs
from tests.services.fixtures import kafka as kafka
from tests.services.fixtures import kafka_logs as kafka_logs
from tests.services.fixtures import prefix as prefix
from tests.services.fixtures import spark as spark
from tests.services.kafka import Kafka
from tests.services.spark import Run, executors, killed
from tests.services.told import changes, table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]

READINGS = int(os.environ.get("ISLET_SCALE_READINGS", "20000"))


@pytest.fixture(scope="module")
def crowd() -> pa.RecordBatch:
    return readings(READINGS)


@pytest.fixture(scope="module")
def embedded(crowd: pa.RecordBatch) -> Log:
    """A log with the readings, and what the embedded engine says of them."""
    log = MemoryLog(partitions=4)
    log.commit(list(commits(crowd)))
    run_embedded(log)
    return log


def run_embedded(log: Log, arriving: Sequence[Commit] = (), foreteller: Foreteller | None = None) -> None:
    """Everything that is in the log, then what arrives, each when it does."""
    planned = plan(load_rules(), foreteller=foreteller)
    rules = Rules(plan=planned, references=references(planned, NO_LAYERS, []))
    now_us = START_US
    writer = GroupCommit(log, lambda: now_us, within_s=0.0)
    engine = EmbeddedEngine(log, writer, FixedRules(rules), Settings(), lambda: now_us)
    while engine.run_once(0.0):
        pass
    for commit in arriving:
        now_us = commit.received_at_us
        log.commit([commit])
        while engine.run_once(0.0):
            pass
    engine.close()
    writer.close()


@pytest.fixture
def run(kafka: Kafka, prefix: str, tmp_path: Path) -> Run:
    return Run(bootstrap=kafka.bootstrap, prefix=prefix, folder=str(tmp_path), most_rows=READINGS // 5)


def test_spark_and_the_embedded_engine_give_identical_alerts(
    run: Run, prefix: str, kafka_logs: KafkaLogs, crowd: pa.RecordBatch, embedded: Log
) -> None:
    log = kafka_logs(prefix)
    log.commit(list(commits(crowd)))
    run.finish()
    expected = table(embedded)
    assert len(expected) > READINGS // 500
    assert table(log) == expected


def test_they_also_agree_on_everything_else_that_devices_and_people_say_and_on_who_says_nothing_more(
    run: Run, prefix: str, kafka_logs: KafkaLogs
) -> None:
    morning = everything(patients=60)
    log, embedded = kafka_logs(prefix), MemoryLog(partitions=4)
    log.commit(morning)
    run_embedded(embedded, morning)
    replace(run, most_rows=700).finish()
    expected = table(embedded)
    assert {row[0] for row in expected.values()} >= {"low", "no_data", "pulse_high", "systolic_high", "battery_low"}
    assert table(log) == expected


class Undisturbed(NamedTuple):
    """What a run says that nobody disturbs."""

    changes: list[str]
    lake: Path


_undisturbed: list[Undisturbed] = []


@pytest.fixture
def undisturbed(run: Run, prefix: str, kafka_logs: KafkaLogs, crowd: pa.RecordBatch, tmp_path: Path) -> Undisturbed:
    if not _undisturbed:
        name, folder = f"{prefix}undisturbed.", tmp_path / "undisturbed"
        log = kafka_logs(name)
        log.commit(list(commits(crowd)))
        replace(run, prefix=name, folder=str(folder), lake=True).finish()
        _undisturbed.append(Undisturbed(sorted(changes(log)), folder / "lake"))
    return _undisturbed[0]


def test_the_lake_has_each_reading_as_often_as_the_log(undisturbed: Undisturbed, crowd: pa.RecordBatch) -> None:
    assert_lake_is(crowd, undisturbed.lake)


def test_a_driver_that_is_killed_loses_and_doubles_nothing(
    run: Run, prefix: str, kafka_logs: KafkaLogs, crowd: pa.RecordBatch, embedded: Log, undisturbed: Undisturbed
) -> None:
    log = kafka_logs(prefix)
    log.commit(list(commits(crowd)))
    run = replace(run, lake=True)
    rng = random.Random(20261121)
    for batches in (1, 3):
        process = run.start()
        wait_for(partial(enough, run, batches))
        time.sleep(rng.uniform(0.0, 1.0))
        assert process.poll() is None, "it has ended before it could be killed"
        killed(process)
    run.finish()
    assert table(log) == table(embedded)
    assert sorted(changes(log)) == undisturbed.changes
    assert_lake_is(crowd, Path(run.folder) / "lake")


def test_executors_that_are_killed_lose_and_double_nothing(
    run: Run, prefix: str, kafka_logs: KafkaLogs, crowd: pa.RecordBatch, undisturbed: Undisturbed
) -> None:
    """Two machines' worth of processes: local-cluster starts a JVM and its Python workers for each executor."""
    log = kafka_logs(prefix)
    log.commit(list(commits(crowd)))
    cluster = replace(run, master="local-cluster[2,1,768]", lake=True)
    process = cluster.start()
    try:
        for batches in (1, 2):
            wait_for(partial(enough, run, batches))
            victim = min(executors(process))
            os.kill(victim, signal.SIGKILL)
        assert process.wait(600.0) == 0, cluster.printed()
    finally:
        killed(process)
    assert sorted(changes(log)) == undisturbed.changes
    assert_lake_is(crowd, Path(run.folder) / "lake")


def assert_lake_is(crowd: pa.RecordBatch, lake: Path) -> None:
    """Each reading as often as the log has it."""
    names = ["patient", "device", "time_us", "glucose_tenths", "value"]
    found = pq.read_table(lake, columns=names).sort_by([(name, "ascending") for name in names])
    expected = pa.Table.from_batches([crowd.select(names)]).sort_by([(name, "ascending") for name in names])
    assert found.equals(expected)


def enough(run: Run, batches: int) -> bool:
    return run.batches() >= batches


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 300.0
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.02)


class SaidOnce:
    """What Spark gives to a sink: a frame that can be asked for as a table."""

    def __init__(self, *rows: DocumentRow) -> None:
        self._table = pa.Table.from_batches([documents_batch(rows)])

    def toArrow(self) -> pa.Table:  # noqa: N802
        return self._table


def test_a_micro_batch_that_spark_repeats_is_committed_once_but_not_one_of_a_new_checkpoint() -> None:
    from islet.engine.spark import Sink

    log = MemoryLog(partitions=1)
    first, second = (SaidOnce(DocumentRow("anna", "", number, "opened", "{}")) for number in (1, 2))
    for query, batches in (("q", [(first, 0), (first, 0), (second, 1), (second, 1)]), ("another", [(first, 0)])):
        sink = Sink(log, lambda: START_US)
        sink.started(query)
        for said, batch in batches:
            sink(said, batch)
    assert log.end(Topic.ALERTS) == (3,)


def test_a_micro_batch_that_is_repeated_by_other_rules_is_said_again() -> None:
    """What the first rules said may not be all that these say; what is known is known by its id."""
    from islet.engine.spark import Sink

    log = MemoryLog(partitions=1)
    for rules in ("those of then", "those of then", "those of now"):
        sink = Sink(log, lambda: START_US, rules)
        sink.started("q")
        sink(SaidOnce(DocumentRow("anna", "", 1, "opened", "{}")), 0)
    assert log.end(Topic.ALERTS) == (2,)


class Query:
    """A query of Spark that runs until it is stopped, fails, or ends with what happens last; each wait lets the next thing
    happen."""

    def __init__(self, *happens: Callable[[], object], ends: bool = False) -> None:
        self.stopped, self._happens, self._ends = False, list(happens), ends
        self.lastProgress: SimpleNamespace | None = None

    def says(self, timestamp: str, end: str | None = None) -> None:
        """It has done something, or seen that there is nothing to be done."""
        self.lastProgress = SimpleNamespace(timestamp=timestamp, sources=[SimpleNamespace(endOffset=end)])

    def stop(self) -> None:
        self.stopped = True

    def awaitTermination(self, timeout: float) -> bool:  # noqa: N802
        self._happens.pop(0)()
        return self._ends and not self._happens


def test_the_job_begins_anew_when_the_rules_have_changed_and_ends_when_its_query_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from islet.engine import spark as engine

    planned = plan(load_rules())
    of_then = engine.Frozen.of(planned, references(planned, NO_LAYERS, []), Settings())
    of_now = engine.Frozen.of(
        planned, references(planned, NO_LAYERS, [Patient(id="anna", tags=("simulated",))]), Settings()
    )
    assert of_then.version != of_now.version
    in_force, begun = [of_then], list[tuple[engine.Frozen, Query]]()

    def change() -> None:
        in_force[0] = of_now

    def fail() -> None:
        raise RuntimeError("no broker")

    def start(_spark: object, _job: object, rules: engine.Frozen, *_more: object) -> Query:
        query = Query(lambda: None, fail) if begun else Query(change, lambda: None, lambda: query.says("8:00"))
        begun.append((rules, query))
        return query

    monkeypatch.setattr(engine, "start", start)
    topics = {topic: str(topic) for topic in Topic}
    job = engine.Job(kafka={}, topics=topics, checkpoint="c", partitions=4)
    with pytest.raises(RuntimeError, match="no broker"):
        engine.keep(None, job, lambda: in_force[0], MemoryLog(partitions=4), lambda: 0, lambda: None)
    assert [rules for rules, _ in begun] == [of_then, of_now]
    assert begun[0][1].lastProgress is not None, "the micro-batch that was begun is not thrown away"
    assert all(query.stopped for _, query in begun)


def test_the_heart_beats_as_often_as_the_job_gets_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody would be told that alarms do not work, or everybody as long as another engine's heart is there."""
    from islet.engine import spark as engine

    beats = list[int]()

    def fail() -> None:
        raise RuntimeError("no broker")

    query = Query(lambda: None, lambda: query.says("8:00"), lambda: None, lambda: query.says("8:10"), fail)
    monkeypatch.setattr(engine, "start", lambda *_: query)
    planned = plan(load_rules())
    rules = engine.Frozen.of(planned, references(planned, NO_LAYERS, []), Settings())
    job = engine.Job(kafka={}, topics={topic: str(topic) for topic in Topic}, checkpoint="c", partitions=4)
    with pytest.raises(RuntimeError, match="no broker"):
        engine.keep(None, job, lambda: rules, MemoryLog(partitions=4), lambda: 0, lambda: beats.append(1))
    assert len(beats) == 2


def test_where_the_last_micro_batch_ended_is_in_the_log_when_the_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from islet.engine import spark as engine

    query = Query(
        lambda: query.says("8:00", '{"readings":{"0":1,"1":0}}'),
        lambda: query.says("8:01", '{"readings":{"0":3,"1":2}}'),
        ends=True,
    )
    monkeypatch.setattr(engine, "start", lambda *_: query)
    planned = plan(load_rules())
    rules = engine.Frozen.of(planned, references(planned, NO_LAYERS, []), Settings())
    topics = {topic: str(topic) for topic in Topic} | {Topic.GLUCOSE_READINGS: "readings"}
    job = engine.Job(kafka={}, topics=topics, checkpoint="c", partitions=2)
    log = MemoryLog(partitions=2)
    engine.keep(None, job, lambda: rules, log, lambda: 0, lambda: None)
    assert log.cursor("spark", Topic.GLUCOSE_READINGS) == (3, 2)


def test_a_lake_where_nobody_can_write_is_refused_before_anything_runs() -> None:
    from islet.engine.spark import Job

    with pytest.raises(SettingError, match="absolute path, or a URL"):
        Job(kafka={}, topics={}, checkpoint="c", partitions=4, lake="hub://lake")


def test_shards_that_are_no_multiple_of_the_partitions_are_refused() -> None:
    """A shard would be in several partitions, and could not tell what time it is in all of them."""
    from islet.engine.spark import Job

    with pytest.raises(SettingError, match="multiple of the 3 partitions"):
        Job(kafka={}, topics={}, checkpoint="c", partitions=3, shards=64)
