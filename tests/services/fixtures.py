"""Fixtures for tests against real services; a test file imports those that it uses."""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest

from islet.log.base import Log
from tests.conftest import Missing
from tests.services import jars
from tests.services.kafka import Kafka
from tests.services.locked_kafka import LockedKafka

KafkaLogs = Callable[..., Log]
"""Opens a log, given its topics' prefix and the number of its partitions; `writer` names the process."""

_numbers = count()


@pytest.fixture
def kafka(missing: Missing) -> Kafka:
    """A broker that all tests of this process share; each uses topics of its own."""
    lacking = jars.lacking() or ("" if find_spec("confluent_kafka") else "confluent-kafka (extra `kafka`)")
    if lacking:
        missing(lacking)
    return _broker()


@pytest.fixture
def locked_kafka(kafka: Kafka) -> LockedKafka:
    """One that lets in only who trusts its authority, and over SASL who knows the password; shared as well."""
    return _locked()


@pytest.fixture
def prefix() -> str:
    """Stands before the names of a test's topics."""
    return f"t{next(_numbers)}."


@pytest.fixture
def kafka_logs(kafka: Kafka) -> Iterator[KafkaLogs]:
    """Logs on the broker; all are closed at the end."""
    from islet.log.kafka import KafkaLog
    from islet.log.kafka_access import KafkaAccess

    opened: list[KafkaLog] = []

    def open_(prefix: str, partitions: int = 4, writer: str = "islet") -> Log:
        access = KafkaAccess(bootstrap=kafka.bootstrap, prefix=prefix, writer=writer)
        opened.append(KafkaLog(access, partitions=partitions))
        return opened[-1]

    yield open_
    for log in opened:
        log.close()


@pytest.fixture
def spark(missing: Missing) -> None:
    """Spark can be started here."""
    if find_spec("pyspark") is None:
        missing("pyspark (extra `spark`)")


@cache
def _broker() -> Kafka:
    folder = _folder()
    kafka = Kafka(folder)
    atexit.register(_end, kafka, folder)
    return kafka


@cache
def _locked() -> LockedKafka:
    folder = _folder()
    locked = LockedKafka(folder)
    atexit.register(_end, locked.kafka, folder)
    return locked


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="islet-kafka-"))


def _end(kafka: Kafka, folder: Path) -> None:
    kafka.stop(kill=True)
    shutil.rmtree(folder, ignore_errors=True)
