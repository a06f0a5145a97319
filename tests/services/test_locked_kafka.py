"""A Kafka that wants TLS, and a password by each of the mechanisms that the settings offer."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

import pytest

from islet.clock import wall_us
from islet.gateways.certificates import ensure_certificates
from islet.log.base import Commit, CursorMove, Log
from islet.menu import plug
from islet.opened import check_kafka
from islet.settings import Settings, load
from tests.log.rows import GLUCOSE, append, commit, patients_of, reading
from tests.platform.process import PlatformProcess
from tests.services.fixtures import kafka as kafka
from tests.services.fixtures import locked_kafka as locked_kafka
from tests.services.fixtures import prefix as prefix
from tests.services.locked_kafka import MECHANISMS, LockedKafka

pytestmark = pytest.mark.slow

WAYS = ("", *MECHANISMS)
_SOON_S = 20.0


def opened(settings: Settings) -> Log:
    log: Log = plug("log", "kafka")(settings, writer="engine")
    return log


@pytest.mark.parametrize("mechanism", WAYS)
def test_a_log_is_written_and_read_by_each_way_in(locked_kafka: LockedKafka, prefix: str, mechanism: str) -> None:
    settings = load(None, locked_kafka.settings(mechanism) | {"ISLET_KAFKA_PREFIX": prefix})
    check_kafka(settings)
    with closing(opened(settings)) as log:
        move = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=1)
        log.commit([commit(1, append(reading("anna", 1))), Commit(received_at_us=1, cursors=[move])])
    with closing(opened(settings)) as log:
        assert (patients_of(log), log.cursor("c", GLUCOSE)[0]) == (["anna"], 1)


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_told_soon_and_not_shown(locked_kafka: LockedKafka, mechanism: str) -> None:
    settings = load(None, locked_kafka.settings(mechanism) | {"ISLET_KAFKA_PASSWORD": "hunter2"})
    began_s = monotonic()
    with pytest.raises(OSError, match=r"(?i)does not let us in .*invalid.* kafka_password") as told:
        check_kafka(settings)
    assert monotonic() - began_s < _SOON_S
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("mechanism", ["", "PLAIN"])
def test_a_broker_of_another_authority_is_told_soon(locked_kafka: LockedKafka, mechanism: str, tmp_path: Path) -> None:
    other = ensure_certificates(tmp_path, "localhost", wall_us()).authority
    settings = load(None, locked_kafka.settings(mechanism) | {"ISLET_KAFKA_CA_FILE": str(other)})
    began_s = monotonic()
    with pytest.raises(OSError, match=r"does not let us in .*certificate verify failed.* kafka_ca_file"):
        check_kafka(settings)
    assert monotonic() - began_s < _SOON_S


@pytest.fixture
def platform(locked_kafka: LockedKafka, prefix: str, tmp_path: Path) -> Iterator[PlatformProcess]:
    settings = locked_kafka.settings("SCRAM-SHA-512") | {"ISLET_KAFKA_PREFIX": prefix}
    process = PlatformProcess(tmp_path, settings)
    process.start()
    yield process
    process.kill()


def test_a_platform_with_all_its_roles_runs_on_it(platform: PlatformProcess) -> None:
    platform.wait_until_ready()
    page = platform.http.get("/metrics").text
    assert 'islet_worker_up{worker="engine"} 1.0' in page and 'islet_worker_up{worker="store"} 1.0' in page
    assert platform.stop() == 0
