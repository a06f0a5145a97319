"""Tags and desired properties that come with many changes of the registry at once."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from islet.gateways.registry_files import RegistryFiles
from tests.gateways.calls import as_policy, calls
from tests.gateways.door import Door

WANTED = {"tags": {"ward": 4}, "properties": {"desired": {"every_s": 60}}}


def twin(door: Door, id: str) -> tuple[object, object]:
    device = door.registry.device(id)
    assert device is not None
    found = door.devices.twin(door.address(device))
    return found.tags, found.desired.values


async def changed(http: httpx.AsyncClient, *items: dict[str, Any], **headers: str) -> list[tuple[str, int]]:
    """What could not be done: device and number."""
    answer = await http.post("/devices", json=items, headers=headers)
    return [(one["deviceId"], one["errorCode"]) for one in answer.json()["errors"]]


@pytest.mark.parametrize("mode", ["create", "createOrUpdate", "createOrUpdateIfMatchETag"])
async def test_a_device_is_made_with_its_twin(door: Door, http: httpx.AsyncClient, mode: str) -> None:
    assert await changed(http, {"id": "cgm-1", "importMode": mode, **WANTED}) == []
    assert twin(door, "cgm-1") == ({"ward": 4}, {"every_s": 60})
    lines = [line.action for line in door.registry.audit() if line.id == "cgm-1"]
    assert lines == ["added", "allowed: tags and configuration"]


async def test_twins_are_changed_and_the_devices_are_not(door: Door, http: httpx.AsyncClient) -> None:
    device = door.add_device()
    assert await changed(http, {"id": "cgm-1", "importMode": "updateTwin", **WANTED}) == []
    etag = door.devices.twin(door.address(device)).etag
    item = {"id": "cgm-1", "importMode": "updateTwinIfMatchETag", "twinETag": etag, "tags": {"bed": 2}}
    assert await changed(http, item) == []
    assert twin(door, "cgm-1") == ({"ward": 4, "bed": 2}, {"every_s": 60})
    assert await changed(http, item, {"id": "nobody", "importMode": "updateTwin", **WANTED}) == [
        ("cgm-1", 412002),
        ("nobody", 404001),
    ]
    assert door.registry.device("cgm-1") == device


async def test_a_device_is_changed_only_where_its_etag_is_the_one_that_was_said(
    door: Door, http: httpx.AsyncClient
) -> None:
    device = door.add_device()
    item = {"id": "cgm-1", "importMode": "createOrUpdateIfMatchETag", "status": "disabled"}
    assert await changed(http, item | {"eTag": "stale", **WANTED}) == [("cgm-1", 412002)]
    assert (door.registry.device("cgm-1"), twin(door, "cgm-1")) == (device, ({}, {}))
    assert await changed(http, item | {"eTag": device.etag}) == []
    after = door.registry.device("cgm-1")
    assert after is not None and not after.enabled


async def test_who_may_not_command_devices_changes_no_twins_this_way(door: Door, http: httpx.AsyncClient) -> None:
    policy = as_policy(door, "registryReadWrite")
    refused = {"id": "cgm-1", "importMode": "create", **WANTED}
    assert await changed(http, refused, {"id": "cgm-2", "importMode": "create"}, **policy) == [("cgm-1", 401002)]
    assert (door.registry.device("cgm-1"), door.registry.device("cgm-2") is None) == (None, False)


async def test_what_is_said_of_a_module_is_not_done_to_its_device(door: Door, http: httpx.AsyncClient) -> None:
    device = door.add_device()
    items = [{"id": "cgm-1", "moduleId": "m1", "importMode": mode} for mode in ("delete", "createOrUpdate")]
    assert await changed(http, *items) == [("cgm-1", 400004)] * 2
    assert door.registry.device("cgm-1") == device


async def test_a_file_that_is_imported_brings_twins(door: Door, tmp_path: Path) -> None:
    folder = tmp_path / "registry-files"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "devices.txt").write_text(json.dumps({"id": "cgm-1", "importMode": "create", **WANTED}))
    wanted = {"type": "import", "inputBlobContainerUri": "in", "outputBlobContainerUri": "out"}
    async with calls(door, RegistryFiles(folder)) as hub:
        job = (await hub.post("/jobs/create", json=wanted)).json()
        while "endTimeUtc" not in job:
            job = (await hub.get(f"/jobs/{job['jobId']}")).json()
    assert (folder / "out" / "importErrors.log").read_text() == ""
    assert twin(door, "cgm-1") == ({"ward": 4}, {"every_s": 60})
