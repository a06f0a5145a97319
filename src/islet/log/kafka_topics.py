"""The topics on the broker: made at the first start, and looked at ever after."""

from collections.abc import Container
from time import monotonic, sleep
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from islet.errors import SettingError
from islet.log.kafka_access import ANSWER_S, KafkaAccess
from islet.model.topics import Topic

_AGAIN_S: Final = 0.02
_A_FEW: Final = 4


def make_topics(admin: AdminClient, access: KafkaAccess, partitions: int, states: str) -> int:
    """Have all topics with that many partitions, and the compacted one for `states` with one; how many they are. 0: as
    many as there are, or a few.

    Raises SettingError when one is there with another number, KafkaException when the broker refuses.
    """
    if not partitions:
        first = access.topic(Topic.GLUCOSE_READINGS)
        partitions = _there(admin, {first}).get(first, _A_FEW)
    wanted = {access.topic(topic): partitions for topic in Topic} | {access.topic(states): 1}
    there = _there(admin, wanted)
    lacking = [_new(access, name, count, name == access.topic(states)) for name, count in wanted.items()
               if name not in there]  # fmt: skip
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
        if there.get(name) != count:
            raise SettingError(
                f"setting partitions: the topic {name} has {there.get(name, 0)}, which cannot change later; "
                f"got {count}. Set it back, or start a new log with another kafka_prefix"
            )
    return partitions


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
