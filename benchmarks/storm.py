"""Five thousand devices over TLS: what a connection costs in memory, and what happens when all of them come back at once.

`python -m benchmarks.storm`: the server has one core, the devices the other. Each device is Islet's own client, which
tries again until its reading is acknowledged. Every acknowledged reading has to be in the log.
"""

import asyncio
import contextlib
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import uvloop

from benchmarks.gateway import KEY, LOAD_CORE, SERVER_CORE
from benchmarks.record import figure
from islet.access.sas import ConnectionString
from islet.agent.mqtt_client import Address, FaithfulClient
from islet.gateways.authenticate import Authenticator
from islet.gateways.certificates import client_ssl_context, ensure_certificates, server_ssl_context
from islet.gateways.client_certificates import take_client_certificates
from islet.gateways.exchange import Exchange
from islet.gateways.intake import Intake
from islet.gateways.mqtt import MqttServer
from islet.log.group_commit import GroupCommit
from islet.log.sqlite import SqliteLog
from islet.model.codec import encode_event
from islet.model.events import Reading
from islet.model.people import Device
from islet.model.time import MINUTE_US
from islet.model.topics import Topic
from islet.operations import garbage
from islet.operations.logs import configure
from islet.settings import Settings
from islet.store.devices import SqliteDevices
from islet.store.registry import SqliteRegistry

DEVICES = int(os.environ.get("ISLET_STORM_DEVICES", "5000"))
HUB = "localhost"
MOST_KB = 60.0
_AT_FIRST = 100  # handshakes at a time, before the storm
_STORMS = 2


def main() -> None:
    build = Path(__file__).resolve().parent.parent / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as directory:
        command = [sys.executable, "-m", "benchmarks.storm", "server", directory]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None and server.stdout is not None
            port = int(server.stdout.readline())
            load = [sys.executable, "-m", "benchmarks.storm", "load", directory, str(port), str(server.pid)]
            kb, slowest_s, acknowledged = map(float, subprocess.check_output(load, text=True).split())
            server.stdin.close()
            accepted, in_log, refused = map(int, server.stdout.readline().split())
    if not acknowledged <= accepted == in_log:
        raise AssertionError(f"{acknowledged:g} were acknowledged, {accepted} accepted, {in_log} are in the log")
    figure(
        f"memory a TLS connection, {DEVICES:,} connected", kb, "KB", bar=f"at most {MOST_KB:g} KB", holds=kb <= MOST_KB
    )
    figure(f"reconnect storm of {DEVICES:,}: until all have their acknowledgement", slowest_s, "s")
    figure("reconnect storm: refused for a while", refused, "connections")
    figure(
        "reconnect storm: acknowledged and not in the log", acknowledged - in_log if in_log < acknowledged else 0, ""
    )


# --- the server's process ---


async def _serve(directory: Path) -> None:
    os.sched_setaffinity(0, {SERVER_CORE})
    configure("warning", "json")
    certificates = ensure_certificates(directory, HUB, _now())
    log = SqliteLog(directory / "log.db", bytes(32), partitions=4)
    registry = SqliteRegistry(directory / "store.db", bytes(32))
    devices = SqliteDevices(directory / "store.db", bytes(32))
    for number in range(DEVICES):
        registry.create_device(Device(id=f"cgm-{number}", patient=f"p-{number}", primary_key=KEY))
    writer = GroupCommit(log, _now, within_s=Settings().commit_within_ms / 1000)
    intake = Intake(writer, asyncio.get_running_loop().call_soon_threadsafe, future_us=5 * MINUTE_US)
    exchange, authenticator = Exchange(devices, _now), Authenticator(registry, HUB, _now, devices)
    server = MqttServer(intake, authenticator, exchange)
    tls = server_ssl_context(certificates)
    take_client_certificates(tls, authenticator)
    garbage.rarely()
    print(await server.listen("127.0.0.1", 0, tls), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()
    await exchange.close()
    await asyncio.to_thread(writer.close)
    print(intake.accepted, sum(log.end(Topic.GLUCOSE_READINGS)), server.refused, flush=True)
    for one in (registry, devices, log):
        one.close()


def _now() -> int:
    return time.time_ns() // 1000


# --- the devices' process ---


class _Devices:
    """All devices of the run."""

    def __init__(self, directory: Path, port: int) -> None:
        tls = client_ssl_context(directory / "certificates" / "authority.pem")
        address, rng = Address(host=HUB, port=port, tls=tls), random.Random(1)
        self._clients = [
            FaithfulClient(address, ConnectionString(host=HUB, device=f"cgm-{number}", key=KEY), _now, rng)
            for number in range(DEVICES)
        ]
        self._began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
        self.acknowledged = 0

    async def connect(self, first: int, last: int) -> None:
        """A reading of each of those, some at a time."""
        places = asyncio.Semaphore(_AT_FIRST)

        async def one(client: FaithfulClient) -> None:
            async with places:
                await self._measure(client)

        await asyncio.gather(*map(one, self._clients[first:last]))

    async def storm(self) -> float:
        """All connections are cut, and each device has something to say. How long until all of that is acknowledged."""
        for client in self._clients:
            client.cut()
        began = time.perf_counter()
        await asyncio.gather(*map(self._measure, self._clients))
        return time.perf_counter() - began

    async def _measure(self, client: FaithfulClient) -> None:
        self._began += timedelta(milliseconds=1)
        await client.publish(encode_event(Reading(time=self._began, value=112, unit="mg/dL")))
        self.acknowledged += 1


async def _load(directory: Path, port: int, server_pid: int) -> None:
    os.sched_setaffinity(0, {LOAD_CORE})
    devices = _Devices(directory, port)
    await devices.connect(0, _AT_FIRST)  # what the first ones load into memory is not theirs
    before_kb = _rss_kb(server_pid)
    await devices.connect(_AT_FIRST, DEVICES)
    connected_kb = (_rss_kb(server_pid) - before_kb) / (DEVICES - _AT_FIRST)
    slowest_s = max([await devices.storm() for _ in range(_STORMS)])
    print(connected_kb, slowest_s, devices.acknowledged)


def _rss_kb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise AssertionError("the server has ended")


if __name__ == "__main__":
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    match sys.argv[1:]:
        case ["server", directory]:
            uvloop.run(_serve(Path(directory)))
        case ["load", directory, port, pid]:
            uvloop.run(_load(Path(directory), int(port), int(pid)))
        case _:
            main()
