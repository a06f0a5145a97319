"""How to reach a Kafka, and the settings that every client of ours has."""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Self, TypeVar

import structlog
from confluent_kafka import KafkaException

from islet.errors import SettingError
from islet.model.topics import Topic
from islet.settings import Settings

ANSWER_S = 30.0
"""A broker that has not answered by then is a failure."""

_AGAIN_S = 0.02
_EVENT_HUBS: Final = ".servicebus."
"""In the host names of Azure Event Hubs, in all of Azure's clouds."""
_EVENT_HUBS_TAKE: Final = ("gzip", "none")
_LOOK_AROUND_MS: Final = 180_000
"""How old may be what a client knows of the brokers. Azure closes what has been idle for 240 s."""
_PASSING = (
    "NOT_LEADER_FOR_PARTITION",
    "LEADER_NOT_AVAILABLE",
    "UNKNOWN_LEADER_EPOCH",
    "FENCED_LEADER_EPOCH",
    "UNKNOWN_TOPIC_OR_PART",
    "_TRANSPORT",
    "_NOENT",  # no leader found
)

Answer = TypeVar("Answer")

_log = structlog.get_logger("islet.log.kafka")


@dataclass(frozen=True, kw_only=True, slots=True)
class KafkaAccess:
    """Where Kafka is and who we are there.

    `prefix` stands before every topic's name, so that several installations can share a broker. `writer` names the
    process among those that commit cursors or states: of two with one name, the older one is shut out. Without a name it is
    one of many, and what it commits is no transaction: the cursors of those who read through it, each for itself.
    Azure Event Hubs: docs/how-to/use-kafka.md.
    """

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str = "PLAIN"
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    prefix: str = ""
    writer: str = "islet"
    replicas: int = 1
    compression: str = "zstd"

    @classmethod
    def of(cls, settings: Settings, *, writer: str) -> Self:
        """As the settings say. Raises SettingError when they name no broker, or what there cannot be."""
        if not settings.kafka_bootstrap:
            raise SettingError("setting kafka_bootstrap: expected host:port of a broker, because log is kafka")
        if settings.kafka_ca_file:
            _authorities(settings.kafka_ca_file)
        if _EVENT_HUBS in settings.kafka_bootstrap and settings.kafka_compression not in _EVENT_HUBS_TAKE:
            raise SettingError(
                f"setting kafka_compression: Azure Event Hubs takes {' or '.join(_EVENT_HUBS_TAKE)}; "
                f"got {settings.kafka_compression}"
            )
        return cls(
            bootstrap=settings.kafka_bootstrap,
            protocol=settings.kafka_protocol,
            mechanism=settings.kafka_mechanism,
            user=settings.kafka_user,
            password=settings.kafka_password,
            ca_file=settings.kafka_ca_file,
            prefix=settings.kafka_prefix,
            writer=writer,
            replicas=settings.kafka_replicas,
            compression=settings.kafka_compression,
        )

    def spark_options(self) -> dict[str, str]:
        """The same for Spark's Kafka source, whose client is Java's. Raises SettingError."""
        options = {"kafka.bootstrap.servers": self.bootstrap, "kafka.security.protocol": self.protocol}
        if self.protocol.startswith("SASL"):
            module = "org.apache.kafka.common.security." + (
                "plain.PlainLoginModule" if self.mechanism == "PLAIN" else "scram.ScramLoginModule"
            )
            user, password = _quoted(self.user), _quoted(self.password)
            options["kafka.sasl.mechanism"] = self.mechanism
            options["kafka.sasl.jaas.config"] = f"{module} required username={user} password={password};"
        if self.ca_file:  # what is in it, because the machines of a cluster have not got the file
            options |= {
                "kafka.ssl.truststore.type": "PEM",
                "kafka.ssl.truststore.certificates": _authorities(self.ca_file),
            }
        return options

    @property
    def at_event_hubs(self) -> bool:
        """Whether it is Azure's service, where topics are made by its own means."""
        return _EVENT_HUBS in self.bootstrap

    def topic(self, name: Topic | str) -> str:
        """What a topic is called there."""
        return f"{self.prefix}{name}"

    def client(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of a librdkafka client: what all have, and `more`."""
        common: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.protocol,
            "client.id": f"islet-{self.writer or 'beside'}",
            "log.connection.close": False,
            "socket.keepalive.enable": True,
            "metadata.max.age.ms": _LOOK_AROUND_MS,
            "log_level": 2,  # what goes wrong in passing is told to `error_cb`, not written to the console
            "error_cb": report,
        }
        if self.protocol.startswith("SASL"):
            common |= {"sasl.mechanism": self.mechanism, "sasl.username": self.user, "sasl.password": self.password}
        if self.ca_file:
            common["ssl.ca.location"] = self.ca_file
        return {**common, **more}

    def consumer(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of a consumer that is told where to read, and sees nothing that was not committed."""
        return self.client(
            {
                "group.id": f"{self.prefix}islet",  # asked for by the library; no group is joined, nothing kept there
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 500,
                "fetch.error.backoff.ms": 50,
                "queued.max.messages.kbytes": 16_384,
                **more,
            }
        )


def _authorities(file: str) -> str:
    """What a PEM file of certificates holds. Raises SettingError; the clients' own word names neither file nor setting."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no text"
        raise SettingError(f"setting kafka_ca_file: expected a PEM file with certificates; {file}: {why}") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise SettingError(f"setting kafka_ca_file: expected a PEM file with certificates; there is none in {file}")
    return text


def _quoted(text: str) -> str:
    """As a text in a JAAS configuration."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def report(error: Any) -> None:
    """What librdkafka says in passing, with the broker and why; it goes on trying by itself."""
    _log.warning("kafka_client", error=error.name(), says=error.str())


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn the library's errors into OSError, which is what a log raises when its storage refuses."""
    try:
        yield
    except KafkaException as error:
        raise refused(error.args[0]) from error
    except SystemError as error:  # a fatal error that was raised while another callback had to be called
        if not isinstance(error.__cause__, KafkaException):
            raise
        raise refused(error.__cause__.args[0]) from error


def patiently(ask: Callable[[], Answer], look: Callable[[], object]) -> Answer:
    """The answer to a question that brokers cannot answer while a partition changes its leader. `look` has the client look
    who leads now: by itself it believes for a quarter of an hour what it knows, and would be refused as long."""
    until = monotonic() + ANSWER_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].name() not in _PASSING or monotonic() > until:
                raise
        sleep(_AGAIN_S)
        with suppress(KafkaException):
            look()


def refused(error: Any) -> OSError:
    """The error for a broker's answer or silence."""
    if error.name() in ("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"):
        return OSError(errno.EPERM, "Kafka: another process writes under the same name now; this one has to stop")
    if error.name().endswith("AUTHORIZATION_FAILED"):
        says = f"Kafka: our user lacks a right ({error.str()}); docs/how-to/use-kafka.md lists those that it needs"
        return OSError(errno.EIO, says)
    return OSError(errno.EIO, f"Kafka: {error.str()}")
