"""Devices' messages as they came: the log keeps them, and readers of an Event Hub get them over AMQP."""

import asyncio
import contextlib
import json
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from proton import Described, Link, Message, Timeout, symbol, ulong
from proton.reactor import Filter, LinkOption
from proton.utils import LinkDetached

from islet.decode.iothub_twins import ServiceTwin
from islet.decode.telemetry import Arrival
from islet.gateways import event_hub
from islet.log.base import Slice
from islet.model.permissions import Permission, Verb
from islet.model.topics import Topic
from islet.store.base import EntryKind
from islet.store.devices_base import Module
from tests.conftest import Missing, need_ports, own_host
from tests.gateways.amqp_peer import AmqpPeer, opening_bytes, sasl_plain, threaded
from tests.gateways.door import HUB, NOW_US, PATIENCE_S, Door, reading, telemetry
from tests.gateways.hub import AMQP_PORT, HTTPS_PORT, MQTT_PORT, opened_hub

HOST = own_host(85)
READER = Path(__file__).with_name("event_hub_sdk.py")
EVENTS = "device-messages/ConsumerGroups/$Default/Partitions/{}"
OF_P_1 = 1  # the partition of p-1, where there are two


@pytest.fixture
async def keeping(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    monkeypatch.setattr(event_hub, "_WAIT_S", 0.02)  # the loop ends when the thread that waits has ended
    async with Door.opened(keeps_messages=True) as door:
        yield door


@contextlib.asynccontextmanager
async def readers(
    door: Door, count: int = 1, policy: str = "service", **options: object
) -> AsyncIterator[list[AmqpPeer]]:
    """Back ends on connections of their own, with the token of a hub policy."""
    port = await door.amqp.listen("127.0.0.1", 0)
    peers = [await AmqpPeer.connected(port, **options) for _ in range(count)]
    try:
        for peer in peers:
            assert await peer.put_token(door.policy_token(policy)) == 200
        yield peers
    finally:
        for peer in peers:
            await peer.close()
        await door.amqp.stop()


@contextlib.asynccontextmanager
async def reader(door: Door, policy: str = "service") -> AsyncIterator[AmqpPeer]:
    async with readers(door, 1, policy) as (peer,):
        yield peer


async def send(door: Door, *payloads: bytes, id: str = "cgm-1", bag: str = "", module: str = "") -> None:
    device = door.registry.device(id) or door.add_device(id)
    peer = await door.connected(device, module=module)
    for number, payload in enumerate(payloads, 1):
        message = telemetry(device, payload, number, bag)
        path = message.topic.replace("/messages/", f"/modules/{module}/messages/") if module else message.topic
        peer.send(msgspec.structs.replace(message, topic=path))
        assert await peer.receive() is not None
    peer.hang_up()


async def received(peer: AmqpPeer, *options: LinkOption, partition: int = OF_P_1) -> list[Message]:
    """What a reader gets until nothing more comes for a moment."""
    link = await threaded(peer.connection.create_receiver, EVENTS.format(partition), 100, options=[*options])
    found = []
    with contextlib.suppress(Timeout):
        while True:
            found.append(await threaded(link.receive, 0.4))
    await threaded(link.close)
    return found


def bodies(messages: list[Message]) -> list[bytes]:
    return [bytes(one.body) for one in messages]


def since(selector: str) -> Filter:
    name = symbol("apache.org:selector-filter:string")
    return Filter({name: Described(ulong(0x468C00000004), f"amqp.annotation.x-opt-{selector}")})


class Epoch(LinkOption):  # type: ignore[misc]  # Proton's annotations are not read
    def __init__(self, level: int) -> None:
        self._level = level

    def apply(self, link: Link) -> None:
        link.properties = {symbol("com.microsoft:epoch"): self._level}


async def test_a_message_is_read_as_it_was_sent_whatever_became_of_it(keeping: Door) -> None:
    await send(keeping, reading(101), b"no JSON", bag="%24.mid=m%201&%24.ct=text%2Fplain&kind=a%2Fb")
    async with reader(keeping) as peer:
        first, second = await received(peer)
    assert bodies([first, second]) == [reading(101), b"no JSON"]
    assert (second.id, str(second.content_type), second.properties) == ("m 1", "text/plain", {"kind": "a/b"})
    annotations = {str(name): value for name, value in second.annotations.items()}
    assert annotations == {
        "x-opt-sequence-number": 1,
        "x-opt-offset": "1",
        "x-opt-enqueued-time": NOW_US // 1000,
        "iothub-enqueuedtime": NOW_US // 1000,
        "iothub-connection-device-id": "cgm-1",
        "iothub-message-source": "Telemetry",
    }
    assert len(keeping.rows(Topic.GLUCOSE_READINGS)) == len(keeping.rows(Topic.DEAD_LETTERS)) == 1


async def test_only_the_door_says_which_module_has_sent_a_message(keeping: Door) -> None:
    device = keeping.add_device()
    module = Module(device="cgm-1", id="m1", generation_id="1", primary_key=device.primary_key, secondary_key="")
    await keeping.exchange.write(lambda: keeping.devices.create_module(module))
    await send(keeping, b"of the device", bag="iothub-connection-module-id=m1")
    await send(keeping, b"of the module", module="m1")
    async with reader(keeping) as peer:
        of_device, of_module = await received(peer)
    name = symbol("iothub-connection-module-id")
    assert name not in of_device.annotations and not of_device.properties
    assert of_module.annotations[name] == "m1"


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("offset > '-1'", [b"0", b"1", b"2"]),
        ("offset > '1'", [b"2"]),
        ("offset >= '1'", [b"1", b"2"]),
        ("sequence-number > '0'", [b"1", b"2"]),
        (f"enqueued-time > '{NOW_US // 1000 - 1}'", [b"0", b"1", b"2"]),
        (f"enqueued-time > '{NOW_US // 1000}'", []),
        (f"enqueuedtimeutc > '{NOW_US // 1000 - 1}'", [b"0", b"1", b"2"]),
        ("offset > '@latest'", []),
    ],
)
async def test_a_reader_begins_where_it_asks_to(keeping: Door, selector: str, expected: list[bytes]) -> None:
    await send(keeping, b"0", b"1", b"2")
    async with reader(keeping) as peer:
        assert bodies(await received(peer, since(selector))) == expected


async def test_a_reader_of_the_latest_gets_what_comes(keeping: Door) -> None:
    await send(keeping, b"before")
    async with reader(keeping) as peer:
        latest = since("offset > '@latest'")
        link = await threaded(peer.connection.create_receiver, EVENTS.format(OF_P_1), 100, options=latest)
        await send(keeping, b"after")
        assert bytes((await threaded(link.receive, PATIENCE_S)).body) == b"after"


async def test_a_log_that_could_not_be_watched_for_a_moment_is_read_on(
    keeping: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, has_failed = keeping.log.wait, threading.Event()

    def wait(seen: int, timeout_s: float) -> int:
        if has_failed.is_set():
            return watch(seen, timeout_s)
        has_failed.set()
        raise OSError("the disk is away")

    monkeypatch.setattr(keeping.log, "wait", wait)
    monkeypatch.setattr(event_hub, "_AFTER_ERROR_S", 0.0)
    async with reader(keeping) as peer:
        link = await peer.receiver(EVENTS.format(OF_P_1))
        assert await threaded(has_failed.wait, PATIENCE_S)
        await send(keeping, b"after")
        assert bytes((await threaded(link.receive, PATIENCE_S)).body) == b"after"


class FullSocket(asyncio.Transport):
    """Of which the peer reads no message, until it `reads`."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.reads, self.written = False, bytearray()
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        if not self.reads and b"message " in data:
            self._protocol.pause_writing()

    def read(self) -> None:
        self.reads = True
        self._protocol.resume_writing()

    def close(self) -> None:
        self._protocol.connection_lost(None)

    abort = close

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def test_a_reader_that_does_not_read_its_socket_waits_whatever_credit_it_gave(
    keeping: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [Arrival("cgm-1", "p-1", b"message %d" % number) for number in range(160)]
    keeping.intake.offer_all(arrivals, _unasked, None)
    await keeping.intake.settled()
    hub, asked = keeping.event_hub, list[int]()
    assert hub is not None
    read = hub.read

    def asking(number: int, offset: int, most: int) -> Slice | None:
        asked.append(offset)
        return read(number, offset, most)

    monkeypatch.setattr(hub, "read", asking)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # who waits for it, waits for all before
    protocol = keeping.amqp.connection()
    socket = FullSocket(protocol)
    token = b"\0@sas.hub\0" + keeping.policy_token("service").encode()
    protocol.data_received(sasl_plain(token) + opening_bytes([EVENTS.format(OF_P_1)], credit=160))
    for expected in ([0, 50], [0, 50, 100, 150]):  # the second is asked for before the first is written
        for _ in range(8):
            await asyncio.to_thread(int)
        assert asked == expected
        socket.read()
    assert socket.written.count(b"message ") == 160
    protocol.connection_lost(None)
    await keeping.amqp.stop()


async def test_a_change_of_a_twin_is_told_by_device_and_service(keeping: Door) -> None:
    of = keeping.address(keeping.add_device())
    await keeping.exchange.report(of, {"battery": 80})
    await keeping.exchange.change_twin(of, ServiceTwin(tags={"ward": 4}, desired={"every_s": 60}))
    async with reader(keeping) as peer:
        reported, wanted = await received(peer)
    assert json.loads(bytes(reported.body))["properties"] == {"reported": {"battery": 80, "$version": 2}}
    said = json.loads(bytes(wanted.body))
    assert (said["tags"], said["properties"]) == ({"ward": 4}, {"desired": {"every_s": 60, "$version": 2}})
    assert reported.annotations[symbol("iothub-message-source")] == "twinChangeEvents"
    assert reported.properties["hubName"] == HUB and reported.properties["deviceId"] == "cgm-1"


@pytest.mark.parametrize("policy", ["device", "registryRead", "registryReadWrite"])
async def test_a_policy_without_service_connect_reads_nothing(keeping: Door, policy: str) -> None:
    async with reader(keeping, policy) as peer:
        for address in (EVENTS.format(0), "device-messages/$management"):
            with pytest.raises(LinkDetached, match="unauthorized-access"):
                await peer.receiver(address)


async def test_what_a_permission_refuses_is_not_read(keeping: Door) -> None:
    await send(keeping, b"secret")
    refused = Permission(
        id="x", issued_to="service/service", principal_for="p-1", action=Verb.SUBSCRIBE, priority=1, authorized=False
    )
    body = msgspec.json.encode(refused)
    keeping.registry.put_entry(EntryKind.PERMISSION, "x", body, by="test", at_us=NOW_US)
    async with reader(keeping) as peer:
        assert await received(peer) == []


async def test_who_may_read_of_some_patients_does_not_read_what_belongs_to_nobody(keeping: Door) -> None:
    keeping.add_device("spare", patient="")
    await send(keeping, b"of nobody", id="spare")
    for place, (patient, allowed) in enumerate((("p-1", True), ("", False))):
        granted = Permission(
            id=f"x{place}",
            issued_to="service/service",
            principal_for=patient,
            action=Verb.SUBSCRIBE,
            priority=place + 1,
            authorized=allowed,
        )
        body = msgspec.json.encode(granted)
        keeping.registry.put_entry(EntryKind.PERMISSION, granted.id, body, by="test", at_us=NOW_US)
    async with reader(keeping) as peer:
        for partition in range(2):
            assert await received(peer, partition=partition) == []


async def test_a_large_message_reaches_a_reader_of_small_frames(keeping: Door) -> None:
    payloads = [bytes(20_000), b"x" * 50_000]
    await send(keeping, *payloads)
    async with readers(keeping, max_frame_size=4_096) as (peer,):
        assert bodies(await received(peer)) == payloads


async def test_where_it_is_off_nothing_is_kept_and_nothing_read(door: Door) -> None:
    await send(door, b"x")
    assert door.rows(Topic.DEVICE_MESSAGES) == []
    async with reader(door) as peer:
        for address in (EVENTS.format(0), "device-messages/$management", "messages/events/$management"):
            with pytest.raises(LinkDetached, match="not-found"):
                await peer.receiver(address)


async def test_a_reader_with_an_epoch_takes_the_partition_from_those_below(keeping: Door) -> None:
    address = EVENTS.format(OF_P_1)
    async with readers(keeping, 2) as (peer, other):
        first = await threaded(peer.connection.create_receiver, address, 10, options=Epoch(1))
        await threaded(other.connection.create_receiver, address, 10, options=Epoch(2))
        with pytest.raises(LinkDetached, match="stolen"):
            await threaded(first.receive, PATIENCE_S)
        for below in (Epoch(1), None):
            with pytest.raises(LinkDetached, match="stolen"):
                link = await threaded(peer.connection.create_receiver, address, 10, name=str(below), options=below)
                await threaded(link.receive, PATIENCE_S)


async def test_readers_at_the_address_of_iot_hub_are_led_to_the_event_hub(keeping: Door) -> None:
    async with reader(keeping) as peer:
        with pytest.raises(LinkDetached) as caught:
            await peer.receiver("messages/events/$management")
        info = {str(name): value for name, value in caught.value.link.remote_condition.info.items()}
    assert info["address"] == f"amqps://{HUB}:5671/device-messages/$management" and info["hostname"] == HUB


async def test_the_sdk_for_event_hubs_reads_what_the_log_has(missing: Missing, tmp_path: Path) -> None:
    need_ports(missing, HOST, MQTT_PORT, AMQP_PORT, HTTPS_PORT)
    async with opened_hub(HOST, tmp_path, keeps_messages=True) as hub:
        key = hub.door.registry.secret("policy/service")
        text = f"Endpoint=sb://{HOST}/;SharedAccessKeyName=service;SharedAccessKey={key};EntityPath=device-messages"
        command = [sys.executable, str(READER), text, str(hub.certificates.authority)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            said = await _said(process, missing)
            assert said == {"name": "device-messages", "partitions": ["0", "1"], "empty": True}
            await hub.door.exchange.report(hub.door.address(hub.door.add_device()), {"battery": 80})
            lines = [await _said(process, missing)]
            for payload, properties in ((b"plain", {}), (b'{"a":1}', {"$.mid": "m-1", "kind": "a/b c"})):
                hub.door.intake.offer(Arrival("cgm-1", "p-1", payload, properties), _unasked, None)
                await hub.door.intake.settled()
            lines += [await _said(process, missing), await _said(process, missing)]
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
    assert [line["source"] for line in lines] == ["twinChangeEvents", "Telemetry", "Telemetry"]
    assert [line["body"] for line in lines[1:]] == ["plain", '{"a":1}']
    assert (lines[1]["bare"], lines[2]["bare"], lines[2]["message_id"]) == (True, False, "m-1")
    assert lines[2]["properties"] == {"kind": "a/b c"} and {line["device"] for line in lines} == {"cgm-1"}


def _unasked(given: None, error: Exception | None) -> None:
    """Nobody waits for it."""


async def _said(process: asyncio.subprocess.Process, missing: Missing) -> Any:
    assert process.stdout is not None and process.stderr is not None
    line = await asyncio.wait_for(process.stdout.readline(), 3 * PATIENCE_S)
    if not line and await process.wait() == 77:
        missing("azure-eventhub")
    assert line, (await process.stderr.read()).decode()
    return json.loads(line)
