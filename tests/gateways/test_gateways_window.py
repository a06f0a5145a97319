"""How much of one device may wait for the log when each message comes alone, and in which order it is acknowledged;
on a transport that writes down what it is told, so that nothing joins the messages."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from islet.decode.mqtt import Parser
from islet.decode.mqtt_packets import Packet, Puback, Publish, Subscribe, encode
from islet.gateways.mqtt_line import WINDOW
from islet.gateways.turns import MOST_REQUESTS
from islet.model.topics import Topic
from islet.store.devices_base import Address
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

    def abort(self) -> None:
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


async def test_twin_requests_that_come_in_one_piece_are_answered_as_fast_as_the_device_reads() -> None:
    """One piece of 256 KB asks for 9,362 twins of up to 64 KB each."""
    async with Door.opened() as door:
        device, wire = door.add_device(), Wire()
        connection = door.mqtt.connection()
        connection.connection_made(wire)
        connection.data_received(encode(hello(device)))
        connection.data_received(encode(Subscribe(1, (("$iothub/twin/res/#", 0),))))
        await door.exchange.write(lambda: None)
        await asyncio.sleep(0)
        before, count = len(wire.written), 500
        connection.pause_writing()
        connection.data_received(b"".join(encode(Publish(TWIN, b"", 0, 0)) for _ in range(count)))
        await door.exchange.write(lambda: None)
        assert (len(wire.written), wire.is_read) == (before, False)
        asked, most = door.exchange.twin, 0
        under_way = set[asyncio.Future[Any]]()

        def twin(of: Address) -> asyncio.Future[Any]:
            nonlocal most
            future = asked(of)
            under_way.add(future)
            most = max(most, len(under_way))
            future.add_done_callback(under_way.discard)
            return future

        door.exchange.twin = twin  # type: ignore[method-assign]
        connection.resume_writing()
        while under_way:
            await asyncio.wait(under_way)
        assert most <= MOST_REQUESTS
        answers = list(Parser().feed(wire.written[before:]))
        assert len(answers) == count
        assert wire.is_read
        connection.connection_lost(None)


async def test_reports_that_wait_when_the_device_goes_are_kept() -> None:
    async with Door.opened() as door:
        device, wire = door.add_device(), Wire()
        connection = door.mqtt.connection()
        connection.connection_made(wire)
        connection.data_received(encode(hello(device)))
        connection.pause_writing()
        report = "$iothub/twin/PATCH/properties/reported/?$rid="
        count = 3 * MOST_REQUESTS
        connection.data_received(
            b"".join(encode(Publish(f"{report}{n}", b'{"n%d":1}' % n, 1, n)) for n in range(1, count + 1))
        )
        connection.connection_lost(None)
        for _ in range(4):
            twin = await door.exchange.twin(door.address(device))
        assert len(twin.reported.values) == count


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
