"""What the settings say is looked at before anybody is asked. What a broker cannot answer for a moment is asked again;
what it refuses is not."""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from islet.errors import SettingError
from islet.log.kafka_access import KafkaAccess, patiently, refused
from islet.settings import load

EVENT_HUBS = {"ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": "name.servicebus.windows.net:9093"}
PEM = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


def access(environment: dict[str, str]) -> KafkaAccess:
    return KafkaAccess.of(load(None, {"ISLET_LOG": "kafka", "ISLET_KAFKA_BOOTSTRAP": "k:1"} | environment), writer="")


def test_a_file_of_authorities_that_is_none_is_told_with_its_name_and_the_setting(tmp_path: Path) -> None:
    """librdkafka says `x509 certificate routines::BIO lib`, and takes a folder for one."""
    (tmp_path / "empty.pem").touch()
    (tmp_path / "binary.pem").write_bytes(b"\x80")
    for file, why in (
        ("gone.pem", "No such file"),
        ("empty.pem", "there is none"),
        ("", "directory"),
        ("binary.pem", "no text"),
    ):
        with pytest.raises(SettingError, match=f"setting kafka_ca_file: .*{why}"):
            access({"ISLET_KAFKA_CA_FILE": str(tmp_path / file)})


def test_spark_is_given_the_authorities_and_not_where_they_are_here(tmp_path: Path) -> None:
    """The machines of a cluster have not got the driver's file."""
    file = tmp_path / "ca.pem"
    file.write_text(PEM)
    options = access({"ISLET_KAFKA_PROTOCOL": "SSL", "ISLET_KAFKA_CA_FILE": str(file)}).spark_options()
    assert (options["kafka.ssl.truststore.type"], options["kafka.ssl.truststore.certificates"]) == ("PEM", PEM)
    assert "kafka.ssl.truststore.location" not in options


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_event_hubs_take_gzip_or_nothing(compression: str) -> None:
    assert access(EVENT_HUBS | {"ISLET_KAFKA_COMPRESSION": compression}).at_event_hubs
    assert not access({}).at_event_hubs


def test_the_compression_that_we_use_by_default_is_refused_at_event_hubs() -> None:
    with pytest.raises(SettingError, match="kafka_compression: Azure Event Hubs takes gzip or none; got zstd"):
        access(EVENT_HUBS)


def test_a_connection_that_azure_would_close_is_kept_in_use() -> None:
    """What was idle for 240 s is closed there."""
    client = access({}).client({})
    assert client["socket.keepalive.enable"] is True
    assert client["metadata.max.age.ms"] < 240_000


@pytest.mark.parametrize("code", ["UNKNOWN_LEADER_EPOCH", "FENCED_LEADER_EPOCH", "NOT_LEADER_FOR_PARTITION", "_NOENT"])
def test_a_leader_that_changes_is_looked_for_and_asked_again(code: str) -> None:
    answers = iter([KafkaException(KafkaError(getattr(KafkaError, code))), 7])
    looked = list[str]()

    def look() -> None:
        looked.append("who leads")
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    assert patiently(ask, look) == 7
    assert looked == ["who leads"]


def test_a_refusal_is_told_at_once() -> None:
    asked = []

    def ask() -> None:
        asked.append(1)
        raise KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))

    with pytest.raises(KafkaException):
        patiently(ask, lambda: None)
    assert asked == [1]


def test_a_right_that_is_lacking_is_told_with_where_all_of_them_are_listed() -> None:
    """Of the consumer's group, for example, which is asked for though nobody joins it."""
    told = refused(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED))
    assert "lacks a right" in str(told) and "docs/how-to/use-kafka.md" in str(told)
