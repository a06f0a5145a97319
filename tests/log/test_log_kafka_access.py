"""What a broker cannot answer for a moment is asked again; what it refuses is not."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from islet.log.kafka_access import patiently


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
