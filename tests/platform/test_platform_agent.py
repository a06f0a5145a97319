"""A real agent at a real platform: killed at random moments, prompted and commanded.

`ISLET_CRASH_ROUNDS` sets the number of kills of each (1 by default, so that the tests stay short).
"""

import contextlib
import functools
import json
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from click.testing import CliRunner

from islet.access.sas import make_token
from islet.cli import main
from islet.clock import wall_us
from islet.gateways.claims import make_claim
from islet.model.codec import encode_event
from islet.model.events import Reading
from islet.model.people import Patient
from islet.model.time import DAY_US, HOUR_US, SECOND_US, from_us, to_us
from islet.model.topics import Topic
from islet.opened import opened_registry, opened_store
from islet.settings import Settings, load
from islet.store.hub_policies import policy_key
from tests.platform.agent_process import AgentProcess, Sensor
from tests.platform.process import PlatformProcess

ROUNDS = int(os.environ.get("ISLET_CRASH_ROUNDS", "1"))
SEED = int(os.environ.get("ISLET_CRASH_SEED", str(random.randrange(10**6))))
READINGS = 1000  # a round
_PATIENCE_S = 60.0 + 12.0 * ROUNDS


@pytest.fixture(scope="module")  # a platform takes seconds of CPU to start
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    one = PlatformProcess(tmp_path_factory.mktemp("platform"))
    one.start()
    one.wait_until_ready()
    yield one
    one.kill()


@pytest.fixture(scope="module")
def settings(platform: PlatformProcess) -> Settings:
    return load(None, {"ISLET_DATA_DIR": str(platform.data_dir)})


@pytest.fixture(scope="module")
def agent(
    tmp_path_factory: pytest.TempPathFactory, platform: PlatformProcess, settings: Settings
) -> Iterator[AgentProcess]:
    with opened_registry(settings) as registry:
        registry.put_patient(Patient(id="anna"))
        code = make_claim(registry, "box-1", "anna", by="test", now_us=wall_us())
    one = AgentProcess(tmp_path_factory.mktemp("boxes") / "agent", platform, code)
    one.start()
    yield one
    one.kill()


class Hub:
    """The hub as its owner calls it."""

    def __init__(self, platform: PlatformProcess, settings: Settings) -> None:
        with opened_registry(settings) as registry:
            key = policy_key(registry, "iothubowner")
        token = make_token("localhost", key, wall_us() // SECOND_US + 3600, "iothubowner")
        self._client = httpx.Client(
            base_url=platform.url, params={"api-version": "2021-04-12"}, headers={"Authorization": token}, timeout=30
        )

    def call(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer

    def command(self, id: str, **body: object) -> None:
        headers = {"iothub-to": "/devices/box-1/messages/deviceBound", "iothub-messageid": id}
        self.call("POST", "/messages/deviceBound", body, **headers)

    def reported(self) -> dict[str, object]:
        answer = self._client.get("/twins/box-1")  # not there until the claim code is redeemed
        found: dict[str, object] = answer.json().get("properties", {}).get("reported", {})
        return found

    def states(self) -> dict[str, str]:
        """What became of the last commands, as the device reports."""
        commands = self.reported().get("commands", [])
        assert isinstance(commands, list)
        return {one["id"]: one["state"] for one in commands}


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not what():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


def readings(count: int, end_us: int) -> list[Reading]:
    begin_us = end_us - count * 60 * SECOND_US
    return [
        Reading(time=from_us(begin_us + n * 60 * SECOND_US), value=100 + n % 50, unit="mg/dL") for n in range(count)
    ]


def stored(settings: Settings) -> list[tuple[int, float]]:
    with opened_store(settings) as store:
        series = store.series("anna", 0, 2**62)
        assert store.conflicts() == 0
        return list(zip(series.time_us.tolist(), (series.glucose_tenths / 10).tolist(), strict=True))


def expected(sent: list[Reading]) -> list[tuple[int, float]]:
    return [(to_us(one.time), one.value) for one in sent]


def test_agent_and_platform_killed_under_load_lose_and_double_nothing(
    platform: PlatformProcess, agent: AgentProcess, settings: Settings
) -> None:
    print(f"ISLET_CRASH_SEED={SEED}")
    rng = random.Random(SEED)
    sent = readings(READINGS * ROUNDS, wall_us() - HOUR_US)
    sensor = Sensor(agent.socket, [encode_event(one) for one in sent])
    sensor.start()
    for round_ in range(2 * ROUNDS):
        platform.wait_until_ready()
        wait_for(functools.partial(_goes_on, sensor, sensor.acknowledged))
        time.sleep(rng.uniform(0.0, 0.5))
        one = (agent, platform)[round_ % 2]
        one.kill()
        one.start()
    print(f"{sensor.acknowledged} of {len(sent)} are acknowledged after the last kill")
    wait_for(lambda: sensor.done)
    assert sensor.acknowledged == len(sent)
    platform.wait_until_ready()
    wait_for(lambda: agent.waiting() == 0)
    platform.wait_until_settled()
    assert stored(settings) == expected(sent)


def _goes_on(sensor: Sensor, before: int) -> bool:
    return sensor.done or sensor.acknowledged >= before + 100


def test_commands_are_done_once_though_they_come_again_after_each_crash(
    platform: PlatformProcess, agent: AgentProcess, settings: Settings
) -> None:
    hub = Hub(platform, settings)
    wait_for(lambda: "agent" in hub.reported())
    assert agent.rss_kb() < 64 * 1024
    for round_ in range(ROUNDS):
        for id in (f"buzz-{round_}", f"ask-{round_}"):
            hub.command(id, command="locate" if id.startswith("buzz") else "prompt", text="please")
            hub.command(id, command="locate" if id.startswith("buzz") else "prompt", text="please")
        time.sleep(random.Random(SEED + round_).uniform(0.0, 0.3))
        agent.kill()
        agent.start()
    last = {f"{kind}-{ROUNDS - 1}" for kind in ("buzz", "ask")}
    wait_for(lambda: all(hub.states().get(id) in ("done", "interrupted") for id in last))
    wait_for(lambda: _shown(agent, "prompt") >= ROUNDS)
    buzzed = [one["id"] for one in agent.told() if one["kind"] == "locate"]
    assert len(buzzed) == len(set(buzzed)), "never twice"
    states = hub.states()
    assert {id for id, state in states.items() if state == "done" and id.startswith("buzz")} <= set(buzzed)
    answer = hub.call(
        "POST",
        "/twins/box-1/methods",
        {"methodName": "setInterval", "payload": {"minutes": 3}, "connectTimeoutInSeconds": 20},
    ).json()
    assert (answer["status"], answer["payload"]["state"]) == (200, "done")
    wait_for(lambda: hub.reported().get("intervalMin") == 3)
    check_jobs(settings, platform, hub)
    check_schedule(hub, agent, settings)


def _shown(agent: AgentProcess, kind: str) -> int:
    return len({one["id"] for one in agent.told() if one["kind"] == kind})


def check_jobs(settings: Settings, platform: PlatformProcess, hub: Hub) -> None:
    """`islet devices job` at the running platform."""
    plain = {"ISLET_HTTPS_PORT": "0", "ISLET_HTTP_PLAIN_PORT": str(platform.http_port)}

    def job(*words: str) -> str:
        command = ["--data-dir", str(settings.data_dir), "devices", "job", *words]
        result = CliRunner().invoke(main, command, env=plain)
        assert result.exit_code == 0, result.output
        return result.output

    assert job("start", "slower", "--desired", '{"intervalMin": 7}', "--where", "*").startswith("slower")
    wait_for(lambda: "completed" in job("list"))
    wait_for(lambda: hub.reported().get("intervalMin") == 7)
    job("start", "call", "--method", "setInterval", "--body", '{"minutes": 8}', "--devices", "box-1")
    wait_for(lambda: "box-1\tcompleted" in job("show", "call"))
    assert '"state": "done"' in job("show", "call")
    job("start", "away", "--command", "locate", "--devices", "box-1")
    assert "cancelled" in job("cancel", "away") or "completed" in job("list")


def check_schedule(hub: Hub, agent: AgentProcess, settings: Settings) -> None:
    """A schedule in the twin is applied; a prompt that nobody answers becomes events and an alert."""
    hub.command("now", command="prompt", answerMin=1, text="Please measure")
    wait_for(lambda: _shown(agent, "prompt") == ROUNDS + 1)
    times = [f"{one:%H:%M}" for one in (from_us(wall_us()) + timedelta(hours=hour) for hour in (2, 4))]
    desired = {"prompts": {"times": times, "timeZone": "UTC"}, "thresholds": {"highMgDl": 250}}
    hub.call("PATCH", "/twins/box-1", {"properties": {"desired": desired}})
    wait_for(lambda: _applied(hub, times))
    agent.stop()
    _make_it_long_ago(agent)
    agent.start()
    with opened_store(settings) as store:
        wait_for(lambda: len(_prompts(store)) == 2 * (ROUNDS + 1))
        states = [json.loads(body)["state"] for body in _prompts(store)]
        assert states.count("prompted") == states.count("missed") == ROUNDS + 1, "each once, in spite of the crashes"
        wait_for(lambda: any(alert.rule == "missed_prompt" for alert in store.alerts(limit=100)))


def _applied(hub: Hub, times: list[str]) -> bool:
    prompts = hub.reported().get("prompts")
    return isinstance(prompts, dict) and prompts["times"] == times


def _make_it_long_ago(agent: AgentProcess) -> None:
    """As if the time to answer were over: a test has no minute to wait."""
    with contextlib.closing(sqlite3.connect(agent.folder / "agent.db", isolation_level=None)) as disk:
        disk.execute("UPDATE prompt SET until_us = ?", (wall_us() - SECOND_US,))


def _prompts(store: object) -> list[str]:
    found = store.documents(Topic.DEVICE_READINGS, "anna", 0, wall_us() + DAY_US, 100)  # type: ignore[attr-defined]
    return [one.body for one in reversed(found) if one.type == "prompt"]
