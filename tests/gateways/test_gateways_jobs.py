"""Jobs over many devices: by list or query, again until a device is there, cancelled, and going on after a restart."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.iothub import METHODS
from islet.decode.iothub_twins import ServiceTwin
from islet.decode.mqtt_packets import Publish, Suback, Subscribe
from islet.errors import BadInput
from islet.gateways.device_jobs import JobRunner, check_job
from islet.gateways.http_jobs import read_job
from islet.model.time import HOUR_US, MINUTE_US, SECOND_US, iso
from islet.store.devices_base import Command, JobStatus, Step
from tests.gateways.calls import as_policy, calls
from tests.gateways.clock import Clock
from tests.gateways.door import NOW_US, Door, Peer

PATIENCE_S = 10.0
FIELDS = (
    "type",
    "queryCondition",
    "deviceIds",
    "updateTwin",
    "cloudToDeviceMethod",
    "scheduleUpdateTwin",
    "methodName",
)


@pytest.fixture
async def door(clock: Clock) -> AsyncIterator[Door]:
    async with Door.opened(wall_now=clock) as opened:
        for number in range(3):
            device = opened.add_device(f"pump-{number}")
            await opened.exchange.change_twin(opened.address(device), ServiceTwin(tags={"ward": number % 2}))
        yield opened


async def put(door: Door, id: str = "j-1", **body: Any) -> dict[str, Any]:
    async with calls(door) as hub:
        answer = await hub.put(f"/jobs/v2/{id}", json={"jobId": id, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def ended(door: Door, id: str = "j-1") -> dict[str, Any]:
    async with calls(door) as hub, asyncio.timeout(PATIENCE_S):
        while True:
            job: dict[str, Any] = (await hub.get(f"/jobs/v2/{id}")).json()
            if job["status"] not in ("scheduled", "running"):
                return job
            await asyncio.sleep(0.01)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.01)


def steps(door: Door, id: str = "j-1") -> dict[str, Step]:
    return {step.address.device: step.step for step in door.devices.job_steps(id)}


def twin(every_s: int) -> dict[str, Any]:
    return {"type": "scheduleUpdateTwin", "updateTwin": {"etag": "*", "properties": {"desired": {"every_s": every_s}}}}


async def answering(door: Door, id: str, status: int = 200) -> Peer:
    """A connected device that answers every call."""
    device = door.registry.device(id)
    assert device is not None
    peer = await door.connected(device)
    peer.send(Subscribe(1, ((METHODS, 0),)))
    assert isinstance(await peer.receive(), Suback)

    async def answer() -> None:
        while isinstance(call := await peer.receive(), Publish):
            rid = call.topic.partition("$rid=")[2]
            peer.send(Publish(f"$iothub/methods/res/{status}/?$rid={rid}", call.payload))

    peer.task = asyncio.create_task(answer())  # type: ignore[attr-defined]
    return peer


async def test_a_configuration_reaches_those_who_meet_the_condition(door: Door) -> None:
    made = await put(door, queryCondition="tags.ward = 0", **twin(60))
    assert made["status"] in ("queued", "running") and made["type"] == "scheduleUpdateTwin"
    job = await ended(door)
    assert (job["status"], job["deviceJobStatistics"]["succeededCount"]) == ("completed", 2)
    desired = {one.device: twin.desired.values for one, twin in door.devices.twins().items()}
    assert desired == {"pump-0": {"every_s": 60}, "pump-1": {}, "pump-2": {"every_s": 60}}


async def test_a_method_is_called_again_until_the_device_is_there(door: Door, clock: Clock) -> None:
    peer = await answering(door, "pump-0", status=202)
    method = {"methodName": "measure", "payload": {"a": 1}, "responseTimeoutInSeconds": 5}
    await put(door, deviceIds=["pump-0", "pump-1"], type="scheduleDeviceMethod", cloudToDeviceMethod=method)
    await until(lambda: steps(door).get("pump-0") is Step.COMPLETED)
    await until(lambda: any(step.tries == 1 for step in door.devices.job_steps("j-1", (Step.PENDING,))))
    late = await answering(door, "pump-1")
    for _ in range(5):
        clock.now_us += 2 * SECOND_US
        await asyncio.sleep(0.03)
    assert (await ended(door))["deviceJobStatistics"]["succeededCount"] == 2
    async with calls(door) as hub:
        query = {"query": "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j-1' AND deviceId = 'pump-0'"}
        (found,) = (await hub.post("/devices/query", json=query)).json()
    assert found["outcome"] == {"deviceMethodResponse": {"status": 202, "payload": {"a": 1}}}
    assert (found["status"], found["tries"], found["error"]) == ("completed", 1, None)
    for one in (peer, late):
        one.hang_up()
        one.task.cancel()  # type: ignore[attr-defined]


async def test_waits_grow_and_the_job_ends_with_its_time(door: Door, clock: Clock) -> None:
    method = {"methodName": "measure"}
    await put(
        door,
        deviceIds=["pump-0"],
        type="scheduleDeviceMethod",
        cloudToDeviceMethod=method,
        maxExecutionTimeInSeconds=60,
    )
    tried: list[int] = []
    for second in range(61):
        clock.now_us = NOW_US + second * SECOND_US
        await asyncio.sleep(0.03)
        found = door.devices.job_steps("j-1")
        tried += [second] if found and found[0].tries == len(tried) + 1 else []
    waits = [b - a for a, b in itertools.pairwise(tried)]
    assert len(tried) >= 5 and waits[-1] > waits[0], tried
    job = await ended(door)
    assert (job["status"], job["deviceJobStatistics"]["failedCount"]) == ("completed", 1)
    assert "online" in door.devices.job_steps("j-1")[0].reason


async def test_a_command_job_says_what_became_of_each_command(door: Door, clock: Clock) -> None:
    command = {"command": "prompt", "text": "now"}
    await put(
        door, queryCondition="*", type="scheduleCommand", cloudToDeviceMessage=command, maxExecutionTimeInSeconds=600
    )
    await until(lambda: len(door.devices.pending_commands()) == 3)
    addresses = [door.address(device) for device in door.registry.devices()]
    (letter,) = await door.exchange.take_one(addresses[0])
    assert (json.loads(letter.command.body), letter.command.properties["$.mid"]) == (command, "j-1")
    await door.exchange.complete(addresses[0], letter.lock_token)
    (letter,) = await door.exchange.take_one(addresses[1])
    await door.exchange.reject(addresses[1], letter.lock_token)
    clock.now_us += 2 * SECOND_US
    await until(lambda: steps(door) == {"pump-0": Step.COMPLETED, "pump-1": Step.FAILED, "pump-2": Step.RUNNING})
    clock.now_us += 10 * MINUTE_US
    job = await ended(door)
    assert [job["deviceJobStatistics"][f"{word}Count"] for word in ("device", "succeeded", "failed")] == [3, 1, 2]


async def test_a_command_that_nobody_fetched_for_two_days_is_sent_again_while_there_is_time(
    door: Door, clock: Clock
) -> None:
    lasts_s = 5 * 86_400
    command = {"command": "locate"}
    await put(
        door,
        deviceIds=["pump-0"],
        type="scheduleCommand",
        cloudToDeviceMessage=command,
        maxExecutionTimeInSeconds=lasts_s,
    )
    await until(lambda: door.devices.pending_commands() == {"pump-0": 1})
    clock.now_us += 49 * HOUR_US
    door.devices.expire_commands(clock.now_us)
    await until(lambda: any(step.reason for step in door.devices.job_steps("j-1")))
    clock.now_us += 10 * MINUTE_US
    await until(lambda: door.devices.pending_commands() == {"pump-0": 1})


async def test_a_full_mailbox_is_tried_again(door: Door, clock: Clock) -> None:
    device = door.registry.device("pump-0")
    assert device is not None
    of = door.address(device)
    for _ in range(50):
        await door.exchange.send(of, Command(body=b"x"))
    await put(door, deviceIds=["pump-0"], type="scheduleCommand", cloudToDeviceMessage={"command": "locate"})
    await until(lambda: any(step.tries for step in door.devices.job_steps("j-1")))
    door.devices.purge_commands(of, NOW_US)
    clock.now_us += 2 * SECOND_US
    await until(lambda: door.devices.pending_commands() == {"pump-0": 1})


async def test_a_cancelled_job_asks_nobody_more(door: Door, clock: Clock) -> None:
    await put(
        door, deviceIds=["pump-0", "pump-1"], type="scheduleDeviceMethod", cloudToDeviceMethod={"methodName": "m"}
    )
    await until(lambda: all(step.tries for step in door.devices.job_steps("j-1")) and bool(steps(door)))
    async with calls(door) as hub:
        assert (await hub.post("/jobs/v2/j-1/cancel")).json()["status"] == "cancelled"
        clock.now_us += 30 * MINUTE_US
        await asyncio.sleep(0.1)
        assert set(steps(door).values()) == {Step.CANCELED}
        assert (await hub.get("/jobs/v2/j-1")).json()["status"] == "cancelled"
        assert (await hub.post("/jobs/v2/j-404/cancel")).status_code == 404
    told = [(line.action, line.id) for line in door.registry.audit() if line.kind == "device job" and line.by]
    assert told == [("started scheduleDeviceMethod", "j-1"), ("cancelled", "j-1")]


async def test_one_for_later_waits_for_its_time_and_can_be_found(door: Door, clock: Clock) -> None:
    await put(door, queryCondition="*", startTime=iso(NOW_US + 30 * MINUTE_US), **twin(60))
    await put(door, "j-2", queryCondition="*", **twin(30))
    assert (await ended(door, "j-2"))["status"] == "completed"
    async with calls(door) as hub:

        async def ids(**where: str) -> list[str]:
            return [one["jobId"] for one in (await hub.get("/jobs/v2/query", params={**hub.params, **where})).json()]

        assert await ids() == ["j-2", "j-1"]
        assert await ids(jobStatus="scheduled") == ["j-1"] and await ids(jobStatus="unknown") == []
        assert await ids(jobType="scheduleDeviceMethod") == []
        page = await hub.get("/jobs/v2/query", headers={"x-ms-max-item-count": "1"})
        more = {"x-ms-continuation": page.headers["x-ms-continuation"]}
        assert [one["jobId"] for one in (await hub.get("/jobs/v2/query", headers=more)).json()] == ["j-1"]
    clock.now_us += 30 * MINUTE_US
    assert (await ended(door))["status"] == "completed"


async def test_a_disk_that_refuses_at_the_start_is_asked_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    await door.jobs.close()
    steps, refused = door.devices.job_steps, list[str]()

    def refusing(*given: Any, **named: Any) -> Any:
        if not refused:
            refused.append("the disk")
            raise OSError("another process holds it")
        return steps(*given, **named)

    monkeypatch.setattr(door.devices, "job_steps", refusing)
    door.jobs = JobRunner(door.exchange, door.registry, Random(1), look_s=0.02, pause_us=SECOND_US)
    await put(door, type="scheduleUpdateTwin", deviceIds=["pump-0"], updateTwin={"tags": {"ward": 7}})
    assert (await ended(door))["status"] == "completed"
    assert refused


async def test_a_restart_goes_on_where_it_was_and_sends_no_command_twice(door: Door, clock: Clock) -> None:
    await put(door, queryCondition="*", type="scheduleCommand", cloudToDeviceMessage={"command": "locate"})
    await until(lambda: len(door.devices.pending_commands()) == 3)
    await put(door, "j-2", deviceIds=["pump-0"], type="scheduleDeviceMethod", cloudToDeviceMethod={"methodName": "m"})
    await until(lambda: any(step.tries for step in door.devices.job_steps("j-2")))
    await door.jobs.close()
    (step,) = door.devices.job_steps("j-2")
    assert step.step is Step.PENDING
    peer = await answering(door, "pump-0")
    door.jobs = JobRunner(door.exchange, door.registry, Random(1), look_s=0.02, pause_us=SECOND_US)
    clock.now_us += 10 * SECOND_US
    assert (await ended(door, "j-2"))["deviceJobStatistics"]["succeededCount"] == 1
    assert door.devices.pending_commands() == {"pump-0": 1, "pump-1": 1, "pump-2": 1}
    peer.hang_up()
    peer.task.cancel()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "scheduleUpdateTwin", "queryCondition": "*"},
        {"type": "export", "queryCondition": "*"},
        {"queryCondition": "tags.ward ==", **twin(60)},
        {"queryCondition": "*", "deviceIds": ["a"], **twin(60)},
        {**twin(60)},
        {"type": "scheduleDeviceMethod", "queryCondition": "*", "cloudToDeviceMethod": {"methodName": ""}},
        {"type": "scheduleCommand", "queryCondition": "*", "cloudToDeviceMessage": {}},
        {"type": "scheduleUpdateTwin", "queryCondition": "*", "updateTwin": {}},
        {"queryCondition": "*", "maxExecutionTimeInSeconds": 10**9, **twin(60)},
        {"queryCondition": "*", "startTime": "2026-11-21T08:00:00", **twin(60)},
    ],
)
async def test_what_could_never_be_done_is_refused(door: Door, body: dict[str, Any]) -> None:
    async with calls(door) as hub:
        assert (await hub.put("/jobs/v2/j-1", json=body)).status_code == 400
    assert door.devices.job("j-1") is None


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    ).map(lambda one: json.dumps(one).encode())
)
def test_whatever_comes_is_a_job_or_refused(content: bytes) -> None:
    with suppress(BadInput):
        check_job(read_job(content, "j-1", NOW_US, by="me"))


async def test_a_device_that_is_named_has_to_be_registered(door: Door) -> None:
    async with calls(door) as hub:
        body = {"deviceIds": ["pump-0", "pump-404"], **twin(60)}
        assert (await hub.put("/jobs/v2/j-1", json=body)).status_code == 404


async def test_an_id_is_used_once_and_only_services_start_jobs(door: Door) -> None:
    await put(door, queryCondition="*", **twin(60))
    async with calls(door) as hub:
        assert (await hub.put("/jobs/v2/j-1", json={"queryCondition": "*", **twin(60)})).status_code == 409
        assert (await hub.get("/jobs/v2/j-404")).status_code == 404
        for policy, status in (("service", 200), ("registryReadWrite", 401), ("device", 401)):
            headers = as_policy(door, policy)
            assert (await hub.get("/jobs/v2/j-1", headers=headers)).status_code == status
            assert (await hub.get("/jobs/v2/query", headers=headers)).status_code == status
            body = {"queryCondition": "*", **twin(60)}
            assert (await hub.put(f"/jobs/v2/j-{policy}", json=body, headers=headers)).status_code == status
    assert {state.status for state in door.devices.jobs()} <= {
        JobStatus.COMPLETED,
        JobStatus.RUNNING,
        JobStatus.SCHEDULED,
    }
