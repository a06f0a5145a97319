"""The topics of the log, what goes into each, and how they are partitioned."""

from enum import StrEnum
from typing import Final
from zlib import crc32


class Topic(StrEnum):
    """A stream in the log. The first two and `alerts` keep the names of the system that Islet grew from."""

    GLUCOSE_READINGS = "glucose_readings"
    DEVICE_READINGS = "device_readings"
    CARE_EVENTS = "care_events"
    VITALS = "vitals"
    ALERTS = "alerts"
    DEAD_LETTERS = "dead_letters"
    DEVICE_MESSAGES = "device_messages"


STORED: Final[tuple[Topic, ...]] = tuple(topic for topic in Topic if topic is not Topic.DEVICE_MESSAGES)
"""The topics whose entries the store has too. Messages as they came are only passed on."""


TOPIC_OF_TYPE = {
    "reading": Topic.GLUCOSE_READINGS,
    "device_status": Topic.DEVICE_READINGS,
    "prompt": Topic.DEVICE_READINGS,
    "vital": Topic.VITALS,
    "meal": Topic.CARE_EVENTS,
    "insulin": Topic.CARE_EVENTS,
    "exercise": Topic.CARE_EVENTS,
    "medication": Topic.CARE_EVENTS,
    "note": Topic.CARE_EVENTS,
    "hba1c": Topic.CARE_EVENTS,
    "withdrawal": Topic.CARE_EVENTS,
}
"""Where an event of that JSON `type` goes."""


def partition_of(patient: str, partitions: int) -> int:
    """The partition that holds a patient: CRC-32 of the id, so that every process and language agrees."""
    return crc32(patient.encode()) % partitions
