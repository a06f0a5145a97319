"""A front door on loopback with all its real parts, and a peer that speaks bytes to it."""

import asyncio
import contextlib
import json
import ssl
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, Self

from msgspec import structs

from islet.access.sas import make_token, new_key
from islet.decode.iothub import Identity
from islet.decode.mqtt import Parser
from islet.decode.mqtt5 import Parser5
from islet.decode.mqtt5_packets import Connack5, Connect5, Will5, encode5
from islet.decode.mqtt5_properties import Properties
from islet.decode.mqtt_packets import Connack, Connect, Packet, Publish, Will, encode
from islet.gateways.amqp import AmqpServer
from islet.gateways.authenticate import Authenticator
from islet.gateways.client_certificates import take_client_certificates
from islet.gateways.configurations import Configurations
from islet.gateways.device_jobs import JobRunner
from islet.gateways.enrollments import Enrollments
from islet.gateways.event_hub import EventHub
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.gateways.registering import Registrar
from islet.gateways.turnstile import Turnstile
from islet.gateways.twin_changes import TwinChanges
from islet.log.base import Commit, Companion
from islet.log.group_commit import GroupCommit
from islet.log.memory import MemoryLog
from islet.model.people import Device, Patient
from islet.model.time import MINUTE_US, SECOND_US, Now
from islet.model.topics import Topic
from islet.store.base import Registry
from islet.store.device_file_rows import Bounds
from islet.store.device_files import DeviceFiles
from islet.store.devices import SqliteDevices
from islet.store.devices_base import Address, Devices
from islet.store.hub_policies import ensure_policy_keys
from tests.gateways.dict_registry import DictRegistry

HUB = "hub.example"
ID_SCOPE = "scope-1"
FILE_BOUNDS = Bounds(file_bytes=12_000_000, device_bytes=40_000_000)
NOW_US = 1_795_248_180_950_000  # 2026-11-21T08:03:00.95Z
NOW_S = NOW_US // 1_000_000
PATIENCE_S = 10.0


def reading(value: float = 100, **more: object) -> bytes:
    return json.dumps(
        {"type": "reading", "time": "2026-11-21T08:00:00Z", "value": value, "unit": "mg/dL", **more}
    ).encode()


class GatedLog(MemoryLog):
    """A log whose commits wait for `gate`, and fail with `error` where one is set."""

    def __init__(self) -> None:
        super().__init__(partitions=2)
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def commit(self, commits: Sequence[Commit], companion: Companion | None = None) -> None:
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        super().commit(commits, companion)


class Door:
    """Log, writer, registry, device side, intake and MQTT server, wired as the platform wires them."""

    def __init__(
        self,
        wall_now: Now,
        hub: str,
        most_bytes: int,
        registry: Registry,
        devices: Devices,
        device_files: DeviceFiles,
        turnstile: Turnstile | None,
        keeps_messages: bool = False,
        fault_injection: bool = False,
    ) -> None:
        self.hub = hub
        self.log = GatedLog()
        self.received_us = NOW_US
        self.writer = GroupCommit(self.log, lambda: self.received_us, within_s=0.0)
        self.registry = registry
        self.registry.put_patient(Patient(id="p-1"))
        ensure_policy_keys(self.registry)
        call_soon = asyncio.get_running_loop().call_soon_threadsafe
        self.intake = Intake(
            self.writer, call_soon, future_us=5 * MINUTE_US, most_bytes=most_bytes, keeps_messages=keeps_messages
        )
        self.devices, self.device_files = devices, device_files
        self.authenticator = Authenticator(self.registry, hub, wall_now, devices)
        self.event_hub = EventHub(self.log, wall_now) if keeps_messages else None
        changes = TwinChanges(self.writer, self.authenticator.patient_of, hub, wall_now) if keeps_messages else None
        self.exchange = Exchange(devices, wall_now, changes)
        self.jobs = JobRunner(self.exchange, registry, Random(1), look_s=0.02, pause_us=SECOND_US)
        self.configurations = Configurations(self.exchange, registry, look_s=0.05)
        self.enrollments = Enrollments(self.registry, ID_SCOPE, wall_now)
        self.registrar = Registrar(self.enrollments, self.exchange, hub)
        intake, authenticator, exchange, registrar = self.intake, self.authenticator, self.exchange, self.registrar
        self.mqtt = MqttServer(intake, authenticator, exchange, turnstile, registrar, fault_injection=fault_injection)
        self.amqp = AmqpServer(
            intake,
            authenticator,
            exchange,
            event_hub=self.event_hub,
            registrar=registrar,
            device_files=self.device_files,
            fault_injection=fault_injection,
        )
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(
        cls,
        *,
        wall_now: Now = lambda: NOW_US,
        hub: str = HUB,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        most_bytes: int = 1 << 26,
        registry: Registry | None = None,
        turnstile: Turnstile | None = None,
        keeps_messages: bool = False,
        fault_injection: bool = False,
    ) -> AsyncIterator[Self]:
        with (
            tempfile.TemporaryDirectory() as directory,
            contextlib.closing(SqliteDevices(Path(directory) / "store.db", bytes(32))) as devices,
            contextlib.closing(
                DeviceFiles(Path(directory) / "store.db", Path(directory) / "files", bytes(32), FILE_BOUNDS)
            ) as device_files,
        ):
            door = cls(
                wall_now,
                hub,
                most_bytes,
                registry or DictRegistry(),
                devices,
                device_files,
                turnstile,
                keeps_messages,
                fault_injection,
            )
            if tls is not None:
                take_client_certificates(tls, door.authenticator, door.enrollments)
            try:
                door.port = await door.mqtt.listen(host, port, tls)
                yield door
            finally:
                await door.close()

    async def close(self) -> None:
        self.log.gate.set()
        await self.mqtt.stop()
        await self.jobs.close()
        await self.configurations.close()
        await self.exchange.close()
        if self.event_hub is not None:
            await self.event_hub.close()
        await asyncio.to_thread(self.writer.close)

    def add_device(self, id: str = "cgm-1", patient: str = "p-1") -> Device:
        device = Device(
            id=id, patient=patient, generation_id="1", etag="e1", primary_key=new_key(), secondary_key=new_key()
        )
        self.registry.create_device(device)
        return device

    def change_device(self, id: str, **changes: object) -> None:
        device = self.registry.device(id)
        assert device is not None
        after = structs.replace(device, **changes)
        self.registry.change_device(after, "changed", etag=device.etag, by="test", at_us=NOW_US)

    def policy_token(self, policy: str, resource: str = HUB) -> str:
        key = self.registry.secret(f"policy/{policy}")
        assert key is not None
        return make_token(resource, key, NOW_S + 3600, policy)

    async def peer(self) -> "Peer":
        return Peer(*await asyncio.open_connection("127.0.0.1", self.port))

    async def connected(self, device: Device, **options: Any) -> "Peer":
        peer = await self.peer()
        peer.send(hello(device, **options))
        answer = await peer.receive()
        assert isinstance(answer, Connack) and answer.code == 0
        return peer

    async def peer5(self) -> "Peer5":
        return Peer5(*await asyncio.open_connection("127.0.0.1", self.port))

    async def connected5(self, device: Device, *, present: bool = False, **options: Any) -> "Peer5":
        """A peer that speaks MQTT 5 and was let in; what it was told is its `welcome`."""
        peer = await self.peer5()
        peer.send(hello5(device, **options))
        answer = await peer.receive()
        assert isinstance(answer, Connack5) and (answer.code, answer.session_present) == (0, present), answer
        peer.welcome = answer.properties
        return peer

    def address(self, device: Device) -> Address:
        return Address(device.id, device.generation_id)

    def rows(self, topic: Topic) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        for partition, end in enumerate(self.log.end(topic)):
            offset = 0
            while offset < end:
                entries = self.log.read(topic, partition, offset)
                assert entries is not None
                rows += entries.batch.to_pylist()
                offset = entries.next_offset
        return rows


def hello(
    device: Device,
    *,
    module: str = "",
    key: str = "",
    expires_s: int = NOW_S + 3600,
    keep_alive_s: int = 60,
    will: Will | None = None,
    token: str = "",
    hub: str = HUB,
    clean_session: bool = False,
) -> Connect:
    identity = Identity(device.id, module)
    token = token or make_token(f"{hub}/{identity.path}", key or device.primary_key, expires_s)
    return Connect(
        client_id=identity.client_id,
        username=f"{hub}/{identity.client_id}/?api-version=2021-04-12",
        password=token.encode(),
        clean_session=clean_session,
        keep_alive_s=keep_alive_s,
        will=will,
    )


def hello5(
    device: Device, *, will: Will5 | None = None, properties: Properties | None = None, **options: Any
) -> Connect5:
    """The same in MQTT 5, with those properties."""
    plain = hello(device, **options)
    return Connect5(
        client_id=plain.client_id,
        username=plain.username,
        password=plain.password,
        clean_session=plain.clean_session,
        keep_alive_s=plain.keep_alive_s,
        will=will,
        properties=properties or Properties(),
    )


def device_token(device: Device, *, key: str = "", expires_s: int = NOW_S + 3600) -> str:
    return make_token(f"{HUB}/devices/{device.id}", key or device.primary_key, expires_s)


def telemetry(device: Device, payload: bytes, packet_id: int = 1, bag: str = "") -> Publish:
    qos = 1 if packet_id else 0
    return Publish(f"devices/{device.id}/messages/events/{bag}", payload, qos, packet_id)


class Peer:
    """The other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser = Parser()
        self._packets: list[Packet] = []

    def send(self, *packets: Packet) -> None:
        self._writer.write(b"".join(map(encode, packets)))

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self) -> Packet | None:
        """The next packet; None at the end of the connection."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._packets:
                try:
                    data = await self._reader.read(65_536)
                except ConnectionError:
                    data = b""
                if not data:
                    return None
                self._packets += self._parser.feed(data)
        return self._packets.pop(0)

    def hang_up(self) -> None:
        """Go without DISCONNECT."""
        self._writer.transport.abort()


class Peer5(Peer):
    """One that speaks MQTT 5."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._parser = Parser5()
        self.welcome = Properties()

    def send(self, *packets: Packet) -> None:
        self._writer.write(b"".join(map(encode5, packets)))
