"""An agent that runs against the real front door: away for days, with tokens that end, told what to do."""

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from islet.access.sas import ConnectionString, derived_key, new_key
from islet.agent import sources
from islet.agent.device import Device
from islet.agent.disk import QueueFull
from islet.agent.mqtt_client import Address
from islet.agent.outlet import Hook
from islet.agent.privacy import Privacy
from islet.agent.register import register
from islet.agent.run import Agent
from islet.decode.iothub_twins import JsonObject, ServiceTwin
from islet.errors import AccessDenied, BadInput
from islet.gateways.enrollments import Enrollment, put_enrollment
from islet.model.time import DAY_US, MINUTE_US, iso
from islet.model.topics import Topic
from islet.store.base import EntryKind
from islet.store.devices_base import Command
from tests.gateways.door import HUB, ID_SCOPE, NOW_US, Door
from tests.platform.process import free_port

PATIENCE_S = 10.0


class Shown:
    """An outlet that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, JsonObject]] = []

    async def tell(self, kind: str, said: JsonObject) -> str:
        self.told.append((kind, said))
        return ""

    def of(self, kind: str) -> list[JsonObject]:
        return [said for one, said in self.told if one == kind]


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with Door.opened() as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(
    folder: Path, credentials: ConnectionString, port: int, token_lasts_s: int = 3600
) -> AsyncIterator[tuple[Agent, Shown]]:
    shown = Shown()
    device = Device(folder, lambda: NOW_US, Privacy())
    address = Address(host="127.0.0.1", port=port)
    agent = Agent(
        device,
        address,
        credentials,
        shown,
        lambda: NOW_US,
        random.Random(1),
        lambda text: None,
        first_pause_s=0.01,
        token_lasts_s=token_lasts_s,
    )
    task = asyncio.create_task(agent.run())
    try:
        yield agent, shown
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await task
        device.close()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.01)


def credentials(door: Door) -> ConnectionString:
    return ConnectionString(host=HUB, device="box-1", key=door.add_device("box-1").primary_key)


def lines(count: int, end_us: int = NOW_US) -> list[bytes]:
    return [
        json.dumps(
            {"type": "reading", "time": iso(end_us - (count - n) * 5 * MINUTE_US), "value": 100 + n, "unit": "mg/dL"}
        ).encode()
        for n in range(count)
    ]


def values(door: Door) -> list[object]:
    return [row["value"] for row in door.rows(Topic.GLUCOSE_READINGS)]


async def test_days_without_the_platform_arrive_in_order(tmp_path: Path) -> None:
    """Three days of five-minute readings, a restart amid them; the door opens only then."""
    port = free_port()
    nobody = ConnectionString(host=HUB, device="box-1", key="AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    days = lines(3 * 288)
    async with running(tmp_path, nobody, port) as (agent, _):
        agent.device.take(days[:500])
        await asyncio.sleep(0.05)
    async with Door.opened(port=port) as door, running(tmp_path, credentials(door), port) as (agent, _):
        agent.device.take(days[500:])
        await until(lambda: agent.device.queue.waiting == 0)
        assert values(door) == [100 + n for n in range(3 * 288)]


async def test_what_the_log_could_not_take_is_sent_again_and_nothing_is_left_out(door: Door, tmp_path: Path) -> None:
    async with running(tmp_path, credentials(door), door.port) as (agent, _):
        await until(lambda: agent.connections == 1)
        door.log.error = OSError("the disk is full")
        agent.device.take(lines(50))
        await until(lambda: agent.connections > 2)
        assert agent.device.queue.waiting == 50
        door.log.error = None
        await until(lambda: agent.device.queue.waiting == 0)
    assert set(values(door)) == {100 + n for n in range(50)}  # what was under way when the disk had room came first


async def test_tokens_are_renewed_before_they_end(door: Door, tmp_path: Path) -> None:
    """The door closes a connection at its token's end; with one of two seconds the agent is back before, and loses nothing."""
    async with running(tmp_path, credentials(door), door.port, token_lasts_s=2) as (agent, _):
        for batch in range(20):
            agent.device.take(lines(5, NOW_US - batch * DAY_US // 4))
            await asyncio.sleep(0.1)
        await until(lambda: agent.device.queue.waiting == 0)
        assert agent.connections >= 2
    assert len(values(door)) == 100, "nothing was sent twice either: a renewal waits for acknowledgements"


async def test_desired_properties_are_applied_and_reported_also_when_they_change_meanwhile(
    door: Door, tmp_path: Path
) -> None:
    given = credentials(door)
    device = door.registry.device("box-1")
    assert device is not None
    of = door.address(device)

    def reported(name: str) -> object:
        return door.devices.twin(of).reported.values.get(name)

    await door.exchange.change_twin(of, ServiceTwin(desired={"intervalMin": 2}))
    async with running(tmp_path, given, door.port) as (_, shown):
        await until(lambda: reported("intervalMin") == 2)
        await door.exchange.change_twin(of, ServiceTwin(desired={"intervalMin": 1, "thresholds": {"lowMgDl": 9}}))
        await until(lambda: reported("intervalMin") == 1)
        refused = door.devices.twin(of).reported.values["configuration"]
        assert isinstance(refused, dict) and "lowMgDl" in str(refused["refused"])
        await until(lambda: [one["minutes"] for one in shown.of("interval")][-1] == 1)


async def test_a_command_is_acknowledged_done_and_reported(door: Door, tmp_path: Path) -> None:
    given = credentials(door)
    device = door.registry.device("box-1")
    assert device is not None
    of = door.address(device)
    for body in (b'{"command":"prompt","text":"now"}', b'{"command":"locate"}', b"?"):
        await door.exchange.send(of, Command(body=body, properties={"$.mid": f"m-{len(body)}"}))
    async with running(tmp_path, given, door.port) as (agent, shown):
        await until(
            lambda: door.devices.pending_commands() == {} and bool(shown.of("prompt")) and bool(shown.of("locate"))
        )
        await until(lambda: [row["type"] for row in door.rows(Topic.DEVICE_READINGS)] == ["prompt"])
        status, answer = await door.exchange.invoke(of, "setInterval", b'{"minutes":4,"id":"x"}', answer_s=5.0)
        assert (status, json.loads(answer)["state"]) == (200, "done")
        assert (await door.exchange.invoke(of, "setInterval", b'{"minutes":9,"id":"x"}', answer_s=5.0))[0] == 200
        assert agent.device.configuration.interval_min == 4, "the same id is the same call"
        assert (await door.exchange.invoke(of, "explode", b"{}", answer_s=5.0))[0] == 404
        assert (await door.exchange.invoke(of, "setInterval", b'{"minutes":"x"}', answer_s=5.0))[0] == 400
        assert (await door.exchange.invoke(of, "setInterval", b"[]", answer_s=5.0))[0] == 400


async def test_the_socket_answers_once_it_is_safe_and_the_folder_empties(door: Door, tmp_path: Path) -> None:
    async with running(tmp_path / "agent", credentials(door), door.port) as (agent, _):
        path, inbox = tmp_path / "s", tmp_path / "in"
        async with sources.local_socket(agent.device, path):
            assert path.stat().st_mode & 0o777 == 0o600
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(lines(1)[0] + b"\n?\n")
            answers = [json.loads(await reader.readline()) for _ in range(2)]
            assert [one["ok"] for one in answers] == [True, False]
            writer.close()
        inbox.mkdir()
        (inbox / "1.jsonl").write_bytes(b"\n".join([*lines(4)[1:], b"?"]))
        watching = asyncio.create_task(sources.folder(agent.device, inbox))
        await until(lambda: not list(inbox.glob("*.jsonl")))
        watching.cancel()
        assert (inbox / "refused" / "1.jsonl").read_bytes() == b"?\n"
        await until(lambda: agent.device.queue.waiting == 0)
    assert values(door) == [100, 101, 102, 103]


async def test_a_file_whose_name_is_not_utf_8_is_taken(tmp_path: Path) -> None:
    device = Device(tmp_path / "agent", lambda: NOW_US, Privacy())
    (tmp_path / os.fsdecode(b"\xd1\xff.jsonl")).write_bytes(lines(1)[0])
    with contextlib.closing(device):
        watching = asyncio.create_task(sources.folder(device, tmp_path))
        await until(lambda: not list(tmp_path.glob("*.jsonl")))
        watching.cancel()
        assert device.queue.waiting == 1


async def test_a_method_that_the_disk_has_no_room_for_is_answered(
    door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, credentials(door), door.port) as (agent, _):
        device = door.registry.device("box-1")
        assert device is not None

        def full(*_: object) -> None:
            raise QueueFull("the disk is full")

        monkeypatch.setattr(agent.device, "command", full)
        found = await door.exchange.invoke(door.address(device), "locate", b"{}", connect_s=5.0, answer_s=5.0)
        assert found[0] == 503


async def test_a_key_that_is_none_is_said_as_one_error(door: Door, tmp_path: Path) -> None:
    nobody = ConnectionString(host=HUB, device="box-1", key="?")
    device = Device(tmp_path, lambda: NOW_US, Privacy())
    address = Address(host="127.0.0.1", port=door.port)
    with contextlib.closing(device), pytest.raises(BadInput, match="key"):
        await Agent(device, address, nobody, Shown(), lambda: NOW_US, random.Random(1), lambda text: None).run()


async def test_a_hook_that_hangs_is_ended_and_one_that_fails_is_told() -> None:
    begin_s = time.monotonic()
    assert "did not end" in await Hook("sleep 60", ends_within_s=0.2).tell("locate", {})
    assert time.monotonic() - begin_s < 5
    assert await Hook("exit 3").tell("locate", {}) == "the hook ended with 3"
    assert await Hook('test "$ISLET_KIND" = locate && grep -q abc').tell("locate", {"id": "abc"}) == ""


async def test_an_enrolled_device_registers_itself_and_connects(door: Door, tmp_path: Path) -> None:
    key = new_key()
    put_enrollment(
        door.registry,
        EntryKind.ENROLLMENT_GROUP,
        "boxes",
        Enrollment(patient="p-1", keys=(key, key)),
        by="wang",
        at_us=NOW_US,
    )
    address, own = Address(host="127.0.0.1", port=door.port), derived_key(key, "box-7")
    given = await register(address, ID_SCOPE, "box-7", own, lambda: NOW_US)
    assert given == ConnectionString(host=HUB, device="box-7", key=own)
    async with running(tmp_path, given, door.port) as (agent, _):
        agent.device.take(lines(1))
        await until(lambda: values(door) == [100])
    with pytest.raises(AccessDenied):
        await register(address, ID_SCOPE, "box-7", new_key(), lambda: NOW_US)
