"""`islet spark submit` runs the job with the real spark-submit, on what the settings name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from islet.forecast.serving import SHIPPED, served
from islet.log.memory import MemoryLog
from islet.menu import plug
from islet.model.topics import Topic
from islet.settings import load
from tests.engine.test_engine_spark import run_embedded
from tests.services.crowd import commits, readings
from tests.services.fixtures import kafka as kafka
from tests.services.fixtures import locked_kafka as locked_kafka
from tests.services.fixtures import prefix as prefix
from tests.services.fixtures import spark as spark
from tests.services.jars import of_spark
from tests.services.locked_kafka import PASSWORD, LockedKafka
from tests.services.told import table

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("spark")]


def islet(folder: Path, environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(filter(None, sys.path))
    given = os.environ | {"PYTHONPATH": paths, "SPARK_LOCAL_IP": "127.0.0.1"} | environment
    command = [sys.executable, "-m", "islet.cli", "--data-dir", str(folder / "data"), *words]
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=300.0, cwd=folder)


def test_the_submitted_job_says_what_the_embedded_engine_says(
    locked_kafka: LockedKafka, prefix: str, tmp_path: Path
) -> None:
    """On a broker that wants TLS and a password; and how far it has read is known afterwards."""
    settings = locked_kafka.settings("SCRAM-SHA-512") | {"ISLET_KAFKA_PREFIX": prefix, "ISLET_PARTITIONS": "4"}
    crowd = readings(2_000)
    log, embedded = plug("log", "kafka")(load(None, settings), writer=""), MemoryLog(partitions=4)
    for each in (log, embedded):
        each.commit(list(commits(crowd)))
    run_embedded(embedded, foreteller=served(SHIPPED))  # as an installation does
    options = ["--jars", ",".join(map(str, of_spark())), "--conf", "spark.sql.shuffle.partitions=2"]
    words = [word for option in options for word in ("--spark-option", option)]
    done = islet(tmp_path, settings, "spark", "submit", "--master", "local[2]", *words,
                 "--once", "--shards", "4", "--checkpoint", str(tmp_path / "checkpoint"))  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert {name.split("~")[0] for name in table(log)} >= {"low"}
    told = {name: alert for name, alert in table(log).items() if not name.startswith("no_")}
    assert told == {name: alert for name, alert in table(embedded).items() if not name.startswith("no_")}
    assert log.cursor("spark", Topic.GLUCOSE_READINGS) == log.end(Topic.GLUCOSE_READINGS)
    assert PASSWORD not in done.stdout + done.stderr
    log.close()


def test_the_command_names_the_kafka_source_of_the_spark_that_is_installed_and_no_secret(tmp_path: Path) -> None:
    import pyspark

    secret = {"ISLET_KAFKA_PASSWORD": "hunter2"}
    done = islet(tmp_path, secret, "spark", "submit", "--dry-run", "--checkpoint", "/c", "--once")
    assert done.returncode == 0, done.stderr
    assert f"spark-sql-kafka-0-10_2.13:{pyspark.__version__}" in done.stdout
    assert done.stdout.rstrip().endswith(f"cli.py --data-dir {tmp_path}/data spark run --checkpoint /c --once")
    assert "hunter2" not in done.stdout


def test_the_job_has_the_settings_and_the_data_directory_that_the_command_was_given(tmp_path: Path) -> None:
    """It had a data directory of its own: nobody's own rules, and a heart that the platform did not hear."""
    (tmp_path / "islet.toml").touch()
    command = ["--settings", "islet.toml", "spark", "submit", "--dry-run", "--checkpoint", "/c"]
    done = islet(tmp_path, {}, *command)
    assert done.returncode == 0, done.stderr
    given = f"--settings {tmp_path}/islet.toml --data-dir {tmp_path}/data"
    assert done.stdout.rstrip().endswith(f"cli.py {given} spark run --checkpoint /c")


def test_without_kafka_in_the_settings_the_job_says_what_is_lacking(tmp_path: Path) -> None:
    done = islet(tmp_path, {}, "spark", "run", "--checkpoint", str(tmp_path / "c"))
    assert done.returncode == 1
    assert "setting log: expected kafka" in done.stderr
