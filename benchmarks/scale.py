"""Scale-out: `python -m benchmarks.scale`, with what `make test-services` installs. Starts a Kafka and Spark in local mode.

Throughput of the Spark job by cores and partitions (whole micro-batches after the first, in which the kernels are loaded),
of the log on Kafka, and what follows for 1, 10 and 100 million patients.
"""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from benchmarks.record import figure
from islet.engine.embedded import EmbeddedEngine
from islet.engine.rules import load_rules, plan
from islet.log.group_commit import GroupCommit
from islet.log.kafka import KafkaLog
from islet.log.kafka_access import KafkaAccess
from islet.model.topics import Topic
from islet.settings import Settings
from tests.services.crowd import START_US, commits, readings
from tests.services.kafka import Kafka
from tests.services.spark import Run

READINGS = int(os.environ.get("ISLET_SCALE_READINGS", "2000000"))
PER_PATIENT_S = 180.0
"""A reading of each patient, on average: what the other figures of Islet assume (5,500/s for a million)."""
BUSY = 0.5
"""Share of a core that is planned for; the rest is for the peaks and for catching up."""
CORE_MONTH = 30.0
"""Assumption: price of a core with 4 GB for a month, in dollars, on demand at a large provider."""
GB_MONTH = 0.10
"""Assumption: price of a GB of replicated block storage for a month, in dollars."""
KEPT_DAYS = 30
REPLICAS = 3


def fill(bootstrap: str, prefix: str, partitions: int) -> float:
    """Seconds that a process takes to have the readings acknowledged."""
    log = KafkaLog(KafkaAccess(bootstrap=bootstrap, prefix=prefix), partitions=partitions)
    rows = list(commits(readings(READINGS)))
    started = time.perf_counter()
    for commit in rows:
        log.commit([commit])
    seconds = time.perf_counter() - started
    log.close()
    return seconds


def run_spark(run: Run) -> tuple[float, int]:
    """Readings a second in whole micro-batches after the first; how many alerts' changes there are."""
    run.finish()
    progress = json.loads((Path(run.folder) / "islet-engine.json").read_text())
    whole = [one for one in progress[1:] if one["rows"] > 0.9 * run.most_rows]
    log = KafkaLog(KafkaAccess(bootstrap=run.bootstrap, prefix=run.prefix), partitions=run.partitions)
    said = sum(log.end(Topic.ALERTS))
    log.close()
    return sum(one["rows"] for one in whole) / sum(one["ms"] for one in whole) * 1000, said


def run_embedded(bootstrap: str, prefix: str) -> float:
    """Readings a second of the embedded engine on Kafka, from records to committed alerts."""
    log = KafkaLog(KafkaAccess(bootstrap=bootstrap, prefix=prefix, writer="embedded"), partitions=4)
    rules = plan(load_rules())
    reference = rules.reference({})
    writer = GroupCommit(log, lambda: START_US, wait_s=0.0)
    engine = EmbeddedEngine(log, writer, rules, lambda: reference, Settings(), lambda: START_US)
    engine.recover()
    started = time.perf_counter()
    done = 0
    while rows := engine.run_once(0.0):
        done += rows
    seconds = time.perf_counter() - started
    engine.close()
    writer.close()
    log.close()
    return done / seconds


def model(spark_per_core: float, gateway_per_core: float, bytes_a_reading: float) -> None:
    """What the measured costs mean for many patients."""
    print("\npatients      readings/s   gateway cores   Spark cores   Kafka TB   $ a month   $ a patient and year")
    for patients in (1_000_000, 10_000_000, 100_000_000):
        rate = patients / PER_PATIENT_S
        gateway, spark = (max(2.0, rate / each / BUSY) for each in (gateway_per_core, spark_per_core))
        kafka = max(3.0, gateway)  # brokers copy what gateways have parsed: no more cores than these, at least three
        held_gb = rate * 86_400 * KEPT_DAYS * bytes_a_reading * REPLICAS / 1e9
        month = (gateway + spark + kafka) * CORE_MONTH + held_gb * GB_MONTH
        print(f"{patients:>11,} {rate:>12,.0f} {gateway:>15,.0f} {spark:>13,.0f} {held_gb / 1000:>10,.1f} "
              f"{month:>11,.0f} {month * 12 / patients:>18.4f}")  # fmt: skip


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="islet-scale-"))
    kafka = Kafka(folder)
    try:
        measure(folder, kafka)
    finally:
        kafka.stop(kill=True)
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, kafka: Kafka) -> None:
    before = _size(folder / "data")
    seconds = fill(kafka.bootstrap, "four.", 4)
    written = READINGS / seconds
    figure("scale, one process: readings acknowledged by Kafka", written, "readings/s")
    bytes_a_reading = (_size(folder / "data") - before) / READINGS
    figure("scale, on the broker, one replica", bytes_a_reading, "bytes/reading")
    base = Run(
        bootstrap=kafka.bootstrap, prefix="four.", folder=str(folder / "run"), shards=16, most_rows=READINGS // 5
    )
    rates = {}
    for cores, partitions in ((1, 4), (2, 1), (2, 4), (2, 8)):
        prefix = f"c{cores}p{partitions}."
        fill(kafka.bootstrap, prefix, partitions)
        run = replace(base, prefix=prefix, partitions=partitions, master=f"local[{cores}]", shuffles=max(2, cores),
                      folder=str(folder / prefix))  # fmt: skip
        rates[cores, partitions], _ = run_spark(run)
        figure(f"scale, Spark job, {cores} core(s), {partitions} partition(s)", rates[cores, partitions], "readings/s")
    best = max(rate for (cores, _), rate in rates.items() if cores == 2)
    bar = "at least 60,000 readings/s on two cores"
    figure("scale, Spark job on two cores, best", best, "readings/s", bar=bar, holds=best >= 60_000)
    figure("scale, embedded engine on Kafka, one process", run_embedded(kafka.bootstrap, "four."), "readings/s")
    model(best / 2, written, bytes_a_reading)


def _size(folder: Path) -> int:
    """Bytes of the segments' used part; indexes and the room that is set aside beforehand are not counted."""
    return sum(path.stat().st_size for path in folder.rglob("*.log"))


if __name__ == "__main__":
    main()
