"""The topics on the broker: made at the first start, and looked at ever after."""

import errno
from collections.abc import Callable, Container, Mapping
from time import monotonic, sleep
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from islet.errors import SettingError
from islet.log.kafka_access import ANSWER_S, Answer, KafkaAccess, refused, report
from islet.model.topics import Topic
from islet.settings import Settings

STATES: Final = "islet_state"
"""The compacted topic of cursors and states."""
_AGAIN_S: Final = 0.02
_A_FEW: Final = 4
_SILENT: Final = ("_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_AUTHENTICATION", "_SSL")


def opened(access: KafkaAccess, partitions: int) -> tuple[AdminClient, int]:
    """A connection, and how many partitions the topics have, which are made where they are not there. 0: as many as
    there are, or a few.

    Raises SettingError when a topic is there with another number or a setting cannot be, OSError when the broker refuses
    or does not answer; then it says what was heard of the connection.
    """
    return _reached(access, lambda admin: make_topics(admin, access, partitions))


def check(settings: Settings) -> None:
    """Raises what `opened` would, and makes nothing."""
    access = KafkaAccess.of(settings, writer="check")
    _reached(access, lambda admin: _looked_at(admin, access, settings.partitions))


def _reached(access: KafkaAccess, ask: Callable[[AdminClient], Answer]) -> tuple[AdminClient, Answer]:
    heard, is_open = "", False

    def hear(error: Any) -> None:
        nonlocal heard
        if is_open:
            report(error)
        elif error.name() != "_ALL_BROKERS_DOWN":  # which follows from what was said before
            heard = error.str()

    try:
        admin = AdminClient(access.client({"error_cb": hear}))
    except KafkaException as error:
        raise SettingError(f"Kafka: {error.args[0].str()}; look at the settings that begin with kafka_") from None
    try:
        answer = ask(admin)
    except KafkaException as error:
        if error.args[0].name() not in _SILENT:
            raise refused(error.args[0]) from error
        admin.poll(0)  # or it is not told
        raise OSError(
            errno.EIO,
            f"Kafka at {access.bootstrap} does not let us in ({heard or error.args[0].str()}); look whether it runs there, and at the settings "
            "kafka_bootstrap, kafka_protocol, kafka_mechanism, kafka_user, kafka_password and kafka_ca_file",
        ) from error
    is_open = True
    return admin, answer


def make_topics(admin: AdminClient, access: KafkaAccess, partitions: int) -> int:
    """As `opened`; raises KafkaException."""
    wanted = _wanted(admin, access, partitions)
    there = _there(admin, wanted)
    states = access.topic(STATES)
    lacking = [_new(access, name, count, name == states) for name, count in wanted.items() if name not in there]
    if lacking:
        for made in admin.create_topics(lacking, operation_timeout=ANSWER_S, request_timeout=ANSWER_S).values():
            try:
                made.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # by another process, just now
                    raise
    until = monotonic() + ANSWER_S
    while len(there := _there(admin, wanted)) < len(wanted) and monotonic() < until:
        sleep(_AGAIN_S)
    for name, count in wanted.items():
        if name not in there:
            raise OSError(errno.EIO, f"Kafka: no broker leads all partitions of the topic {name}; look at the brokers")
        _check_number(name, there[name], count)
    return wanted[access.topic(Topic.GLUCOSE_READINGS)]


def _looked_at(admin: AdminClient, access: KafkaAccess, partitions: int) -> None:
    wanted = _wanted(admin, access, partitions)
    there = _there(admin, wanted)
    for name, count in wanted.items():
        _check_number(name, there.get(name, count), count)


def _wanted(admin: AdminClient, access: KafkaAccess, partitions: int) -> Mapping[str, int]:
    """The topics by their names there, and how many partitions each is to have."""
    if not partitions:
        first = access.topic(Topic.GLUCOSE_READINGS)
        partitions = _there(admin, {first}).get(first, _A_FEW)
    return {access.topic(topic): partitions for topic in Topic} | {access.topic(STATES): 1}


def _check_number(name: str, has: int, wanted: int) -> None:
    if has != wanted:
        raise SettingError(
            f"setting partitions: the topic {name} has {has}, which cannot change later; got {wanted}. Set it back, or "
            "start a new log with another kafka_prefix"
        )


def _there(admin: AdminClient, wanted: Container[str]) -> dict[str, int]:
    """Which of the topics are there and led by a broker, and with how many partitions."""
    found = admin.list_topics(timeout=ANSWER_S).topics
    return {
        name: len(topic.partitions)
        for name, topic in found.items()
        if name in wanted and topic.error is None and all(part.leader >= 0 for part in topic.partitions.values())
    }


def _new(access: KafkaAccess, name: str, partitions: int, compacted: bool) -> NewTopic:
    config = {"min.insync.replicas": str(2 if access.replicas >= 3 else 1)}
    if compacted:
        config |= {"cleanup.policy": "compact", "segment.bytes": "16777216", "min.cleanable.dirty.ratio": "0.1"}
    else:
        config |= {"cleanup.policy": "delete", "retention.ms": "-1"}  # `expire` decides
    return NewTopic(name, num_partitions=partitions, replication_factor=access.replicas, config=config)
