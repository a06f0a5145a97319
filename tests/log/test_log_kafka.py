"""The log on a real Kafka holds the contract; and what only Kafka can do: be shared, cut, fenced, restarted."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from islet.errors import SettingError
from islet.log.base import Append, Commit, CursorMove, Log, Slice
from islet.model.batch import DocumentRow, documents_batch
from islet.model.topics import Topic
from islet.settings import load
from tests.log.contract import LogContract, OpenLog
from tests.log.rows import GLUCOSE, append, commit, entries, note, patients_of, reading, tuples
from tests.services.fixtures import KafkaLogs
from tests.services.fixtures import kafka as kafka
from tests.services.fixtures import kafka_logs as kafka_logs
from tests.services.fixtures import prefix as prefix
from tests.services.kafka import Kafka

pytestmark = pytest.mark.slow


class TestKafkaLog(LogContract):
    asks = False

    @pytest.fixture
    def open_log(self, kafka_logs: KafkaLogs, prefix: str) -> OpenLog:
        return lambda partitions: kafka_logs(prefix, partitions)

    def test_compaction_is_invisible(self, log: Log) -> None:
        """The broker compacts by itself; there is nothing for us to do."""
        log.commit([commit(1, append(reading("p1", 1)), note("p1", 1, "tea"))])
        before = entries(log), entries(log, Topic.CARE_EVENTS)
        assert log.compact() == 0
        assert (entries(log), entries(log, Topic.CARE_EVENTS)) == before


def test_a_record_is_one_json_object_that_any_client_can_read(kafka: Kafka, kafka_logs: KafkaLogs, prefix: str) -> None:
    from confluent_kafka import Consumer, TopicPartition

    log = kafka_logs(prefix, 1)
    log.commit([commit(77_000, append(reading("anna", 3, 112)), note("anna", 4, "tea"))])
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "any"})
    consumer.assign([TopicPartition(f"{prefix}{topic}", 0, 0) for topic in (GLUCOSE, Topic.CARE_EVENTS)])
    found: dict[str, tuple[bytes, int, dict[str, object]]] = {}
    while len(found) < 2:
        message = consumer.poll(10.0)
        assert message is not None
        found[message.topic()] = (message.key(), message.timestamp()[1], json.loads(message.value()))
    consumer.close()
    common = {"patient": "anna", "received_at_us": 77_000}
    assert found[f"{prefix}{GLUCOSE}"] == (b"anna", 77, common | {
        "device": "sensor-of-anna", "time_us": 180_000_000, "glucose_tenths": 1120, "value": 112.0,
        "unit": "mg/dL", "range": "within", "method": "cgm",
    })  # fmt: skip
    document = common | {"device": "", "time_us": 240_000_000, "type": "note", "body": {"text": "tea"}}
    assert found[f"{prefix}{Topic.CARE_EVENTS}"] == (b"anna", 77, document)


def test_a_body_that_is_no_json_is_refused_before_anything_is_sent(kafka_logs: KafkaLogs, prefix: str) -> None:
    log = kafka_logs(prefix, 1)
    row = DocumentRow("anna", "", 0, "note", "{tea")
    wrong = Append(topic=Topic.CARE_EVENTS, batch=documents_batch([row]))
    with pytest.raises(ValueError, match="JSON"):
        log.commit([commit(1, append(reading("anna", 1)), wrong)])
    assert patients_of(log) == []


def test_the_marks_of_transactions_are_passed_over_by_whoever_reads(kafka_logs: KafkaLogs, prefix: str) -> None:
    log, other = kafka_logs(prefix, 1), kafka_logs(prefix, 1, "other")
    assert patients_of(other) == []  # follows from now on
    for minute in range(5):
        move = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=minute)
        log.commit([Commit(received_at_us=1, appends=[append(reading("anna", minute))], cursors=[move])])
        assert [row[-1] for row in entries_with_gaps(log)] == [1] * (minute + 1)
    seen = 0
    while len(found := entries_with_gaps(other)) < 5:
        seen = other.wait(seen, 10.0)
    assert [row[2] for row in found] == [minute * 60_000_000 for minute in range(5)]
    fresh = kafka_logs(prefix, 1, "third")
    assert entries_with_gaps(fresh) == found
    assert fresh.read(GLUCOSE, 0, fresh.end(GLUCOSE)[0]) is None
    assert fresh.newest_received_us() == 1


def test_the_newest_entry_before_the_mark_of_a_transaction_is_found_at_the_first_look(
    kafka_logs: KafkaLogs, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at a mark alone takes half a second, for each partition and at each start."""
    log = kafka_logs(prefix, 1)
    log.commit([Commit(received_at_us=1, appends=[append(reading("anna", 1))], states={"said": b""})])
    looks, read = list[int](), log.read

    def look(topic: Topic, partition: int, offset: int) -> Slice | None:
        looks.append(offset)
        return read(topic, partition, offset)

    monkeypatch.setattr(log, "read", look)
    assert (log.newest_received_us(), len(looks)) == (1, 1)


def test_a_reader_that_has_reached_the_end_leaves_no_connection_open(
    kafka: Kafka, kafka_logs: KafkaLogs, prefix: str
) -> None:
    """Each goes on asking the broker, for a hundredth of a core, also where nobody will read it any more."""
    from islet.log.kafka_access import KafkaAccess
    from islet.log.kafka_reader import History

    kafka_logs(prefix, 1).commit([commit(1, append(*(reading("anna", minute) for minute in range(4))))])
    history = History(KafkaAccess(bootstrap=kafka.bootstrap, prefix=prefix))
    assert history.read(GLUCOSE, 0, 0, 4, 2) is not None
    assert len(history._idle) == 1, "the reader goes on with it"
    assert history.read(GLUCOSE, 0, 2, 4, 2) is not None
    assert len(history._idle) == 0
    history.close()


def entries_with_gaps(log: Log) -> list[tuple[object, ...]]:
    found, offset = list[tuple[object, ...]](), 0
    while (one := log.read(GLUCOSE, 0, offset)) is not None:
        assert one.offset >= offset
        found += tuples(one.batch)
        offset = one.next_offset
    return found


def test_a_state_larger_than_a_record_may_be_comes_back_whole(kafka_logs: KafkaLogs, prefix: str) -> None:
    log = kafka_logs(prefix, 1)
    large = random.Random(7).randbytes(3_000_000)
    log.commit([Commit(received_at_us=1, states={"large": large})])
    assert kafka_logs(prefix, 1, "other").state("large") == large
    log.commit([Commit(received_at_us=2, states={"large": large[:10]})])
    assert log.state("large") == large[:10]


def test_of_two_processes_with_one_name_the_older_is_shut_out(kafka_logs: KafkaLogs, prefix: str) -> None:
    old, new = kafka_logs(prefix, 1, "engine"), kafka_logs(prefix, 1, "engine")
    states = [Commit(received_at_us=1, states={"who": b"old"})]
    old.commit(states)
    new.commit([Commit(received_at_us=1, states={"who": b"new"})])
    with pytest.raises(OSError, match="another process"):
        old.commit(states)
    assert new.state("who") == b"new"


def test_processes_without_a_name_move_cursors_and_shut_nobody_out(kafka_logs: KafkaLogs, prefix: str) -> None:
    """Pages may be served by many, and programs read the log through any of them."""
    one, other = kafka_logs(prefix, 1, ""), kafka_logs(prefix, 1, "")
    one.commit([commit(1, append(*(reading("anna", minute) for minute in range(4))))])
    for offset, log in enumerate((one, other, one, other), start=1):
        move = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=offset)
        log.commit([Commit(received_at_us=1, cursors=[move])])
        assert (one.cursor("c", GLUCOSE), other.cursor("c", GLUCOSE)) == ((offset,), (offset,))


def test_producers_ask_for_the_acknowledgement_of_all_replicas_and_number_their_records() -> None:
    from islet.log.kafka_access import KafkaAccess
    from islet.log.kafka_writer import Writer

    configured = Writer(KafkaAccess(bootstrap="127.0.0.1:1")).configuration({})
    assert (configured["acks"], configured["enable.idempotence"]) == ("all", True)


def test_the_settings_of_event_hubs_reach_python_and_java_and_no_record_of_them_shows_the_password() -> None:
    from confluent_kafka import Producer

    from islet.log.kafka_access import KafkaAccess

    password = 'Endpoint=sb://n.servicebus.windows.net/;SharedAccessKey=a"b\\c='
    settings = load(None, {
        "ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": "127.0.0.1:1", "ISLET_KAFKA_PROTOCOL": "SASL_SSL",
        "ISLET_KAFKA_USER": "$ConnectionString", "ISLET_KAFKA_PASSWORD": password, "ISLET_KAFKA_COMPRESSION": "gzip",
    })  # fmt: skip
    access = KafkaAccess.of(settings, writer="engine")
    client = access.client({})
    assert (client["security.protocol"], client["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    assert (client["sasl.username"], client["sasl.password"]) == ("$ConnectionString", password)
    Producer(client)  # refuses what librdkafka does not know
    java = access.spark_options()
    assert java["kafka.security.protocol"] == "SASL_SSL"
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    assert java["kafka.sasl.jaas.config"].endswith(f'username="$ConnectionString" password="{quoted}";')
    assert "SharedAccessKey" not in repr(access)


def test_kafka_without_a_broker_is_refused_with_the_name_of_the_setting() -> None:
    from islet.log.kafka_access import KafkaAccess

    with pytest.raises(SettingError, match="kafka_bootstrap"):
        KafkaAccess.of(load(None, {"ISLET_LOG": "kafka"}), writer="engine")


def test_a_log_goes_on_when_its_broker_was_killed_and_started_again(kafka: Kafka, tmp_path: Path) -> None:
    """Partitions have another leader then, of which a client that is only asked for offsets does not hear by itself."""
    from islet.log.kafka import KafkaLog
    from islet.log.kafka_access import KafkaAccess

    own = Kafka(tmp_path)
    log = KafkaLog(KafkaAccess(bootstrap=own.bootstrap), partitions=1)
    try:
        log.commit([commit(1, append(reading("anna", 1)))])
        assert log.begin(GLUCOSE) == (0,)
        own.stop(kill=True)
        own.start()
        assert log.begin(GLUCOSE) == (0,)
        log.commit([commit(2, append(reading("anna", 2)))])
        assert patients_of(log) == ["anna", "anna"]
    finally:
        log.close()
        own.stop(kill=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"protocol": "SSL"}, "does not let us in .*SSL handshake failed.* kafka_protocol"),
        (
            {"protocol": "SASL_PLAINTEXT", "user": "a", "password": "b"},
            "does not let us in .*SASL PLAIN.* kafka_mechanism",
        ),
        ({"protocol": "SASL_PLAINTEXT"}, "username and sasl.password must be set; look at the settings"),
        ({"bootstrap": "127.0.0.1:1"}, "Kafka at 127.0.0.1:1 does not let us in .*refused.* kafka_bootstrap"),
    ],
)
def test_a_broker_that_lets_nobody_in_is_told_with_why_and_with_the_settings_to_look_at(
    kafka: Kafka, prefix: str, change: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from islet.log.kafka import KafkaLog
    from islet.log.kafka_access import KafkaAccess

    monkeypatch.setattr("islet.log.kafka_topics.ANSWER_S", 5.0)
    given = {"bootstrap": kafka.bootstrap, "prefix": prefix, **change}
    with pytest.raises((OSError, SettingError), match=says):
        KafkaLog(KafkaAccess(**given))  # type: ignore[arg-type]


def test_to_check_a_log_makes_nothing_and_finds_another_number_of_partitions(
    kafka: Kafka, kafka_logs: KafkaLogs, prefix: str
) -> None:
    from confluent_kafka.admin import AdminClient

    from islet.log.kafka_topics import check

    names = {"ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": kafka.bootstrap, "ISLET_KAFKA_PREFIX": prefix}
    settings = load(None, names | {"ISLET_PARTITIONS": "8"})
    check(settings)
    there = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10.0).topics
    assert [name for name in there if name.startswith(prefix)] == []
    kafka_logs(prefix, 4)
    with pytest.raises(SettingError, match="has 4"):
        check(settings)


def config_of(kafka: Kafka, name: str, change: dict[str, str] | None = None) -> dict[str, str]:
    from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    if change:
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in change.items()
        ]
        asked = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
        admin.incremental_alter_configs([asked])[asked].result(20.0)
    asked = ConfigResource(ConfigResource.Type.TOPIC, name)
    return {key: entry.value for key, entry in admin.describe_configs([asked])[asked].result(20.0).items()}


def test_a_state_that_was_replaced_is_gone_within_a_day(kafka: Kafka, kafka_logs: KafkaLogs, prefix: str) -> None:
    """The engine's of before an erasure. By itself Kafka may keep it as long as little else is written there."""
    kafka_logs(prefix)
    assert int(config_of(kafka, f"{prefix}islet_state")["max.compaction.lag.ms"]) == 24 * 3_600_000


def test_a_topic_of_states_that_forgets_by_age_is_refused(kafka: Kafka, kafka_logs: KafkaLogs, prefix: str) -> None:
    """Somebody has made it by hand: a week later the engine would begin with nothing."""
    from islet.log.kafka_topics import check

    kafka_logs(prefix).close()
    names = {"ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": kafka.bootstrap, "ISLET_KAFKA_PREFIX": prefix}
    check(load(None, names))
    config_of(kafka, f"{prefix}islet_state", {"cleanup.policy": "delete"})
    for opens in (lambda: check(load(None, names)), lambda: kafka_logs(prefix)):
        with pytest.raises(SettingError, match=r"islet_state has cleanup\.policy=delete, .* set it to compact"):
            opens()


def test_event_hubs_that_are_lacking_are_told_because_clients_do_not_make_them(
    kafka: Kafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from islet.log.kafka_access import KafkaAccess
    from islet.log.kafka_topics import check, opened

    access = KafkaAccess(bootstrap=kafka.bootstrap, prefix=prefix, compression="gzip")
    monkeypatch.setattr("islet.log.kafka_access._EVENT_HUBS", "127.0.0.1")
    names = {"ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": kafka.bootstrap, "ISLET_KAFKA_COMPRESSION": "gzip"}
    settings = load(None, names | {"ISLET_KAFKA_PREFIX": prefix, "ISLET_PARTITIONS": "8"})
    for asks in (lambda: opened(access, 8), lambda: check(settings)):
        with pytest.raises(SettingError, match=r"glucose_readings \(8\), .*islet_state \(1\); .* Compact"):
            asks()


def test_another_number_of_partitions_is_refused(kafka_logs: KafkaLogs, prefix: str) -> None:
    kafka_logs(prefix, 4)
    with pytest.raises(SettingError, match="has 4"):
        kafka_logs(prefix, 8)


def test_a_log_keeps_its_partitions_where_nobody_says_how_many_and_a_new_one_has_four(
    kafka_logs: KafkaLogs, prefix: str
) -> None:
    assert kafka_logs(f"{prefix}new-", 0).partitions == 4
    kafka_logs(prefix, 2).close()
    assert kafka_logs(prefix, 0).partitions == 2


_OTHER_PROCESS = """
import sys
from islet.log.base import Commit, CursorMove
from islet.log.kafka import KafkaLog
from islet.log.kafka_access import KafkaAccess
from tests.log.rows import GLUCOSE, append, reading
log = KafkaLog(KafkaAccess(bootstrap=sys.argv[1], prefix=sys.argv[2]), partitions=2)
for minute in range(100_000):
    rows = append(*(reading(f"p{number}", minute) for number in range(10)))
    move = CursorMove(consumer="c", topic=GLUCOSE, partition=0, offset=minute + 1)
    log.commit([Commit(received_at_us=1, appends=[rows], cursors=[move])])
    print(minute, flush=True)
"""


def test_a_process_that_is_killed_leaves_whole_transactions_with_their_cursors(
    kafka: Kafka, kafka_logs: KafkaLogs, prefix: str
) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    for acknowledged in (5, 23):
        name = f"{prefix}{acknowledged}."
        command = [sys.executable, "-c", _OTHER_PROCESS, kafka.bootstrap, name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        for _ in range(acknowledged):
            last = int(process.stdout.readline())
        process.kill()
        last = max([last, *(int(line) for line in process.stdout if line.endswith("\n"))])
        process.wait(30.0)
        log = kafka_logs(name, 2)
        log.commit([Commit(received_at_us=1, states={"successor": b""})])  # ends what was open under this name
        minutes = log.cursor("c", GLUCOSE)[0]
        assert minutes >= last + 1
        found = sorted((row[-1], row[0]) for rows in all_entries(log) for row in rows)
        assert found == sorted((minute, f"p{number}") for minute in range(minutes) for number in range(10))


def all_entries(log: Log) -> list[list[tuple[object, ...]]]:
    found: list[list[tuple[object, ...]]] = []
    for partition in range(log.partitions):
        rows, offset = list[tuple[object, ...]](), 0
        while (one := log.read(GLUCOSE, partition, offset)) is not None:
            rows += [(row[0], row[2] // 60_000_000) for row in tuples(one.batch)]  # type: ignore[operator]
            offset = one.next_offset
        found.append(rows)
    return found
