"""A program that speaks plain MQTT 3.1.1 with paho, by IoT Hub's documented topics and without an SDK of it."""

import asyncio
import json
import queue
from collections.abc import AsyncIterator
from typing import Any

import paho.mqtt.client as paho
import pytest

from islet.access.sas import make_token
from islet.model.people import Device
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.gateways.door import HUB, NOW_S, PATIENCE_S, Door, reading

DEVICE = "cgm-1"


class Program:
    """paho's client in its own thread; what happens to it is put in a queue."""

    def __init__(self, door: Door, device: Device, *, clean: bool = True, expires_s: int = NOW_S + 3600) -> None:
        self.happened: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.client = paho.Client(device.id, clean_session=clean, protocol=paho.MQTTv311)
        token = make_token(f"{HUB}/devices/{device.id}", device.primary_key, expires_s)
        self.client.username_pw_set(f"{HUB}/{device.id}/?api-version=2021-04-12", token)
        self.client.on_connect = lambda _, __, flags, code: self.happened.put(("connect", (code, flags)))
        self.client.on_subscribe = lambda _, __, number, granted: self.happened.put(("subscribe", granted))
        self.client.on_publish = lambda _, __, number: self.happened.put(("publish", number))
        self.client.on_message = lambda _, __, one: self.happened.put(("message", (one.topic, one.payload)))
        self.client.on_disconnect = lambda _, __, code: self.happened.put(("disconnect", code))
        self._port = door.port

    async def start(self) -> Any:
        """How it was answered."""
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self._port, 60)
        self.client.loop_start()
        return await self.next("connect")

    async def next(self, what: str) -> Any:
        """What happens next, which is that."""
        happened, about = await asyncio.to_thread(self.happened.get, True, PATIENCE_S)
        assert happened == what, (happened, about)
        return about

    async def subscribe(self, topic: str, qos: int = 1) -> Any:
        self.client.subscribe(topic, qos)
        return await self.next("subscribe")

    async def stop(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@pytest.fixture
async def program(door: Door) -> AsyncIterator[Program]:
    one = Program(door, door.add_device(DEVICE))
    assert (await one.start())[0] == 0
    yield one
    await one.stop()


async def test_telemetry_is_acknowledged_once_it_is_in_the_log(door: Door, program: Program) -> None:
    door.log.gate.clear()
    program.client.publish(f"devices/{DEVICE}/messages/events/%24.ct=application%2Fjson&kind=a%20b", reading(), 1)
    await asyncio.to_thread(door.log.entered.wait, PATIENCE_S)
    await asyncio.sleep(0.05)
    assert program.happened.empty()
    door.log.gate.set()
    await program.next("publish")
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 1


async def test_a_command_reaches_it_and_is_complete_when_it_has_acknowledged(door: Door, program: Program) -> None:
    assert await program.subscribe(f"devices/{DEVICE}/messages/devicebound/#") == (1,)
    device = door.registry.device(DEVICE)
    assert device is not None
    await door.exchange.send(door.address(device), Command(body=b"buzz", properties={"how": "long"}))
    topic, payload = await program.next("message")
    assert payload == b"buzz"
    assert topic.startswith(f"devices/{DEVICE}/messages/devicebound/") and "how=long" in topic
    async with asyncio.timeout(PATIENCE_S):
        while await door.exchange.write(door.devices.pending_commands):
            await asyncio.sleep(0.01)


async def test_its_twin_is_read_and_reported(door: Door, program: Program) -> None:
    await program.subscribe("$iothub/twin/res/#", 0)
    program.client.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", b'{"battery":80}', 0)
    await program.next("publish")
    topic, _ = await program.next("message")
    assert topic == "$iothub/twin/res/204/?$rid=1&$version=2"
    program.client.publish("$iothub/twin/GET/?$rid=2", b"", 0)
    await program.next("publish")
    topic, payload = await program.next("message")
    assert topic == "$iothub/twin/res/200/?$rid=2"
    assert json.loads(payload)["reported"]["battery"] == 80


async def test_a_method_is_answered(door: Door, program: Program) -> None:
    await program.subscribe("$iothub/methods/POST/#", 0)
    link = door.exchange.presence.link(DEVICE)
    assert link is not None
    call = link.invoke("measure", b'{"now":true}')
    topic, payload = await program.next("message")
    name, _, rid = topic.removeprefix("$iothub/methods/POST/").partition("/?$rid=")
    assert (name, payload) == ("measure", b'{"now":true}')
    program.client.publish(f"$iothub/methods/res/200/?$rid={rid}", b'{"done":1}', 0)
    async with asyncio.timeout(PATIENCE_S):
        assert await call == (200, b'{"done":1}')


async def test_what_iot_hub_does_not_allow_closes_its_connection(door: Door, program: Program) -> None:
    program.client.publish("anything/else", b"", 0)
    await program.next("publish")
    assert await program.next("disconnect") != 0


async def test_a_command_that_came_while_it_was_away_is_there_when_it_is_back(door: Door) -> None:
    device = door.add_device("cgm-2")
    first = Program(door, device, clean=False)
    await first.start()
    await first.subscribe("devices/cgm-2/messages/devicebound/#")
    await first.stop()
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    second = Program(door, device, clean=False)
    code, flags = await second.start()
    assert (code, flags["session present"]) == (0, 1)
    assert (await second.next("message"))[1] == b"buzz"
    await second.stop()


async def test_it_is_disconnected_when_its_token_expires(door: Door) -> None:
    """The door's clock stands 50 ms before the next second."""
    program = Program(door, door.add_device("cgm-3"), expires_s=NOW_S + 1)
    await program.start()
    assert await program.next("disconnect") != 0
    program.client.loop_stop()
    refused = Program(door, door.add_device("cgm-4"), expires_s=NOW_S)
    assert (await refused.start())[0] == 5
    refused.client.loop_stop()
