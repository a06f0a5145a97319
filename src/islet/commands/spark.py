"""`islet spark`: the engine as a Spark job, on this machine or on a cluster. Needs the extra `spark`."""

import os
import shutil
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import click

from islet.errors import SettingError
from islet.model.topics import Topic
from islet.settings import Settings

_PROGRAM = Path(__file__).parents[1] / "cli.py"  # spark-submit takes a file
_WRITER = "engine"  # as the embedded engine: of two, whichever they are, the older one is shut out
_FETCHED = "org.apache.spark:spark-sql-kafka-0-10_2.13"


@click.group()
def spark() -> None:
    """The engine on Spark, where one machine is not enough."""


@spark.command(context_settings={"ignore_unknown_options": True})
@click.option("--master", default="local[*]", show_default=True, help="As spark-submit takes it.")
@click.option("--dry-run", is_flag=True, help="Print the command instead of running it.")
@click.option("--spark-option", multiple=True, help="Given to spark-submit as it is, once for each word.")
@click.argument("job_options", nargs=-1, type=click.UNPROCESSED)
def submit(master: str, dry_run: bool, spark_option: tuple[str, ...], job_options: tuple[str, ...]) -> None:
    """Submit the job with spark-submit; what is not known here is given to `islet spark run`.

    Settings (the broker, its password) come from the environment of the driver, or from the file and with the data
    directory that `islet` was given, which have to be where the driver runs; never from words on the command line.
    """
    command = [_spark_submit(), *submission(master, list(spark_option), _given()), *job_options]
    if dry_run:
        click.echo(" ".join(command))
        return
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.execv(command[0], command)  # noqa: S606


@spark.command()
@click.option("--checkpoint", required=True, help="A folder that survives the machine (a path or URL Spark can write).")
@click.option("--lake", default="", help="A folder for the readings as Parquet; none by default.")
@click.option(
    "--shards",
    default=64,
    show_default=True,
    type=click.IntRange(1, 65_536),
    help="Fixed by the checkpoint; a multiple of the partitions.",
)
@click.option("--every", default="500 milliseconds", show_default=True, help="How often a micro-batch begins.")
@click.option("--once", is_flag=True, help="End when everything that is there now has been read.")
@click.pass_obj
def run(settings: Settings, checkpoint: str, lake: str, shards: int, every: str, once: bool) -> None:
    """The driver of the job; `islet spark submit` starts it. Rules that are changed meanwhile hold some seconds later."""
    _require("pyspark")
    from pyspark.sql import SparkSession

    from islet.alarms import Heart
    from islet.clock import wall_us
    from islet.engine.rulebook import RuleBook
    from islet.engine.spark import SESSION, Frozen, Job, keep
    from islet.log.kafka_access import KafkaAccess
    from islet.menu import plug
    from islet.opened import opened_registry

    if settings.log != "kafka":
        raise SettingError("setting log: expected kafka, because Spark reads from there")
    access = KafkaAccess.of(settings, writer=_WRITER)
    builder = SparkSession.builder
    for name, value in SESSION.items():
        builder = builder.config(name, value)
    with opened_registry(settings) as registry, closing(plug("log", "kafka")(settings, writer=_WRITER)) as log:
        book = RuleBook(registry)
        job = Job(
            kafka=access.spark_options(),
            topics={topic: access.topic(topic) for topic in Topic},
            checkpoint=checkpoint,
            partitions=log.partitions,
            shards=shards,
            every="" if once else every,
            lake=lake,
        )

        def rules() -> Frozen:
            now = book.current()
            return Frozen.of(now.plan, now.references, settings)

        heart = Heart(settings.data_dir / "engine.tick", wall_us)
        keep(builder.getOrCreate(), job, rules, log, wall_us, heart.beat)


def _given() -> list[str]:
    """What `islet` was told before `spark submit`. Without it the job would begin in a data directory of its own, with
    nobody's rules, and the platform would not hear its heart."""
    told = click.get_current_context().find_root().params
    words = {"--settings": told.get("file"), "--data-dir": told.get("data_dir")}
    return [word for name, path in words.items() if path is not None for word in (name, str(path.absolute()))]


def submission(master: str, more: list[str], given: list[str]) -> list[str]:
    """The words for spark-submit, up to the options of `islet spark run`. `given`: those before `spark`."""
    _require("pyspark")
    from pyspark import __version__ as version

    packages = ["--packages", f"{_FETCHED}:{version}"]
    if any(word in ("--packages", "--jars") for word in more):  # a machine that cannot fetch, or an image that has them
        packages = []
    return ["--name", "islet-engine", "--master", master, *packages, *more, str(_PROGRAM), *given, "spark", "run"]


def _spark_submit() -> str:
    _require("pyspark")
    import pyspark

    beside = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    return str(beside) if beside.exists() else shutil.which("spark-submit") or "spark-submit"


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise SettingError(f"{package} is not installed; it comes with the extra: pip install 'islet[spark]'")
