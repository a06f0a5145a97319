"""The Spark job as a process of its own, which a test can kill: `python -m tests.services.spark` with a Run as JSON."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tests.services.crowd import START_US
from tests.services.jars import of_spark
from tests.services.meter import Meter

_ROOT = Path(__file__).resolve().parents[2]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What a run reads and where it keeps what; it ends when it has read what was there at its start."""

    bootstrap: str
    prefix: str
    folder: str
    master: str = "local[2]"
    shards: int = 8
    partitions: int = 4
    shuffles: int = 2
    most_rows: int = 2_000_000
    lake: bool = False

    def start(self) -> subprocess.Popen[bytes]:
        """The run, in a process group of its own; what it prints goes to a file in its folder."""
        command = [sys.executable, "-m", "tests.services.spark", msgspec.json.encode(self).decode()]
        paths = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        environment = os.environ | {
            "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": paths, "SPARK_LOCAL_IP": "127.0.0.1",
        }  # fmt: skip
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        with (Path(self.folder) / "output").open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)

    def finish(self) -> None:
        """Run to the end."""
        process = self.start()
        try:
            status = process.wait(900.0)
        finally:
            killed(process)
        assert status == 0, self.printed()

    def printed(self) -> str:
        """The end of what the run has printed."""
        return (Path(self.folder) / "output").read_text(errors="replace")[-4000:]

    def batches(self) -> int:
        """How many micro-batches the engine's query has finished."""
        return len(list(Path(self.folder).glob("checkpoint/engine/commits/[0-9]*")))


def killed(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the driver, its JVM and its workers."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30.0)


def executors(process: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of a run's executors, where they are processes of their own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"CoarseGrainedExecutorBackend" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [one for one in found if _group(one) == process.pid]


def _group(process: int) -> int:
    with suppress(OSError):
        return os.getpgid(process)
    return 0


def _session(run: Run) -> Any:
    from pyspark.sql import SparkSession

    from islet.engine.spark import SESSION

    session = SparkSession.builder.master(run.master)
    options = {
        **SESSION,
        "spark.jars": ",".join(map(str, of_spark())),
        "spark.ui.enabled": "false",
        "spark.driver.memory": "1g",
        "spark.executor.memory": "768m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(run.shuffles),
        "spark.executorEnv.PYTHONPATH": os.environ["PYTHONPATH"],
        "spark.sql.warehouse.dir": f"{run.folder}/warehouse",
        "spark.local.dir": f"{run.folder}/local",
    }
    for name, value in options.items():
        session = session.config(name, value)
    spark = session.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _main(run: Run) -> None:
    from islet.engine import spark as engine
    from islet.engine.parameters import NO_LAYERS
    from islet.engine.references import references
    from islet.engine.rules import load_rules, plan
    from islet.log.kafka import KafkaLog
    from islet.log.kafka_access import KafkaAccess
    from islet.model.topics import Topic
    from islet.settings import Settings

    spark = _session(run)
    access = KafkaAccess(bootstrap=run.bootstrap, prefix=run.prefix, writer="spark")
    log = KafkaLog(access, partitions=run.partitions)
    job = engine.Job(
        kafka=access.spark_options(),
        topics={topic: access.topic(topic) for topic in Topic},
        checkpoint=f"{run.folder}/checkpoint",
        partitions=run.partitions,
        shards=run.shards,
        most_rows=run.most_rows,
        every="",
        lake=f"{run.folder}/lake" if run.lake else "",
    )
    planned = plan(load_rules())
    rules = engine.Frozen.of(planned, references(planned, NO_LAYERS, []), Settings())
    meter = Meter()
    query = engine.start(spark, job, rules, log, lambda: START_US)
    query.awaitTermination()
    progress = [_batch(one) for one in query.recentProgress]
    (Path(run.folder) / "cost.json").write_text(json.dumps({"batches": progress, "cpu": meter.stop()}))
    log.close()
    spark.stop()


def _batch(progress: dict[str, Any]) -> dict[str, float]:
    """A micro-batch: how many rows, when it began and ended (s since 1970)."""
    began_s = datetime.fromisoformat(progress["timestamp"]).timestamp()
    seconds = progress["durationMs"]["triggerExecution"] / 1000
    return {"rows": progress["numInputRows"], "began_s": began_s, "ended_s": began_s + seconds}


if __name__ == "__main__":
    _main(msgspec.json.decode(sys.argv[1], type=Run))
