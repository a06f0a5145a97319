"""A program that speaks plain MQTT 5 with paho, by IoT Hub's documented topics: the same as one of 3.1.1, and it hears why."""

import asyncio
import json
import queue
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from islet.access.sas import make_token
from islet.decode.mqtt5_codes import Code
from islet.model.people import Device
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.gateways.door import HUB, NOW_S, PATIENCE_S, Door, reading

EVENTS = "devices/cgm-1/messages/events/"
COMMANDS = "devices/cgm-1/messages/devicebound/#"


class Program:
    """paho's client in its own thread; what happens to it is put in a queue."""

    def __init__(self, door: Door, device: Device, *, client_id: str | None = None, key: str = "") -> None:
        self.happened: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.client = paho.Client(device.id if client_id is None else client_id, protocol=paho.MQTTv5)
        token = make_token(f"{HUB}/devices/{device.id}", key or device.primary_key, NOW_S + 3600)
        self.client.username_pw_set(f"{HUB}/{device.id}/?api-version=2021-04-12", token)
        self.client.on_connect = lambda _, __, flags, code, said: self._note("connect", (code.value, flags, said))
        self.client.on_subscribe = lambda _, __, ___, codes, said: self._note("subscribe", [one.value for one in codes])
        self.client.on_publish = lambda _, __, number: self._note("publish", number)
        self.client.on_message = lambda _, __, one: self._note("message", one)
        self.client.on_disconnect = lambda _, __, code, said: self._note("disconnect", (code, said))
        self._port = door.port

    def _note(self, what: str, about: Any) -> None:
        self.happened.put((what, about))

    async def start(self, **options: Any) -> Any:
        """How it was answered."""
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self._port, 60, **options)
        self.client.loop_start()
        return await self.next("connect")

    async def next(self, what: str) -> Any:
        """What happens next, which is that."""
        happened, about = await asyncio.to_thread(self.happened.get, True, PATIENCE_S)
        assert happened == what, (happened, about)
        return about

    async def stop(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


def kept(seconds: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = seconds
    return properties


async def test_it_sends_is_commanded_and_reads_its_twin(door: Door) -> None:
    device = door.add_device()
    program = Program(door, device)
    code, _, said = await program.start()
    assert (code, said.MaximumQoS) == (0, 1)
    program.client.subscribe(
        [(COMMANDS, SubscribeOptions(1, noLocal=True)), ("$iothub/twin/res/#", SubscribeOptions(0))]
    )
    assert await program.next("subscribe") == [1, 0]
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType, properties.UserProperty, properties.TopicAlias = "application/json", ("kind", "x"), 1
    for topic in (EVENTS, ""):
        program.client.publish(topic or EVENTS, reading(), 1, properties=properties)
        await program.next("publish")
    assert len(door.rows(Topic.GLUCOSE_READINGS)) == 2
    await door.exchange.send(door.address(device), Command(body=b"buzz", properties={"$.ct": "a/b", "how": "long"}))
    command = await program.next("message")
    assert (command.payload, command.properties.ContentType) == (b"buzz", "a/b")
    assert ("how", "long") in command.properties.UserProperty
    program.client.publish("$iothub/twin/GET/?$rid=2", b"", 0)
    await program.next("publish")
    twin = await program.next("message")
    assert twin.topic == "$iothub/twin/res/200/?$rid=2" and "desired" in json.loads(twin.payload)
    await program.stop()
    assert await door.exchange.write(door.devices.pending_commands) == {}


async def test_what_it_has_queued_while_it_was_away_gets_across(door: Door) -> None:
    """All at once, whatever receive maximum it is told."""
    program = Program(door, door.add_device())
    for number in range(1000):
        program.client.publish(EVENTS, reading(100 + number / 100), 1)
    await program.start()
    for _ in range(1000):
        await program.next("publish")
    await program.stop()
    values = [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)]
    assert values == [100 + number / 100 for number in range(1000)]


async def test_it_hears_why_it_is_refused_and_why_it_is_sent_away(door: Door) -> None:
    device, other = door.add_device(), door.add_device("cgm-2")
    stranger = Program(door, device, key=other.primary_key)
    code, _, said = await stranger.start()
    assert (code, said.ReasonString) == (Code.NOT_AUTHORISED, "the token is not signed with a key that is known here")
    stranger.client.loop_stop()
    program = Program(door, device)
    await program.start()
    program.client.publish("any/topic", b"", 0)
    await program.next("publish")
    code, said = await program.next("disconnect")
    assert (code.value, said.ReasonString) == (Code.TOPIC, "MQTT: expected the device's own telemetry topic")
    await program.stop()


async def test_its_session_is_kept_and_without_an_id_it_gets_one(door: Door) -> None:
    device = door.add_device()
    first = Program(door, device)
    await first.start(properties=kept(3600))
    first.client.subscribe(COMMANDS, 1)
    await first.next("subscribe")
    await first.stop()
    await door.exchange.send(door.address(device), Command(body=b"buzz"))
    second = Program(door, device)
    code, flags, _ = await second.start(clean_start=False, properties=kept(3600))
    assert (code, flags["session present"]) == (0, 1)
    assert (await second.next("message")).payload == b"buzz"
    await second.stop()
    nameless = Program(door, device, client_id="")
    code, flags, said = await nameless.start()
    assert (code, flags["session present"], said.AssignedClientIdentifier) == (0, 0, "cgm-1")
    await nameless.stop()
