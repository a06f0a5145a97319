"""Scale-out: `python -m benchmarks.scale`, with what `make test-services` installs. Starts a Kafka and Spark in local mode.

Cost and throughput of the Spark job by cores and partitions (JSON in Kafka to alerts in Kafka, and to a lake), of the log
on Kafka, and what follows for 1, 10 and 100 million patients. Cost is CPU time of all processes of the job in whole
micro-batches after the first, in which kernels are loaded; so it says the same on a machine that does other work besides.
ISLET_SCALE_READINGS: how many (1,000,000).
"""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from benchmarks.record import figure
from islet.engine.embedded import EmbeddedEngine
from islet.engine.in_force import FixedRules, Rules
from islet.engine.parameters import NO_LAYERS
from islet.engine.references import references
from islet.engine.rules import load_rules, plan
from islet.log.group_commit import GroupCommit
from islet.log.kafka import KafkaLog
from islet.log.kafka_access import KafkaAccess
from islet.settings import Settings
from tests.services.crowd import START_US, commits, readings
from tests.services.kafka import Kafka
from tests.services.spark import Run

READINGS = int(os.environ.get("ISLET_SCALE_READINGS", "1000000"))
RUNS = ((2, 4, True), (2, 4, False), (1, 4, False), (2, 2, False), (2, 8, False))
"""Cores, partitions, and whether the readings also go to a lake."""
PER_PATIENT_S = 180.0
"""A reading of each patient, on average: what the other figures of Islet assume (5,500/s for a million)."""
DOOR = 30_000.0
"""Readings a second that a core takes in by MQTT, decoded: between what `benchmarks.gateway` gives on a quiet machine
(41,000) and on one with other work (20,000)."""
BUSY = 0.5
"""Share of a core that is planned for; the rest is for the peaks and for catching up."""
CORE_MONTH = 30.0
"""Assumption: price of a core with 4 GB for a month, in dollars, on demand at a large provider."""
GB_MONTH = 0.10
"""Assumption: price of a GB of block storage for a month, in dollars."""
LAKE_GB_MONTH = 0.02
"""Assumption: the same of an object store."""
KEPT_DAYS = 30
REPLICAS = 3
MACHINE_CORES = 16


class Rate(NamedTuple):
    """Readings a second as it was, and for each second of CPU."""

    wall: float
    cpu: float


class Cost(NamedTuple):
    """Readings for each second of CPU, and bytes a reading, of the parts."""

    gateway: float
    spark: float
    kafka_bytes: float
    lake_bytes: float


def fill(bootstrap: str, prefix: str, partitions: int) -> Rate:
    """A process that has the readings acknowledged."""
    log = KafkaLog(KafkaAccess(bootstrap=bootstrap, prefix=prefix), partitions=partitions)
    rows = list(commits(readings(READINGS)))
    started, cpu = time.perf_counter(), time.process_time()
    for commit in rows:
        log.commit([commit])
    rate = Rate(READINGS / (time.perf_counter() - started), READINGS / (time.process_time() - cpu))
    log.close()
    return rate


def run_spark(run: Run) -> Rate:
    """Whole micro-batches after the second; those of the engine and of the lake run side by side."""
    run.finish()
    cost = json.loads((Path(run.folder) / "cost.json").read_text())
    batches = [one for one in cost["batches"] if one["rows"]]
    began, ended = batches[1]["ended_s"], batches[-1]["ended_s"]
    rows = sum(one["rows"] for one in batches if one["began_s"] >= began - 0.5)
    instants, used = np.array(cost["cpu"]).T
    cpu_s = np.interp(ended, instants, used) - np.interp(began, instants, used)
    return Rate(rows / (ended - began), rows / float(cpu_s))


def run_embedded(bootstrap: str, prefix: str, partitions: int) -> Rate:
    """The embedded engine on Kafka, one process, from records to committed alerts."""
    log = KafkaLog(KafkaAccess(bootstrap=bootstrap, prefix=prefix, writer="embedded"), partitions=partitions)
    planned = plan(load_rules())
    rules = Rules(plan=planned, references=references(planned, NO_LAYERS, []))
    writer = GroupCommit(log, lambda: START_US, within_s=0.0)
    engine = EmbeddedEngine(log, writer, FixedRules(rules), Settings(), lambda: START_US)
    engine.recover()
    started, cpu, done = time.perf_counter(), time.process_time(), 0
    while rows := engine.run_once(0.0):
        done += rows
    rate = Rate(done / (time.perf_counter() - started), done / (time.process_time() - cpu))
    engine.close()
    writer.close()
    log.close()
    return rate


def model(cost: Cost) -> None:
    """What the measured costs mean for many patients."""
    print(
        "\npatients     readings/s  gateways  Spark  Kafka cores  machines  Kafka TB  lake TB/year  $/month  $/patient/year"
    )
    for patients in (1_000_000, 10_000_000, 100_000_000):
        rate = patients / PER_PATIENT_S
        gateway, spark = (max(2.0, rate / each / BUSY) for each in (cost.gateway, cost.spark))
        kafka = max(3.0, gateway)  # brokers copy what gateways have parsed: no more cores than these, at least three
        cores = gateway + spark + kafka
        held_gb = rate * 86_400 * KEPT_DAYS * cost.kafka_bytes * REPLICAS / 1e9
        lake_gb = rate * 86_400 * 365 * cost.lake_bytes / 1e9
        month = cores * CORE_MONTH + held_gb * GB_MONTH + lake_gb * LAKE_GB_MONTH
        print(
            f"{patients:>11,} {rate:>11,.0f} {gateway:>9,.0f} {spark:>6,.0f} {kafka:>12,.0f} "
            f"{max(3, -(-cores // MACHINE_CORES)):>9,.0f} {held_gb / 1000:>9,.2f} {lake_gb / 1000:>13,.2f} "
            f"{month:>8,.0f} {month * 12 / patients:>15.4f}"
        )


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="islet-scale-"))
    kafka = Kafka(folder)
    try:
        measure(folder, kafka)
    finally:
        kafka.stop(kill=True)
        shutil.rmtree(folder, ignore_errors=True)


def measure(folder: Path, kafka: Kafka) -> None:
    rates: dict[tuple[int, int, bool], Rate] = {}
    base = Run(bootstrap=kafka.bootstrap, prefix="", folder="", shards=16, most_rows=READINGS // 6)
    before, written, filled = _size(folder / "data", ".log"), Rate(0, 0), set[int]()
    kafka_bytes = lake_bytes = 0.0
    for cores, partitions, lake in RUNS:
        if partitions not in filled:
            written = fill(kafka.bootstrap, f"p{partitions}.", partitions)
            filled.add(partitions)
            kafka_bytes = kafka_bytes or (_size(folder / "data", ".log") - before) / READINGS
        run = replace(
            base, prefix=f"p{partitions}.", partitions=partitions, master=f"local[{cores}]", shuffles=max(2, cores),
            folder=str(folder / f"c{cores}p{partitions}{lake}"), lake=lake,
        )  # fmt: skip
        rates[cores, partitions, lake] = rate = run_spark(run)
        name = f"scale, Spark job{' and lake' if lake else ''}, {cores} core(s), {partitions} partitions"
        figure(name, rate.wall, "readings/s")
        figure(f"{name}, CPU", rate.cpu, "readings/CPU s")
        if lake:
            lake_bytes = _size(Path(run.folder) / "lake", ".parquet") / READINGS
    figure("scale, one gateway: readings acknowledged by Kafka", written.wall, "readings/s")
    figure("scale, one gateway: readings acknowledged, CPU", written.cpu, "readings/CPU s")
    figure("scale, on a broker, one replica", kafka_bytes, "bytes/reading")
    figure("scale, in the lake", lake_bytes, "bytes/reading")
    embedded = run_embedded(kafka.bootstrap, "p4.", 4)
    figure("scale, embedded engine on Kafka, one process", embedded.wall, "readings/s")
    figure("scale, embedded engine on Kafka, CPU", embedded.cpu, "readings/CPU s")
    with_lake = rates[2, 4, True]
    figure("scale, Spark job and lake, two cores' worth of CPU", 2 * with_lake.cpu, "readings/s",
           bar="at least 60,000 readings/s on two cores", holds=2 * with_lake.cpu >= 60_000)  # fmt: skip
    gateway = 1 / (1 / DOOR + 1 / written.cpu)
    model(Cost(gateway=gateway, spark=with_lake.cpu, kafka_bytes=kafka_bytes, lake_bytes=lake_bytes))


def _size(folder: Path, ending: str) -> int:
    """Bytes of the files' used part; indexes and the room that is set aside beforehand are not counted."""
    return sum(path.stat().st_size for path in folder.rglob(f"*{ending}"))


if __name__ == "__main__":
    main()
