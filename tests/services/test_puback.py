"""A device is told that a reading was taken when Kafka has acknowledged it, and not before."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from islet.access.sas import new_key
from islet.decode.mqtt_packets import Connack, Pingreq, Pingresp, Puback
from islet.gateways.authenticate import Authenticator
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.log.base import Log
from islet.log.group_commit import GroupCommit
from islet.model.people import Device, Patient
from islet.model.time import MINUTE_US
from islet.store.hub_policies import ensure_policy_keys
from tests.gateways.dict_registry import DictRegistry
from tests.gateways.door import NOW_US, Peer, hello, reading, telemetry
from tests.services.fixtures import kafka as kafka
from tests.services.kafka import Kafka

pytestmark = pytest.mark.slow

DEVICE = Device(id="cgm-1", patient="p-1", generation_id="1", etag="e", primary_key=new_key(), secondary_key=new_key())


class Gateway:
    """A gateway that writes to a Kafka, wired as the platform wires it."""

    def __init__(self, log: Log) -> None:
        registry = DictRegistry()
        registry.put_patient(Patient(id="p-1"))
        registry.create_device(DEVICE)
        ensure_policy_keys(registry)
        self.writer = GroupCommit(log, lambda: NOW_US, within_s=0.0)
        call_soon = asyncio.get_running_loop().call_soon_threadsafe
        intake = Intake(self.writer, call_soon, future_us=5 * MINUTE_US)
        self.mqtt = MqttServer(intake, Authenticator(registry, "hub.example", lambda: NOW_US))

    async def peer(self, port: int) -> Peer:
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
        peer.send(hello(DEVICE))
        assert await peer.receive() == Connack(0)
        return peer


@contextlib.asynccontextmanager
async def gateway(kafka: Kafka) -> AsyncIterator[Peer]:
    from islet.log.kafka import KafkaLog
    from islet.log.kafka_access import KafkaAccess

    log = KafkaLog(KafkaAccess(bootstrap=kafka.bootstrap, writer="gateway"), partitions=1)
    opened = Gateway(log)
    try:
        yield await opened.peer(await opened.mqtt.listen("127.0.0.1", 0))
    finally:
        await opened.mqtt.stop()
        await asyncio.to_thread(opened.writer.close)
        log.close()


def readings_in(kafka: Kafka) -> int:
    """How many records a client that knows nothing of Islet finds."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "any"})
    begin, end = consumer.get_watermark_offsets(TopicPartition("glucose_readings", 0), timeout=20.0)
    consumer.close()
    return int(end - begin)


@pytest.fixture
def own_kafka(kafka: Kafka, tmp_path: Path) -> Iterator[Kafka]:
    """A broker that nobody else uses."""
    own = Kafka(tmp_path)
    yield own
    own.stop(kill=True)


async def test_no_puback_while_the_broker_does_not_answer(own_kafka: Kafka) -> None:
    async with gateway(own_kafka) as peer:
        peer.send(telemetry(DEVICE, reading(100), 1))
        assert await peer.receive() == Puback(1)
        own_kafka.pause()
        peer.send(telemetry(DEVICE, reading(101), 2), Pingreq())
        assert await peer.receive() == Pingresp()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(peer.receive(), 1.5)
        own_kafka.go_on()
        assert await peer.receive() == Puback(2)
        assert await asyncio.to_thread(readings_in, own_kafka) == 2
