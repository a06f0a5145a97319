"""The registry as a file: exported, imported line by line, and nothing outside of its folder."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from islet.gateways.registry_files import RegistryFiles
from tests.gateways.calls import as_policy, calls
from tests.gateways.door import Door

EXPORT = {"type": "export", "outputBlobContainerUri": "https://store.example/backup?sig=x"}
IMPORT = {"type": "import", "inputBlobContainerUri": "in", "outputBlobContainerUri": "out"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "registry-files"


@pytest.fixture
async def hub(door: Door, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with calls(door, RegistryFiles(folder)) as client:
        yield client


async def done(hub: httpx.AsyncClient, wanted: Mapping[str, object]) -> dict[str, object]:
    """A job, when it has ended."""
    answer = await hub.post("/jobs/create", json=wanted)
    assert answer.status_code == 200, answer.text
    while True:
        job: dict[str, object] = (await hub.get(f"/jobs/{answer.json()['jobId']}")).json()
        if "endTimeUtc" in job:
            return job
        await asyncio.sleep(0.01)


async def test_what_was_exported_comes_back_as_it_was(door: Door, hub: httpx.AsyncClient, folder: Path) -> None:
    door.add_device("cgm-1")
    door.add_device("pump-1")
    door.change_device("pump-1", enabled=False, status_reason="lost", patient="")
    before = door.registry.devices()
    assert (await done(hub, EXPORT))["status"] == "completed"
    assert not any("sig=" in path.read_text() for path in (folder / "_jobs").iterdir())
    written = folder / "backup" / "devices.txt"
    assert written.stat().st_mode & 0o077 == 0
    for device in before:
        door.registry.delete_device(device.id)
    job = await done(hub, {**IMPORT, "inputBlobContainerUri": "backup"})
    assert (job["status"], job["progress"]) == ("completed", 100)
    kept = [(one.id, one.patient, one.enabled, one.status_reason, one.primary_key) for one in door.registry.devices()]
    assert kept == [(one.id, one.patient, one.enabled, one.status_reason, one.primary_key) for one in before]
    assert (folder / "out" / "importErrors.log").read_text() == ""
    trail = [(line.by, line.action, line.id) for line in door.registry.audit() if line.kind == "registry"]
    assert trail == [
        ("iothubowner", "export completed", "2 devices"),
        ("iothubowner", "import completed", "2 devices"),
    ]


async def test_a_disk_that_refuses_the_end_of_a_job_does_not_end_all_jobs(
    door: Door, hub: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(files: RegistryFiles, path: Path, content: bytes) -> None:
        raise OSError("the disk is full")

    begun = await hub.post("/jobs/create", json=EXPORT)
    with monkeypatch.context() as disk:
        disk.setattr(RegistryFiles, "write", full)
        async with asyncio.timeout(10):
            while not door.registry.audit():
                await asyncio.sleep(0.01)
    assert (await hub.get(f"/jobs/{begun.json()['jobId']}")).json()["status"] == "failed"
    assert (await done(hub, EXPORT))["status"] == "completed"


async def put(hub: httpx.AsyncClient, id: str, **more: object) -> dict[str, object]:
    there = (await hub.get(f"/devices/{id}")).is_success
    answer = await hub.put(f"/devices/{id}", json={"deviceId": id, **more}, headers={"If-Match": "*"} if there else {})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_who_is_behind_which_gateway_stays_through_changes_export_and_import(
    door: Door, hub: httpx.AsyncClient
) -> None:
    edge = {"capabilities": {"iotEdge": True}}
    upper = await put(hub, "z-upper", **edge)
    lower = await put(hub, "z-lower", **edge, parentScopes=[upper["deviceScope"]])
    leaf = await put(hub, "a-leaf", deviceScope=lower["deviceScope"])
    assert (lower["parentScopes"], leaf["parentScopes"]) == ([upper["deviceScope"]], [lower["deviceScope"]])
    assert (await put(hub, "a-leaf", status="disabled"))["deviceScope"] == lower["deviceScope"]
    back = await put(hub, "z-lower", **{key: lower[key] for key in ("capabilities", "deviceScope", "parentScopes")})
    assert (back["deviceScope"], back["parentScopes"]) == (lower["deviceScope"], lower["parentScopes"])
    wrong = {"deviceId": "a-leaf", "deviceScope": "ms-azure-iot-edge://a-leaf-1"}
    assert (await hub.put("/devices/a-leaf", json=wrong, headers={"If-Match": "*"})).status_code == 400
    for device in [door.registry.device(id) for id in ("a-leaf", "z-lower", "z-upper")]:
        assert device is not None
        door.registry.delete_device(device.id)
        door.registry.create_device(device)  # in another order than they need
    await done(hub, EXPORT)
    for id in ("a-leaf", "z-lower", "z-upper"):
        door.registry.delete_device(id)
    await done(hub, {**IMPORT, "inputBlobContainerUri": "backup"})
    again = (await hub.get("/devices/z-lower")).json()
    assert (await hub.get("/devices/a-leaf")).json()["deviceScope"] == again["deviceScope"] != lower["deviceScope"]
    assert (await put(hub, "a-leaf", deviceScope=""))["deviceScope"] is None


async def test_a_line_that_is_wrong_is_told_and_the_others_are_done(
    door: Door, hub: httpx.AsyncClient, folder: Path
) -> None:
    door.add_device("cgm-1")
    lines = [
        {"id": "new-1"},
        {"id": "cgm-1", "importMode": "create"},
        {"id": "cgm-1", "importMode": "delete"},
        {"id": "a/b"},
        {"id": "none", "importMode": "update"},
        {"id": "new-2", "patient": "nobody"},
    ]
    (folder / "in").mkdir(parents=True)
    text = "\n".join([*map(json.dumps, lines), "no JSON", "", "[]"])
    (folder / "in" / "devices.txt").write_bytes(text.encode() + b"\n\xff\xfe\n")
    assert (await done(hub, IMPORT))["status"] == "completed"
    assert [device.id for device in door.registry.devices()] == ["new-1"]
    errors = [json.loads(line) for line in (folder / "out" / "importErrors.log").read_text().splitlines()]
    found = [(error["line"], error.get("id"), error["errorCode"]) for error in errors]
    assert found == [
        (2, "cgm-1", 409001),
        (4, "a/b", 400004),
        (5, "none", 404001),
        (6, "new-2", 400004),
        (7, None, 400004),
        (9, None, 400004),
        (10, None, 400004),
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        {"type": "export"},
        {"type": "export", "outputBlobContainerUri": "https://x.example/.."},
        {"type": "export", "outputBlobContainerUri": "_jobs"},
        {"type": "export", "outputBlobContainerUri": "http://[x/a"},
        {"type": "export", "outputBlobContainerUri": "a/../../b/"} | {"outputBlobName": "../devices.txt"},
        {"type": "export", "outputBlobContainerUri": "a", "outputBlobName": "/etc/passwd"},
        {"type": "export", "outputBlobContainerUri": "a", "outputBlobName": ".hidden"},
        {"type": "import", "outputBlobContainerUri": "a", "inputBlobContainerUri": "%2e%2e"},
        {"type": "backup", "outputBlobContainerUri": "a"},
        [],
    ],
)
async def test_nothing_outside_of_the_folder_is_read_or_written(
    hub: httpx.AsyncClient, folder: Path, wanted: object
) -> None:
    assert (await hub.post("/jobs/create", json=wanted)).status_code == 400
    assert not folder.exists()


async def test_only_who_may_change_the_registry_starts_and_ends_jobs(door: Door, hub: httpx.AsyncClient) -> None:
    reader, service = as_policy(door, "registryRead"), as_policy(door, "service")
    for headers in (reader, service):
        assert (await hub.post("/jobs/create", json=EXPORT, headers=headers)).status_code == 401
        assert (await hub.delete("/jobs/1", headers=headers)).status_code == 401
    assert (await hub.get("/jobs", headers=reader)).json() == []
    assert (await hub.get("/jobs", headers=service)).status_code == 401
    assert (await hub.get("/jobs/1", headers=reader)).status_code == 404


async def test_a_file_that_is_not_there_fails_the_job_with_a_reason(hub: httpx.AsyncClient) -> None:
    job = await done(hub, IMPORT)
    assert (job["status"], job["failureReason"]) == ("failed", "there is no file in/devices.txt to import")


async def test_one_job_runs_at_a_time_and_can_be_cancelled_between_two_lines(
    door: Door, hub: httpx.AsyncClient, folder: Path
) -> None:
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "devices.txt").write_text("".join(f'{{"id": "d-{number:05}"}}\n' for number in range(20_000)))
    id = (await hub.post("/jobs/create", json=IMPORT)).json()["jobId"]
    assert (await hub.post("/jobs/create", json=EXPORT)).status_code == 409
    assert (await hub.get(f"/jobs/{id}")).json()["status"] == "running"
    assert (await hub.delete(f"/jobs/{id}")).json()["status"] == "cancelled"
    left = [device.id for device in door.registry.devices()]
    assert left == [f"d-{number:05}" for number in range(len(left))] and len(left) < 20_000
    assert (await done(hub, EXPORT))["status"] == "completed"


async def test_a_job_that_a_stop_of_the_platform_cut_off_has_failed(
    door: Door, hub: httpx.AsyncClient, folder: Path
) -> None:
    job = await done(hub, EXPORT)
    kept = folder / "_jobs" / f"{job['jobId']}.json"
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps({name: value for name, value in told.items() if name != "endTimeUtc"}))
    async with calls(door, RegistryFiles(folder)) as again:
        (found,) = (await again.get("/jobs")).json()
    assert (found["status"], found["failureReason"]) == ("failed", "the platform was stopped meanwhile")
