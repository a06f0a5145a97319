"""Who reads a platform on Kafka live goes on when its broker was away; nothing is lost, and nobody connects anew."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from islet.access.passwords import hash_password, new_token, token_hash
from islet.access.sas import make_token
from islet.clock import wall_us
from islet.model.people import Patient, Role, User
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US, iso
from islet.opened import opened_registry
from islet.provision import ensure_worn
from islet.settings import load
from islet.store.hub_policies import Which, ensure_policy_keys, policy_key
from tests.conftest import Missing
from tests.platform.process import PlatformProcess, free_port
from tests.services.fixtures import kafka as kafka
from tests.services.kafka import Kafka

pytestmark = pytest.mark.slow

VERSION = {"api-version": "2021-04-12"}


class Watched:
    """A platform on a broker of its own, a device, and two who read along: server-sent events, and an Event Hub's SDK."""

    def __init__(self, folder: Path, broker: Kafka) -> None:
        self.broker, self._amqp_port = broker, free_port()
        environment = {
            "ISLET_DATA_DIR": str(folder),
            "ISLET_HUB_NAME": "localhost",
            "ISLET_LOG": "kafka",
            "ISLET_KAFKA_BOOTSTRAP": broker.bootstrap,
            "ISLET_PARTITIONS": "1",
            "ISLET_EVENT_HUB": "on",
            "ISLET_AMQP_TLS_PORT": str(self._amqp_port),
        }
        self.token = new_token()
        with opened_registry(load(None, environment)) as registry:
            self._key = ensure_worn(registry, Patient(id="p-1"), "cgm-1", "localhost").key
            ensure_policy_keys(registry)
            self._hub_key = policy_key(registry, "service", Which.PRIMARY)
            registry.put_user(User(name="test", role=Role.ADMINISTRATOR, password_hash=hash_password(new_token())))
            registry.create_session(token_hash(self.token), "test", wall_us() + HOUR_US)
        self.platform = PlatformProcess(folder, environment)
        self.streamed, self.taken, self.connections = list[float](), list[float](), 0

    def sends(self, mg_dl: float) -> None:
        """What a device measures; it sends it again until it is taken."""
        body = {"type": "reading", "time": iso(wall_us() - round(mg_dl) * MINUTE_US), "value": mg_dl, "unit": "mg/dL"}
        signed = make_token("localhost/devices/cgm-1", self._key, wall_us() // SECOND_US + 600)
        headers, path = {"authorization": signed}, "/devices/cgm-1/messages/events"
        while (
            self.platform.http.post(path, json=body, headers=headers, params=VERSION, timeout=60.0).status_code != 204
        ):
            time.sleep(0.2)

    def follow(self) -> None:
        """Read the log's stream until the platform ends."""
        headers = {"authorization": f"Bearer {self.token}"}
        with (
            suppress(httpx.TransportError),
            httpx.stream(
                "GET", f"{self.platform.url}/api/log/glucose_readings/stream", headers=headers, timeout=90.0
            ) as answer,
        ):
            self.connections += 1
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    self.streamed += [entry["value"] for entry in json.loads(line[5:])]

    def reader(self) -> Any:
        """A client of the Event Hub, which calls `take` from a thread of its own."""
        from azure.eventhub import EventHubConsumerClient

        text = f"Endpoint=sb://localhost/;SharedAccessKeyName=service;SharedAccessKey={self._hub_key};EntityPath=device-messages"
        authority = str(self.platform.data_dir / "certificates" / "authority.pem")
        endpoint = f"sb://localhost:{self._amqp_port}"
        return EventHubConsumerClient.from_connection_string(
            text, "$Default", connection_verify=authority, custom_endpoint_address=endpoint
        )

    def take(self, _: Any, event: Any) -> None:
        self.taken.append(json.loads(event.body_as_str())["value"])


@pytest.fixture
def watched(kafka: Kafka, missing: Missing, tmp_path: Path) -> Iterator[Watched]:
    try:
        import azure.eventhub  # noqa: F401
    except ImportError:
        missing("azure-eventhub")
    (tmp_path / "kafka").mkdir()
    one = Watched(tmp_path, Kafka(tmp_path / "kafka"))
    one.platform.start()
    try:
        one.platform.wait_until_ready()
        yield one
    finally:
        one.platform.kill()
        one.broker.stop(kill=True)


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + 90.0
    while not what():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.05)


def test_streams_and_an_event_hubs_reader_go_on_after_the_broker_was_killed(watched: Watched) -> None:
    threading.Thread(target=watched.follow, daemon=True).start()
    client = watched.reader()
    reading = {"on_event": watched.take, "starting_position": "-1"}
    threading.Thread(target=client.receive, kwargs=reading, daemon=True).start()
    try:
        watched.sends(100)
        until(lambda: watched.streamed == watched.taken == [100])
        watched.broker.stop(kill=True)
        sending = threading.Thread(target=watched.sends, args=(101,))
        sending.start()
        metrics = watched.platform.http.get("/metrics")
        assert "islet_log_answers 0.0" in metrics.text and "islet_worker_up" in metrics.text
        watched.broker.start()
        sending.join(90.0)
        until(lambda: set(watched.streamed) == set(watched.taken) == {100, 101})
        assert watched.connections == 1
        until(lambda: watched.platform.http.get("/healthz").status_code == 200)
    finally:
        client.close()
