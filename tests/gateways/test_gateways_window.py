"""How much of one device may wait for the log when each message comes alone, and in which order it is acknowledged;
on a transport that writes down what it is told, so that nothing joins the messages."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from islet.decode.mqtt import Parser
from islet.decode.mqtt_packets import Packet, Puback, Publish, encode
from islet.gateways.mqtt_connection import WINDOW
from islet.model.topics import Topic
from tests.gateways.door import Door, hello, reading, telemetry


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written, self.is_read, self.is_closed = b"", True, False

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def acknowledged(self) -> list[int]:
        packets: list[Packet] = list(Parser().feed(self.written))
        return [packet.packet_id for packet in packets if isinstance(packet, Puback)]


TWIN = "$iothub/twin/GET/?$rid=r"


async def test_a_window_of_messages_that_come_alone_may_wait_and_half_of_it_lets_the_device_go_on() -> None:
    async with Door.opened() as door:
        device, wire = door.add_device(), Wire()
        connection = door.mqtt.connection()
        connection.connection_made(wire)
        connection.data_received(encode(hello(device)))
        door.log.gate.clear()
        for number in range(1, WINDOW + 1):
            assert wire.is_read
            connection.data_received(encode(telemetry(device, reading(101), number)))
        assert not wire.is_read
        assert wire.acknowledged() == []
        door.log.gate.set()
        await door.intake.settled()
        assert wire.is_read
        assert wire.acknowledged() == list(range(1, WINDOW + 1))
        assert len(door.rows(Topic.GLUCOSE_READINGS)) == WINDOW
        connection.connection_lost(None)


@given(kinds=st.lists(st.sampled_from("rrrt0"), max_size=12), splits=st.sets(st.integers(0, 12)))
@settings(deadline=None, max_examples=30)
def test_what_comes_alone_or_together_is_acknowledged_in_its_order(kinds: list[str], splits: set[int]) -> None:
    """Readings (r), requests (t) and readings with QoS 0, while the log is held up."""

    async def play() -> None:
        async with Door.opened() as door:
            device, wire = door.add_device(), Wire()
            connection = door.mqtt.connection()
            connection.connection_made(wire)
            connection.data_received(encode(hello(device)))
            connection.data_received(encode(telemetry(device, reading(101), 99)))
            await door.intake.settled()
            door.log.gate.clear()
            packets = [
                Publish(TWIN, b"", 1, number)
                if kind == "t"
                else telemetry(device, reading(101), number * (kind == "r"))
                for number, kind in enumerate(kinds, start=1)
            ]
            together = b""
            for number, packet in enumerate(packets):
                together += encode(packet)
                if number in splits:
                    connection.data_received(together)
                    together = b""
            if together:
                connection.data_received(together)
            door.log.gate.set()
            await door.intake.settled()
            expected = [number for number, kind in enumerate(kinds, start=1) if kind != "0"]
            assert wire.acknowledged() == [99, *expected]
            connection.connection_lost(None)

    asyncio.run(play())
