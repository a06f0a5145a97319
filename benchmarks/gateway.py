"""How many readings a second the MQTT front door makes durable, beside a broker that keeps nothing on disk; and how
long a PUBACK takes at a steady rate.

`python -m benchmarks.gateway`: 1,000 devices, each waits for its PUBACK before it sends again. The server has one core,
the load the other, in processes of their own; the same load then goes to mosquitto without persistence, in turns. The
processor time of each server stands beside its rate: it means the same on a machine that others use too.
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
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, cast

import uvloop

from benchmarks.record import figure
from islet.access.sas import make_token
from islet.decode.iothub import Identity
from islet.decode.mqtt import Parser
from islet.decode.mqtt_packets import Connack, Connect, Puback, Publish, encode
from islet.decode.telemetry import Arrival, decode_arrivals
from islet.decode.telemetry import warm_up as decoder_warm_up
from islet.gateways.authenticate import Authenticator
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.log.group_commit import GroupCommit
from islet.log.partitioning import warm_up as log_warm_up
from islet.log.sqlite import SqliteLog
from islet.model.people import Device
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.operations import garbage
from islet.operations.logs import configure
from islet.settings import Settings
from islet.store.registry import SqliteRegistry

DEVICES = 1000
SECONDS = float(os.environ.get("ISLET_BENCH_SECONDS", "4"))
ROUNDS = 3
PACE_PER_S = 2000
MOST_P99_MS = 10.0
_TICK_S = 0.001
_PEER = "mosquitto, nothing on disk"
HUB = "hub.example"
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="  # of this run's devices only; opens nothing else
SERVER_CORE, LOAD_CORE = 0, 1


class Listening(NamedTuple):
    """A server that is ready."""

    port: int
    pid: int


class Pushed(NamedTuple):
    """What a server did while each device waited for its PUBACK only."""

    per_s: float
    server_us: float  # of processor time for each message


def main() -> None:
    rounds: list[tuple[Pushed, Pushed]] = []
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(_front_door())
        peer = stack.enter_context(_mosquitto())
        for _ in range(ROUNDS):
            rounds.append((_push(door), _push(peer) if peer else Pushed(0.0, 0.0)))
        paced_ms = sorted((_pace(door) for _ in range(ROUNDS)), key=lambda pair: pair[1])[ROUNDS // 2]
    rounds.sort(key=lambda pair: pair[0].per_s / pair[1].per_s if peer else pair[0].per_s)
    own, other = rounds[len(rounds) // 2]  # the round of the median ratio: both under the same conditions
    figure(
        "durable MQTT readings, 1,000 connections, window 1",
        own.per_s,
        "readings/s",
        peer=_PEER if peer else None,
        peer_value=other.per_s or None,
        bar="at least 0.7 of mosquitto's rate" if peer else None,
        holds=own.per_s >= 0.7 * other.per_s if peer else None,
    )
    figure(
        "the server's processor time for each of them",
        own.server_us,
        "µs",
        peer=_PEER if peer else None,
        peer_value=other.server_us or None,
    )
    median_ms, p99_ms = paced_ms
    figure(f"PUBACK at {PACE_PER_S:,} readings/s, half of all within", median_ms, "ms")
    figure(
        f"PUBACK at {PACE_PER_S:,} readings/s, p99",
        p99_ms,
        "ms",
        bar=f"at most {MOST_P99_MS:g} ms",
        holds=p99_ms <= MOST_P99_MS,
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
def _front_door() -> Iterator[Listening]:
    """Where it listens. Afterwards checks that each reading that was acknowledged is in the log."""
    build = Path(__file__).resolve().parent.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as directory:
        command = [sys.executable, "-m", "benchmarks.gateway", "server", directory]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None and server.stdout is not None
            yield Listening(int(server.stdout.readline()), server.pid)
            server.stdin.close()
            accepted, in_log = map(int, server.stdout.readline().split())
    if in_log != accepted:
        raise AssertionError(f"{accepted} readings were acknowledged, {in_log} are in the log")


@contextlib.contextmanager
def _mosquitto() -> Iterator[Listening | None]:
    """Where it listens; None where it is not installed."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        yield None
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
                yield Listening(port, broker.pid)
            finally:
                broker.terminate()


def _push(server: Listening) -> Pushed:
    return Pushed(*_load("push", server))


def _pace(server: Listening) -> tuple[float, float]:
    """How long a PUBACK takes, in ms: the median and p99."""
    median_ms, p99_ms = _load("pace", server)
    return median_ms, p99_ms


def _load(kind: str, server: Listening) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.gateway", kind, str(server.port), str(server.pid)]
    return [*map(float, subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split())]


# --- the server's process ---


async def _serve(directory: Path) -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    configure("warning", "json")
    log = SqliteLog(directory / "log.db", bytes(32))
    registry = SqliteRegistry(directory / "store.db", bytes(32))
    for number in range(DEVICES):
        registry.create_device(Device(id=f"cgm-{number}", patient=f"p-{number}", primary_key=KEY))
    writer = GroupCommit(log, _now, within_s=Settings().commit_within_ms / 1000)
    intake = Intake(writer, asyncio.get_running_loop().call_soon_threadsafe, future_us=5 * MINUTE_US)
    server = MqttServer(intake, Authenticator(registry, HUB, _now))
    decoder_warm_up()
    log_warm_up()
    garbage.rarely()
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
                self._load.acknowledged(self)
            else:
                assert packet == Connack(0)
                self._load.connected_one()

    def send(self) -> None:
        self._next = self._next % 60_000 + 1
        self._transport.write(self._head + self._next.to_bytes(2, "big") + self._load.payloads[self._next])


class _Load:
    """All devices of a run: each sends again when it is told of the last one."""

    def __init__(self) -> None:
        self.payloads = [_payload(number) for number in range(60_001)]
        self.devices: list[_Device] = []
        self.over = False
        self._count = 0
        self._connected = 0
        self._all_connected = asyncio.Event()

    def connected_one(self) -> None:
        self._connected += 1
        if self._connected == DEVICES:
            self._all_connected.set()

    def acknowledged(self, device: _Device) -> None:
        self._count += 1
        if not self.over:
            device.send()

    async def connect(self, port: int) -> None:
        os.sched_setaffinity(0, {LOAD_CORE})
        loop = asyncio.get_running_loop()
        for number in range(DEVICES):
            _, device = await loop.create_connection(lambda number=number: _Device(self, number), "127.0.0.1", port)  # type: ignore[misc]
            self.devices.append(device)
        await self._all_connected.wait()

    async def run(self, server: Listening) -> None:
        """Print how many are acknowledged in a second, once it has been running for a moment, and what each costs."""
        await self.connect(server.port)
        for device in self.devices:
            device.send()
        await asyncio.sleep(0.5)
        before, used_s, began = self._count, _used_s(server.pid), time.perf_counter()
        await asyncio.sleep(SECONDS)
        count, used_s, lasted_s = self._count - before, _used_s(server.pid) - used_s, time.perf_counter() - began
        self.over = True
        print(count / lasted_s, 1e6 * used_s / count)


class _PacedLoad(_Load):
    """Devices that send in turn, at a steady rate; a PUBACK's time runs from the instant its reading was sent."""

    def __init__(self) -> None:
        super().__init__()
        self._idle: deque[_Device] = deque()
        self._sent_s: dict[_Device, float] = {}
        self._took_s: list[float] = []

    def acknowledged(self, device: _Device) -> None:
        self._took_s.append(time.perf_counter() - self._sent_s.pop(device))
        self._idle.append(device)

    async def run(self, server: Listening) -> None:
        """Print the median and p99, in ms, after a moment."""
        await self.connect(server.port)
        self._idle.extend(self.devices)
        began, warm = time.perf_counter(), PACE_PER_S // 2
        for number in range(warm + round(SECONDS * PACE_PER_S)):
            while (left_s := began + number / PACE_PER_S - time.perf_counter()) > 0:
                await asyncio.sleep(max(left_s, _TICK_S))
            device = self._idle.popleft()
            self._sent_s[device] = time.perf_counter()
            device.send()
        while self._sent_s:
            await asyncio.sleep(_TICK_S)
        took_ms = [1000 * took_s for took_s in sorted(self._took_s[warm:])]
        print(took_ms[len(took_ms) // 2], took_ms[len(took_ms) * 99 // 100])


def _used_s(pid: int) -> float:
    """Processor time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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
        case ["push", port, pid]:
            uvloop.run(_Load().run(Listening(int(port), int(pid))))
        case ["pace", port, pid]:
            uvloop.run(_PacedLoad().run(Listening(int(port), int(pid))))
        case _:
            main()
