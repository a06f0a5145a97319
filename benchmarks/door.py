"""What a reading costs between the event loop and the disk: the parts of the MQTT front door, without sockets and sync.

`python -m benchmarks.door`: 1,000 connections that are let in by their CONNECT, on a transport that only counts; then
groups of readings are received, decoded, committed and acknowledged, one part after the other in one thread. The least
of many rounds is given: it hardly depends on who else uses the machine, unlike the figures of `benchmarks.gateway`.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.gateway import DEVICES, HUB, KEY, _now, _payload
from benchmarks.record import figure
from islet.access.sas import make_token
from islet.decode.iothub import Identity
from islet.decode.mqtt_packets import Connack, Connect, Puback, Publish, encode
from islet.gateways.authenticate import Authenticator
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.log.base import Commit
from islet.log.group_commit import Done, Source
from islet.log.sqlite import SqliteLog
from islet.model.people import Device
from islet.model.time import MINUTE_US
from islet.operations import garbage
from islet.store.registry import SqliteRegistry

GROUPS = (300, 550)
ROUNDS = 300
PARTS = ("received", "decoded", "committed", "acknowledged")


class Writer:
    """Asks when it is told to."""

    def add_source(self, source: Source) -> None:
        self.source = source

    def wake(self, *, plenty: bool = False) -> None: ...


class Wire(asyncio.Transport):
    """Counts the bytes that are written."""

    count = 0

    def write(self, data: Any) -> None:
        self.count += len(data)


async def measure(directory: Path, group: int) -> list[float]:
    """µs a reading, by part."""
    writer, calls = Writer(), list[tuple[Callable[..., None], tuple[Any, ...]]]()
    intake = Intake(writer, lambda call, *given: calls.append((call, given)), future_us=5 * MINUTE_US)
    registry = SqliteRegistry(directory / "store.db", bytes(32))
    log = SqliteLog(directory / "log.db", bytes(32))
    server = MqttServer(intake, Authenticator(registry, HUB, _now))
    wires = [Wire() for _ in range(DEVICES)]
    receive = [let_in(server, registry, number, wire) for number, wire in enumerate(wires)]
    garbage.rarely()
    least, sent = [float("inf")] * len(PARTS), 0
    for _ in range(ROUNDS):
        packets = [packet(sent + number) for number in range(group)]
        took_s = one_round(packets, receive, sent, writer, log, calls)
        sent += group
        least = list(map(min, least, took_s))
    assert sum(wire.count for wire in wires) == len(encode(Connack(0))) * DEVICES + len(encode(Puback(1))) * sent
    registry.close()
    log.close()
    return [1e6 * took_s / group for took_s in least]


def let_in(server: MqttServer, registry: SqliteRegistry, number: int, wire: Wire) -> Callable[[bytes], None]:
    identity = Identity(f"cgm-{number}")
    registry.create_device(Device(id=identity.device, patient=f"p-{number}", primary_key=KEY))
    token = make_token(f"{HUB}/{identity.path}", KEY, int(time.time()) + 600)
    username = f"{HUB}/{identity.client_id}/?api-version=2021-04-12"
    connection = server.connection()
    connection.connection_made(wire)
    connection.data_received(encode(Connect(client_id=identity.client_id, username=username, password=token.encode())))
    return connection.data_received


def packet(number: int) -> tuple[int, bytes]:
    """The device's number, and its reading."""
    device, which = number % DEVICES, number // DEVICES
    topic = Identity(f"cgm-{device}").telemetry_topic
    return device, encode(Publish(topic, _payload(which), 1, which + 1))


def one_round(
    packets: list[tuple[int, bytes]],
    receive: list[Callable[[bytes], None]],
    sent: int,
    writer: Writer,
    log: SqliteLog,
    calls: list[tuple[Callable[..., None], tuple[Any, ...]]],
) -> list[float]:
    """The seconds of each part."""
    at = [time.perf_counter()]
    for device, data in packets:
        receive[device](data)
    at.append(time.perf_counter())
    given: tuple[Commit, Done] | None = writer.source(_now())
    assert given is not None
    at.append(time.perf_counter())
    log.commit([given[0]])
    at.append(time.perf_counter())
    given[1](None)
    call, arguments = calls.pop()
    call(*arguments)
    at.append(time.perf_counter())
    return [end - begin for begin, end in pairwise(at)]


def main() -> None:
    for group in map(int, sys.argv[1:]) if sys.argv[1:] else GROUPS:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:  # no disk
            for part, took_us in zip(PARTS, uvloop.run(measure(Path(directory), group)), strict=True):
                figure(f"door: a reading is {part}, groups of {group}", took_us, "µs")


if __name__ == "__main__":
    main()
