"""From a device's send to the alert on the event stream, at the rate of a million patients.

A million people whose sensors read every three minutes send 5,500 readings a second. Here 1,000 devices send them, over
MQTT, to a platform in a process of its own (encrypted log with FULL sync, engine, store, web); one reading in 480 is an
urgent low, which is one a day for each person (ISLET_BENCH_LOW_EVERY for another number; some ten changes of alerts follow
from each). A consumer follows `/api/log/alerts/stream` over HTTP; an alert's latency runs from just before its reading was
written to the socket until the consumer has the server-sent event. `python -m benchmarks.latency`.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import uvloop

from benchmarks.record import figure
from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import ConnectionString
from islet.agent.mqtt_client import Address, MqttClient
from islet.clock import wall_us
from islet.model.alerts import alert_id
from islet.model.codec import encode_event
from islet.model.events import Reading
from islet.model.people import Patient, Role, User
from islet.model.time import DAY_US, HOUR_US, MINUTE_US, from_us
from islet.opened import opened_registry
from islet.provision import ensure_worn
from islet.settings import Settings, load
from tests.platform.process import PlatformProcess

DEVICES = 1_000
RATE = 5_500
WARM_S = 5
LASTS_S = int(os.environ.get("ISLET_BENCH_SECONDS", "20"))
LOW_EVERY = int(os.environ.get("ISLET_BENCH_LOW_EVERY", "480"))
BAR_MS = 100.0


def provision(settings: Settings) -> tuple[list[ConnectionString], str]:
    """A thousand patients with a device each, and a token for the consumer."""
    token = new_token()
    credentials = []
    with opened_registry(settings) as registry:
        for number in range(DEVICES):
            credentials.append(ensure_worn(registry, Patient(id=f"p-{number}"), f"d-{number}", "localhost"))
        user = User(name="bench", role=Role.APPLICATION, password_hash=hash_password(new_token()), patients=("*",))
        registry.put_user(user)
        registry.create_session(token_hash(token), user.name, wall_us() + HOUR_US)
    return credentials, token


class Load:
    """The devices: device k sends its i-th reading, three minutes of its life after the one before."""

    def __init__(self, clients: Sequence[MqttClient]) -> None:
        self.clients = clients
        self.sent_s: dict[str, float] = {}
        self.count = 0
        self._begin_us = (wall_us() - DAY_US) // MINUTE_US * MINUTE_US

    async def run(self, seconds: float) -> float:
        """Send at RATE; the rate that was reached."""
        began = time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            for _ in range(int(elapsed * RATE) - self.count):
                await self._send(self.count)
                self.count += 1
            await asyncio.sleep(0.002)
        return self.count / (time.perf_counter() - began)

    async def _send(self, number: int) -> None:
        device, index = number % DEVICES, number // DEVICES
        low = (number // DEVICES + device) % LOW_EVERY == 0
        time_us = self._begin_us + index * 3 * MINUTE_US
        payload = encode_event(Reading(time=from_us(time_us), value=50.0 if low else 110.0, unit="mg/dL"))
        if low:
            self.sent_s[alert_id("urgent_low", f"p-{device}", time_us)] = time.perf_counter()
        await self.clients[device].send(payload)


class Consumer:
    """Follows the alerts topic, as an application outside would."""

    def __init__(self, url: str, token: str) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {token}"}
        self.seen_s: dict[str, float] = {}
        self.connected = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        async with (
            httpx.AsyncClient(timeout=None) as http,
            http.stream("GET", f"{self._url}/api/log/alerts/stream", headers=self._headers) as answer,
        ):
            answer.raise_for_status()
            self.connected.set()
            async for line in answer.aiter_lines():
                if line.startswith("data: ["):
                    self._take(json.loads(line[6:]), time.perf_counter())

    def _take(self, entries: list[dict[str, object]], now_s: float) -> None:
        for entry in entries:
            body = entry["body"]
            change = json.loads(body) if isinstance(body, str) else body
            if isinstance(change, dict) and change["change"] == "opened" and change["rule"] == "urgent_low":
                key = alert_id(change["rule"], change["patient"], change["onset_us"])
                self.seen_s.setdefault(key, now_s)


async def measure(platform: PlatformProcess, credentials: list[ConnectionString], token: str) -> None:
    """Drive the platform and print the figures."""
    address = Address(host="127.0.0.1", port=platform.mqtt_port)
    clients = []
    for start in range(0, DEVICES, 100):
        some = credentials[start : start + 100]
        clients += await asyncio.gather(*(MqttClient.connect(address, one, wall_us) for one in some))
    consumer = Consumer(platform.url, token)
    following = asyncio.create_task(consumer.run())
    await consumer.connected.wait()
    load = Load(clients)
    cpu_before = platform.cpu_s()
    rate = await load.run(WARM_S + LASTS_S)
    cpu = (platform.cpu_s() - cpu_before) / (WARM_S + LASTS_S)
    for _ in range(100):
        if len(consumer.seen_s) == len(load.sent_s):
            break
        await asyncio.sleep(0.1)
    following.cancel()
    warm = min(load.sent_s.values()) + WARM_S
    waits_ms = [
        (consumer.seen_s[key] - sent) * 1000
        for key, sent in load.sent_s.items()
        if sent > warm and key in consumer.seen_s
    ]
    missing = len(load.sent_s) - len(consumer.seen_s)
    cuts = statistics.quantiles(waits_ms, n=100)
    figure("latency.rate_reached", rate, "readings/s", bar=f"paced at {RATE:,}", holds=rate > 0.97 * RATE)
    figure("latency.alerts_seen", len(consumer.seen_s), "alerts", bar="none missing", holds=missing == 0)
    figure("latency.send_to_stream_p50", statistics.median(waits_ms), "ms")
    figure("latency.send_to_stream_p99", cuts[98], "ms", bar=f"<= {BAR_MS:g} ms", holds=cuts[98] <= BAR_MS)
    figure("latency.send_to_stream_max", max(waits_ms), "ms")
    figure("latency.platform_cpu", cpu * 100, "% of a core")
    await asyncio.gather(*(client.close() for client in clients))


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="islet-bench-") as directory:
        settings = load(None, {"ISLET_DATA_DIR": directory})
        credentials, token = provision(settings)
        platform = PlatformProcess(Path(directory), {"ISLET_LOG_LEVEL": "warning"})
        platform.start()
        try:
            platform.wait_until_ready()
            uvloop.run(measure(platform, credentials, token))
        finally:
            platform.stop()


if __name__ == "__main__":
    main()
