"""The topics on the broker: made at the first start, and looked at ever after."""

import errno
from collections.abc import Callable, Container, Mapping
from time import monotonic, sleep
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from islet.errors import SettingError
from islet.log.kafka_access import ANSWER_S, Answer, KafkaAccess, refused, report
from islet.model.topics import Topic
from islet.settings import Settings

STATES: Final = "islet_state"
"""The compacted topic of cursors and states."""
_FORGETS_MS: Final = "86400000"
"""So soon a state that was replaced is gone: one of the engine's may have somebody who was erased since."""
_AGAIN_S: Final = 0.02
_A_FEW: Final = 4
_LOOK_S: Final = 3.0
"""How long a first answer is waited for before what was heard is looked at."""
_FOR_GOOD: Final = ("_AUTHENTICATION", "_SSL")
"""Refusals that do not pass while nobody changes something."""
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
    heard, is_open, is_barred = "", False, False

    def hear(error: Any) -> None:
        nonlocal heard, is_barred
        if is_open:
            report(error)
        elif error.name() != "_ALL_BROKERS_DOWN":  # which follows from what was said before
            heard, is_barred = error.str(), error.name() in _FOR_GOOD

    try:
        admin = AdminClient(access.client({"error_cb": hear}))
    except KafkaException as error:
        raise SettingError(f"Kafka: {error.args[0].str()}; look at the settings that begin with kafka_") from None
    try:
        _knock(admin, lambda: is_barred)
        answer = ask(admin)
    except KafkaException as error:
        if error.args[0].name() not in _SILENT:
            raise refused(error.args[0]) from error
        admin.poll(0)
        raise OSError(
            errno.EIO,
            f"Kafka at {access.bootstrap} does not let us in ({heard or error.args[0].str()}); look whether it runs there, and at the settings "
            "kafka_bootstrap, kafka_protocol, kafka_mechanism, kafka_user, kafka_password and kafka_ca_file",
        ) from error
    is_open = True
    return admin, answer


def _knock(admin: AdminClient, barred: Callable[[], bool]) -> None:
    """Wait until a broker answers; not as long where it has said that it lets nobody in. Raises KafkaException."""
    until = monotonic() + ANSWER_S
    while True:
        try:
            admin.list_topics(timeout=min(_LOOK_S, ANSWER_S))
            return
        except KafkaException as error:
            admin.poll(0)  # or it is not told
            if error.args[0].name() not in _SILENT or barred() or monotonic() > until:
                raise


def make_topics(admin: AdminClient, access: KafkaAccess, partitions: int) -> int:
    """As `opened`; raises KafkaException."""
    wanted = _wanted(admin, access, partitions)
    there = _there(admin, wanted)
    states = access.topic(STATES)
    _check_lacking(access, wanted, there)
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
    _check_compacted(admin, states)
    return wanted[access.topic(Topic.GLUCOSE_READINGS)]


def _looked_at(admin: AdminClient, access: KafkaAccess, partitions: int) -> None:
    wanted = _wanted(admin, access, partitions)
    there = _there(admin, wanted)
    _check_lacking(access, wanted, there)
    for name, count in wanted.items():
        _check_number(name, there.get(name, count), count)
    if (states := access.topic(STATES)) in there:
        _check_compacted(admin, states)


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


def _check_lacking(access: KafkaAccess, wanted: Mapping[str, int], there: Container[str]) -> None:
    """Azure Event Hubs does not do with a topic's settings what Kafka does: a topic of states that is made from here would
    lose them when its retention is over."""
    lacking = [f"{name} ({count})" for name, count in wanted.items() if name not in there]
    if lacking and access.at_event_hubs:
        raise SettingError(
            f"Azure Event Hubs: make these event hubs there, with so many partitions: {', '.join(lacking)}; "
            f"{access.topic(STATES)} with the clean-up policy Compact"
        )


def _check_compacted(admin: AdminClient, name: str) -> None:
    """Raises SettingError where the topic of states forgets by age: somebody else made it, or changed it."""
    asked = ConfigResource(ConfigResource.Type.TOPIC, name)
    try:
        config = admin.describe_configs([asked], request_timeout=ANSWER_S)[asked].result()
    except KafkaException:
        return  # we may not ask, or it is a service that does not say
    policy = config.get("cleanup.policy")
    if policy is not None and policy.value != "compact":
        raise SettingError(
            f"Kafka: the topic {name} has cleanup.policy={policy.value}, so cursors and states would be lost with time; "
            "set it to compact"
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
        config |= {"max.compaction.lag.ms": _FORGETS_MS}
    else:
        config |= {"cleanup.policy": "delete", "retention.ms": "-1"}  # `expire` decides
    return NewTopic(name, num_partitions=partitions, replication_factor=access.replicas, config=config)
