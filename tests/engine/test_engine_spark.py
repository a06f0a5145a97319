"""The engine on Spark says what the embedded one says, whatever is killed meanwhile. ISLET_SCALE_READINGS: how many."""

import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from islet.engine.embedded import EmbeddedEngine
from islet.engine.parameters import NO_LAYERS, references
from islet.engine.rulebook import Rules
from islet.engine.rules import load_rules, plan
from islet.log.base import Log
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.batch import DocumentRow, ReadingRow, documents_batch, readings_batch
from islet.model.codec import decode_change
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.settings import Settings
from tests.services.crowd import START_US, commits, readings
from tests.services.fixtures import KafkaLogs
from tests.services.fixtures import kafka as kafka
from tests.services.fixtures import kafka_logs as kafka_logs
from tests.services.fixtures import prefix as prefix
from tests.services.fixtures import spark as spark
from tests.services.kafka import Kafka
from tests.services.spark import Run, killed
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


def run_embedded(log: Log) -> None:
    planned = plan(load_rules())
    rules = Rules(plan=planned, references=references(planned, NO_LAYERS, []))
    writer = GroupCommit(log, lambda: START_US, wait_s=0.0)
    engine = EmbeddedEngine(log, writer, lambda: rules, Settings(), lambda: START_US)
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


def test_a_driver_that_is_killed_loses_and_doubles_nothing(
    run: Run, prefix: str, kafka_logs: KafkaLogs, crowd: pa.RecordBatch, embedded: Log, tmp_path: Path
) -> None:
    log = kafka_logs(prefix)
    log.commit(list(commits(crowd)))
    rng = random.Random(20261121)
    for batches in (1, 3):
        process = run.start()
        wait_for(partial(enough, run, batches))
        time.sleep(rng.uniform(0.0, 1.0))
        assert process.poll() is None, "it has ended before it could be killed"
        killed(process)
    run.finish()
    assert table(log) == table(embedded)
    said = changes(log)

    again = kafka_logs(f"{prefix}undisturbed.")
    again.commit(list(commits(crowd)))
    replace(run, prefix=f"{prefix}undisturbed.", folder=str(tmp_path / "undisturbed"), lake=True).finish()
    assert sorted(said) == sorted(changes(again))
    assert_lake_is(crowd, tmp_path / "undisturbed" / "lake")


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


