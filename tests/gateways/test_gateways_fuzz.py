"""Whatever a device sends, only its own connection may suffer."""

import asyncio
import os
from random import Random

import pytest

from islet.decode.mqtt5_packets import (
    Disconnect5,
    Puback5,
    Publish5,
    Subscribe5,
    Unsubscribe5,
    Will5,
    encode5,
)
from islet.decode.mqtt5_properties import Properties
from islet.decode.mqtt_packets import (
    Connect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Subscribe,
    Unsubscribe,
    encode,
)
from islet.errors import ProtocolError
from islet.model.people import Device
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.gateways.door import Door, Peer, hello, hello5, reading, telemetry

ROUNDS = int(os.environ.get("ISLET_FUZZ_ROUNDS", "150"))


def some_packets(device: Device) -> list[Packet]:
    """Good ones of every kind that a device may send, and some that it may not."""
    own = f"devices/{device.id}/messages"
    return [
        telemetry(device, reading(100), 1, "%24.mid=a&kind=b"),
        Subscribe(2, ((f"{own}/devicebound/#", 1), ("$iothub/twin/res/#", 0), ("$iothub/methods/POST/#", 0))),
        Publish("$iothub/twin/GET/?$rid=1", b"", 1, 3),
        Publish("$iothub/twin/PATCH/properties/reported/?$rid=2", b'{"a":{"b":[1,null]}}', 1, 4),
        Publish("$iothub/methods/res/200/?$rid=1", b"{}", 1, 5),
        Puback(1),
        Unsubscribe(6, (f"{own}/devicebound/#",)),
        Connect(client_id=device.id),
        Publish("$iothub/twin/res/200/?$rid=1", b""),
    ]


def some_packets5(device: Device) -> list[Packet]:
    """The same of MQTT 5."""
    own = f"devices/{device.id}/messages"
    said = Properties(content_type="application/json", user=(("a", "b"),), topic_alias=3)
    filters = ((f"{own}/devicebound/#", 1), ("$iothub/twin/res/#", 0), ("#", 0))
    return [
        Publish5(f"{own}/events/?a=b", reading(100), 1, 1, False, False, said),
        Publish5("", reading(101), 1, 7, False, False, said),
        Subscribe5(2, filters, Properties(subscription_identifiers=(9,))),
        Publish5("$iothub/twin/GET/?$rid=1", b"", 1, 3),
        Publish5("any", b"", 1, 4, False, False, Properties(correlation_data=b"c", message_expiry_s=5)),
        Puback5(1, 0x83, Properties(reason="no")),
        Unsubscribe5(6, (f"{own}/devicebound/#",)),
        Disconnect5(4, Properties(session_expiry_s=5)),
        hello5(device, will=Will5(topic=f"{own}/events/", payload=reading(102), properties=Properties(will_delay_s=1))),
    ]


def spoiled(data: bytes, rng: Random) -> bytes:
    """Some bytes changed, left out or put in."""
    spoiled = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(spoiled) + 1)
        match rng.randrange(4):
            case 0 if at < len(spoiled):
                spoiled[at] = rng.randrange(256)
            case 1:
                del spoiled[at : at + rng.randint(1, 8)]
            case 2:
                spoiled[at:at] = rng.randbytes(rng.randint(1, 8))
            case _ if at < len(spoiled):
                spoiled[at] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


async def until_closed(peer: Peer) -> None:
    """Read what comes until the server closes or is quiet, or answers in the other version, which may be asked of it."""
    try:
        async with asyncio.timeout(0.02):
            while await peer.receive() is not None:
                pass
    except (TimeoutError, ProtocolError):
        peer.hang_up()


async def test_bytes_that_are_spoiled_cost_nobody_else_anything(
    door: Door, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = Random(20_261_121)
    good, bad = door.add_device("cgm-good"), door.add_device("cgm-bad")
    steady = await door.connected(good)
    for number in range(1, ROUNDS + 1):
        if number % 10 == 1:
            await door.exchange.send(door.address(bad), Command(body=b"buzz"))
            await door.exchange.write(lambda: door.devices.purge_commands(door.address(bad), 0))
        peer, first, data = await _of_some_version(door, bad, rng)
        if rng.random() < 0.8:
            peer.send_bytes(first + spoiled(data, rng))
        else:
            peer.send_bytes(spoiled(first + data, rng))
        steady.send(telemetry(good, reading(100), number))
        await asyncio.gather(until_closed(peer), _acknowledged(steady, number))
    steady.send(Pingreq())
    assert await steady.receive() == Pingresp()
    devices = [row["device"] for row in door.rows(Topic.GLUCOSE_READINGS)]
    assert devices.count("cgm-good") == ROUNDS
    assert "Traceback" not in capsys.readouterr().out
    assert not [record for record in caplog.records if record.exc_info], "an exception got out"


async def _of_some_version(door: Door, device: Device, rng: Random) -> tuple[Peer, bytes, bytes]:
    """A peer, its CONNECT and what it sends behind that."""
    if rng.random() < 0.5:
        packets = rng.choices(some_packets(device), k=rng.randint(1, 4))
        return await door.peer(), encode(hello(device)), b"".join(map(encode, packets))
    packets = rng.choices(some_packets5(device), k=rng.randint(1, 4))
    hello_5 = hello5(device, properties=Properties(session_expiry_s=rng.choice((0, 60))))
    return await door.peer5(), encode5(hello_5), b"".join(map(encode5, packets))


async def _acknowledged(peer: Peer, number: int) -> None:
    assert await peer.receive() == Puback(number)
