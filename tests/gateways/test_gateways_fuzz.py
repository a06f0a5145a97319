"""Whatever a device sends, only its own connection may suffer."""

import asyncio
import os
from random import Random

import pytest

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
from islet.model.people import Device
from islet.model.topics import Topic
from islet.store.devices_base import Command
from tests.gateways.door import Door, Peer, hello, reading, telemetry

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
    """Read what comes until the server closes or is quiet."""
    try:
        async with asyncio.timeout(0.02):
            while await peer.receive() is not None:
                pass
    except TimeoutError:
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
        peer = await door.peer()
        packets = rng.choices(some_packets(bad), k=rng.randint(1, 4))
        data = b"".join(map(encode, packets))
        if rng.random() < 0.8:
            peer.send(hello(bad))
            peer.send_bytes(spoiled(data, rng))
        else:
            peer.send_bytes(spoiled(encode(hello(bad)) + data, rng))
        steady.send(telemetry(good, reading(100), number))
        await asyncio.gather(until_closed(peer), _acknowledged(steady, number))
    steady.send(Pingreq())
    assert await steady.receive() == Pingresp()
    devices = [row["device"] for row in door.rows(Topic.GLUCOSE_READINGS)]
    assert devices.count("cgm-good") == ROUNDS
    assert "Traceback" not in capsys.readouterr().out
    assert not [record for record in caplog.records if record.exc_info], "an exception got out"


async def _acknowledged(peer: Peer, number: int) -> None:
    assert await peer.receive() == Puback(number)
