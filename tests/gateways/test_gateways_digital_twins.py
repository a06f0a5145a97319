"""Digital twins: what services see of a Plug and Play device, and what they change; Microsoft's SDK for Python with
them and with configurations."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.iot.device import MethodResponse
from azure.iot.device.aio import IoTHubDeviceClient
from hypothesis import given
from hypothesis import strategies as st

from islet.decode.iothub_digital_twins import Operation, desired_changes, digital_twin
from islet.decode.iothub_twins import Json, Properties, ServiceTwin, Twin, patched
from islet.errors import BadInput
from tests.conftest import Missing, need_ports, own_host
from tests.gateways.calls import as_policy
from tests.gateways.door import Door
from tests.gateways.hub import HTTPS_PORT, MQTT_PORT, opened_hub

HOST = own_host(95)
PATIENCE_S = 30.0
SERVICE = Path(__file__).with_name("digital_twin_sdk.py")
MODEL = "dtmi:com:example:Cgm;1"


async def test_a_property_shows_what_is_wanted_and_what_the_device_says_of_it(
    door: Door, http: httpx.AsyncClient
) -> None:
    of = door.address(door.add_device())
    await door.exchange.change_twin(of, ServiceTwin(desired={"every_s": 60, "sensor": {"__t": "c", "gain": 2}}))
    told: Any = {
        "serial": "x7",
        "every_s": {"value": 300, "ac": 200, "av": 2, "ad": "done"},
        "sensor": {"__t": "c", "glucose": 100},
    }
    await door.exchange.report(of, told)
    answer = await http.get("/digitaltwins/cgm-1")
    twin, at = answer.json(), "2026-11-21T08:03:00.950000Z"
    assert answer.headers["etag"]
    assert (twin["every_s"], twin["serial"], twin["$dtId"]) == (300, "x7", "cgm-1")
    every_s = twin["$metadata"]["every_s"]
    assert (every_s["desiredValue"], every_s["desiredVersion"], every_s["ackVersion"]) == (60, 2, 2)
    assert (every_s["ackCode"], every_s["ackDescription"]) == (200, "done")
    assert twin["$metadata"]["serial"] == {"lastUpdateTime": every_s["lastUpdateTime"]}
    sensor = {"gain": {"desiredValue": 2, "desiredVersion": 2}, "glucose": {}}
    for about in twin["sensor"]["$metadata"].values():
        assert about.pop("lastUpdateTime")[:19] == at[:19]
    assert twin["sensor"] == {"glucose": 100, "$metadata": sensor}


async def test_a_patch_changes_what_is_desired_and_only_that_version(door: Door, http: httpx.AsyncClient) -> None:
    of = door.address(door.add_device())
    component = {"op": "add", "path": "/sensor", "value": {"gain": 2, "unit": "V", "$metadata": {}}}
    first = await http.patch("/digitaltwins/cgm-1", json=[component, {"op": "add", "path": "/a", "value": 1}])
    assert (first.status_code, first.headers["location"]) == (202, "https://hub.example/digitaltwins/cgm-1")
    assert door.devices.twin(of).desired.values == {"sensor": {"__t": "c", "gain": 2, "unit": "V"}, "a": 1}
    again = [{**component, "op": "replace", "value": {"gain": 3, "$metadata": {}}}, {"op": "remove", "path": "/a"}]
    stale = await http.patch("/digitaltwins/cgm-1", json=again, headers={"If-Match": '"other"'})
    assert stale.status_code == 412
    await http.patch("/digitaltwins/cgm-1", json=again, headers={"If-Match": first.headers["etag"]})
    assert door.devices.twin(of).desired.values == {"sensor": {"__t": "c", "gain": 3}}


async def test_patches_at_the_same_time_are_all_done(door: Door, http: httpx.AsyncClient) -> None:
    of = door.address(door.add_device())
    patches = [[{"op": "add", "path": f"/p{number}", "value": number}] for number in range(20)]
    answers = await asyncio.gather(*(http.patch("/digitaltwins/cgm-1", json=patch) for patch in patches))
    assert {answer.status_code for answer in answers} == {202}
    assert door.devices.twin(of).desired.values == {f"p{number}": number for number in range(20)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "move", "path": "/a", "from": "/b"},
        {"op": "add", "path": "/a"},
        {"op": "remove", "path": "/a", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "", "value": {}},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "add", "path": "/a/__t", "value": "c"},
        {"op": "add", "path": "/$metadata", "value": 1},
    ],
)
async def test_what_is_no_patch_of_a_digital_twin_is_400(
    door: Door, http: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    door.add_device()
    assert (await http.patch("/digitaltwins/cgm-1", json=[wrong])).status_code == 400
    assert (await http.get("/digitaltwins/nobody")).status_code == 404
    refused = await http.get("/digitaltwins/cgm-1", headers=as_policy(door, "registryReadWrite"))
    assert refused.status_code == 401


NAMES = st.sampled_from(["a", "b", "sensor", "c"])
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.integers(0, 9) | st.booleans(), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)


@given(OBJECTS, NAMES, VALUES)
def test_after_a_patch_a_property_is_what_was_asked_and_no_other_has_changed(
    before: dict[str, Json], name: str, wanted: Json
) -> None:
    patch = desired_changes([Operation(op="add", path=f"/{name}", value=wanted)], before)
    after = patched(Properties(values=before), patch, 0)
    assert after.values == {**before, name: wanted}
    assert digital_twin("cgm-1", Twin(desired=after))["$dtId"] == "cgm-1"


@given(st.lists(st.text(max_size=8), max_size=3).map("/".join))
def test_any_path_is_taken_or_refused(path: str) -> None:
    try:
        patch = desired_changes([Operation(op="add", path=path, value=1)], {})
    except BadInput:
        return
    assert len(patch) == 1


@pytest.fixture
async def missing_ports(missing: Missing) -> AsyncIterator[None]:
    need_ports(missing, HOST, MQTT_PORT, HTTPS_PORT)
    yield


async def test_the_sdk_for_python_reads_changes_and_commands_digital_twins(
    missing_ports: None, missing: Missing, tmp_path: Path
) -> None:
    async with opened_hub(HOST, tmp_path) as hub:
        device = hub.door.add_device()
        authority = hub.certificates.authority
        sdk: Any = IoTHubDeviceClient.create_from_connection_string(
            hub.device_text(device), product_info=MODEL, server_verification_cert=authority.read_text()
        )
        loop = asyncio.get_running_loop()

        def answer(request: Any) -> None:
            assert request.name in ("measure", "sensor*blink")
            response = MethodResponse.create_from_method_request(request, 200, request.payload)
            asyncio.run_coroutine_threadsafe(sdk.send_method_response(response), loop)

        await sdk.connect()
        await asyncio.to_thread(setattr, sdk, "on_method_request_received", answer)
        await sdk.patch_twin_reported_properties({"sensor": {"__t": "c", "glucose": 100}})
        environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(authority)}
        command = [sys.executable, str(SERVICE), hub.service_text(), str(authority)]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        async with asyncio.timeout(PATIENCE_S):
            _, said = await process.communicate()
        await sdk.shutdown()
    if process.returncode == 77:
        missing("the IoT Hub SDK for Python services")
    assert process.returncode == 0, said.decode()


def test_an_answer_without_a_version_is_a_value_like_any_other() -> None:
    told = Properties(values={"a": {"value": 1}})
    assert json.dumps(digital_twin("x", Twin(reported=told))["a"]) == '{"value": 1}'
