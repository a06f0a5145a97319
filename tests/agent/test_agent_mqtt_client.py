"""Our own device, against the real front door."""

import asyncio
import gc
import random
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

from islet.access.sas import ConnectionString, new_key
from islet.agent.mqtt_client import Address, ConnectionLost, FaithfulClient, MqttClient, trouble
from islet.errors import AccessDenied
from islet.gateways.certificates import client_ssl_context, ensure_certificates, server_ssl_context
from islet.model.topics import Topic
from tests.gateways.door import HUB, NOW_US, Door, reading


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door.opened() as opened:
        yield opened


def now() -> int:
    return NOW_US


def credentials(door: Door, device: str = "cgm-1") -> ConnectionString:
    return ConnectionString(host=HUB, device=device, key=door.add_device(device).primary_key)


def address(door: Door) -> Address:
    return Address(host="127.0.0.1", port=door.port)


def values(door: Door) -> list[object]:
    return [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)]


async def test_what_is_published_is_in_the_log(door: Door) -> None:
    async with await MqttClient.connect(address(door), credentials(door), now) as client:
        await client.publish(reading(101))
        assert values(door) == [101]
        await client.publish(b"?", {"$.ct": "text/plain", "a b": "c&d"})
        assert [row["type"] for row in door.rows(Topic.DEAD_LETTERS)] == ["json"]


async def test_no_more_than_the_window_is_under_way(door: Door) -> None:
    client = await MqttClient.connect(address(door), credentials(door), now, window=3)
    door.log.gate.clear()
    under_way = [await client.send(reading(101 + number)) for number in range(3)]
    fourth = asyncio.create_task(client.send(reading(104)))
    await asyncio.to_thread(door.log.entered.wait, 10)
    assert not fourth.done() and not any(one.done() for one in under_way)
    door.log.gate.set()
    await (await fourth)
    assert values(door) == [101, 102, 103, 104]
    await client.close()


async def test_more_messages_than_there_are_identifiers_go_through_one_connection(door: Door) -> None:
    """Packet identifiers end at 65,535 and begin again at 1."""
    client = await MqttClient.connect(address(door), credentials(door), now, window=2)
    client._next_id = 65_534
    for number in range(4):
        await client.publish(reading(101 + number))
    assert client._next_id == 3
    assert values(door) == [101, 102, 103, 104]
    await client.close()


async def test_a_wrong_key_is_access_denied(door: Door) -> None:
    good = credentials(door)
    wrong = ConnectionString(host=HUB, device=good.device, key=new_key())
    with pytest.raises(AccessDenied):
        await MqttClient.connect(address(door), wrong, now)
    with pytest.raises(AccessDenied):
        await FaithfulClient(address(door), wrong, now, random.Random(1)).publish(reading())


async def test_who_answers_no_ping_is_gone(door: Door) -> None:
    """A connection that a router has forgotten takes bytes and gives none."""
    client = await MqttClient.connect(address(door), credentials(door), now, keep_alive_s=1)
    await asyncio.sleep(1.0)
    assert not client.lost.done(), "the door answers pings"
    protocol = client._protocol
    protocol.data_received = lambda data: None  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await client.lost


async def test_nobody_at_the_address_is_connection_lost(door: Door) -> None:
    await door.mqtt.stop()
    with pytest.raises(ConnectionLost):
        await MqttClient.connect(address(door), credentials(door), now)


async def test_a_connection_that_was_cut_is_made_anew(door: Door) -> None:
    client = FaithfulClient(address(door), credentials(door), now, random.Random(1), first_pause_s=0.001)
    await client.publish(reading(101))
    client.cut()
    await client.publish(reading(102))
    await client.close()
    assert values(door) == [101, 102]


async def test_a_hang_up_before_anybody_waits_for_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a storm: the handshake is through, but the loop has had no time to say so."""
    loop, said = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: said.append(context))

    async def too_late(make: Callable[[], asyncio.Protocol], *_: object, **__: object) -> None:
        make().connection_lost(None)
        raise TimeoutError

    monkeypatch.setattr(loop, "create_connection", too_late)
    with pytest.raises(ConnectionLost):
        await MqttClient.connect(
            Address(host="nowhere", port=1), ConnectionString(host=HUB, device="cgm-1", key=new_key()), now
        )
    gc.collect()
    await asyncio.sleep(0)
    assert said == []


async def test_a_hang_up_is_told_to_all_who_wait(door: Door) -> None:
    client = await MqttClient.connect(address(door), credentials(door), now)
    door.log.error = OSError("the disk is full")
    publishing = [client.publish(reading(101 + number)) for number in range(5)]
    outcomes = await asyncio.gather(*publishing, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ConnectionLost}
    with pytest.raises(ConnectionLost):
        await client.publish(reading())


async def test_a_faithful_client_outlasts_failures_of_the_front_door(door: Door) -> None:
    """The log fails at first; later the connection is taken over by another of the same device."""
    given = credentials(door)
    client = FaithfulClient(address(door), given, now, random.Random(1), first_pause_s=0.001)
    door.log.error = OSError("the disk is full")
    publishing = [asyncio.create_task(client.publish(reading(101 + number))) for number in range(20)]
    await asyncio.to_thread(door.log.entered.wait, 10)
    door.log.error = None
    await asyncio.gather(*publishing)
    await (await MqttClient.connect(address(door), given, now)).close()
    await client.publish(reading(200))
    await client.close()
    assert set(values(door)) == {*range(101, 121), 200}


async def test_it_speaks_tls_and_trusts_only_the_given_authority(tmp_path: Path) -> None:
    real_us = time.time_ns() // 1000  # noqa: TID251 (OpenSSL checks certificates by the machine's clock)
    certificates = ensure_certificates(tmp_path / "ours", "localhost", real_us)
    others = ensure_certificates(tmp_path / "others", "localhost", real_us)
    async with Door.opened(hub="localhost", tls=server_ssl_context(certificates)) as door:
        device = ConnectionString(host="localhost", device="cgm-1", key=door.add_device().primary_key)
        trusting = Address(host="localhost", port=door.port, tls=client_ssl_context(certificates.authority))
        async with await MqttClient.connect(trusting, device, now) as client:
            await client.publish(reading(101))
        assert values(door) == [101]
        doubting = Address(host="localhost", port=door.port, tls=client_ssl_context(others.authority))
        with pytest.raises(ConnectionLost):
            await MqttClient.connect(doubting, device, now)


def test_it_also_runs_on_uvloop() -> None:
    async def publish() -> list[object]:
        async with Door.opened() as door:
            async with await MqttClient.connect(address(door), credentials(door), now) as client:
                await client.publish(reading(101))
            return values(door)

    assert uvloop.run(publish()) == [101]


def test_a_certificate_that_is_not_trusted_is_told_with_what_to_do() -> None:
    wrong = ssl.SSLCertVerificationError()
    for code, said in (
        (19, "give --authority"),
        (9, "is the clock right"),
        (10, "is the clock right"),
        (62, "another"),
    ):
        wrong.verify_code = code
        assert said in trouble(wrong)
    assert trouble(ConnectionRefusedError()) == "ConnectionRefusedError; is it running?"
    assert "no address for that name" in trouble(socket.gaierror())
