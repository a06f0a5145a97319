"""How many readings a second the MQTT front door makes durable, beside a broker that keeps nothing on disk.

`python -m benchmarks.gateway`: 1,000 devices, each waits for its PUBACK before it sends again. The server has one core,
the load the other, in processes of their own; the same load then goes to mosquitto without persistence, in turns.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.record import figure
from islet.access.sas import make_token
from islet.decode.iothub import Identity
from islet.decode.mqtt import Parser
from islet.decode.mqtt_packets import Connack, Connect, Puback, Publish, encode
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.gateways.authenticate import Authenticator
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.log.group_commit import GroupCommit
from islet.log.sqlite import SqliteLog
from islet.model.people import Device
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.operations.logs import configure
from islet.settings import Settings
from islet.store.registry import SqliteRegistry

DEVICES = 1000
SECONDS = 4.0
ROUNDS = 3
HUB = "hub.example"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # of this run's devices only; opens nothing else
SERVER_CORE, LOAD_CORE = 0, 1


def main() -> None:
    rates: list[tuple[float, float]] = []
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(_front_door())
        peer_port = stack.enter_context(_mosquitto())
        for _ in range(ROUNDS):
            rates.append((_load(port), _load(peer_port) if peer_port else 0.0))
    rates.sort(key=lambda pair: pair[0] / pair[1] if pair[1] else pair[0])
    rate, peer_rate = rates[len(rates) // 2]  # the round of the median ratio: both under the same conditions
    figure(
        "durable MQTT readings, 1,000 connections, window 1",
        rate,
        "readings/s",
        peer="mosquitto, nothing on disk" if peer_rate else None,
        peer_value=peer_rate or None,
        bar="at least 0.7 of mosquitto's rate" if peer_rate else None,
        holds=rate >= 0.7 * peer_rate if peer_rate else None,
    )
    decoded = _decode_rate()
    figure(
        "readings decoded from JSON, one core", decoded, "readings/s", bar="at least 0.7 M/s", holds=decoded >= 700_000
    )


def _decode_rate() -> float:
    """Readings a second in batches of 10,000; the best of nine, as the machine may be in use."""
    now_us = time.time_ns() // 1000
    texts = [_payload(number).decode() for number in range(10_000)]
    arrivals = [Arrival(f"cgm-{n % DEVICES}", f"p-{n % DEVICES}", text.encode()) for n, text in enumerate(texts)]
    best_s = min(_timed_decode(arrivals, now_us) for _ in range(9))
    return len(arrivals) / best_s


def _timed_decode(arrivals: list[Arrival], now_us: int) -> float:
    began = time.perf_counter()
    decoded = decode_arrivals(arrivals, now_us, 0)
    took_s = time.perf_counter() - began
    assert decoded.accepted == len(arrivals)
    return took_s


@contextlib.contextmanager
def _front_door() -> Iterator[int]:
    """Its port. Afterwards checks that each reading that was acknowledged is in the log."""
    build = Path(__file__).resolve().parent.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as directory:
        command = [sys.executable, "-m", "benchmarks.gateway", "server", directory]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None and server.stdout is not None
            yield int(server.stdout.readline())
            server.stdin.close()
            accepted, in_log = map(int, server.stdout.readline().split())
    if in_log != accepted:
        raise AssertionError(f"{accepted} readings were acknowledged, {in_log} are in the log")


@contextlib.contextmanager
def _mosquitto() -> Iterator[int]:
    """Its port; 0 where it is not installed."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        yield 0
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n")
        with subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL) as broker:
            os.sched_setaffinity(broker.pid, {SERVER_CORE})
            try:
                yield port
            finally:
                broker.terminate()


def _load(port: int) -> float:
    """Acknowledged readings a second."""
    command = [sys.executable, "-m", "benchmarks.gateway", "load", str(port)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


# --- the server's process ---


async def _serve(directory: Path) -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    configure("warning", "json")
    log = SqliteLog(directory / "log.db", bytes(32), partitions=4)
    registry = SqliteRegistry(directory / "store.db", bytes(32))
    for number in range(DEVICES):
        registry.create_device(Device(id=f"cgm-{number}", patient=f"p-{number}", primary_key=KEY))
    writer = GroupCommit(log, _now, wait_s=Settings().commit_wait_ms / 1000)
    intake = Intake(writer, asyncio.get_running_loop().call_soon_threadsafe, future_us=5 * MINUTE_US)
    server = MqttServer(intake, Authenticator(registry, HUB, _now))
    print(await server.listen("127.0.0.1", 0), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await asyncio.to_thread(writer.close)
    print(intake.accepted, sum(log.end(Topic.GLUCOSE_READINGS)), flush=True)
    registry.close()
    log.close()


def _now() -> int:
    return time.time_ns() // 1000


# --- the load's process ---


class _Device(asyncio.Protocol):
    """Connects, then sends the next reading at each PUBACK."""

    def __init__(self, load: "_Load", number: int) -> None:
        identity = Identity(f"cgm-{number}")
        token = make_token(f"{HUB}/{identity.path}", KEY, int(time.time()) + 600)
        self._load = load
        self._hello = Connect(
            client_id=identity.client_id,
            username=f"{HUB}/{identity.client_id}/?api-version=2021-04-12",
            password=token.encode(),
        )
        packet = encode(Publish(identity.telemetry_topic, _payload(0), 1, 1))
        self._head = packet[: -len(_payload(0)) - 2]
        self._parser = Parser()
        self._next = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(encode(self._hello))

    def data_received(self, data: bytes) -> None:
        for packet in self._parser.feed(data):
            if isinstance(packet, Puback):
                self._load.acknowledged += 1
                self.send()
            else:
                assert packet == Connack(0)
                self._load.connected_one()

    def send(self) -> None:
        if not self._load.over:
            self._next = self._next % 60_000 + 1
            self._transport.write(self._head + self._next.to_bytes(2, "big") + self._load.payloads[self._next])


class _Load:
    """All devices of the run."""

    def __init__(self) -> None:
        self.payloads = [_payload(number) for number in range(60_001)]
        self.acknowledged = 0
        self.over = False
        self._connected = 0
        self._all_connected = asyncio.Event()

    def connected_one(self) -> None:
        self._connected += 1
        if self._connected == DEVICES:
            self._all_connected.set()

    async def run(self, port: int) -> None:
        """Print how many are acknowledged in a second, once it has been running for a moment."""
        os.sched_setaffinity(0, {LOAD_CORE})
        loop = asyncio.get_running_loop()
        devices = []
        for number in range(DEVICES):
            _, device = await loop.create_connection(lambda number=number: _Device(self, number), "127.0.0.1", port)  # type: ignore[misc]
            devices.append(device)
        await self._all_connected.wait()
        for device in devices:
            device.send()
        await asyncio.sleep(0.5)
        before, began = self.acknowledged, time.perf_counter()
        await asyncio.sleep(SECONDS)
        rate = (self.acknowledged - before) / (time.perf_counter() - began)
        self.over = True
        print(rate)


_BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(days=5)


def _payload(number: int) -> bytes:
    """Readings of one device, a second apart; all of one length."""
    time_text = (_BEGAN + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        f'{{"type":"reading","time":"{time_text}","value":{100 + number % 200},"unit":"mg/dL","method":"cgm"}}'.encode()
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["server", directory]:
            uvloop.run(_serve(Path(directory)))
        case ["load", port]:
            uvloop.run(_Load().run(int(port)))
        case _:
            main()
