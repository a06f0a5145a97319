"""`islet spark submit` runs the job with the real spark-submit, on what the settings name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from islet.forecast.serving import SHIPPED, served
from islet.log.memory import MemoryLog
from tests.engine.test_engine_spark import run_embedded
from tests.services.crowd import commits, readings
from tests.services.fixtures import KafkaLogs
from tests.services.fixtures import kafka as kafka
from tests.services.fixtures import kafka_logs as kafka_logs
from tests.services.fixtures import prefix as prefix
from tests.services.fixtures import spark as spark
from tests.services.jars import of_spark
from tests.services.kafka import Kafka
from tests.services.told import table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]


def islet(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, sys.path))
    given = os.environ | {"PYTHONPATH": paths, "SPARK_LOCAL_IP": "127.0.0.1"} | environment
    command = [sys.executable, "-m", "islet.cli", "--data-dir", str(folder / "data"), *words]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=300.0, cwd=folder)


def test_the_submitted_job_says_what_the_embedded_engine_says(
    kafka: Kafka, kafka_logs: KafkaLogs, prefix: str, tmp_path: Path
) -> None:
    crowd = readings(2_000)
    log, embedded = kafka_logs(prefix), MemoryLog(partitions=4)
    for each in (log, embedded):
        each.commit(list(commits(crowd)))
    run_embedded(embedded, foreteller=served(SHIPPED))  # as an installation does
    settings = {"ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": kafka.bootstrap, "ISLET_KAFKA_PREFIX": prefix}
    options = ["--jars", ",".join(map(str, of_spark())), "--conf", "spark.sql.shuffle.partitions=2"]
    words = [word for option in options for word in ("--spark-option", option)]
    done = islet(tmp_path, settings, "spark", "submit", "--master", "local[2]", *words,
                 "--once", "--shards", "4", "--checkpoint", str(tmp_path / "checkpoint"))  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert {name.split("~")[0] for name in table(log)} >= {"low"}
    told = {name: alert for name, alert in table(log).items() if not name.startswith("no_")}
    assert told == {name: alert for name, alert in table(embedded).items() if not name.startswith("no_")}


def test_the_command_names_the_kafka_source_of_the_spark_that_is_installed_and_no_secret(tmp_path: Path) -> None:
    import pyspark

    secret = {"ISLET_KAFKA_PASSWORD": "hunter2"}
    done = islet(tmp_path, secret, "spark", "submit", "--dry-run", "--checkpoint", "/c", "--once")
    assert done.returncode == 0, done.stderr
    assert f"spark-sql-kafka-0-10_2.13:{pyspark.__version__}" in done.stdout
    assert done.stdout.rstrip().endswith("cli.py spark run --checkpoint /c --once")
    assert "hunter2" not in done.stdout


def test_without_kafka_in_the_settings_the_job_says_what_is_lacking(tmp_path: Path) -> None:
    done = islet(tmp_path, {}, "spark", "run", "--checkpoint", str(tmp_path / "c"))
    assert done.returncode == 1
    assert "setting log: expected kafka" in done.stderr
